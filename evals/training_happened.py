"""Training happened: what a trial left was made by training it, and its seed and its budget matter.

Before a keep the same code is trained once more as a *control*, under another seed and with a small share of the
budget, and asked the same. Trained code leaves another artifact then, and predicts worse. Code that carries its
weights with it, skips training, or trains as long as it likes whatever its budget, does neither. Where the decision
asked for one trial only, a second control of another seed shows whether the seed changes anything.

Proves that what the budget buys is in the artifact. Does not prove it of code that knows the control by its budget and
behaves differently there (`diff-reading` names such conditions).
"""

from __future__ import annotations

import numpy as np

from evals.asking import unasked
from evals.likelihood import all_finite, clipped_losses, standard_error
from rsi.evidence import Answered, Array, Arrays, Challenge, Control, Evidence, Secret
from rsi.execution import ExitKind
from rsi.records import Finding, Rejected, Scored, Severity, Verdict, VerifierError

CONTROL = "control"
ANOTHER = "another-seed"


class TrainingHappened:
    """Trains a control beside the trial, and compares.

    Args:
        share: of the budget, for the control.
        margin: standard errors by which the trial must predict better than its control.
    """

    name = "training-happened"
    grounded = True
    beside = True

    def __init__(self, share: float = 0.04, margin: float = 2.0) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share is {share:g}; set it between 0 and 1")
        self.share = share
        self.margin = margin

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """Before a keep: the first question once more, of what the control left."""
        asked = [answered.challenge for answered in evidence.answered]
        if evidence.purpose == "screen" or not (evidence.answered and evidence.answered[0].shape):
            return None
        due = [CONTROL] if evidence.other_artifacts else [CONTROL, ANOTHER]
        name = next((name for name in due if name not in asked), None)
        if name is None or any(a.control is not None and not _trained(a) for a in evidence.answered):
            return None
        if evidence.held_out is None:
            raise ValueError("a challenge is made from held-out data; pass it in the evidence")
        control = Control(seed=secret.derive(name).seed(), share=self.share)
        if name == ANOTHER:  # only what it leaves is of interest
            return Challenge(name=name, inputs={}, answer_shape=(), control=control)
        (targets,) = evidence.held_out.targets.values()
        return Challenge(
            name=name,
            inputs=dict(evidence.held_out.inputs),
            answer_shape=evidence.answered[0].shape,
            context={"targets": targets},
            control=control,
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """`gain` (n,): by how many nats the trial was better, a row; zeros where an answer is not finite."""
        targets, own = challenge.context["targets"], next(iter(sealed.values()))
        finite = all_finite(answer) and all_finite(own)
        if not finite:
            gain = np.zeros(len(targets))
        else:
            rows = (len(targets), -1)
            before = clipped_losses(own, targets).reshape(rows)
            gain = (clipped_losses(answer, targets).reshape(rows) - before).mean(axis=1)
        return {"gain": gain.astype(np.float32), "finite": np.array(finite, dtype=np.uint8)}

    def verify(self, evidence: Evidence) -> Verdict:
        """Rejected where the control is as good, or leaves the same; scored, without a measurement, otherwise."""
        if evidence.purpose == "screen":
            return Scored(measurements=())
        nothing = unasked(evidence)
        if nothing is not None:
            return nothing
        control = _answered(evidence, CONTROL)
        if control is None:
            return VerifierError(message=f"The challenge {CONTROL!r} was not answered, so nothing can be said.")
        code, reason = self._against(control, evidence)
        if reason:
            finding = Finding(severity=Severity.CRITICAL, code=code, message=reason, pointer=CONTROL)
            return Rejected(reason=reason, findings=(finding,))
        return self._seeds(evidence, control)

    def _against(self, control: Answered, evidence: Evidence) -> tuple[str, str]:
        """Code and sentence of what speaks against the trial; empty where nothing does."""
        share = f"{self.share:.0%} of its budget"
        ended = next((a.control.kind for a in evidence.answered if a.control is not None and not _trained(a)), None)
        if ended is not None:
            return "no-control", f"the same code with {share} does not train: it {_ended(ended)}"
        if control.control_artifact and control.control_artifact == evidence.artifact:
            return "untrained", "another seed and a small share of the budget leave the very same artifact"
        if not control.scores["finite"]:
            return "no-control", f"with {share} the same code predicts no numbers"
        gain = control.scores["gain"].astype(np.float64)
        if gain.mean() > self.margin * (standard_error(gain) or 0.0):
            return "", ""
        words = f"with {share} the same code predicts as well (to {gain.mean():.2g} nats)"
        return "untrained", f"{words}, so what was scored is not what the budget bought"

    def _seeds(self, evidence: Evidence, control: Answered) -> Verdict:
        gain = float(control.scores["gain"].astype(np.float64).mean())
        message = f"training on the whole budget is worth {gain:.3g} nats over {self.share:.0%} of it"
        held = Finding(severity=Severity.INFO, code="trained", message=message, pointer=CONTROL)
        same = evidence.artifact in evidence.other_artifacts
        if not evidence.other_artifacts:
            another = _answered(evidence, ANOTHER)
            if another is None:
                return VerifierError(message=f"The challenge {ANOTHER!r} was not answered, so nothing can be said.")
            same = bool(control.control_artifact) and another.control_artifact == control.control_artifact
        if not same:
            return Scored(measurements=(), findings=(held,))
        message = "two seeds leave the very same artifact: the code ignores its seed, so its luck cannot be told"
        ignored = Finding(severity=Severity.WARNING, code="seed-ignored", message=message, pointer=ANOTHER)
        return Scored(measurements=(), findings=(ignored, held))


def _answered(evidence: Evidence, challenge: str) -> Answered | None:
    return next((answered for answered in evidence.answered if answered.challenge == challenge), None)


def _trained(answered: Answered) -> bool:
    return answered.control is not None and answered.control.kind is ExitKind.COMPLETED


def _ended(kind: ExitKind) -> str:
    return "crashes" if kind is ExitKind.CRASHED else f"ends as {kind.value.replace('_', ' ')}"
