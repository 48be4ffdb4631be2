"""When another trial is worth its price, and what a trial is worth elsewhere.

The value of information is that of a plan of further trials, looked at as a whole: the expectation of the better of
keeping and discarding after it, less the same now, less the price of its trials (Raiffa and Schlaifer 1961; with more
than one step ahead, since one may be worth nothing where several are worth much: Frazier and Powell, Decision
Analysis 7, 2010, KG(*)). The price of a trial is what the search makes of one otherwise: the renewal-reward rate of
fresh proposals treated in the same way (Charnov's marginal value theorem, Theor. Pop. Biol. 9, 1976): the root of
price = E[best of discarding, keeping, and a further plan at that price] after one trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rsi.policies.effects import Array, Effects

MORE = (1, 2, 4, 8)
"""Further trials that a plan may hold."""

_EDGES = np.sinh(np.linspace(-6.2, 6.2, 83)) * 0.25
"""Of the cells in which effects lie, in standard errors: fine near zero, up to sixty away."""
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_SEEN = np.sinh(np.linspace(-2.4, 5.0, 34)) * 0.8
"""Estimates, in standard errors."""
_WEIGHTS = np.gradient(_SEEN) / math.sqrt(2 * math.pi)
_POINTS = 37
_HALVINGS = 20


def price(effects: Effects, errors: Sequence[float]) -> float:
    """What a trial of a fresh proposal is expected to gain, in objective units.

    `errors` are the standard errors of an effect after one trial, and after one and each of MORE.
    """
    error = errors[0]
    values = np.append(_CENTRES, 0.0)
    prior = np.append(effects.cells(_EDGES * error), effects.weights[0])
    joint = prior[None, :] * np.exp(-0.5 * np.square(_SEEN[:, None] - values[None, :]))
    values = values * error
    best = [np.maximum(joint @ values, 0.0), *(_improved(joint, values, error, later) for later in errors[1:])]
    gains = np.stack(best) * _WEIGHTS
    seen = joint.sum(axis=1) * _WEIGHTS
    trials = np.array([0, *MORE])[:, None] * seen[None, :]
    low, high = 0.0, float(gains.max(axis=0).sum())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        worth_it = float(np.max(gains - middle * trials, axis=0).sum()) > middle
        low, high = (middle, high) if worth_it else (low, middle)
    return low


def worth(effects: Effects, estimate: float, error: float, cost: float, later: Sequence[float]) -> list[float]:
    """Expectation of the better of keeping (effect less cost) and discarding, once the error has fallen so far.

    `estimate` and `error` are what the trials so far say, `cost` what keeping costs whatever the effect.
    """
    values = np.append(_CENTRES * error, -cost)
    prior = np.append(effects.cells(_EDGES * error + cost), effects.weights[0])
    standard = (values + (cost - estimate)) / error
    # The likelihood's greatest value may lie far out; only its ratios matter.
    square = standard * standard
    joint = prior * np.exp(-0.5 * (square - square.min()))
    joint /= joint.sum()
    return [float(_improved(joint[None, :], values, error, one)[0]) for one in later]


def _improved(joint: Array, values: Array, error: float, later: float) -> Array:
    """Expectation of max(value, 0) once an estimate's error has fallen to `later`, for each row of weights.

    What is learned between is worth an independent estimate of variance 1 / (1/later² - 1/error²).
    """
    gap = later**-2 - error**-2
    if gap <= 1e-9 * error**-2:
        return np.maximum(joint @ values, 0.0)
    spread = float(gap**-0.5)
    reach = max(6 * error, 4 * spread)
    points = np.linspace(-reach, reach, _POINTS)
    kernel = np.exp(-0.5 * np.square((points[None, :] - values[:, None]) / spread))
    kernel *= (points[1] - points[0]) / (spread * math.sqrt(2 * math.pi))
    # Values beyond the points are decided rightly, whatever is seen.
    outside = np.maximum(values, 0.0) * np.maximum(1 - kernel.sum(axis=1), 0.0)
    total: Array = np.maximum((joint * values) @ kernel, 0.0).sum(axis=1) + joint @ outside
    return total
