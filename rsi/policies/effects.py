"""What edits do to the objective: a prior over effects, learned from the run's own closed experiments.

An effect is zero (spike), helpful, or harmful. Both parts are exponential with unknown scales, so that, averaged over
the scales that the run leaves possible, their tails are heavy. Shares and scales lie on a grid whose posterior is
updated with each closed experiment's marginal likelihood: hierarchical Bayes (Gelman et al., Bayesian Data Analysis,
3rd ed., ch. 5); spike and slab after Mitchell and Beauchamp (JASA 83, 1988).
All effects are in objective units, positive is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

Array = NDArray[np.float64]

SCALES = 2.0 ** np.arange(-4.0, 4.5, 1.0)
"""Of both exponentials, in units of the noise: from a sixteenth of it to sixteen times."""
HELPFUL = np.array([0.005, 0.03, 0.08, 0.16, 0.32])
"""Shares of helpful edits."""
NULL = np.array([0.1, 0.35, 0.6, 0.85])
"""Shares of edits that do nothing among those that do not help."""

TINY = 1e-280
_FINEST = 1e-4
_FAR = 12.0
"""Standard errors above zero from where on the truncation of an exponential part no longer shows."""
_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
_ROOT_2PI = math.sqrt(2 * math.pi)


def _grid() -> tuple[Array, Array]:
    """The prior over (helpful scale, harmful scale, helpful share, null share), and each part's weight under each.

    Helpful effects are thought to be about as large as the noise, give or take a factor of four; harmful ones about
    twice the helpful, give or take a factor of three; shares are even on the grid, but for the extremes.
    """
    n = len(SCALES)
    exponent = np.log2(SCALES)
    helpful, harmful, share, null = np.meshgrid(np.arange(n), np.arange(n), HELPFUL, NULL, indexing="ij")
    log = -0.5 * ((exponent[helpful] + 0.5) / 2.0) ** 2
    log = log - 0.5 * ((exponent[harmful] - exponent[helpful] - 1.0) / 1.6) ** 2
    log = log + np.where((share == HELPFUL[0]) | (share == HELPFUL[-1]), math.log(0.5), 0.0)
    prior = np.exp(log.ravel())
    parts = np.zeros((1 + 2 * n, prior.size))
    columns = np.arange(prior.size)
    parts[0] = ((1 - share) * null).ravel()
    parts[1 + helpful.ravel(), columns] = share.ravel()
    parts[1 + n + harmful.ravel(), columns] = ((1 - share) * (1 - null)).ravel()
    return prior / prior.sum(), parts


_START, _PARTS = _grid()


@dataclass(frozen=True, slots=True)
class Posterior:
    """Of one effect, given an estimate of it with a normal error."""

    mean: float
    variance: float
    helpful: float
    """Expectation of the effect's positive part: what knowing it exactly would at the most be worth."""


class Effects:
    """The prior over effects after the experiments it was told; `after` gives the next one and leaves this as it is."""

    __slots__ = ("_probability", "scales", "unit", "weights")

    def __init__(self, unit: float, probability: Array = _START) -> None:
        self.unit = unit
        self.scales = unit * SCALES
        self._probability = probability
        self.weights: Array = _PARTS @ probability
        """Prior probability of the spike, of each helpful and of each harmful scale."""

    def posterior(self, estimate: float, error: float) -> Posterior:
        """Of an effect whose estimate has this standard error."""
        density, mean, square = _parts(estimate, error, self.scales)
        joint = self.weights * density
        total = float(joint.sum())
        if not total > TINY:  # further out than any part reaches: the estimate stands for itself
            return Posterior(estimate, error * error, max(estimate, 0.0))
        first = float(joint @ mean) / total
        helpful = float(joint[1 : 1 + len(SCALES)] @ mean[1 : 1 + len(SCALES)]) / total
        return Posterior(first, max(float(joint @ square) / total - first * first, 0.0), helpful)

    def after(self, estimate: float, error: float) -> Effects:
        """The prior once a fresh edit's effect has been estimated so."""
        density, _, _ = _parts(estimate, error, self.scales)
        joint = self._probability * (density @ _PARTS)
        total = float(joint.sum())
        return Effects(self.unit, joint / total) if total > TINY else self

    def cells(self, edges: Array) -> Array:
        """The prior probability of each cell between ascending edges, without the spike."""
        distance = np.abs(edges)[None, :] / self.scales[:, None]
        tails = np.exp(-distance)
        n = len(SCALES)
        helpful = self.weights[1 : 1 + n] @ np.where(edges[None, :] > 0, 1 - tails, 0.0)
        harmful = self.weights[1 + n :] @ np.where(edges[None, :] < 0, tails, 1.0)
        probability: Array = np.diff(helpful + harmful)
        return probability


def _parts(estimate: float, error: float, scales: Array) -> tuple[Array, Array, Array]:
    """Density of the estimate, and posterior mean and mean square of the effect, under each part.

    Under an exponential prior and a normal error the posterior is a truncated normal; its density is the exponentially
    modified Gaussian (Grushka, Analytical Chemistry 44, 1972), written with erfcx so that no tail under- or overflows.
    """
    ratio = estimate / error
    spike = math.exp(-0.5 * ratio * ratio)
    n = len(scales)
    # A scale far below the error cannot be told from the spike; at that distance rounding would spoil its mean.
    scale = np.maximum(np.concatenate((scales, scales)), error * _FINEST)
    steep = error / scale
    side = np.full(2 * n, ratio)
    side[n:] = -ratio
    standard = side - steep
    below = erfcx(np.minimum(standard, _FAR) * -_ROOT_HALF)
    far = np.exp(np.minimum(steep * (0.5 * steep - side), 0.0))
    density = np.where(standard < _FAR, 0.5 * spike * below, far) / scale
    mean = standard + _ROOT_2_OVER_PI / below
    square = standard * mean + 1.0
    mean[n:] *= -1
    return (
        np.concatenate(([spike / (error * _ROOT_2PI)], density)),
        np.concatenate(([0.0], mean * error)),
        np.concatenate(([0.0], square * (error * error))),
    )
