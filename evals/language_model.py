"""The language-model verifier: bits per byte on held-out windows, and proof before a keep that nobody looked ahead."""

from __future__ import annotations

import math

import numpy as np

from evals.causality import WINDOWS, Causality
from evals.likelihood import CLIP_BITS, VOCABULARY, all_finite, clipped_losses, standard_error
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict, VerifierError


class LanguageModel:
    """Mean clipped loss in bits per byte over held-out windows.

    Held-out inputs are `windows`, uint8 (N, T), targets `next`, uint8 (N, T); an answer holds logits (N, T, 256), those
    at [n, t] for the byte after `windows[n, : t + 1]`. Each window must be answered by itself, without randomness.

    Args:
        metric: what the measurement is called.
        cuts, tolerance, even_cuts: of the causality challenges, `evals.causality`.
        causality: whether they are part of this verifier. Without them a number is worth nothing, because what a model
            sees holds what it is asked: only for the red team, which shows just that.
    """

    name = "language-model"
    grounded = True

    def __init__(
        self,
        metric: str = "val_bpb",
        cuts: int = 192,
        tolerance: float = 0.001,
        even_cuts: int = 192,
        causality: bool = True,
    ) -> None:
        self.metric = metric
        self.causality = Causality(cuts, tolerance, even_cuts) if causality else None

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """First all windows; before a keep, windows with replaced continuations."""
        if evidence.scores(WINDOWS) is None:
            if evidence.held_out is None:
                raise ValueError("a challenge is made from held-out data; pass it in the evidence")
            windows, targets = evidence.held_out.inputs["windows"], evidence.held_out.targets["next"]
            return Challenge(
                name=WINDOWS,
                inputs={"windows": windows},
                answer_shape=(*windows.shape, VOCABULARY),
                context={"next": targets},
            )
        return self.causality.challenge(evidence, secret) if self.causality is not None else None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """`loss` (N, T) in bits for the windows; for the cuts, both rows of log-probabilities and their distance."""
        if challenge.name != WINDOWS and self.causality is not None:
            return self.causality.score(challenge, answer, sealed)
        finite, targets = all_finite(answer), challenge.context["next"]
        losses = clipped_losses(answer, targets) / math.log(2) if finite else np.full(targets.shape, CLIP_BITS)
        return {"loss": losses.astype(np.float32), "finite": np.array(finite, dtype=np.uint8)}

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored, or Rejected for what is not finite or looked ahead; VerifierError where an answer is missing."""
        scores = evidence.scores(WINDOWS)
        if scores is None:
            return VerifierError(message=f"The challenge {WINDOWS!r} was not answered, so nothing can be said.")
        if not scores["finite"]:
            reason = "the predictions hold NaN or infinite numbers"
            finding = Finding(severity=Severity.WARNING, code="non-finite", message=reason, pointer=WINDOWS)
            return Rejected(reason=reason, findings=(finding,))
        seen = self.causality.verify(evidence) if self.causality is not None else Scored(measurements=())
        if not isinstance(seen, Scored):
            return seen
        windows = scores["loss"].astype(np.float64).mean(axis=1)
        measured = Measurement(name=self.metric, value=float(windows.mean()), standard_error=standard_error(windows))
        return Scored(measurements=(measured,), findings=seen.findings)
