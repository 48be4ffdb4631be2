"""The language-model verifier: bits per byte on held-out windows, and proof before a keep that nobody looked ahead."""

from __future__ import annotations

import math

import numpy as np

from evals import causality
from evals.likelihood import CLIP_BITS, all_finite, clipped_losses, standard_error
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict, VerifierError

WINDOWS = "windows"
CAUSALITY = "causality"
VOCABULARY = 256


class LanguageModel:
    """Mean clipped loss in bits per byte over held-out windows.

    Held-out inputs are `windows`, uint8 (N, T), targets `next`, uint8 (N, T); an answer holds logits (N, T, 256), those
    at [n, t] for the byte after `windows[n, : t + 1]`. Each window must be answered by itself, without randomness.

    Args:
        metric: what the measurement is called.
        cuts: how many positions the causality challenge asks about again, each in another window.
        tolerance: by how many nats a log-probability may change when only later bytes change. Rounding of honest
            float32 models stays below 0.00001 (`docs/prediction-protocol.md`); a peek worth 0.02 bits per
            byte, spread evenly, moves every one by 0.014.
    """

    name = "language-model"
    grounded = True

    def __init__(self, metric: str = "val_bpb", cuts: int = 192, tolerance: float = 0.001) -> None:
        self.metric = metric
        self.cuts = cuts
        self.tolerance = tolerance

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """First all windows; before a keep, windows with replaced continuations."""
        scores = evidence.scores(WINDOWS)
        if scores is None:
            windows, targets = _held_out(evidence)
            return Challenge(
                name=WINDOWS,
                inputs={"windows": windows},
                answer_shape=(*windows.shape, VOCABULARY),
                context={"next": targets},
            )
        if evidence.purpose == "screen" or not scores["finite"] or evidence.scores(CAUSALITY) is not None:
            return None
        windows, _ = _held_out(evidence)
        generator = secret.derive(CAUSALITY).generator()
        reference = evidence.reference["loss"] if evidence.reference else None
        cuts = causality.draw_cuts(causality.weights(scores["loss"], reference), self.cuts, generator)
        rows = causality.replaced(windows, cuts, generator)
        return Challenge(
            name=CAUSALITY,
            inputs={"windows": rows},
            answer_shape=(*rows.shape, VOCABULARY),
            context={"cuts": cuts},
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """`loss` (N, T) in bits for the windows; for the cuts, both rows of log-probabilities and their distance."""
        finite = all_finite(answer)
        flag = np.array(finite, dtype=np.uint8)
        if challenge.name == WINDOWS:
            targets = challenge.context["next"]
            losses = clipped_losses(answer, targets) / math.log(2) if finite else np.full(targets.shape, CLIP_BITS)
            return {"loss": losses.astype(np.float32), "finite": flag}
        cuts = challenge.context["cuts"].astype(np.int64)
        first = causality.rows_at(sealed[WINDOWS], cuts[:, 0], cuts[:, 1])
        again = causality.rows_at(answer, np.arange(len(cuts)), cuts[:, 1]) if finite else np.zeros_like(first)
        return {
            "cuts": cuts,
            "sealed": first,
            "answered": again,
            "difference": causality.differences(first, again),
            "finite": flag,
        }

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored, or Rejected for what is not finite or looked ahead; VerifierError where an answer is missing."""
        scores = evidence.scores(WINDOWS)
        if scores is None:
            return _missing(WINDOWS)
        if not scores["finite"]:
            return _not_finite(WINDOWS)
        findings: tuple[Finding, ...] = ()
        if evidence.purpose == "keep":
            cuts = evidence.scores(CAUSALITY)
            if cuts is None:
                return _missing(CAUSALITY)
            if not cuts["finite"]:
                return _not_finite(CAUSALITY)
            rejected, findings = self._compare(cuts)
            if rejected:
                return rejected
        windows = scores["loss"].astype(np.float64).mean(axis=1)
        measured = Measurement(name=self.metric, value=float(windows.mean()), standard_error=standard_error(windows))
        return Scored(measurements=(measured,), findings=findings)

    def _compare(self, scores: Arrays) -> tuple[Rejected | None, tuple[Finding, ...]]:
        """The verdict on the cuts, from both rows as they are kept."""
        apart = causality.differences(scores["sealed"], scores["answered"])
        worst = int(apart.argmax())
        window, position = (int(number) for number in scores["cuts"][worst])
        pointer = f"{CAUSALITY}:{worst}"
        if apart[worst] <= self.tolerance:
            message = f"predictions at {len(apart)} cuts held; the largest change was {apart[worst]:.2g} nats"
            return None, (Finding(severity=Severity.INFO, code="causal", message=message, pointer=pointer),)
        changed = int((apart > self.tolerance).sum())
        message = (
            f"with other bytes after position {position} of window {window}, the prediction at that position changed "
            f"by {apart[worst]:.3g} nats ({changed} of {len(apart)} cuts changed by more than {self.tolerance:g})"
        )
        finding = Finding(severity=Severity.CRITICAL, code="looked-ahead", message=message, pointer=pointer)
        reason = (
            "a prediction depends on later bytes, on other windows or on chance; each must follow from its past alone"
        )
        return Rejected(reason=reason, findings=(finding,)), ()


def _held_out(evidence: Evidence) -> tuple[Array, Array]:
    if evidence.held_out is None:
        raise ValueError("a challenge is made from held-out data; pass it in the evidence")
    return evidence.held_out.inputs["windows"], evidence.held_out.targets["next"]


def _missing(challenge: str) -> VerifierError:
    return VerifierError(message=f"The challenge {challenge!r} was not answered, so nothing can be said.")


def _not_finite(challenge: str) -> Rejected:
    reason = "the predictions hold NaN or infinite numbers"
    finding = Finding(severity=Severity.WARNING, code="non-finite", message=reason, pointer=challenge)
    return Rejected(reason=reason, findings=(finding,))
