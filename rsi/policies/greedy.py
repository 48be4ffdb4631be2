"""autoresearch's rule: whatever measures better than the incumbent ever did is kept.

Simple and quick, and it keeps luck for progress: the incumbent's recorded value is the best of many draws. What a run
claims therefore comes from a confirmation on fresh seeds, never from this rule's own numbers.
"""

from __future__ import annotations

from rsi.history import History
from rsi.policies.conditions import broken_guard
from rsi.policies.trials import unusable
from rsi.records import Comparison, Decision, Discard, Keep, Plan, Propose


class Greedy:
    """Keep if and only if the candidate's mean is strictly better than the incumbent's."""

    name = "greedy"

    def decide(self, comparison: Comparison, history: History) -> Decision:  # noqa: ARG002
        """One trial each is enough for this rule; ties are discarded, and so is what breaks a guard."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        metric = comparison.objective.metric
        candidate = _mean(comparison.candidate.values(metric))
        incumbent = _mean(comparison.incumbent.values(metric))
        gain = comparison.objective.gain(candidate, incumbent)
        words = f"{metric} {candidate:.6g} against {incumbent:.6g}"
        if not gain > 0:
            return Discard(
                rule=self.name, reason=f"{words}: worse by {-gain:.3g}" if gain < 0 else f"{words}: no better"
            )
        broken = broken_guard(comparison)
        if broken:
            return Discard(rule=self.name, reason=broken)
        return Keep(rule=self.name, reason=f"{words}: better by {gain:.3g}")

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """One fresh proposal after another; what the run claims is certified at its end."""
        return Propose(rule=self.name, reason="a fresh proposal each time")


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
