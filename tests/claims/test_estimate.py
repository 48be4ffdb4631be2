"""Estimates: intervals from fresh pairs cover as often as they promise, stopping does not bias them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rsi.claims.estimate import estimate, pairs_to_estimate
from rsi.claims.milestone import MilestonePlan, Passed, next_step
from rsi.claims.noise import PairNoise
from rsi.errors import IntegrityError, UsageError


@pytest.mark.parametrize("pairs", [2, 4, 8])
@pytest.mark.parametrize("freedom", [0, 3, 40])
def test_intervals_cover_as_often_as_they_promise(pairs: int, freedom: int) -> None:
    generator = np.random.default_rng(pairs + freedom)
    covered = 0
    for row in generator.normal(0.3, 0.1, (1500, pairs)):
        sd = 0.1 * math.sqrt(generator.chisquare(freedom) / freedom) if freedom else None
        found = estimate(row, None if sd is None else PairNoise(standard_deviation=sd, freedom=freedom))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    # Four standard errors of a share of 0.95 over 1500. Noise known better than it is counted makes intervals wide.
    assert covered / 1500 > 0.927
    assert freedom or covered / 1500 < 0.973


def test_the_runs_noise_narrows_the_interval_of_few_pairs() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(0, 1, (400, 3))
    noise = PairNoise(standard_deviation=1.0, freedom=20)

    def width(pooled: PairNoise | None) -> float:
        found = [estimate(row, pooled) for row in rows]
        return float(np.mean([f.high - f.low for f in found if f.high is not None and f.low is not None]))

    assert width(noise) < 0.75 * width(None)


def test_pairs_from_after_the_pass_are_not_biased_by_it_while_those_before_are() -> None:
    generator = np.random.default_rng(5)
    plan = MilestonePlan(level=0.05, most_pairs=12, noise=PairNoise(standard_deviation=1.0, freedom=20))
    before, after = [], []
    for row in 0.5 + generator.standard_normal((500, 16)):
        step = next_step(plan, row[:12])
        if isinstance(step, Passed):
            before.append(float(np.mean(row[: step.pairs])))
            after.append(estimate(row[12:]).estimate)
    assert np.mean(before) > 0.7
    assert abs(np.mean(after) - 0.5) < 4 * 0.5 / math.sqrt(len(after))


@given(st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=9))
def test_without_the_runs_noise_it_is_the_ordinary_paired_t(pairs: list[float]) -> None:
    found = estimate(pairs)
    assert found.estimate == pytest.approx(np.mean(pairs), abs=1e-9)
    if len(set(pairs)) == 1:
        assert found.low is None
    else:
        expected = stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@given(
    st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=9),
    st.floats(0.1, 10),
    st.floats(1e-3, 1e3),
)
def test_rescaling_and_flipping_move_the_interval_with_them(pairs: list[float], sd: float, scale: float) -> None:
    plain = estimate(pairs, PairNoise(standard_deviation=sd, freedom=5))
    turned = estimate([-scale * value for value in pairs], PairNoise(standard_deviation=sd * scale, freedom=5))
    assert turned.estimate == pytest.approx(-scale * plain.estimate, abs=1e-9 * scale)
    if plain.low is not None and plain.high is not None:
        assert turned.low == pytest.approx(-scale * plain.high, rel=1e-6, abs=1e-9 * scale)
        assert turned.high == pytest.approx(-scale * plain.low, rel=1e-6, abs=1e-9 * scale)


def test_there_is_no_interval_where_none_can_be_had() -> None:
    assert estimate((0.5,)).method == "none: fewer than two pairs"
    assert estimate((0.5, 0.5, 0.5)).method == "none: the differences do not vary"
    with pytest.raises(UsageError, match="no pair to estimate from"):
        estimate(())
    with pytest.raises(IntegrityError, match="pair 1 is nan"):
        estimate((math.nan, 1.0))
    with pytest.raises(UsageError, match="between 0 and 1"):
        estimate((0.1, 0.2), confidence=1.0)


def test_the_budget_decides_how_many_pairs_and_precision_may_ask_for_fewer() -> None:
    assert pairs_to_estimate(11) == 5
    assert pairs_to_estimate(10_000) == 64
    noise = PairNoise(standard_deviation=1.0, freedom=10)
    few, many = (pairs_to_estimate(100, noise, half) for half in (2.0, 0.5))
    assert 2 <= few < many < 50
    with pytest.raises(UsageError, match="at least 4 trials"):
        pairs_to_estimate(3)
    with pytest.raises(UsageError, match="positive"):
        pairs_to_estimate(10, noise, 0.0)
