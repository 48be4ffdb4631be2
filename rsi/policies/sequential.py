"""An anytime-valid test for each edit: trial by trial, stopped as soon as it passes or hopes no more.

The test is an e-process on differences between the candidate's trials and trials of the incumbent that took no part in
keeping it, so that the incumbent's luck is not in them. Ratio of marginal likelihoods under the right Haar prior of the
noise, the standardised effect half-normal under the alternative: a martingale under no effect whatever the noise, and
smaller in expectation under a harmful one (Pérez-Ortiz, Lardy, de Heide and Grünwald, Annals of Statistics 52, 2024;
Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", 2024). By
Ville's inequality an edit that does not help is kept with a probability of `alpha` at the most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import stdtr

from rsi.errors import UsageError
from rsi.history import History
from rsi.policies.conditions import guards
from rsi.policies.trials import still, unusable
from rsi.records import Comparison, Decision, Discard, Keep, Measure, Plan, Propose


class Sequential:
    """Keep where the e-value reaches 1/alpha; discard where the mean falls to zero or `most` pairs have not done it."""

    name = "sequential"

    def __init__(self, alpha: float = 0.05, most: int = 12) -> None:
        if not isinstance(alpha, int | float) or not 0 < alpha < 1:
            raise UsageError(f"An alpha lies between 0 and 1, not at {alpha}; set --policy-option alpha=0.05.")
        if not isinstance(most, int) or not 2 <= most <= 64:
            raise UsageError(f"The policy sequential takes 2 to 64 pairs, not {most}; set --policy-option most=12.")
        self.alpha = alpha
        self.most = most

    def decide(self, comparison: Comparison, history: History) -> Decision:
        """One more of either arm until the test has an answer."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        objective = comparison.objective
        candidate = comparison.candidate.values(objective.metric)
        fresh = comparison.incumbent.values(objective.metric)[selected(history, comparison.incumbent.experiment) :]
        pairs = min(len(candidate), len(fresh))
        gains = [objective.gain(ours, theirs) for ours, theirs in zip(candidate, fresh, strict=False)]
        evidence = e_value(gains)
        mean = math.fsum(gains) / max(pairs, 1)
        words = f"{objective.metric}: better by {mean:.3g} over {pairs} pairs, e-value {evidence:.3g}"
        if still(candidate[:pairs]) or still(fresh[:pairs]):
            return Discard(rule=self.name, reason=f"{words}; the seed changes nothing, so there is nothing to test")
        if evidence >= 1 / self.alpha:
            where, sentence = guards(comparison)
            return Keep(rule=self.name, reason=words) if where == "holds" else Discard(rule=self.name, reason=sentence)
        hopeless = self._hopeless(comparison, pairs, mean)
        if hopeless:
            return Discard(rule=self.name, reason=f"{words}; {hopeless}")
        arm = "candidate" if len(candidate) <= len(fresh) else "incumbent"
        reason = f"{words} of {1 / self.alpha:.3g}"
        return Measure.model_validate({"rule": self.name, "reason": reason, "arm": arm})

    def _hopeless(self, comparison: Comparison, pairs: int, mean: float) -> str:
        """Why the test is given up before it has passed, which never harms its error."""
        if pairs and not mean > 0:
            return "nothing speaks for it"
        if pairs >= self.most:
            return f"{self.most} pairs are the most"
        if comparison.trials_left is not None and comparison.trials_left < 1:
            return "no trials are left"
        return ""

    def plan(self, history: History) -> Plan:  # noqa: ARG002
        """One fresh proposal after another."""
        return Propose(rule=self.name, reason="a fresh proposal each time")


def selected(history: History, experiment: int) -> int:
    """How many of an incumbent's first trials its own keep was decided on; none for the baseline."""
    for past in history.past:
        if past.experiment == experiment and past.reference:
            return len(past.candidate)
    return 0


def e_value(gains: Sequence[float]) -> float:
    """Of "no better on average", against a half-normal standardised effect; 1 before there are two differences.

    With n differences of mean d and sum of squares Q about it, k = n + 1, A = Q + n d²/k and B = Q + n d²:
    E = 2 T_n(d n √(n/(k A))) k^(-1/2) (B/A)^(n/2), T_n being the t distribution function.
    """
    n = len(gains)
    if n < 2:
        return 1.0
    largest = max(map(abs, gains))
    if largest == 0:
        return 1.0
    scaled = [gain / largest for gain in gains]
    mean = math.fsum(scaled) / n
    squares = math.fsum((gain - mean) * (gain - mean) for gain in scaled)
    k = n + 1
    a, b = squares + n * mean * mean / k, squares + n * mean * mean
    one_sided = 2 * float(stdtr(n, mean * n * math.sqrt(n / (k * a))))
    return one_sided * math.exp(0.5 * (n * math.log(b / a) - math.log(k)))
