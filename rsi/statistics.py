"""How much better one set of measurements is than another, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import FiniteFloat

from rsi.records import Direction, Record

_NO_SPREAD = 1e-12
"""Relative to the values: a smaller standard deviation is rounding, not seed noise."""


class Interval(Record):
    """An estimated improvement; positive is better. Without bounds where the data cannot give any."""

    estimate: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    confidence: float
    n: int
    """Pairs, or all observations of both sides."""
    method: str
    """`paired t`, `Welch t`, or `none: ` and why there is no interval."""

    @property
    def excludes_zero(self) -> bool:
        """Whether luck is ruled out at this confidence, in either direction."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Rate(Record):
    """How often something happened, with its Clopper-Pearson interval."""

    count: int
    of: int
    rate: float | None
    """None where it could not have happened."""
    low: float
    high: float
    confidence: float
    method: str = "Clopper-Pearson"


def rate(count: int, of: int, confidence: float = 0.95) -> Rate:
    """The rate and its exact interval (Clopper and Pearson, Biometrika 26, 1934).

    ValueError for a count that is not between 0 and `of`, or a confidence that is not between 0 and 1.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 - a tenth of the time that scipy.stats takes to import

    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no rate")
    if not 0 < confidence < 1:
        raise ValueError("the confidence lies between 0 and 1")
    tail = (1 - confidence) / 2
    return Rate(
        count=count,
        of=of,
        rate=count / of if of else None,
        low=float(betaincinv(count, of - count + 1, tail)) if count else 0.0,
        high=float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0,
        confidence=confidence,
    )


def difference(
    candidate: Sequence[float],
    baseline: Sequence[float],
    direction: Direction,
    confidence: float = 0.95,
    paired: bool = False,
) -> Interval:
    """The improvement of the candidate's mean over the baseline's, with a confidence interval.

    `paired` says that observation i of both sides shares its seed. Unpaired: Welch's t (Biometrika 34, 1947), degrees
    of freedom after Welch and Satterthwaite. There is no interval for fewer than two observations a side, nor where
    those of a side do not differ: code that ignores its seed has been tried once, however often it ran.
    ValueError for an empty side, unequal pairs, or values that are not finite.
    """
    sign = -1.0 if direction is Direction.MINIMIZE else 1.0
    better, worse = [sign * value for value in candidate], [sign * value for value in baseline]
    if not better or not worse or not all(map(math.isfinite, (*better, *worse))):
        raise ValueError("both sides need at least one observation, and only finite ones")
    if not 0 < confidence < 1:
        raise ValueError("the confidence lies between 0 and 1")
    if paired and len(better) != len(worse):
        raise ValueError("paired observations come in pairs")
    estimate = _mean(better) - _mean(worse)
    n = len(better) if paired else len(better) + len(worse)
    if min(len(better), len(worse)) < 2:
        return Interval(estimate=estimate, confidence=confidence, n=n, method="none: fewer than two observations")
    scale = max(map(abs, (*better, *worse)))
    if paired:
        gains = [b - w for b, w in zip(better, worse, strict=True)]
        squared_errors = [_squared_error(gains)]
        freedom = float(len(gains) - 1)
    else:
        squared_errors = [_squared_error(better), _squared_error(worse)]
        freedom = _satterthwaite(squared_errors, [len(better), len(worse)])
    error = math.sqrt(sum(squared_errors))
    if min(math.sqrt(squared) for squared in squared_errors) <= _NO_SPREAD * scale:
        still = "none: one side gives the same result under every seed, so its seeds count as one"
        reason = still if error > _NO_SPREAD * scale else "none: the observations do not vary"
        return Interval(estimate=estimate, confidence=confidence, n=n, method=reason)
    reach = _t_quantile((1 + confidence) / 2, freedom) * error
    method = "paired t" if paired else "Welch t"
    return Interval(
        estimate=estimate, low=estimate - reach, high=estimate + reach, confidence=confidence, n=n, method=method
    )


def round_to_noise(value: float, noise: float) -> float:
    """The nearest multiple of a quarter of the seed noise: all that may be told without giving labels away."""
    if not noise > 0:
        raise ValueError("seed noise is positive")
    step = noise / 4
    steps = value / step
    if not math.isfinite(steps):
        return value
    # Ten digits of the product: the sixteenth would show the rounding of the machine, not of the measurement.
    return float(f"{round(steps) * step:.10g}") + 0.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _squared_error(values: Sequence[float]) -> float:
    """Squared standard error of the mean."""
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)


def _satterthwaite(squared_errors: Sequence[float], sizes: Sequence[int]) -> float:
    total = sum(squared_errors)
    if total == 0:
        return math.inf
    # As shares of the total, since squares of small squared errors underflow.
    return 1 / sum((part / total) ** 2 / (size - 1) for part, size in zip(squared_errors, sizes, strict=True))


def _t_quantile(probability: float, freedom: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - a tenth of the time that scipy.stats takes to import

    return float(stdtrit(freedom, probability))
