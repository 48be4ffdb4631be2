"""The verifier that goes with the fake sandbox: grounded, pure, and with a check before a keep, for tests of the loop.

The point of each row is its first column; the second holds the very value to be predicted, as the inputs of a language
model do. `recheck` replaces that value at rows drawn from the secret: whoever answers differently had looked at it.
"""

from __future__ import annotations

import numpy as np

from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict, VerifierError

WORST = 100.0
"""Losses are clipped here."""
TOLERANCE = 1e-5
"""Relative; an honest answer to the same point differs by rounding alone."""


class FakeVerifier:
    """Mean absolute error, `val_loss`; one challenge to measure (`points`), a second before a keep (`recheck`)."""

    name = "fake"
    grounded = True

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """All points; before a keep also some of them with their answers replaced."""
        if evidence.scores("points") is None:
            points, targets = _held_out(evidence)
            return Challenge(
                name="points", inputs={"points": points}, answer_shape=targets.shape, context={"targets": targets}
            )
        if evidence.purpose == "keep" and evidence.scores("recheck") is None:
            points, targets = _held_out(evidence)
            generator = secret.generator()
            rows = np.sort(generator.choice(len(points), size=(len(points) + 1) // 2, replace=False))
            replaced = points.copy()
            replaced[rows, 1] += generator.uniform(1.0, 2.0, size=len(rows)).astype(points.dtype)
            return Challenge(name="recheck", inputs={"points": replaced}, answer_shape=targets.shape)
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """For `points` the loss of each; for `recheck` the relative difference from the sealed answer."""
        given = answer.astype(np.float64)
        if challenge.name == "points":
            loss = np.abs(given - challenge.context["targets"].astype(np.float64))
            return {"loss": np.where(np.isfinite(loss), np.minimum(loss, WORST), np.nan)}
        before = sealed["points"].astype(np.float64)
        with np.errstate(invalid="ignore"):  # infinities: the difference is no number, and rejected as that
            return {"difference": np.abs(given - before) / (1.0 + np.abs(before))}

    def verify(self, evidence: Evidence) -> Verdict:
        """The mean loss; rejected for answers that are no numbers or, before a keep, depend on what was replaced."""
        points, recheck = evidence.scores("points"), evidence.scores("recheck")
        if points is None or (evidence.purpose == "keep" and recheck is None):
            return VerifierError(message="a challenge was not answered, so nothing can be said")
        loss = points["loss"].astype(np.float64)
        if not np.isfinite(loss).all():
            return Rejected(reason="an answer is not a number")
        if evidence.purpose == "keep" and recheck is not None:
            worst = float(np.max(recheck["difference"].astype(np.float64)))
            if not worst <= TOLERANCE:
                finding = Finding(
                    severity=Severity.CRITICAL, code="peek", message="the answers depend on the values to be predicted"
                )
                return Rejected(reason="answers changed with what they must not depend on", findings=(finding,))
        error = float(loss.std(ddof=1) / np.sqrt(loss.size)) if loss.size > 1 else None
        return Scored(measurements=(Measurement(name="val_loss", value=float(loss.mean()), standard_error=error),))


def _held_out(evidence: Evidence) -> tuple[Array, Array]:
    if evidence.held_out is None:
        raise ValueError("asking needs the held-out points")
    return evidence.held_out.inputs["points"], evidence.held_out.targets["targets"]
