"""The default: the greatest expected true gain for the compute that is left. What is claimed is certified elsewhere.

One trial screens. Another, of the candidate or of its parent, is bought while its value of information exceeds its
price, which is what fresh proposals gain per trial. Then the candidate is kept if its effect's posterior mean, less the
price of the code that it adds, is positive. How each number is made: `effects`, `belief`, `learning`, `stopping`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rsi.history import History
from rsi.policies import stopping
from rsi.policies.belief import Belief, error_of
from rsi.policies.conditions import guards
from rsi.policies.effects import Effects
from rsi.policies.learning import ANEW, Learned, Standing, learned_from, standing
from rsi.policies.trials import still, unusable
from rsi.records import Certify, Comparison, Decision, Discard, Keep, Measure, Plan, Propose, Record, TryAgain

FIRST_TRIALS = 6
"""Of the baseline: all that is known of the noise before the search begins."""
FIRST_SHARE = 0.01
"""Of the trials that are left, at the most, go into those."""
MOST_TRIALS = 32
"""Of one candidate."""
SURE = 1.645
"""Posterior standard deviations by which shorter code must be no worse than the margin: 95%."""
_VARIANCE_STEPS = 1
"""Prices are computed for so many variances of the parent between one and its double."""
AGAIN_EVERY = 8
"""Closed experiments between two looks at the near misses."""
AGAIN_LOOK = 2
"""Near misses looked at each time."""


class Provisional(Record):
    """What the run is believed to have gained; not certified."""

    gain: float
    """Objective units, positive is better: the posterior mean, corrected for selection."""
    error: float
    """Posterior standard deviation."""


@dataclass(frozen=True, slots=True)
class _Milestones:
    """When the incumbent is thought well enough ahead for a milestone."""

    ahead: float = 3.0
    """Seed noises that it must be ahead of the last certified one: a handful of pairs then shows it."""
    sure: float = 2.5
    """Posterior standard deviations likewise."""
    growth: float = 0.5
    """And by that share of what was certified before."""
    spacing: float = 0.2
    """Share of the run's trials between two milestones; of those spent so far where there is no limit."""


_MILESTONES = _Milestones()


class ExpectedGain:
    """Keep what is expected to be better; measure while measuring pays more than proposing."""

    name = "expected-gain"

    def __init__(self) -> None:
        self._learned: Learned | None = None
        self._prices: dict[tuple[int, int], float] = {}

    # --- deciding -----------------------------------------------------------------------------------------------

    def decide(self, comparison: Comparison, history: History) -> Decision:
        """Keep, discard, or the next trial of the best plan of further trials."""
        problem = unusable(comparison)
        if problem:
            return Discard(rule=self.name, reason=problem)
        learned = self._learn(history)
        first = self._first_trials(learned, comparison)
        if first is not None:
            return first
        placed = standing(learned, comparison)
        cost = comparison.objective.price_of_token * comparison.added_tokens
        price = self._price(learned, placed.parent, placed.effects)
        more = None if _settled(placed, cost, price) else _best_plan(comparison, placed, cost, price)
        words = _words(comparison, placed, cost)
        if more is not None:
            arm, gained = more
            reason = f"{words}; another trial of the {arm} is worth {gained:.2g} more than its price of {price:.2g}"
            return Measure(rule=self.name, reason=reason, arm=arm)
        # The prior alone keeps nothing: what was measured must point the same way.
        better = placed.effect.mean > cost and placed.told > min(cost, 0.0)
        wanted = better or _equivalent(comparison, placed)
        if not wanted:
            return Discard(rule=self.name, reason=words)
        return self._keep_within_guards(comparison, words)

    def _first_trials(self, learned: Learned, comparison: Comparison) -> Measure | None:
        if learned.effects is not None:
            return None
        left = comparison.trials_left
        wanted = FIRST_TRIALS if left is None else min(FIRST_TRIALS, 1 + math.floor(left * FIRST_SHARE))
        metric = comparison.objective.metric
        missing = wanted - len(comparison.incumbent.observations)
        if missing < 1 or still(comparison.incumbent.values(metric)):
            return None
        reason = "the seed noise is not known yet: the baseline shows it"
        return Measure(rule=self.name, reason=reason, arm="incumbent", trials=missing)

    def _keep_within_guards(self, comparison: Comparison, words: str) -> Decision:
        where, sentence = guards(comparison)
        if where == "holds":
            return Keep(rule=self.name, reason=words)
        room = comparison.trials_left is None or comparison.trials_left > 0
        if where == "unclear" and room and len(comparison.candidate.observations) < MOST_TRIALS // 4:
            arms = comparison.candidate.observations, comparison.incumbent.observations
            fewer = "candidate" if len(arms[0]) <= len(arms[1]) else "incumbent"
            return Measure.model_validate({"rule": self.name, "reason": f"{words}; {sentence}", "arm": fewer})
        return Discard(rule=self.name, reason=f"{words}; {sentence}")

    # --- planning -----------------------------------------------------------------------------------------------

    def plan(self, history: History) -> Plan:
        """A milestone where the incumbent is well ahead; a near miss where that beats a fresh proposal."""
        learned = self._learn(history)
        due = self._milestone(learned, history)
        if due:
            return Certify(rule=self.name, reason=due)
        again = self._near_miss(learned, history)
        return again or Propose(rule=self.name, reason="a fresh proposal is expected to gain the most")

    def provisional(self, history: History) -> Provisional | None:
        """The believed gain of the incumbent over the baseline; None before anything was compared."""
        belief = self._learn(history).beliefs.get(history.incumbent)
        return None if belief is None else Provisional(gain=belief.gain, error=math.sqrt(belief.gain_variance))

    def _milestone(self, learned: Learned, history: History) -> str:
        belief, certified = learned.beliefs.get(history.incumbent), learned.beliefs.get(history.certified)
        if belief is None or certified is None or history.incumbent == history.certified:
            return ""
        last = history.milestones[-1].at_trials_spent if history.milestones else 0
        whole = history.trials_spent + (history.trials_left or 0)
        if history.trials_spent - last < _MILESTONES.spacing * whole or history.trials_left == 0:
            return ""
        ahead = belief.gain - certified.gain
        error = math.sqrt(max(belief.gain_variance - certified.gain_variance, 0.0) + learned.noise**2 / 10)
        wanted = max(
            _MILESTONES.ahead * learned.noise, _MILESTONES.sure * error, _MILESTONES.growth * max(certified.gain, 0.0)
        )
        if ahead < wanted:
            return ""
        return f"the incumbent is believed to be {ahead:.3g} ± {error:.2g} ahead of the last certified one"

    def _near_miss(self, learned: Learned, history: History) -> TryAgain | None:
        """The discarded experiment whose edit, measured once more on the present incumbent, beats a fresh proposal."""
        incumbent = learned.beliefs.get(history.incumbent)
        if incumbent is None or learned.effects is None or len(learned.told) % AGAIN_EVERY:
            return None
        noise = learned.noise
        ranked: list[tuple[float, int, float]] = []
        for past in learned.told:
            found = learned.estimates.get(past.experiment)
            # One that was made from the present incumbent failed on the very same ground.
            if found is None or past.kept or past.parent == history.incumbent or past.experiment in learned.tried_again:
                continue
            # The parent is known better today than it was when the experiment closed.
            effect = found.effect + found.parent - learned.beliefs[past.parent].value
            ranked.append((effect / found.error, past.experiment, effect))
        price = self._price(learned, incumbent, learned.effects)
        best: tuple[float, int] | None = None
        for _, number, effect in sorted(ranked, reverse=True)[:AGAIN_LOOK]:
            error = learned.estimates[number].error * math.sqrt(ANEW)
            posterior = learned.effects.posterior(effect, error)
            if posterior.helpful < price:  # more could not be had by knowing it exactly
                continue
            fresh = error_of(incumbent.variance, 1, 0, noise, 0.0)
            later = (error**-2 + fresh**-2) ** -0.5
            value = stopping.worth(learned.effects, effect, error, 0.0, (later,))[0] - price
            if value > 0 and (best is None or value > best[0]):
                best = (value, number)
        if best is None:
            return None
        reason = f"on the present incumbent it is worth {best[0]:.2g} more than the price of its trial, {price:.2g}"
        return TryAgain(rule=self.name, reason=reason, experiment=best[1])

    # --- what is remembered -------------------------------------------------------------------------------------

    def _learn(self, history: History) -> Learned:
        before = self._learned
        self._learned = learned_from(history, before)
        if self._learned is not before:
            self._prices.clear()
        return self._learned

    def _price(self, learned: Learned, parent: Belief, effects: Effects) -> float:
        """What a trial of a fresh proposal gains, the incumbent being known as well as `parent` is.

        A function of the history alone: by what was learned at a few closings, and for rounded variances, so that few
        prices are ever computed.
        """
        known, effects, noise = learned.priced or (0, effects, learned.noise)
        step = round(_VARIANCE_STEPS * math.log2(max(parent.variance / (noise * noise), 1e-3)))
        price = self._prices.get((known, step))
        if price is None:
            variance = 2.0 ** (step / _VARIANCE_STEPS) * noise * noise
            errors = [error_of(variance, 1 + more, 0, noise, 0.0) for more in (0, *stopping.MORE)]
            price = stopping.price(effects, errors)
            if known:
                self._prices[known, step] = price
        return price


def _settled(placed: Standing, cost: float, price: float) -> bool:
    """Whether even exact knowledge of the effect would be worth less than the price of a trial."""
    exact = placed.effect.helpful + max(-cost, 0.0)
    return exact - max(placed.effect.mean - cost, 0.0) < price


def _best_plan(
    comparison: Comparison, placed: Standing, cost: float, price: float
) -> tuple[Literal["candidate", "incumbent"], float] | None:
    """The arm that the best plan of further trials begins with, and by how much the plan is worth more than its price.

    A plan measures the candidate, its parent, or both alike; never an arm that ignores its seed.
    None where no plan pays, or no trial is left.
    """
    n, references = len(comparison.candidate.observations), len(comparison.incumbent.observations)
    left = MOST_TRIALS - n if comparison.trials_left is None else min(comparison.trials_left, MOST_TRIALS - n)
    metric = comparison.objective.metric
    idle = [still(arm.values(metric)) for arm in (comparison.candidate, comparison.incumbent)]
    noise, variance = placed.noise, placed.parent.variance
    plans: list[tuple[Literal["candidate", "incumbent"], int, float]] = []
    for more in stopping.MORE:
        better = 1 / (1 / variance + more / (noise * noise))
        for candidate, incumbent in ((more, 0), (0, more), (more, more)):
            if candidate + incumbent > left or (candidate and idle[0]) or (incumbent and idle[1]):
                continue
            trials, references_then = n + candidate, references + incumbent
            paired = max(min(trials, references_then) - 1, 0)
            error = error_of(better if incumbent else variance, trials - paired, paired, noise, placed.correlation)
            plans.append(("candidate" if candidate else "incumbent", candidate + incumbent, error))
    if not plans:
        return None
    now = max(placed.effect.mean - cost, 0.0)
    values = stopping.worth(placed.effects, placed.told, placed.error, cost, [error for _, _, error in plans])
    gains = [value - now - price * trials for value, (_, trials, _) in zip(values, plans, strict=True)]
    best = max(range(len(plans)), key=gains.__getitem__)
    return (plans[best][0], gains[best]) if gains[best] > 0 else None


def _equivalent(comparison: Comparison, placed: Standing) -> bool:
    """Whether the code gets shorter and is no worse than the margin, at 95%."""
    margin = comparison.objective.equivalence_margin
    bound = placed.effect.mean - SURE * math.sqrt(placed.effect.variance)
    return comparison.added_tokens < 0 and bound > -margin


def _words(comparison: Comparison, placed: Standing, cost: float) -> str:
    effect, found = placed.effect, placed.found
    words = (
        f"{comparison.objective.metric}: better by {effect.mean:.3g} ± {math.sqrt(effect.variance):.2g} as believed, "
        f"{found.effect:.3g} ± {found.error:.2g} as measured"
    )
    if cost:
        words += f"; {comparison.added_tokens:+d} tokens of code count for {-cost:+.2g}"
    if placed.correlation > 0 and len(comparison.candidate.observations) > 1:
        words += f"; shared seeds correlate by {placed.correlation:.2f}"
    return words
