"""The Ladder: a staircase is all that leaves the holdout, and a gap beyond its limit halts the run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.claims.holdout import HoldoutPlan, Question, gap_points, leaked_bits, may_ask, reason_to_halt, usual_plan
from rsi.errors import IntegrityError, UsageError

PLAN = HoldoutPlan(step=0.1, questions=20, limit=0.5)
GAINS = st.lists(st.floats(-2, 2), max_size=20)


def asked(holdout: list[float], dev: list[float] | None = None) -> list[Question]:
    return [
        Question(trials_spent=10 * number, dev_gain=d, holdout_gain=h)
        for number, (h, d) in enumerate(zip(holdout, dev or holdout, strict=True))
    ]


@given(GAINS)
def test_what_leaves_is_a_staircase_in_whole_steps_near_the_best_so_far(gains: list[float]) -> None:
    released = [point.holdout_gain for point in gap_points(PLAN, asked(gains))]
    assert released == sorted(released)
    best = 0.0
    for gain, shown in zip(gains, released, strict=True):
        best = max(best, gain)
        assert shown / PLAN.step == pytest.approx(round(shown / PLAN.step), abs=1e-6)
        assert best - PLAN.step * (1 + 1e-6) <= shown <= best + PLAN.step * (0.5 + 1e-6)


@given(GAINS, st.lists(st.floats(-1e-3, 1e-3), min_size=20, max_size=20))
def test_nothing_leaves_of_what_is_no_better(gains: list[float], moves: list[float]) -> None:
    high = asked([1.0, *[min(gain, 0.9) for gain in gains[:-1]]])
    low = asked([1.0, *[min(gain, 0.9) - 1 + move for gain, move in zip(gains[:-1], moves, strict=False)]])
    shown = [[point.holdout_gain for point in gap_points(PLAN, questions)] for questions in (high, low)]
    assert shown[0] == shown[1]


def test_the_ladder_shows_less_luck_than_the_best_of_many_noisy_answers() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 20).tolist()
    assert max(noise) > 0.06
    assert gap_points(PLAN, asked(noise))[-1].holdout_gain == 0.0


def test_a_gap_beyond_the_limit_halts_and_says_why() -> None:
    honest = gap_points(PLAN, asked([0.2, 0.5, 0.9]))
    assert reason_to_halt(PLAN, honest) is None
    assert reason_to_halt(PLAN, ()) is None
    fitted = gap_points(PLAN, asked([0.2, 0.2, 0.1], [0.2, 0.6, 0.9]))
    assert reason_to_halt(PLAN, fitted[:2]) is None
    reason = reason_to_halt(PLAN, fitted)
    assert reason is not None
    assert "gained 0.9" in reason
    assert "0.1" not in reason.split("holdout")[0]


def test_the_usual_limit_is_not_reached_by_luck() -> None:
    generator = np.random.default_rng(1)
    halted = 0
    for _ in range(200):
        truth = np.cumsum(generator.exponential(0.01, 50))
        dev, holdout = (truth + generator.normal(0, 0.02 / math.sqrt(2), 50) for _ in range(2))
        points = gap_points(usual_plan(0.02), asked(holdout.tolist(), dev.tolist()))
        halted += any(reason_to_halt(usual_plan(0.02), points[: n + 1]) is not None for n in range(50))
    assert halted <= 2


def test_the_budget_of_questions_holds() -> None:
    assert may_ask(PLAN, asked([0.0] * 19))
    assert not may_ask(PLAN, asked([0.0] * 20))
    with pytest.raises(IntegrityError, match="asked 21 times"):
        gap_points(PLAN, asked([0.0] * 21))


def test_the_bits_that_leave_are_counted() -> None:
    assert leaked_bits(PLAN, 0.0) == 0.0
    assert leaked_bits(HoldoutPlan(step=1.0, questions=2, limit=3.0), 2.0) == pytest.approx(math.log2(6))
    with pytest.raises(UsageError, match="finite"):
        leaked_bits(PLAN, math.inf)


@pytest.mark.parametrize("wrong", [{"step": 0.0}, {"limit": 0.1}, {"questions": -1}])
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"positive|0 or more"):
        HoldoutPlan.model_validate({"step": 0.1, "questions": 5, "limit": 0.5, **wrong})
    with pytest.raises(UsageError, match="positive number"):
        usual_plan(math.nan)
