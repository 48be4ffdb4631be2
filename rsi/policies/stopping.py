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
from scipy.special import ndtr

from rsi.policies.effects import Array, Effects

MORE = (1, 2, 4, 8)
"""Further trials that a plan may hold."""

_EDGES = np.sinh(np.linspace(-6.0, 6.0, 65)) * 0.3
"""Of the cells in which effects lie, in standard errors: fine near zero, up to sixty away."""
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_SEEN = np.sinh(np.linspace(-2.0, 4.6, 24)) * 0.8
"""Estimates, in standard errors."""
_WEIGHTS = np.gradient(_SEEN) / math.sqrt(2 * math.pi)
_HALVINGS = 20
_NEWTON = 3


def price(effects: Effects, errors: Sequence[float]) -> float:
    """What a trial of a fresh proposal is expected to gain, in objective units.

    `errors` are the standard errors of an effect after one trial, and after one and each of MORE.
    """
    error = errors[0]
    values = np.append(_CENTRES, 0.0)
    prior = np.append(effects.cells(_EDGES * error), effects.weights[0])
    joint = prior[None, :] * np.exp(-0.5 * np.square(_SEEN[:, None] - values[None, :]))
    later = np.array(errors[1:]) / error
    turning = _turning(prior, values, later)
    improved = [_improved(joint, values, _SEEN[:, None], one, turn) for one, turn in zip(later, turning, strict=True)]
    gains = np.stack([np.maximum(joint @ values, 0.0), *improved]) * (_WEIGHTS * error)
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
    values = np.append(_CENTRES, -cost / error)
    prior = np.append(effects.cells(_EDGES * error + cost), effects.weights[0])
    seen = (estimate - cost) / error
    # The likelihood's greatest value may lie far out; only its ratios matter.
    square = np.square(values - seen)
    joint = prior * np.exp(-0.5 * (square - square.min()))
    joint /= joint.sum()
    near = joint > 1e-9
    joint, values, prior = joint[near], values[near], prior[near]
    errors = np.minimum(np.array(later) / error, 1 - 1e-9)
    turning = _turning(prior, values, errors)
    gains = _improved(joint[None, :], values, seen, errors[:, None], turning[:, None]) * error
    return [float(gain) for gain in gains]


def _turning(prior: Array, values: Array, errors: Array) -> Array:
    """For each error the estimate at which the posterior mean is zero, by Newton's rule.

    The posterior mean rises with the estimate, at the rate of the posterior variance over the squared error (Efron,
    JASA 106, 2011). What depends on the root is flat there, so that a few steps are enough.
    """
    at = 0.5 * errors
    squared, squares = np.square(values), np.square(errors)
    for _ in range(_NEWTON):
        weight = prior * np.exp(np.square(at[:, None] - values) * (-0.5 / squares)[:, None])
        total = weight.sum(axis=1) + 1e-300
        mean = weight @ values / total
        variance = weight @ squared / total - mean * mean
        step = mean * squares / np.maximum(variance, 1e-3 * squares)
        at = at - np.minimum(np.maximum(step, -2 * errors), 2 * errors)
        at = np.minimum(np.maximum(at, -60.0), 60.0)
    return at


def _improved(joint: Array, values: Array, seen: Array | float, later: Array | float, turning: Array | float) -> Array:
    """Expectation of max(value, 0) once the error has fallen from one to `later`, for each row of weights.

    What is learned between is worth an independent estimate of variance 1 / (1/later² - 1); the candidate is kept
    where that comes out above what moves the estimate from `seen` to the turning point.
    """
    spread = (np.square(later) ** -1.0 - 1.0) ** -0.5
    least = (turning / np.square(later) - seen) * np.square(spread)
    total: Array = (joint * values * ndtr((values - least) / spread)).sum(axis=1)
    return total
