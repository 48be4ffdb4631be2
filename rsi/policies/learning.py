"""What the run has taught so far: noise, effects, and the value of each kept experiment, folded from its history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rsi.history import History, Past
from rsi.policies.belief import Belief, Estimate, after_child, child, estimate
from rsi.policies.effects import Effects
from rsi.records import Direction, Objective

PRIOR_FREEDOM = 2.0
"""Degrees of freedom that the task's stated noise counts for."""


@dataclass
class Learned:
    """After a prefix of the history. Values are oriented: greater is better."""

    objective: Objective
    effects: Effects
    told: list[Past] = field(default_factory=list)
    beliefs: dict[int, Belief] = field(default_factory=dict)
    """Of kept experiments."""
    values: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """Of kept experiments: the trials that their beliefs heed."""
    estimates: dict[int, Estimate] = field(default_factory=dict)
    """Of discarded experiments, as they were when they closed."""
    squares: float = 0.0
    freedom: float = 0.0

    @property
    def noise(self) -> float:
        """Standard deviation of a trial: pooled within arms, with the stated noise as a prior (scaled inverse chi²)."""
        prior = PRIOR_FREEDOM * self.objective.noise**2
        return math.sqrt((prior + self.squares) / (PRIOR_FREEDOM + self.freedom))

    @property
    def rho(self) -> float:
        return 0.0


def start(objective: Objective) -> Learned:
    return Learned(objective, Effects(objective.noise))


def sign(objective: Objective) -> float:
    return -1.0 if objective.direction is Direction.MINIMIZE else 1.0


def learn(learned: Learned, past: Past) -> None:
    """Fold one more closed experiment."""
    learned.told.append(past)
    if not past.scored:
        return
    side = sign(learned.objective)
    candidate = tuple(side * value for value in past.candidate)
    pool(learned, candidate, 0)
    if past.experiment == 0:
        noise = learned.noise
        start = Belief(candidate[0], noise**2)
        learned.beliefs[0] = start.measured(candidate[1:], noise)
        learned.values[0] = candidate
        return
    reference = tuple(side * value for value in past.reference)
    parent = heeding(learned, past.parent, reference)
    pool(learned, reference, len(learned.values[past.parent]))
    learned.values[past.parent] = reference if len(reference) > len(learned.values[past.parent]) else learned.values[past.parent]
    found = estimate(parent, candidate, (), learned.noise, learned.rho)
    effect = learned.effects.posterior(found.effect, found.error)
    learned.beliefs[past.parent] = after_child(parent, found, effect)
    if past.kept:
        learned.beliefs[past.experiment] = child(parent, found, effect)
        learned.values[past.experiment] = candidate
    else:
        learned.estimates[past.experiment] = found
    if past.again is None:
        learned.effects = learned.effects.after(found.effect, found.error)


def heeding(learned: Learned, experiment: int, values: Sequence[float]) -> Belief:
    """The belief of a kept experiment that heeds trials which no closed experiment has shown yet."""
    known = len(learned.values[experiment])
    return learned.beliefs[experiment].measured(values[known:], learned.noise)


def pool(learned: Learned, values: Sequence[float], known: int) -> None:
    """Add an arm's further values to the pooled variance (Welford's update of the sum of squares)."""
    if len(values) <= max(known, 1):
        return
    learned.squares += _squares(values) - (_squares(values[:known]) if known > 1 else 0.0)
    learned.freedom += len(values) - max(known, 1)


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
