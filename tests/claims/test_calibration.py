"""Calibration: the rate of kept null edits with its exact interval, and when one is slipped in."""

from __future__ import annotations

import pytest
from scipy import stats

from rsi.claims.calibration import kept_rate, slips_in
from rsi.errors import IntegrityError, UsageError


@pytest.mark.parametrize(("kept", "decided"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (7, 400)])
def test_the_interval_is_clopper_and_pearsons(kept: int, decided: int) -> None:
    found = kept_rate(kept, decided, 0.9)
    expected = stats.binomtest(kept, decided).proportion_ci(0.9, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.rate == kept / decided


def test_before_the_first_is_decided_nothing_is_known() -> None:
    found = kept_rate(0, 0)
    assert (found.rate, found.low, found.high) == (None, 0.0, 1.0)


def test_null_edits_are_slipped_in_at_the_rate_that_was_set_and_the_same_ones_again() -> None:
    chosen = [slips_in(seed, 0.1) for seed in range(3000)]
    assert 0.08 < sum(chosen) / 3000 < 0.12
    assert chosen == [slips_in(seed, 0.1) for seed in range(3000)]
    assert not any(slips_in(seed, 0.0) for seed in range(100))


def test_impossible_counts_and_shares_are_refused_in_a_sentence() -> None:
    for kept, decided in ((2, 1), (-1, 3)):
        with pytest.raises(IntegrityError, match="cannot have been kept"):
            kept_rate(kept, decided)
    for probability in (1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="share of null edits"):
            slips_in(1, probability)
    with pytest.raises(UsageError, match="between 0 and 1"):
        kept_rate(1, 2, 1.0)
