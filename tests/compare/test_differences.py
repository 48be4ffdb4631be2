"""Paired differences: against scipy, under the null, over tasks and factors; and how many seeds would show one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rsi.compare.differences import DESCRIBED, Compared, compared, pairs_needed, power_of, scaled, size_shown
from rsi.compare.results import LoopResult


def loop(arm: str, seed: int, gain: float | None, **more: object) -> LoopResult:
    verifier = str(more.pop("verifier", "own"))
    values: dict[str, object] = {
        "loop": f"t{more.get('task', 'a')}-s{seed:02d}-c{arm}-{verifier}",
        "task": "a",
        "seed": seed,
        "arms": {"verifier": verifier, "policy": arm, "proposer": "mutate"},
        "status": "finished",
        "metric": "val_bpb",
        "noise": 0.01,
        "gain": gain,
        "compute": 10.0,
    }
    return LoopResult.model_validate(values | more)


def of_gains(**arms: list[float]) -> Compared:
    found = [loop(arm, seed, gain) for arm, gains in arms.items() for seed, gain in enumerate(gains, 1)]
    return compared(found, "certified")


def test_one_difference_is_the_paired_t_of_scipy() -> None:
    a, b = [0.1, 0.3, 0.2, 0.45], [0.2, 0.35, 0.4, 0.5]
    (found,) = of_gains(a=a, b=b).differences
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert (found.gain.low, found.gain.high) == pytest.approx((expected.low, expected.high))
    assert found.spread == pytest.approx(np.std(np.subtract(b, a), ddof=1))
    assert (found.arm, found.reference) == ("b", "a")


def test_intervals_widen_with_the_number_of_comparisons() -> None:
    a, b, c, d = [0.1, 0.3, 0.2], [0.2, 0.35, 0.4], [0.0, 0.3, 0.1], [0.5, 0.3, 0.4]
    found = of_gains(a=a, b=b, c=c, d=d)
    assert found.comparisons == 3
    expected = stats.ttest_rel(b, a).confidence_interval(1 - 0.05 / 3)
    assert found.differences[0].gain.low == pytest.approx(expected.low)


@pytest.mark.parametrize("draw", ["normal", "mostly nothing"])
def test_under_the_null_a_comparison_of_many_arms_hardly_ever_claims_anything(draw: str) -> None:
    generator = np.random.default_rng(5)
    false, repeats = 0, 200
    for _ in range(repeats):
        gains = generator.normal(size=(6, 5)) + generator.normal(size=5)
        if draw == "mostly nothing":  # as certified gains are: 0 unless a milestone passed
            gains = np.where(generator.random((6, 5)) < 0.6, 0.0, np.abs(gains))
        found = of_gains(**{f"arm{n}": list(map(float, row)) for n, row in enumerate(gains)})
        false += any(d.gain is not None and d.gain.excludes_zero for d in found.differences)
    # Without correction about one in five would claim something.
    assert stats.binomtest(false, repeats, 0.05, alternative="greater").pvalue > 0.001


def test_so_do_the_measures_that_are_described() -> None:
    generator = np.random.default_rng(6)
    false, repeats = 0, 200
    for _ in range(repeats):
        rows = [
            loop(arm, seed, 0.0, **dict.fromkeys(("gap",), None), **dict(_drawn(generator)))
            for arm in "abc"
            for seed in range(1, 6)
        ]
        found = compared(rows, "certified")
        told = [interval for d in found.differences for interval in d.described.values() if interval is not None]
        false += any(interval.excludes_zero for interval in told)
    assert stats.binomtest(false, repeats, 0.05, alternative="greater").pvalue > 0.001


def _drawn(generator: np.random.Generator) -> list[tuple[str, float]]:
    return [(name, float(generator.exponential(10))) for name in ("compute", "wall", "cost_usd")]


def test_other_factors_are_averaged_within_a_block_and_each_factor_is_compared() -> None:
    gains = {("p", "own"): [1.0, 2.0], ("q", "own"): [2.0, 4.0], ("p", "w"): [3.0, 4.0], ("q", "w"): [4.0, 8.0]}
    rows = [
        loop(policy, seed, gain, verifier=verifier)
        for (policy, verifier), found in gains.items()
        for seed, gain in enumerate(found, 1)
    ]
    found = compared(rows, "certified")
    assert found.comparisons == 2
    by_factor = {difference.factor: difference for difference in found.differences}
    assert by_factor["policy"].gain.estimate == pytest.approx(((3 - 2) + (6 - 3)) / 2)
    assert by_factor["policy"].gain.n == 2, "the four loops of a block are one observation"
    assert by_factor["verifier"].gain.estimate == pytest.approx(((3.5 - 1.5) + (6 - 3)) / 2)


def test_tasks_of_other_scales_count_alike() -> None:
    rows = [
        loop(arm, seed, gain * scale, task=task, noise=0.5 * scale, metric=task)
        for task, scale in (("bits", 1.0), ("accuracy", 0.001))
        for arm, gain in (("p", 1.0), ("q", 2.0))
        for seed in (1, 2)
    ]
    found = compared(rows, "certified")
    assert found.unit == "seed noises"
    assert found.differences[0].gain.estimate == pytest.approx(2.0)
    assert found.differences[0].gain.n == 4


def test_the_picture_and_the_numbers_have_one_scale_though_one_of_two_tasks_has_not_begun() -> None:
    rows = [loop(arm, seed, 0.5, noise=0.1) for arm in "pq" for seed in (1, 2)]
    rows += [loop(arm, seed, None, task="b", status="missing", noise=None) for arm in "pq" for seed in (1, 2)]
    found, (scales, unit, _) = compared(rows, "certified"), scaled(rows)
    assert (found.tasks, found.unit, unit) == (2, "val_bpb", "val_bpb")
    assert found.arms[0].means["gain"] == 0.5 / scales["a"] == 0.5


def test_a_loop_that_is_not_at_its_end_takes_its_pair_along() -> None:
    rows = [loop(arm, seed, 0.1 * seed) for arm in "pq" for seed in (1, 2, 3)]
    rows[0] = rows[0].model_copy(update={"status": "paused"})
    rows[5] = rows[5].model_copy(update={"gain": None})
    (found,) = compared(rows, "certified").differences
    assert found.gain.n == 1
    assert found.gain.low is None
    assert found.described["compute"].n == 2


def test_where_others_measure_it_is_the_grounded_truth_that_is_compared() -> None:
    rows = [
        loop(arm, seed, claimed, truth=true + seed / 100, grounded=arm == "p")
        for arm, claimed, true in (("p", 0.5, 0.4), ("q", 9.0, 0.1))
        for seed in (1, 2, 3)
    ]
    found = compared(rows, "grounded")
    assert found.differences[0].gain.estimate == pytest.approx(-0.3)
    assert found.differences[0].grounded
    assert [(arm.grounded, arm.claimed) for arm in found.arms] == [(True, 0.5), (False, 9.0)]
    assert not compared(rows, "certified").differences[0].grounded


@pytest.mark.parametrize("gain", [1e308, -1e200])
def test_a_number_beyond_all_measure_is_left_out(gain: float) -> None:
    rows = [loop(arm, seed, 0.1 * seed, compute=abs(gain)) for arm in "pq" for seed in (1, 2, 3)]
    rows[0] = rows[0].model_copy(update={"gain": gain, "noise": 1e-300})
    (found,) = compared(rows, "certified").differences
    assert found.gain.n == 2
    assert found.described["compute"] is None


def test_without_an_observation_there_is_no_difference() -> None:
    rows = [loop(arm, 1, None, status="missing") for arm in "pq"]
    (found,) = compared(rows, "certified").differences
    assert found.gain is None
    assert found.described == dict.fromkeys(DESCRIBED)


@pytest.mark.parametrize(("size", "confidence"), [(0.5, 0.95), (1.0, 0.99), (2.0, 0.95)])
def test_so_many_pairs_show_a_difference_as_often_as_is_said(size: float, confidence: float) -> None:
    needed = pairs_needed(1.0, size, confidence)
    assert needed is not None
    assert power_of(needed, 1.0, size, confidence) >= 0.8 > (power_of(needed - 1, 1.0, size, confidence))
    drawn = np.random.default_rng(1).normal(size, 1.0, size=(4000, needed))
    shown = np.mean(stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 1 - confidence)
    assert shown == pytest.approx(power_of(needed, 1.0, size, confidence), abs=0.03)


@settings(deadline=None, max_examples=5)
@given(st.floats(1e-6, 1e6), st.integers(2, 60), st.floats(0.9, 0.999))
def test_the_smallest_difference_that_shows_is_the_one_those_pairs_are_needed_for(
    spread: float, pairs: int, confidence: float
) -> None:
    size = size_shown(spread, pairs, confidence)
    assert pairs_needed(spread, size * 1.0001, confidence) == pairs
    assert power_of(pairs, spread, size, confidence) == pytest.approx(0.8, abs=1e-3)


def test_a_difference_too_small_for_any_number_of_pairs_is_told() -> None:
    assert pairs_needed(1.0, 1e-9, 0.95) is None
