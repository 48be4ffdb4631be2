"""Guards: measurements that must not get worse by more than a margin, as non-inferiority conditions.

A guard holds where a one-sided confidence bound of the difference of means lies within the margin (the confidence
interval form of a non-inferiority test: Piaggio et al., JAMA 308, 2012). Its noise is the pooled variance within both
arms, with a prior of two degrees of freedom at the guard's own `noise`, or at half its margin where none is given: a
margin is set above the noise by who sets it. A guard with neither is taken to be exact, as a memory size is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rsi.errors import UsageError
from rsi.records import Arm, Comparison, Guard

Standing = Literal["holds", "unclear", "broken"]

PRIOR_FREEDOM = 2.0
BOUND = 1.2816
"""Standard errors of the one-sided bound: 90%."""


def broken_guard(comparison: Comparison) -> str:
    """The first guard whose means differ by more than its margin, in a sentence; empty where there is none."""
    for guard in comparison.objective.guards:
        gain, _ = _difference(comparison, guard)
        if gain < -guard.margin:
            return _words(comparison, guard)
    return ""


def guards(comparison: Comparison) -> tuple[Standing, str]:
    """Where the guards stand together, and a sentence about the worst of them."""
    unclear = ""
    for guard in comparison.objective.guards:
        gain, error = _difference(comparison, guard)
        if gain < -guard.margin:
            return "broken", _words(comparison, guard)
        if gain - BOUND * error < -guard.margin and not unclear:
            unclear = (
                f"the guard {guard.metric} is not yet shown to be no worse: {-gain:+.4g} ± {error:.2g} "
                f"against a margin of {guard.margin:g}"
            )
    return ("unclear", unclear) if unclear else ("holds", "")


def _values(arm: Arm, guard: Guard) -> tuple[float, ...]:
    """A guard's measurements of one arm; UsageError where a trial has none."""
    try:
        return arm.values(guard.metric)
    except KeyError:
        measured = ", ".join(sorted(arm.observations[0].measurements))
        raise UsageError(
            f"The guard {guard.metric!r} is not among the task's measurements ({measured}); "
            "mend [[objective.guards]] in task.toml and start a new run."
        ) from None


def _difference(comparison: Comparison, guard: Guard) -> tuple[float, float]:
    """How much better the candidate's mean is, and its standard error."""
    candidate, incumbent = _values(comparison.candidate, guard), _values(comparison.incumbent, guard)
    if not candidate or not incumbent:
        return -math.inf, 0.0
    gain = guard.gain(_mean(candidate), _mean(incumbent))
    assumed = guard.margin / 2 if guard.noise is None else guard.noise
    freedom = PRIOR_FREEDOM + len(candidate) + len(incumbent) - 2
    squares = PRIOR_FREEDOM * assumed**2 + _squares(candidate) + _squares(incumbent)
    return gain, math.sqrt(squares / freedom * (1 / len(candidate) + 1 / len(incumbent)))


def _words(comparison: Comparison, guard: Guard) -> str:
    candidate, incumbent = _mean(_values(comparison.candidate, guard)), _mean(_values(comparison.incumbent, guard))
    return f"the guard {guard.metric} gets worse by more than {guard.margin:g}: {candidate:.6g} against {incumbent:.6g}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _squares(values: Sequence[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values)
