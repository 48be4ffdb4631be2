"""How gains of generations add up."""

from __future__ import annotations

import numpy as np
import pytest
from evolving import interval, outcome
from scipy.stats import t

from rsi.generations.report import since_first
from rsi.statistics import Interval


def test_gains_of_promoted_generations_add_up_and_their_half_widths_in_quadrature() -> None:
    found = since_first([outcome(1, gain=interval(0.5, 0.3)), outcome(2, promoted=False, gain=None),
                         outcome(3, gain=interval(0.2, 0.4))])  # fmt: skip
    assert found is not None
    assert found.estimate == pytest.approx(0.7)
    assert (found.low, found.high) == (pytest.approx(0.2), pytest.approx(1.2))


def test_before_anything_was_promoted_there_is_no_gain_and_one_alone_is_its_own() -> None:
    assert since_first([outcome(promoted=False, gain=None)]) is None
    assert since_first([outcome(gain=interval(0.5))]) == interval(0.5)


def test_a_part_without_bounds_leaves_the_sum_without_bounds() -> None:
    without = Interval(estimate=0.1, confidence=0.95, n=1, method="none: fewer than two pairs")
    found = since_first([outcome(1, gain=without), outcome(2)])
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert since_first([outcome(1, gain=None), outcome(2)]) is None


def test_the_chained_interval_covers_at_least_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    pairs, hits, runs = 4, 0, 2000
    for _ in range(runs):
        gains = []
        for _generation in range(3):
            sample = draw.normal(0.3, 1.0, pairs)
            reach = float(t.ppf(0.975, pairs - 1) * sample.std(ddof=1) / pairs**0.5)
            gains.append(interval(float(sample.mean()), reach, pairs))
        found = since_first([outcome(number, gain=gain) for number, gain in enumerate(gains, 1)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.9 <= found.high
    assert hits / runs >= 0.95
