"""What policies ask of the trials of a comparison before any statistics: enough of them, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rsi.records import Comparison

MOST = 1e100
"""No measurement beyond it is computed with."""


def unusable(comparison: Comparison) -> str:
    """Why the measurements of the objective cannot be compared, in a sentence; empty where they can."""
    metric = comparison.objective.metric
    for side, arm in (("candidate", comparison.candidate), ("incumbent", comparison.incumbent)):
        if not arm.observations:
            return f"the {side} has no scored trial"
        if not computable(arm.values(metric)):
            return f"{metric}: a measurement of the {side} is not a number, or too large to compute with"
    return ""


def computable(values: Sequence[float]) -> bool:
    """Whether they are numbers whose squares and sums stay within the floats."""
    return all(abs(value) <= MOST for value in values)


def equal_trials(comparison: Comparison, wanted: int) -> tuple[Literal["candidate", "incumbent"] | None, int]:
    """The arm that has fewer than the wanted trials, and how many it lacks; within what is left, at least one."""
    most = 64 if comparison.trials_left is None else max(comparison.trials_left, 1)
    missing = wanted - len(comparison.candidate.observations)
    if missing > 0:
        return "candidate", min(missing, most)
    missing = wanted - len(comparison.incumbent.observations)
    return ("incumbent", min(missing, most)) if missing > 0 else (None, 0)


def still(values: Sequence[float]) -> bool:
    """Whether several trials gave one and the same number: code that ignores its seed was tried once, however often."""
    return len(values) > 1 and min(values) == max(values)
