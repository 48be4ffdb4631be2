"""So many seeds of each arm, then a test: what a careful reader of one experiment would ask for."""

from __future__ import annotations

from rsi.errors import UsageError
from rsi.history import History
from rsi.policies.conditions import guards
from rsi.policies.trials import equal_trials, unusable
from rsi.records import Comparison, Decision, Discard, Keep, Measure, Plan, Propose
from rsi.statistics import difference


class Fixed:
    """Keep where Welch's test over `seeds` trials of each arm finds the candidate better at the one-sided `alpha`."""

    name = "fixed"

    def __init__(self, seeds: int = 5, alpha: float = 0.05) -> None:
        if not isinstance(seeds, int) or not 2 <= seeds <= 64:
            raise UsageError(f"The policy fixed takes 2 to 64 seeds, not {seeds}; set --policy-option seeds=5.")
        if not isinstance(alpha, int | float) or not 0 < alpha <= 0.5:
            raise UsageError(
                f"An alpha lies above 0 and not above 0.5, not at {alpha}; set --policy-option alpha=0.05."
            )
        self.seeds = seeds
        self.alpha = alpha

    def decide(self, comparison: Comparison, history: History) -> Decision:  # noqa: ARG002
        """Measure until both arms have their trials, then test once (Welch, Biometrika 34, 1947)."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        metric = comparison.objective.metric
        arm, missing = equal_trials(comparison, self.seeds)
        if arm is not None:
            if comparison.trials_left is not None and comparison.trials_left < 1:
                return Discard(rule=self.name, reason=f"no trials are left for the {self.seeds} seeds of the test")
            reason = f"the test takes {self.seeds} seeds of each arm"
            return Measure(rule=self.name, reason=reason, arm=arm, trials=missing)
        found = difference(
            comparison.candidate.values(metric),
            comparison.incumbent.values(metric),
            comparison.objective.direction,
            confidence=1 - 2 * self.alpha,
        )
        if found.low is None:
            return Discard(rule=self.name, reason=f"{metric}: no test, {found.method.removeprefix('none: ')}")
        words = f"{metric}: better by {found.estimate:.3g}, {found.method}, one-sided bound {found.low:.3g}"
        if not found.low > 0:
            return Discard(rule=self.name, reason=words)
        where, sentence = guards(comparison)
        return Keep(rule=self.name, reason=words) if where == "holds" else Discard(rule=self.name, reason=sentence)

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """One fresh proposal after another."""
        return Propose(rule=self.name, reason="a fresh proposal each time")
