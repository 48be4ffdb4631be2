"""How alpha is divided over generations, and which budgets can certify nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.claims.milestone import level as milestone_level
from rsi.configuration import Budget
from rsi.errors import UsageError
from rsi.generations.promotion import granted_pairs, least_gain, level, require_certifiable, with_test


@given(st.lists(st.lists(st.booleans(), max_size=4), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_whatever_passes_the_levels_of_failed_milestones_never_sum_to_more_than_alpha(
    generations: list[list[bool]], alpha: float
) -> None:
    used: list[float] = []
    for milestones in generations:
        own = level(alpha, len(generations), used)
        assert own >= alpha / len(generations) - 1e-12, "what was given to one generation is not taken by another"
        failed, passed = 0.0, list[bool]()
        for did_pass in milestones:
            spent = milestone_level(own, passed)
            failed += 0.0 if did_pass else spent
            passed.append(did_pass)
        used.append(failed)
        assert math.fsum(used) <= alpha + 1e-12


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(1, 5))
def test_up_to_a_first_false_pass_all_levels_of_true_nulls_sum_to_at_most_alpha(
    first: list[bool], generations: int
) -> None:
    """A pass whose null is false costs nothing; every test of a true null is paid for."""
    alpha, used, paid = 0.05, list[float](), 0.0
    for generation in range(generations):
        own = level(alpha, generations, used)
        passed, failed = list[bool](), 0.0
        for is_null in first:
            spent = milestone_level(own, passed)
            paid += spent if is_null else 0.0
            if is_null and generation == generations - 1:
                assert paid <= alpha + 1e-12
            passed.append(not is_null)
            failed += spent if is_null else 0.0
        used.append(failed)
    assert paid <= alpha + 1e-12


def test_what_an_earlier_generation_did_not_use_is_there_for_the_next() -> None:
    assert level(0.06, 3, ()) == pytest.approx(0.02)
    assert level(0.06, 3, (0.0,)) == pytest.approx(0.04)
    assert level(0.06, 3, (0.01, 0.0)) == pytest.approx(0.05)


def test_trials_that_nobody_set_leave_the_last_test_room_for_many_pairs() -> None:
    assert with_test(Budget(experiments=20)) == Budget(experiments=20, trials=150)
    assert granted_pairs(with_test(Budget(experiments=20)), 0.4) == 15
    assert with_test(Budget(experiments=20, trials=60)).trials == 60
    assert with_test(Budget(hours=1)).trials is None


def test_more_pairs_and_a_looser_level_show_smaller_gains() -> None:
    gains = [least_gain(0.01, pairs) for pairs in (7, 12, 24)]
    assert all(gain is not None for gain in gains)
    assert gains == sorted(gains, reverse=True, key=float)
    assert float(least_gain(0.05, 7) or 9) <= float(least_gain(0.001, 7) or 9)


def test_the_pairs_of_the_last_test_are_those_that_a_run_grants() -> None:
    """As `rsi.milestones` counts them for a run that has spent all but what is set aside."""
    assert granted_pairs(Budget(experiments=5), 0.4) == 7
    assert granted_pairs(Budget(trials=36), 0.4) == 7
    assert granted_pairs(Budget(trials=100), 0.4) == 10
    assert granted_pairs(Budget(trials=100), 0.15) == 7


@pytest.mark.parametrize(
    ("budget", "alpha", "generations", "said"),
    [
        (Budget(experiments=0), 0.05, 3, "give --experiments 10"),
        (Budget(trials=20), 0.05, 3, "at least 36"),
        (Budget(trials=36), 1e-9, 3, "--trials"),
    ],
)
def test_a_budget_that_can_certify_nothing_is_refused_with_what_would_suffice(
    budget: Budget, alpha: float, generations: int, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        require_certifiable(budget, alpha, generations, 0.4)
    assert said in str(refused.value)


def test_what_is_said_to_suffice_does() -> None:
    with pytest.raises(UsageError) as refused:
        require_certifiable(Budget(trials=36), 1e-9, 3, 0.4)
    enough = int(str(refused.value).split("--trials ")[1].split(",")[0])
    assert require_certifiable(Budget(trials=enough), 1e-9, 3, 0.4) > 0
