"""Keep where the difference exceeds so many standard errors: a fixed bar, one trial of each arm by default."""

from __future__ import annotations

import math

from rsi.errors import UsageError
from rsi.history import History
from rsi.policies.conditions import guards
from rsi.policies.trials import equal_trials, unusable
from rsi.records import Comparison, Decision, Discard, Keep, Measure, Plan, Propose


class Threshold:
    """Keep where Δ > k · SE, the noise pooled from both arms with the task's stated noise as a prior."""

    name = "threshold"

    def __init__(self, k: float = 1.0, seeds: int = 1) -> None:
        if not isinstance(k, int | float) or not (math.isfinite(k) and k >= 0):
            raise UsageError(f"The policy threshold takes a k of 0 or more, not {k}; set --policy-option k=1.")
        if not isinstance(seeds, int) or not 1 <= seeds <= 64:
            raise UsageError(f"The policy threshold takes 1 to 64 seeds, not {seeds}; set --policy-option seeds=1.")
        self.k = k
        self.seeds = seeds

    def decide(self, comparison: Comparison, history: History) -> Decision:  # noqa: ARG002
        """Measure until both arms have their trials, then compare with the bar."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        arm, missing = equal_trials(comparison, self.seeds)
        if arm is not None:
            if comparison.trials_left is not None and comparison.trials_left < 1:
                return Discard(rule=self.name, reason=f"no trials are left for {self.seeds} seeds of each arm")
            return Measure(rule=self.name, reason=f"{self.seeds} seeds of each arm", arm=arm, trials=missing)
        objective = comparison.objective
        candidate = comparison.candidate.values(objective.metric)
        incumbent = comparison.incumbent.values(objective.metric)
        gain = objective.gain(_mean(candidate), _mean(incumbent))
        error = _noise(comparison) * math.sqrt(1 / len(candidate) + 1 / len(incumbent))
        words = f"{objective.metric}: better by {gain:.3g}, the bar is {self.k:g} · {error:.3g}"
        if not gain > self.k * error:
            return Discard(rule=self.name, reason=words)
        where, sentence = guards(comparison)
        return Keep(rule=self.name, reason=words) if where == "holds" else Discard(rule=self.name, reason=sentence)

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """One fresh proposal after another."""
        return Propose(rule=self.name, reason="a fresh proposal each time")


def _noise(comparison: Comparison) -> float:
    """Pooled within both arms; the stated noise counts as two degrees of freedom."""
    stated, metric = comparison.objective.noise, comparison.objective.metric
    squares, freedom = 2 * stated * stated, 2.0
    for arm in (comparison.candidate, comparison.incumbent):
        values = arm.values(metric)
        mean = _mean(values)
        squares += math.fsum((value - mean) * (value - mean) for value in values)
        freedom += len(values) - 1
    return math.sqrt(squares / freedom)


def _mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values)
