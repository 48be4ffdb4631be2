"""How large a certified gain is: from pairs that ran only after the milestone passed.

An estimate taken at the moment of stopping overstates, because the test stops when luck is on its side. Pairs whose
number was fixed before the first of them ran, on seeds of their own, know nothing of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rsi.claims.input import check_finite, check_share
from rsi.claims.noise import PairNoise, varies
from rsi.errors import UsageError
from rsi.statistics import Interval

LEAST_PAIRS = 2
MOST_PAIRS = 64


def pairs_to_estimate(trials: int, noise: PairNoise | None = None, half_width: float | None = None) -> int:
    """How many pairs to run, two trials each: all that `trials` buys, or as many as the wanted half-width needs.

    UsageError where the trials do not buy two pairs.
    """
    affordable = min(trials // 2, MOST_PAIRS)
    if affordable < LEAST_PAIRS:
        raise UsageError(f"An estimate takes at least {2 * LEAST_PAIRS} trials; set more aside than {trials}.")
    if noise is None or half_width is None:
        return affordable
    if not half_width > 0:
        raise UsageError("The wanted half-width of the interval is a positive number.")
    for pairs in range(LEAST_PAIRS, affordable):
        freedom = pairs - 1 + min(noise.freedom, pairs - 1)
        if _quantile(0.975, freedom) * noise.standard_deviation / math.sqrt(pairs) <= half_width:
            return pairs
    return affordable


def estimate(differences: Sequence[float], noise: PairNoise | None = None, confidence: float = 0.95) -> Interval:
    """Mean of the fresh differences with a t interval; positive is better.

    The variance is pooled with the run's, which counts as at most as many degrees of freedom as the pairs have
    themselves (the moderated t of Smyth, 2004): where the holdout is noisier than the run was, half of the estimate
    knows it. Without bounds for a single pair, and for differences that do not vary.
    """
    check_share(confidence, "The confidence")
    pairs = check_finite(differences, "The difference of pair")
    if not pairs:
        raise UsageError("There is no pair to estimate from; run some after the milestone has passed.")
    mean, number = math.fsum(pairs) / len(pairs), len(pairs)
    if number < LEAST_PAIRS:
        return Interval(estimate=mean, confidence=confidence, n=number, method="none: fewer than two pairs")
    if not varies(pairs):
        return Interval(estimate=mean, confidence=confidence, n=number, method="none: the differences do not vary")
    own = number - 1
    unit = max(*map(abs, pairs), noise.standard_deviation if noise is not None else 0.0)
    squares = math.fsum(((value - mean) / unit) ** 2 for value in pairs)
    borrowed = min(noise.freedom, own) if noise is not None else 0.0
    if noise is not None:
        squares += borrowed * (noise.standard_deviation / unit) ** 2
    freedom = own + borrowed
    reach = _quantile((1 + confidence) / 2, freedom) * math.sqrt(squares / freedom / number) * unit
    method = f"paired t, {borrowed:.3g} of {freedom:.3g} degrees of freedom from the run" if borrowed else "paired t"
    return Interval(estimate=mean, low=mean - reach, high=mean + reach, confidence=confidence, n=number, method=method)


def _quantile(probability: float, freedom: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy is imported when a claim is reckoned

    return float(stdtrit(freedom, probability))
