"""What is believed of a piece of code's value: estimated, and corrected for having been selected.

Each kept experiment has a normal belief about its true value. A trial of it moves that belief (Kalman, J. Basic Eng.
82, 1960), and so does every child of it: a child measures the parent's value plus an effect whose prior is known. A
kept child's belief starts from its parent's belief and the *posterior* of the effect, so that luck shrinks instead of
being kept. Sums of normals and effects are replaced by the normal with the same moments: assumed-density filtering
(Minka, Expectation Propagation, UAI 2001).
All values are oriented: greater is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsi.policies.effects import Posterior

HEARSAY = 3.0
"""By so many of its own standard deviations can children move a belief at the most. What they say rests on the prior
of effects: edits that all harm alike look, one by one, like a parent that is worth less."""
LEAST_LEFT = 0.1
"""And so much of its own variance they leave at the least."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Of a kept experiment's true value, and of what the run gained from the baseline to it."""

    value: float
    variance: float
    gain: float = 0.0
    slope: float = 0.0
    """How much the believed gain rises with the believed value."""
    rest: float = 0.0
    """Variance of the gain that the value does not explain."""
    own: tuple[float, float] | None = None
    """Mean and variance by its own trials, what it inherited included, but not what its children say of it."""

    @property
    def gain_variance(self) -> float:
        """Of the gain since the baseline."""
        return self.slope**2 * self.variance + self.rest

    def moved(self, value: float, variance: float) -> Belief:
        """With another mean and variance of the value; the gain follows along its slope."""
        gain = self.gain + self.slope * (value - self.value)
        return Belief(value, variance, gain, self.slope, self.rest, self.alone)

    def measured(self, values: Sequence[float], noise: float) -> Belief:
        """After further trials of this very code."""
        if not values:
            return self
        mean, error = sum(values) / len(values), noise**2 / len(values)
        moved = self.moved(*_weighed(self.value, self.variance, mean, error))
        return replace(moved, own=_weighed(*self.alone, mean, error))

    @property
    def alone(self) -> tuple[float, float]:
        """Mean and variance without what children said."""
        return self.own or (self.value, self.variance)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a candidate's effect over its parent, from their trials alone, before any prior of the effect."""

    effect: float
    error: float
    """Standard error; the parent's uncertainty is in it."""
    parent: float
    """The parent's expected value if the effect is as estimated."""
    slope: float
    """By how much less the parent is worth for each unit that the effect is greater."""
    spread: float
    """Variance of the parent's value, given the effect."""


def estimate(
    parent: Belief, alone: Sequence[float], paired: Sequence[tuple[float, float]], noise: float, rho: float
) -> Estimate:
    """Generalised least squares for the effect (Aitken 1935), the parent's value having the belief as its prior.

    Args:
        parent: the belief that already heeds all of the parent's trials.
        alone: the candidate's values under seeds that the parent has not run.
        paired: (candidate's value, parent's value) under the same seed; their noise correlates by `rho`.
        noise: standard deviation of a trial.
        rho: correlation of the noise under the same seed. A parent's deviation from its own value then predicts the
            candidate's, which leaves a variance of (1 - rho²) (a control variate: Lavenberg and Welch 1981).
    """
    groups: list[tuple[float, float, float]] = []  # (mean less what the parent's value explains, loading, variance)
    if alone:
        groups.append((sum(alone) / len(alone) - parent.value, 1.0, noise**2 / len(alone)))
    if paired:
        mean = sum(candidate - rho * reference for candidate, reference in paired) / len(paired)
        loading = 1.0 - rho
        groups.append((mean - loading * parent.value, loading, noise**2 * (1 - rho**2) / len(paired)))
    total = sum(1 / variance for _, _, variance in groups)
    loaded = sum(loading / variance for _, loading, variance in groups)
    square = sum(loading**2 / variance for _, loading, variance in groups)
    spread = 1 / (1 / parent.variance + square) if parent.variance > 0 else 0.0
    # Sherman and Morrison (1950): the inverse of diag(variance) + parent.variance · loading loadingᵀ.
    precision = total - spread * loaded**2
    seen = sum(value / variance for value, _, variance in groups)
    seen_loaded = sum(value * loading / variance for value, loading, variance in groups)
    effect = (seen - spread * loaded * seen_loaded) / precision
    slope = spread * loaded
    return Estimate(effect, precision**-0.5, parent.value + spread * (seen_loaded - effect * loaded), slope, spread)


def error_of(variance: float, alone: int, paired: int, noise: float, rho: float) -> float:
    """The standard error that `estimate` would have with so many trials, the parent's variance being this."""
    precise = noise**2 * (1 - rho**2)
    total = alone / noise**2 + paired / precise
    loaded = alone / noise**2 + paired * (1 - rho) / precise
    square = alone / noise**2 + paired * (1 - rho) ** 2 / precise
    spread = 1 / (1 / variance + square) if variance > 0 else 0.0
    return float((total - spread * loaded**2) ** -0.5)


def after_child(parent: Belief, found: Estimate, effect: Posterior) -> Belief:
    """The parent's belief once a child's effect is believed to be so."""
    value = found.parent - found.slope * (effect.mean - found.effect)
    variance = found.spread + found.slope**2 * effect.variance
    own, own_variance = parent.alone
    reach = HEARSAY * math.sqrt(own_variance)
    return parent.moved(min(max(value, own - reach), own + reach), max(variance, own_variance * LEAST_LEFT))


def _weighed(mean: float, variance: float, seen: float, error: float) -> tuple[float, float]:
    """Mean and variance of a normal belief after an observation with that squared error."""
    share = variance / (variance + error)
    return mean + share * (seen - mean), variance * (1 - share)


def child(parent: Belief, found: Estimate, effect: Posterior) -> Belief:
    """The belief of a kept child."""
    before = after_child(parent, found, effect)
    through = 1 - found.slope
    variance = through**2 * effect.variance + found.spread
    # Given the effect, the parent's value falls by `slope` and the child's rises by `through` for each unit of it.
    gains = 1 - parent.slope * found.slope
    gain_variance = gains**2 * effect.variance + parent.slope**2 * found.spread + parent.rest
    shared = through * gains * effect.variance + parent.slope * found.spread
    slope = shared / variance if variance > 0 else 0.0
    rest = max(gain_variance - slope * shared, 0.0)
    return Belief(before.value + effect.mean, variance, before.gain + effect.mean, slope, rest)
