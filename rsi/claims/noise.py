"""How much seeds alone move a result, pooled over the run, and how much of that two arms with the same seed share.

An arm is a mapping seed → value: one value a seed, because a trial is a function of code and seed. Everything here
assumes that the arms' seed noise is normal with one variance, and, for two arms under one seed, one correlation;
`rsi.claims.milestone` says what is done about runs for which that is only roughly so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from rsi.claims.input import check_finite, check_share
from rsi.records import Finding, Record, Severity

ArmValues = Mapping[int, float]
"""Seed → the objective's value under it."""

_NO_SPREAD = 1e-12
"""Relative to the values: a smaller spread is rounding, not seed noise."""
_MOST_CREDIT = 0.99


class PooledNoise(Record):
    """Seed noise of one trial: the standard deviation within arms, and how well it is known."""

    standard_deviation: FiniteFloat = Field(gt=0)
    freedom: FiniteFloat = Field(gt=0)
    """Degrees of freedom; fewer than the observations say where arms share seeds and these move them together."""


class Pairing(Record):
    """Correlation of two arms under the same seed, with its confidence interval."""

    correlation: float
    low: float
    high: float
    confidence: float
    seeds: int
    """Seeds that at least two arms share."""


class PairNoise(Record):
    """Standard deviation of one paired difference, from data that is independent of the pairs it is used for."""

    standard_deviation: FiniteFloat = Field(gt=0)
    freedom: FiniteFloat = Field(gt=0)


def varies(values: Sequence[float]) -> bool:
    """Whether the values differ by more than the rounding of the machine."""
    return bool(values) and max(values) - min(values) > _NO_SPREAD * max(map(abs, values))


def seed_findings(arms: Mapping[str, ArmValues]) -> tuple[Finding, ...]:
    """A finding for each arm (by its name) that gives the same result under every one of several seeds."""
    return tuple(
        Finding(
            severity=Severity.WARNING,
            code="seed-changes-nothing",
            message=f"{name} gives the same result under {len(arm)} seeds: they count as one trial, and a gain of it "
            "over seeds cannot be certified.",
        )
        for name, arm in arms.items()
        if len(arm) > 1 and not varies(tuple(arm.values()))
    )


def pooled_noise(arms: Sequence[ArmValues], correlation: float = 0.0) -> PooledNoise | None:
    """The within-arm standard deviation over all arms with at least two seeds that matter; None without any.

    The variance is the sum of squares about the arms' own means over Σ(nₐ − 1). Arms that share seeds repeat some of
    each other's luck, so the degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946), 2 E² / Var, which
    are exact in the first two moments: with P the centring within arms, S_ab the matrix that matches shared seeds,
    Var = 2σ⁴ [Σ(nₐ − 1) + ρ² Σ_{a≠b} ‖P_a S_ab P_b‖²]. Arms that ignore their seed have no noise to pool and are
    left out.
    """
    noisy = [arm for arm in map(_checked, arms) if len(arm) > 1 and varies(tuple(arm.values()))]
    if not noisy:
        return None
    freedom = sum(len(arm) - 1 for arm in noisy)
    unit = max(abs(value) for arm in noisy for value in arm.values())
    squares = math.fsum(_squares([value / unit for value in arm.values()]) for arm in noisy)
    shared = math.fsum(_overlap(first, second) for first, second in combinations(noisy, 2))
    return PooledNoise(
        standard_deviation=math.sqrt(squares / freedom) * unit,
        freedom=freedom**2 / (freedom + 2 * correlation**2 * shared),
    )


def pairing(arms: Sequence[ArmValues], confidence: float = 0.95) -> Pairing | None:
    """The correlation of arms under shared seeds, with an exact interval; None where too little is shared.

    Model: value = arm (fixed) + seed (random) + rest. Wald's interval for the ratio θ of the seed's variance to the
    rest's (Annals of Mathematical Statistics 11, 1940; Seely and El-Bassiouni, Annals of Statistics 11, 1983): with
    λ_k the eigenvalues of the seeds' information after the arms are taken out and b_k the seeds' estimates in that
    basis, F(θ) = mean of b_k² / (1/λ_k + θ), over the residual variance, has an F distribution at the true θ, and it
    falls in θ. ρ = θ / (1 + θ); it may be negative. For two arms this is the interval of (1 + ρ)/(1 − ρ) from the
    variances of sums and differences. The point estimate solves F(θ) = 1.
    """
    check_share(confidence, "The confidence")
    table = _shared([_checked(arm) for arm in arms])
    if table is None:
        return None
    information, effects, residual, freedom, seeds = table
    rank = len(information)
    if freedom < 1:
        return None
    low_quantile, high_quantile = _f_quantiles(confidence, rank, freedom)
    estimate, low, high = (
        _correlation(information, effects, residual / freedom, level) for level in (1.0, high_quantile, low_quantile)
    )
    return Pairing(correlation=estimate, low=low, high=high, confidence=confidence, seeds=seeds)


def pair_noise(arms: Sequence[ArmValues]) -> PairNoise | None:
    """What one paired difference varies by, √(2(1 − ρ)) σ, with ρ at the lower end of its interval and never below 0.

    So pairing is given credit only as far as the run has shown that it helps: an overstated noise costs pairs, an
    understated one would cost the error rate.
    """
    shared = pairing(arms)
    noise = pooled_noise(arms, shared.correlation if shared is not None else 0.0)
    if noise is None:
        return None
    credited = min(max(shared.low, 0.0), _MOST_CREDIT) if shared is not None else 0.0
    return PairNoise(standard_deviation=math.sqrt(2 * (1 - credited)) * noise.standard_deviation, freedom=noise.freedom)


def _checked(arm: ArmValues) -> dict[int, float]:
    return dict(zip(arm, check_finite(arm.values(), "Observation"), strict=True))


def _squares(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _overlap(first: ArmValues, second: ArmValues) -> float:
    """‖P_a S P_b‖² for m shared seeds: m(1 − 1/n_a − 1/n_b) + m²/(n_a n_b); n − 1 where all are shared."""
    shared = len(first.keys() & second.keys())
    return shared * (1 - 1 / len(first) - 1 / len(second)) + shared**2 / (len(first) * len(second))


_Shared = tuple[NDArray[np.float64], NDArray[np.float64], float, int, int]


def _shared(arms: Sequence[ArmValues]) -> _Shared | None:
    """(λ, b, residual sum of squares, its degrees of freedom, shared seeds), the two-way layout solved once."""
    counts: dict[int, int] = {}
    for arm in arms:
        for seed in arm:
            counts[seed] = counts.get(seed, 0) + 1
    # A seed that one arm alone has seen, or an arm with one shared seed, says nothing about the correlation.
    kept = [{s: v for s, v in arm.items() if counts[s] > 1} for arm in arms]
    kept = [arm for arm in kept if len(arm) > 1]
    seeds = sorted({seed for arm in kept for seed in arm})
    if len(kept) < 2 or len(seeds) < 2:
        return None
    unit = max(abs(value) for arm in kept for value in arm.values()) or 1.0
    column = {seed: index for index, seed in enumerate(seeds)}
    information = np.zeros((len(seeds), len(seeds)))
    projected = np.zeros(len(seeds))
    squares = 0.0
    for arm in kept:
        index = [column[seed] for seed in arm]
        values = np.fromiter(arm.values(), dtype=np.float64) / unit
        centred = values - values.mean()
        information[index, index] += 1.0
        information[np.ix_(index, index)] -= 1.0 / len(arm)
        projected[index] += centred
        squares += float(centred @ centred)
    if squares == 0.0:
        return None
    eigenvalues, vectors = np.linalg.eigh(information)
    real = eigenvalues > 1e-9
    eigenvalues, effects = eigenvalues[real], (vectors.T @ projected)[real] / eigenvalues[real]
    residual = squares - float(np.sum(eigenvalues * effects**2))
    observations = sum(len(arm) for arm in kept)
    freedom = observations - len(kept) - len(eigenvalues)
    return eigenvalues, effects, max(residual, _NO_SPREAD**2 * squares), freedom, len(seeds)


def _correlation(
    information: NDArray[np.float64], effects: NDArray[np.float64], residual: float, level: float
) -> float:
    """ρ at which F(ρ / (1 − ρ)) is `level`, by bisection: F falls in ρ, from +∞ to 0."""
    steepest = float(information.max())
    low, high = (-1.0 / (steepest - 1.0) if steepest > 1 else -1.0), 1.0

    def statistic(correlation: float) -> float:
        ratio = correlation / (1.0 - correlation)
        return float(np.mean(effects**2 / (1.0 / information + ratio))) / residual

    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if statistic(middle) > level else (low, middle)
    return (low + high) / 2


def _f_quantiles(confidence: float, first: int, second: int) -> tuple[float, float]:
    from scipy.special import fdtri  # noqa: PLC0415 - scipy is imported when a claim is reckoned

    tail = (1 - confidence) / 2
    return float(fdtri(first, second, tail)), float(fdtri(first, second, 1 - tail))
