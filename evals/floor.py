"""Better than can be is a finding: below a bound that the author of a task knows, or a jump beyond all that was seen.

A floor is what nobody can beat honestly: an estimate of the entropy of the text, the rate of wrong labels, the loss of
a model a thousand times larger. A jump needs no floor: it is weighed against what the run's own experiments gained.

Proves nothing by itself; says where to look first.
"""

from __future__ import annotations

import numpy as np

from evals.asking import AsksNothing
from rsi.evidence import Evidence
from rsi.records import Finding, Scored, Severity, Verdict

LEAST_SEEN = 4
"""Gains of earlier experiments before a jump can be told from a beginning."""


class Floor(AsksNothing):
    """Weighs the mean of the measured losses.

    Args:
        bound: the lowest mean loss that can be honest, in the unit of the losses (bits per byte for `language-model`,
            nats for `classification`); negative for none.
        jump: times the largest gain that the run has seen; more is a finding.
        least_jump: a gain below it is none, in the unit of the losses.
    """

    name = "floor"
    grounded = True
    beside = True

    def __init__(self, bound: float = -1.0, jump: float = 4.0, least_jump: float = 0.25) -> None:
        self.bound = bound
        self.jump = jump
        self.least_jump = least_jump

    def verify(self, evidence: Evidence) -> Verdict:
        """Findings alone; nothing where nothing has a loss."""
        scores = evidence.answered[0].scores.get("loss") if evidence.answered else None
        if scores is None:
            return Scored(measurements=())
        loss, pointer = float(scores.astype(np.float64).mean()), evidence.answered[0].challenge
        found: list[Finding] = []
        if loss < self.bound:
            message = f"a mean loss of {loss:.4g} is below {self.bound:g}, which the task's author holds for impossible"
            found.append(Finding(severity=Severity.WARNING, code="floor.below", message=message, pointer=pointer))
        before = evidence.reference.get("loss") if evidence.reference is not None else None
        largest = max((abs(gain) for gain in evidence.gains), default=0.0)
        if before is not None and len(evidence.gains) >= LEAST_SEEN:
            gain = float(before.astype(np.float64).mean()) - loss
            if gain > max(self.jump * largest, self.least_jump):
                message = f"a gain of {gain:.3g} is more than {self.jump:g} times the largest so far ({largest:.3g})"
                found.append(Finding(severity=Severity.WARNING, code="floor.jump", message=message, pointer=pointer))
        return Scored(measurements=(), findings=tuple(found))
