"""When another trial is worth its price, and what a trial is worth elsewhere.

The value of information is that of a plan of further trials, looked at as a whole: the expectation of the better of
keeping and discarding after it, less the same now, less the price of its trials (Raiffa and Schlaifer 1961; with more
than one step ahead, since one may be worth nothing where several are worth much: Frazier and Powell, Decision
Analysis 7, 2010, KG(*)). The price of a trial is what the search makes of one otherwise: the renewal-reward rate of
fresh proposals treated in the same way (Charnov's marginal value theorem, Theor. Pop. Biol. 9, 1976): the root of
price = E[best of discarding, keeping, and a further plan at that price] after one trial.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsi.evidence import Array
from rsi.policies.effects import Effects

_NODES = np.sinh(np.linspace(-6.2, 6.2, 111)) * 0.25
"""Edges of the effect's cells in standard errors: fine near zero, up to sixty away."""
_CENTRES = (_NODES[1:] + _NODES[:-1]) / 2
_SEEN = np.sinh(np.linspace(-2.5, 5.2, 45)) * 0.7
"""Estimates in standard errors."""
_SEEN_WIDTH = np.gradient(_SEEN)
_STEPS = np.linspace(-6.0, 6.0, 33)

MORE = (1, 2, 3, 5, 8, 13)
"""Further trials of a candidate that a plan may hold."""


def price(effects: Effects, errors: Sequence[float]) -> float:
    """What a trial of a fresh proposal is expected to gain; `errors` after one trial and after 1 + each of MORE."""
    error = errors[0]
    centres = _CENTRES * error
    prior = effects.cells(_NODES * error)
    seen = _SEEN * error
    joint = prior[None, :] * np.exp(-0.5 * (_SEEN[:, None] - _CENTRES[None, :]) ** 2)
    density = joint.sum(axis=1)
    keep = joint @ centres
    width = _SEEN_WIDTH / np.sqrt(2 * np.pi)
    best = [np.maximum(keep, 0.0), *(improved(joint, centres, error, later) for later in errors[1:])]
    values = np.stack(best) * width
    masses = np.stack([np.zeros_like(density), *(density * more for more in MORE[: len(errors) - 1])]) * width
    low, high = 0.0, float(values.max(axis=0).sum())
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if np.max(values - middle * masses, axis=0).sum() > middle else (low, middle)
    return low


def improved(joint: Array, effects: Array, error: float, later: float) -> Array:
    """Expectation of max(effect, 0) once an estimate's error has fallen to `later`, for each row of weights.

    What is learned between is worth an independent estimate with variance 1 / (1/later² - 1/error²).
    """
    gap = later**-2 - error**-2
    if gap <= 0:
        return np.maximum(joint @ effects, 0.0)
    spread = gap**-0.5
    reach = max(6 * error, 4 * spread)
    points = np.linspace(-reach, reach, 49)
    kernel = np.exp(-0.5 * ((points[None, :] - effects[:, None]) / spread) ** 2)
    inside = kernel.sum(axis=1) * (points[1] - points[0]) / (spread * np.sqrt(2 * np.pi))
    gained = np.maximum((joint * effects) @ kernel, 0.0).sum(axis=1) * (points[1] - points[0]) / (
        spread * np.sqrt(2 * np.pi)
    )
    # Effects beyond the points are decided rightly, whatever is seen.
    outside = joint @ (np.maximum(effects, 0.0) * np.maximum(1 - inside, 0.0))
    total: Array = gained + outside
    return total
