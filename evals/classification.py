"""The classification verifier: held-out examples are answered with logits; loss and accuracy are computed here."""

from __future__ import annotations

import numpy as np

from evals.likelihood import CLIP_NATS, all_finite, clipped_losses, standard_error
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict, VerifierError

EXAMPLES = "examples"


class Classification:
    """Mean clipped negative log-likelihood in nats over held-out examples, and accuracy.

    B sees every array of the split's inputs and answers (N, classes); the one target array holds class numbers, (N,).
    """

    name = "classification"
    grounded = True

    def __init__(
        self, classes: int, metric: str = "val_nll", accuracy: str = "accuracy", labels: str = "labels"
    ) -> None:
        self.classes = classes
        self.metric = metric
        self.accuracy = accuracy
        self.labels = labels

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:  # noqa: ARG002 - nothing is drawn here
        """All examples at once, then nothing more: an input holds nothing of its label."""
        if evidence.scores(EXAMPLES) is not None:
            return None
        if evidence.held_out is None:
            raise ValueError("a challenge is made from held-out data; pass it in the evidence")
        labels = evidence.held_out.targets[self.labels]
        return Challenge(
            name=EXAMPLES,
            inputs=dict(evidence.held_out.inputs),
            answer_shape=(len(labels), self.classes),
            context={"labels": labels},
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:  # noqa: ARG002 - one challenge only
        """`loss` in nats and `correct`, both (N,); an answer with a number that is none counts as all wrong."""
        labels = challenge.context["labels"]
        if not all_finite(answer):
            losses, correct = np.full(labels.shape, CLIP_NATS), np.zeros(labels.shape, dtype=bool)
            finite = 0
        else:
            losses, correct, finite = clipped_losses(answer, labels), answer.argmax(axis=-1) == labels, 1
        return {
            "loss": losses.astype(np.float32),
            "correct": correct.astype(np.uint8),
            "finite": np.array(finite, dtype=np.uint8),
        }

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored with both means, Rejected for an answer that is not finite, VerifierError where none was given."""
        scores = evidence.scores(EXAMPLES)
        if scores is None:
            return VerifierError(message=f"The challenge {EXAMPLES!r} was not answered, so nothing can be measured.")
        if not scores["finite"]:
            reason = "the predictions hold NaN or infinite numbers"
            finding = Finding(severity=Severity.WARNING, code="non-finite", message=reason, pointer=EXAMPLES)
            return Rejected(reason=reason, findings=(finding,))
        losses, correct = scores["loss"].astype(np.float64), scores["correct"].astype(np.float64)
        return Scored(
            measurements=(
                Measurement(name=self.metric, value=float(losses.mean()), standard_error=standard_error(losses)),
                Measurement(name=self.accuracy, value=float(correct.mean()), standard_error=standard_error(correct)),
            )
        )
