"""What a run has taught so far: noise, effects, the value of each kept experiment; folded from its history.

The fold sees closed experiments only, in their order, so that what it gives depends on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rsi.history import History, Past
from rsi.policies.belief import Belief, Estimate, after_child, child, estimate
from rsi.policies.effects import Effects, Posterior
from rsi.policies.trials import computable, still
from rsi.records import Comparison, Direction, Objective

STATED_FREEDOM = 1.0
"""Degrees of freedom that the noise which the task states counts for."""
UNPAIRED_FREEDOM = 10.0
"""Degrees of freedom that the thought "the same seed means nothing" counts for."""
ANEW = 2.0
"""By how much the variance of an effect that was measured on an earlier incumbent grows: the ground has moved."""

PRICED_AGAIN = 1.15
"""Trials are priced anew whenever the closed experiments have grown by that factor."""
LEAST = 1e-100
"""Of the noise: the square of less would leave the floats."""

Values = tuple[float, ...]


@dataclass(slots=True)
class Learned:
    """After a prefix of the history. Values are oriented: greater is better."""

    objective: Objective
    told: list[Past] = field(default_factory=list)
    effects: Effects | None = None
    """None until the first experiment after the baseline has closed: its scale is the noise as known by then."""
    beliefs: dict[int, Belief] = field(default_factory=dict)
    """Of kept experiments."""
    values: dict[int, Values] = field(default_factory=dict)
    """Of kept experiments: the trials that their beliefs heed."""
    estimates: dict[int, Estimate] = field(default_factory=dict)
    """Of every scored experiment's effect, as it was at the closing."""
    tried_again: set[int] = field(default_factory=set)
    priced: tuple[int, Effects, float] | None = None
    """The effects and the noise by which trials are priced, and after how many closed experiments that was."""
    squares: float = 0.0
    freedom: float = 0.0
    products: float = 0.0
    """Of deviations of candidate and parent under the same seed."""
    pairs: float = 0.0
    """Degrees of freedom of `products`."""

    @property
    def noise(self) -> float:
        """Standard deviation of a trial, pooled within arms; the stated one is a prior (scaled inverse chi-squared)."""
        prior = STATED_FREEDOM * self.objective.noise**2
        return max(math.sqrt((prior + self.squares) / (STATED_FREEDOM + self.freedom)), LEAST)

    @property
    def correlation(self) -> float:
        """Of the noise under the same seed, drawn towards zero while few pairs have been seen; from 0 to 0.95."""
        correlation = self.products / ((self.pairs + UNPAIRED_FREEDOM) * self.noise**2)
        return min(max(correlation, 0.0), 0.95)


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate and its parent as a policy sees them: every number that a decision is made of."""

    parent: Belief
    found: Estimate
    """From this comparison's trials alone."""
    told: float
    """The estimate that the effect's posterior heeds: joined with an earlier experiment's, where the edit had one."""
    error: float
    effect: Posterior
    effects: Effects
    noise: float
    correlation: float


def learned_from(history: History, before: Learned | None) -> Learned:
    """All that the history teaches, going on from what an earlier, shorter history taught where it is its prefix."""
    past = history.past
    if before is None or before.objective != history.objective or list(past[: len(before.told)]) != before.told:
        before = Learned(history.objective)
    for closed in past[len(before.told) :]:
        _learn(before, closed)
    return before


def oriented(objective: Objective, values: Sequence[float]) -> Values:
    """Values such that greater is better; one of them where a seed changes nothing, because that was one trial."""
    told = values[:1] if still(values) else values
    return tuple(-value for value in told) if objective.direction is Direction.MINIMIZE else tuple(told)


def standing(learned: Learned, comparison: Comparison) -> Standing:
    """Where the candidate of a comparison stands, given all that was learned before."""
    objective = comparison.objective
    candidate = oriented(objective, comparison.candidate.values(objective.metric))
    reference = oriented(objective, comparison.incumbent.values(objective.metric))
    number = comparison.incumbent.experiment
    if learned.effects is None:
        squares, freedom = _pooled(reference, 1)
        learned = Learned(objective, squares=learned.squares + squares, freedom=learned.freedom + freedom)
        noise = learned.noise
        return _stand(learned, Belief(reference[0], noise**2), reference[1:], candidate, reference, None)
    # The parent of a candidate is a kept experiment; one that the history does not know starts from its own trials.
    belief = learned.beliefs.get(number)
    if belief is None:
        return _stand(learned, Belief(reference[0], learned.noise**2), reference[1:], candidate, reference, None)
    further = reference[len(learned.values[number]) :]
    return _stand(learned, belief, further, candidate, reference, comparison.again)


def _stand(
    learned: Learned, belief: Belief, further: Values, candidate: Values, reference: Values, again: int | None
) -> Standing:
    noise, correlation = learned.noise, learned.correlation
    parent = belief.measured(further, noise)
    effects = learned.effects or Effects(noise)
    alone, paired = split(candidate, reference)
    found = estimate(parent, alone, paired, noise, correlation)
    earlier = None if again is None else learned.estimates.get(again)
    told, error = found.effect, found.error
    if earlier is not None:
        told, error = joined(told, error, earlier.effect, earlier.error * math.sqrt(ANEW))
    return Standing(parent, found, told, error, effects.posterior(told, error), effects, noise, correlation)


def split(candidate: Values, reference: Values) -> tuple[Values, tuple[tuple[float, float], ...]]:
    """A candidate's trials under seeds of its own, and those under a seed that the parent has run too.

    The first seed of every experiment is its own; from the second on seeds are shared by their place.
    """
    shared = max(min(len(candidate), len(reference)), 1)
    return candidate[:1] + candidate[shared:], tuple(zip(candidate[1:shared], reference[1:shared], strict=True))


def joined(effect: float, error: float, earlier: float, earlier_error: float) -> tuple[float, float]:
    """Two independent estimates as one, weighted by their precision."""
    share = earlier_error**2 / (error**2 + earlier_error**2)
    return share * effect + (1 - share) * earlier, error * math.sqrt(share)


def _learn(learned: Learned, past: Past) -> None:
    """Fold one more closed experiment."""
    learned.told.append(past)
    if not past.scored or not past.candidate or not computable((*past.candidate, *past.reference)):
        return
    candidate = oriented(learned.objective, past.candidate)
    _pool(learned, candidate, 0)
    if not past.reference:
        learned.values[past.experiment] = candidate
        learned.beliefs[past.experiment] = Belief(candidate[0], learned.noise**2).measured(candidate[1:], learned.noise)
        return
    reference = oriented(learned.objective, past.reference)
    known = learned.values.get(past.parent, ())
    _pool(learned, reference, len(known))
    if learned.effects is None or not known:
        start = Belief(reference[0], learned.noise**2)
        known, learned.beliefs[past.parent] = reference[:1], start
        learned.effects = learned.effects or Effects(learned.noise)
    placed = _stand(learned, learned.beliefs[past.parent], reference[len(known) :], candidate, reference, past.again)
    learned.values[past.parent] = max(known, reference, key=len)
    learned.beliefs[past.parent] = after_child(placed.parent, placed.found, placed.effect)
    learned.estimates[past.experiment] = placed.found
    if past.kept:
        learned.beliefs[past.experiment] = child(placed.parent, placed.found, placed.effect)
        learned.values[past.experiment] = candidate
    if past.again is None:
        learned.effects = learned.effects.after(placed.found.effect, placed.found.error)
    else:
        learned.tried_again.update((past.again, past.experiment))
    _pair(learned, split(candidate, reference)[1])
    if learned.priced is None or len(learned.told) >= PRICED_AGAIN * learned.priced[0]:
        learned.priced = (len(learned.told), learned.effects, learned.noise)


def _pool(learned: Learned, values: Values, known: int) -> None:
    squares, freedom = _pooled(values, known)
    learned.squares += squares
    learned.freedom += freedom


def _pooled(values: Values, known: int) -> tuple[float, float]:
    """What an arm's values beyond the known ones add to the sum of squares within arms, and to its freedom."""
    if len(values) <= max(known, 1):
        return 0.0, 0.0
    before = _squares(values[:known]) if known > 1 else 0.0
    return _squares(values) - before, float(len(values) - max(known, 1))


def _pair(learned: Learned, paired: Sequence[tuple[float, float]]) -> None:
    """Add an experiment's pairs to the covariance under the same seed; one pair alone shows nothing."""
    if len(paired) < 2:
        return
    first = sum(candidate for candidate, _ in paired) / len(paired)
    second = sum(reference for _, reference in paired) / len(paired)
    learned.products += sum((candidate - first) * (reference - second) for candidate, reference in paired)
    learned.pairs += len(paired) - 1


def _squares(values: Values) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
