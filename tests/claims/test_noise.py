"""Noise: pooled variance and the correlation of arms under shared seeds, with intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rsi.claims.noise import pair_noise, pairing, pooled_noise, seed_findings, varies
from rsi.errors import IntegrityError, UsageError

SHAPES = (range(8), range(5), range(2, 8), (0, 1, 7))
"""Seeds of each arm; not every arm has seen every seed."""


def arms(generator: np.random.Generator, correlation: float) -> list[dict[int, float]]:
    shared = generator.standard_normal(8)
    return [
        {
            seed: offset
            + math.sqrt(correlation) * shared[seed]
            + math.sqrt(1 - correlation) * generator.standard_normal()
            for seed in seeds
        }
        for offset, seeds in enumerate(SHAPES)
    ]


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_correlations_interval_covers_and_the_pooled_variance_is_as_sure_as_it_says(correlation: float) -> None:
    generator = np.random.default_rng(2)
    runs = [arms(generator, correlation) for _ in range(400)]
    found = [pairing(run) for run in runs]
    covered = np.mean([f is not None and f.low <= correlation <= f.high for f in found])
    assert 0.95 - 0.04 < covered < 0.95 + 0.035  # four standard errors
    pooled = [pooled_noise(run, correlation) for run in runs]
    variances = [p.standard_deviation**2 for p in pooled if p is not None]
    assert np.mean(variances) == pytest.approx(1.0, abs=0.12)
    assert pooled[0] is not None
    assert 2 / np.var(variances) == pytest.approx(pooled[0].freedom, rel=0.35)


def test_for_two_arms_the_interval_is_that_of_sums_and_differences() -> None:
    generator = np.random.default_rng(4)
    first, second = generator.multivariate_normal([0, 3], [[1, 0.6], [0.6, 1]], 7).T
    found = pairing([dict(enumerate(first)), dict(enumerate(second))])
    ratio = np.var(first + second, ddof=1) / np.var(first - second, ddof=1)
    low, high = (ratio / stats.f.ppf(level, 6, 6) for level in (0.975, 0.025))
    assert found is not None
    assert found.low == pytest.approx((low - 1) / (low + 1))
    assert found.high == pytest.approx((high - 1) / (high + 1))
    assert found.correlation == pytest.approx((ratio - 1) / (ratio + 1))
    assert found.seeds == 7


@given(
    values=st.lists(st.lists(st.floats(-100, 100), min_size=4, max_size=4), min_size=2, max_size=4),
    scale=st.floats(1e-3, 1e3),
)
def test_units_and_direction_do_not_matter(values: list[list[float]], scale: float) -> None:
    plain = [dict(enumerate(row)) for row in values]
    turned = [{seed: -scale * value for seed, value in arm.items()} for arm in plain]
    before, after = pooled_noise(plain), pooled_noise(turned)
    assert (before is None) == (after is None)
    if before is not None and after is not None and before.standard_deviation > 1e-6:
        assert after.standard_deviation == pytest.approx(scale * before.standard_deviation, rel=1e-6)
        assert after.freedom == pytest.approx(before.freedom)


def test_pairs_are_credited_with_no_more_than_the_run_has_shown() -> None:
    alone = [{1: 0.0, 2: 1.0, 3: 2.0}, {4: 0.0, 5: 1.0, 6: 2.0}]
    noise, pair = pooled_noise(alone), pair_noise(alone)
    assert noise is not None
    assert pair is not None
    assert pairing(alone) is None
    assert pair.standard_deviation == pytest.approx(math.sqrt(2) * noise.standard_deviation)
    together = [{seed: seed % 3 + 0.01 * math.sin(seed * arm) for seed in range(9)} for arm in (1, 2, 3)]
    shared = pair_noise(together)
    assert shared is not None
    assert shared.standard_deviation < 0.13
    some = arms(np.random.default_rng(8), 0.8)
    correlation, noise, pair = pairing(some), pooled_noise(some), pair_noise(some)
    assert correlation is not None
    assert noise is not None
    assert pair is not None
    assert 0 < correlation.low < correlation.correlation
    assert pair.standard_deviation == pytest.approx(math.sqrt(2 - 2 * correlation.low) * noise.standard_deviation)


def test_an_arm_that_ignores_its_seed_is_a_finding_and_no_noise() -> None:
    deaf = {1: 0.1 + 0.2, 2: 0.3, 3: 0.3}
    assert [
        finding.code for finding in seed_findings({"experiment 4": deaf, "5": {1: 0.0, 2: 1.0}, "6": {1: 1.0}})
    ] == ["seed-changes-nothing"]
    assert pooled_noise([deaf, {9: 1.0}]) is None
    assert pooled_noise([deaf, {1: 0.0, 2: 2.0}]) == pooled_noise([{1: 0.0, 2: 2.0}])
    assert pair_noise([deaf]) is None
    assert not varies([])


def test_numbers_that_are_none_and_confidences_that_make_no_sense_are_refused() -> None:
    with pytest.raises(IntegrityError, match="Observation 2 is inf"):
        pooled_noise([{1: 0.0, 2: math.inf}])
    with pytest.raises(UsageError, match="between 0 and 1"):
        pairing([{1: 0.0, 2: 1.0}], confidence=0.0)


@pytest.mark.parametrize("size", [1e-250, 1e250])
def test_numbers_of_any_size_are_handled(size: float) -> None:
    runs = [{seed: size * math.sin(seed * arm + 1) for seed in range(5)} for arm in (1, 2)]
    found, pair = pairing(runs), pair_noise(runs)
    assert found is not None
    assert -1 <= found.low <= found.correlation <= found.high <= 1
    assert pair is not None
