"""Milestones: few pairs for a large gain, false passes within alpha however one stops, nothing out of equal numbers."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from rsi.claims.milestone import (
    INFLATION,
    PRIOR_FREEDOM,
    AnotherPair,
    Failed,
    MilestonePlan,
    Passed,
    level,
    log_evidence,
    next_step,
)
from rsi.claims.noise import PairNoise
from rsi.errors import IntegrityError, UsageError
from rsi.records import Direction, Objective

DIFFERENCES = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 6)), min_size=1, max_size=12)
NOISES = st.none() | st.builds(PairNoise, standard_deviation=st.floats(1e-3, 1e3), freedom=st.floats(1, 50))


def run(
    effect: float, *, noise: str = "normal", ratio: float = 1.0, alpha: float = 0.05, runs: int = 300
) -> list[object]:
    """What becomes of milestones whose pairs have a standard deviation of √2 `ratio`, while the run measured √2."""
    generator = np.random.default_rng(7)
    size = (runs, 30)
    draws = {
        "normal": lambda: generator.standard_normal(size),
        "heavy": lambda: generator.standard_t(3, size) / math.sqrt(3),
        "correlated": lambda: math.sqrt(0.5) * generator.standard_normal(size),
    }[noise]()
    pooled = np.sqrt(generator.chisquare(20, runs) / 20) * math.sqrt(2)
    return [
        next_step(MilestonePlan(level=alpha, most_pairs=30, noise=PairNoise(standard_deviation=sd, freedom=20)), row)
        for sd, row in zip(pooled, effect + ratio * math.sqrt(2) * draws, strict=True)
    ]


def passed_share(steps: list[object]) -> float:
    return sum(isinstance(step, Passed) for step in steps) / len(steps)


@pytest.mark.parametrize(
    ("effect", "at_most", "share"), [(5.0, 3, 1.0), (3.0, 5, 1.0), (2.0, 8, 0.99), (1.0, 17, 0.75)]
)
def test_the_larger_the_gain_the_fewer_pairs(effect: float, at_most: int, share: float) -> None:
    steps = run(effect)
    pairs = [step.pairs for step in steps if isinstance(step, Passed)]
    assert statistics.median(pairs) <= at_most
    assert len(pairs) / len(steps) >= share


@pytest.mark.parametrize(
    ("noise", "ratio"), [("normal", 1.0), ("normal", 1.5), ("normal", 2.0), ("heavy", 1.0), ("correlated", 1.0)]
)
def test_false_passes_stay_within_alpha_though_it_looks_after_every_pair(noise: str, ratio: float) -> None:
    false = passed_share(run(0.0, noise=noise, ratio=ratio, runs=600))
    # Three standard errors of a share of 0.05 over 600.
    assert false <= 0.05 + 0.027


def test_what_is_worse_passes_less_often_than_what_is_equal() -> None:
    assert passed_share(run(-0.3)) <= passed_share(run(0.0))


def test_without_noise_known_from_the_run_any_variance_is_held() -> None:
    generator = np.random.default_rng(3)
    plan = MilestonePlan(level=0.05, most_pairs=25)
    false = sum(
        isinstance(next_step(plan, scale * row), Passed)
        for scale, row in zip(np.exp(generator.normal(0, 5, 1000)), generator.standard_normal((1000, 25)), strict=True)
    )
    assert false / 1000 <= 0.05 + 0.021


@pytest.mark.parametrize("pairs", [(0.3, -0.1), (1.0, 0.4, 0.9), (-0.5, 0.2, -0.4, 0.1)])
@pytest.mark.parametrize("pooled", [None, PairNoise(standard_deviation=0.4, freedom=6)])
def test_evidence_is_the_ratio_of_marginals_integrated_numerically(
    pairs: tuple[float, ...], pooled: PairNoise | None
) -> None:
    log_scale, effect = np.meshgrid(np.linspace(-6, 6, 2401), np.linspace(0, 9, 901), indexing="ij")
    scale = np.exp(log_scale)

    def ratio(prior: float, freedom: float) -> float:
        def likelihood(standardised: np.ndarray) -> np.ndarray:
            squares = sum((pair - standardised * scale) ** 2 for pair in pairs) + prior
            return np.exp(-squares / (2 * scale**2)) * scale ** -(len(pairs) + freedom)  # dσ/σ is d log σ

        weights = 2 * distributions.norm.pdf(effect) * 0.01
        weights[:, 0] /= 2
        return float((weights * likelihood(effect)).sum() / likelihood(0 * effect)[:, 0].sum())

    expected = ratio(0.0, 0.0)
    if pooled is not None:
        freedom = min(pooled.freedom, PRIOR_FREEDOM)
        expected = (expected + ratio(freedom * (INFLATION * pooled.standard_deviation) ** 2, freedom)) / 2
    assert math.exp(log_evidence(pairs, pooled)) == pytest.approx(expected, rel=1e-4)


@given(differences=DIFFERENCES, noise=NOISES, scale=st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(differences: list[float], noise: PairNoise | None, scale: float) -> None:
    scaled = noise and PairNoise(standard_deviation=noise.standard_deviation * scale, freedom=noise.freedom)
    plain = log_evidence(differences, noise)
    assert log_evidence([scale * value for value in differences], scaled) == pytest.approx(plain, abs=1e-6, rel=1e-6)


@given(pairs=st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=8), noise=NOISES)
def test_the_metrics_direction_does_not_matter(pairs: list[tuple[int, int]], noise: PairNoise | None) -> None:
    plan = MilestonePlan(level=0.05, most_pairs=8, noise=noise)
    up, down = (Objective(metric="m", direction=direction) for direction in (Direction.MAXIMIZE, Direction.MINIMIZE))
    assert next_step(plan, [up.gain(a, b) for a, b in pairs]) == next_step(plan, [down.gain(-a, -b) for a, b in pairs])


@given(differences=DIFFERENCES, noise=NOISES)
def test_a_gain_and_its_mirror_image_never_both_pass(differences: list[float], noise: PairNoise | None) -> None:
    plan = MilestonePlan(level=0.4, most_pairs=50, noise=noise)
    steps = [next_step(plan, differences[:2]), next_step(plan, [-value for value in differences[:2]])]
    assert sum(isinstance(step, Passed) for step in steps) <= 1


@given(differences=DIFFERENCES, noise=NOISES, more=DIFFERENCES)
def test_later_pairs_never_undo_a_decision(
    differences: list[float], noise: PairNoise | None, more: list[float]
) -> None:
    plan = MilestonePlan(level=0.05, most_pairs=10, noise=noise)
    decided = next_step(plan, differences)
    if not isinstance(decided, AnotherPair):
        assert next_step(plan, [*differences, *more]) == decided


@given(differences=DIFFERENCES, noise=NOISES, shift=st.floats(0, 100))
def test_evidence_never_falls_when_every_pair_gets_better(
    differences: list[float], noise: PairNoise | None, shift: float
) -> None:
    # Far below zero both are no evidence at all, and rounding decides.
    plain = log_evidence(differences, noise)
    shifted = log_evidence([value + shift for value in differences], noise)
    assert shifted >= plain - 1e-6 or max(shifted, plain) < -5


@given(passed=st.lists(st.booleans(), max_size=30), alpha=st.floats(0.001, 0.999))
def test_the_levels_of_failed_milestones_and_the_next_one_never_exceed_alpha(passed: list[bool], alpha: float) -> None:
    spent = sum(level(alpha, passed[:number]) for number, did_pass in enumerate(passed) if not did_pass)
    assert spent + level(alpha, passed) <= alpha * (1 + 1e-12)


def test_a_passed_milestone_hands_its_level_on() -> None:
    assert level(0.05, ()) == pytest.approx(0.025)
    assert level(0.05, (True,)) == pytest.approx(0.025 + 0.05 / 6)
    assert level(0.05, (False,)) == pytest.approx(0.05 / 6)
    assert level(0.05, (True, True)) == pytest.approx(0.05 * 3 / 4)


def test_over_a_whole_run_of_milestones_false_claims_stay_within_alpha() -> None:
    generator = np.random.default_rng(11)
    false = 0
    for _ in range(300):
        passed: list[bool] = []
        wrong = False
        for effect in generator.permutation([0.0, 0.0, 0.0, 4.0, 4.0]):
            plan = MilestonePlan(
                level=level(0.05, passed), most_pairs=15, noise=PairNoise(standard_deviation=1.0, freedom=20)
            )
            passed.append(isinstance(next_step(plan, effect + generator.standard_normal(15)), Passed))
            wrong = wrong or (passed[-1] and effect == 0.0)
        false += wrong
    assert false / 300 <= 0.05 + 0.038


def test_one_pair_never_certifies() -> None:
    noise = PairNoise(standard_deviation=1e-6, freedom=1e6)
    plan = MilestonePlan(level=0.9, most_pairs=5, noise=noise)
    assert next_step(plan, ()) == AnotherPair(pairs=2)
    assert next_step(plan, (1e6,)) == AnotherPair(pairs=1)


def test_equal_differences_never_pass_and_end_as_a_seed_that_changes_nothing() -> None:
    plan = MilestonePlan(level=0.05, most_pairs=10, noise=PairNoise(standard_deviation=0.01, freedom=20))
    for number in (1, 2, 3):
        assert isinstance(next_step(plan, (0.5,) * number), AnotherPair)
    assert next_step(plan, (0.5,) * 4) == Failed(pairs=4, reason="seed-changes-nothing")
    assert next_step(plan, (0.0,) * 4) == Failed(pairs=4, reason="seed-changes-nothing")
    assert next_step(plan, (0.1 + 0.2, 0.3, 0.3, 0.3)) == Failed(pairs=4, reason="seed-changes-nothing")


def test_two_pairs_that_happen_to_be_equal_do_not_end_it() -> None:
    plan = MilestonePlan(level=0.05, most_pairs=10, noise=PairNoise(standard_deviation=0.02, freedom=20))
    assert isinstance(next_step(plan, (0.5, 0.5, 0.52)), Passed)


def test_it_fails_when_the_pairs_are_used_up_and_before_that_when_hope_is() -> None:
    plan = MilestonePlan(level=0.05, most_pairs=4)
    assert next_step(plan, (1.0, -0.2, 0.9, -0.4)) == Failed(pairs=4, reason="no-pairs-left")
    plan = MilestonePlan(level=0.05, most_pairs=40)
    assert next_step(plan, (-1.0, -1.2, -0.9, -1.1)) == Failed(pairs=4, reason="futile")


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_an_alpha_that_makes_no_sense_is_refused_in_a_sentence(alpha: float) -> None:
    with pytest.raises(UsageError, match="set it to a number between 0 and 1"):
        level(alpha, ())
    with pytest.raises(UsageError, match="between 0 and 1"):
        MilestonePlan(level=alpha, most_pairs=5)


def test_a_milestone_of_one_pair_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2 pairs"):
        MilestonePlan(level=0.05, most_pairs=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_difference_that_is_no_number_is_refused_in_a_sentence(value: float) -> None:
    with pytest.raises(IntegrityError, match="pair 2 is"):
        next_step(MilestonePlan(level=0.05, most_pairs=5), (0.1, value))


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_numbers_of_any_size_are_handled(size: float) -> None:
    noise = PairNoise(standard_deviation=0.1 * size, freedom=9)
    assert isinstance(next_step(MilestonePlan(level=0.05, most_pairs=5, noise=noise), (size, 1.1 * size)), Passed)
