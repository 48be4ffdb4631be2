"""Statistics: intervals that cover what they promise, and none where none can be had."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rsi.records import Direction
from rsi.statistics import Interval, difference, round_to_noise

MIN, MAX = Direction.MINIMIZE, Direction.MAXIMIZE
VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


@pytest.mark.filterwarnings("ignore:Precision loss")  # the reference warns of a side that does not vary
@given(a=VALUES, b=VALUES, confidence=st.floats(0.5, 0.99))
def test_unpaired_intervals_are_welchs(a: list[float], b: list[float], confidence: float) -> None:
    found = difference(a, b, MAX, confidence)
    assert found.estimate == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    assert found.n == len(a) + len(b)
    if found.low is None or found.high is None:
        assert min(np.std(a), np.std(b)) <= 1e-8
    elif max(np.std(a), np.std(b)) > 1e-3:
        reference = stats.ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((reference.low, reference.high), rel=1e-6, abs=1e-8)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(pairs=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=8))
def test_paired_intervals_are_those_of_the_differences(pairs: list[tuple[float, float]]) -> None:
    a, b = (list(side) for side in zip(*pairs, strict=True))
    found = difference(a, b, MAX, paired=True)
    assert found.n == len(pairs)
    if found.low is not None and np.std(np.subtract(a, b)) > 1e-3:
        reference = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((reference.low, reference.high), rel=1e-6, abs=1e-8)


@given(a=VALUES, b=VALUES, paired=st.booleans())
def test_swapping_the_sides_or_the_direction_turns_the_sign(a: list[float], b: list[float], paired: bool) -> None:
    a, b = (side[: min(len(a), len(b))] for side in (a, b))
    plain = difference(a, b, MAX, paired=paired)
    for turned in (difference(b, a, MAX, paired=paired), difference(a, b, MIN, paired=paired)):
        assert turned.estimate == pytest.approx(-plain.estimate)
        assert (turned.low is None) == (plain.low is None)
        if plain.low is not None and plain.high is not None:
            assert (turned.low, turned.high) == pytest.approx((-plain.high, -plain.low))
            assert turned.excludes_zero == plain.excludes_zero


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_intervals_cover_the_truth_as_often_as_they_promise(n: int, paired: bool) -> None:
    generator = np.random.default_rng(n)
    shared = generator.normal(0, 1, size=(2000, n)) if paired else np.zeros((2000, n))
    worse = 2.0 + shared + generator.normal(0, 0.02, size=(2000, n))
    better = 1.9 + shared + generator.normal(0, 0.05, size=(2000, n))
    covered = 0
    for a, b in zip(better.tolist(), worse.tolist(), strict=True):
        found = difference(a, b, MIN, paired=paired)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.1 <= found.high
    # Four standard errors of a share of 0.95 over 2000; Welch's is conservative for two observations a side.
    assert covered / 2000 > 0.93
    assert covered / 2000 < (0.99 if n == 2 else 0.97)


@pytest.mark.parametrize(
    ("a", "b", "paired", "method"),
    [
        ([1.0], [2.0, 3.0], False, "none: fewer than two"),
        ([1.0], [2.0], True, "none: fewer than two"),
        ([1.0, 1.0], [2.0, 2.0], False, "none: the observations do not vary"),
        ([0.1 + 0.2, 0.3], [2.0, 2.0], False, "none: the observations do not vary"),
        ([1.0, 2.0], [2.0, 3.0], True, "none: the observations do not vary"),
        (
            [1.0, 1.0, 1.0],
            [2.0, 2.1, 1.9],
            False,
            "none: one side gives the same result under every seed, so its seeds count as one",
        ),
        ([0.0, 0.0], [0.0, 0.0], False, "none: the observations do not vary"),
    ],
)
def test_there_is_no_interval_where_nothing_tells_the_spread(
    a: list[float], b: list[float], paired: bool, method: str
) -> None:
    found = difference(a, b, MIN, paired=paired)
    assert found.estimate == pytest.approx(np.mean(b) - np.mean(a))
    assert (found.low, found.high, found.excludes_zero) == (None, None, False)
    assert found.method.startswith(method)


def test_zero_is_excluded_on_either_side_or_not() -> None:
    common = {"estimate": 0.0, "confidence": 0.95, "n": 4, "method": "Welch t"}
    assert Interval(low=0.1, high=0.2, **common).excludes_zero
    assert Interval(low=-0.2, high=-0.1, **common).excludes_zero
    assert not Interval(low=-0.1, high=0.1, **common).excludes_zero


@pytest.mark.parametrize(
    ("a", "b", "confidence", "paired"),
    [
        ([], [1.0], 0.95, False),
        ([1.0], [], 0.95, False),
        ([math.nan, 1.0], [1.0, 2.0], 0.95, False),
        ([math.inf, 1.0], [1.0, 2.0], 0.95, False),
        ([1.0, 2.0], [1.0, 2.0, 3.0], 0.95, True),
        ([1.0, 2.0], [1.0, 2.0], 1.0, False),
    ],
)
def test_what_cannot_be_compared_is_refused(a: list[float], b: list[float], confidence: float, paired: bool) -> None:
    with pytest.raises(ValueError, match=r"."):
        difference(a, b, MIN, confidence, paired)


@given(value=st.floats(-1e6, 1e6), noise=st.floats(1e-6, 1e3))
def test_rounding_leaves_at_most_an_eighth_of_the_noise_and_no_more_digits(value: float, noise: float) -> None:
    rounded = round_to_noise(value, noise)
    assert abs(rounded - value) <= noise / 8 + 1e-9 * abs(value)
    assert float(f"{rounded:.10g}") == rounded
    assert str(rounded) != "-0.0"


@given(value=st.floats(-10, 10), hidden=st.floats(-1e-4, 1e-4))
def test_rounding_hides_what_is_smaller_than_the_noise(value: float, hidden: float) -> None:
    step = 0.02 / 4
    centre = round(value / step) * step
    assert round_to_noise(centre + hidden, 0.02) == round_to_noise(centre, 0.02)


def test_rounding_needs_noise() -> None:
    for noise in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive"):
            round_to_noise(1.0, noise)
