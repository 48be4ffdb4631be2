"""Attribution: the edits that matter are listed, idle ones seldom, with the trials they were given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from claim_worlds import World, finish
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rsi.claims.ablation import TrainWithout
from rsi.claims.attribution import Attribution, AttributionPlan, discoveries, least_squares, least_trials, next_step
from rsi.errors import UsageError

EFFECTS = {2: 0.05, 4: 0.0, 7: 0.04, 8: -0.02, 11: 0.03, 15: 0.0}


def plan(trials: int = 120, edits: tuple[int, ...] = tuple(EFFECTS), **more: object) -> AttributionPlan:
    return AttributionPlan.model_validate({"edits": edits, "trials": trials, "seed": 5, **more})


def test_edits_that_matter_are_told_from_those_that_do_not() -> None:
    world = World(EFFECTS, 0.02)
    found = finish(next_step, plan(), world)
    assert found.having("matters") == (2, 7, 11)
    assert 8 in found.take_out
    assert set(found.take_out) <= {4, 8, 15}
    assert found.trials == world.trials <= 120
    assert {ask.slot for ask in world.asked if isinstance(ask, TrainWithout)} == set(range(world.trials))


def test_intervals_cover_the_effects() -> None:
    inside = [
        unit.low <= EFFECTS[unit.edits[0]] <= unit.high
        for seed in range(20)
        for unit in finish(next_step, plan(seed=seed), World(EFFECTS, 0.05, seed=seed)).units
    ]
    assert 0.87 < np.mean(inside) <= 1.0


def test_of_the_listed_few_do_nothing_over_many_runs() -> None:
    generator = np.random.default_rng(9)
    effects = np.array([0.0] * 10 + [-1.0] * 3 + [0.5, 1.0, 1.0, 2.0])
    shares, missed = [], []
    for _ in range(150):
        out = (generator.random((150, len(effects))) < 0.25).astype(float)
        found = least_squares(out, generator.standard_normal(150) - out @ effects)
        listed = np.array(discoveries([1.0 if effect is None else effect.p_value for effect in found], 0.05))
        shares.append(listed[:13].sum() / max(1, listed.sum()))
        missed.append(1 - effects[listed].clip(0).sum() / 4.5)
    assert np.mean(shares) < 0.05 + 3 * np.std(shares) / math.sqrt(len(shares))
    assert np.mean(missed) < 0.3


@given(effects=st.lists(st.floats(-2, 2), min_size=1, max_size=5), scale=st.floats(1e-3, 1e3))
@settings(max_examples=25)
def test_the_unit_does_not_matter(effects: list[float], scale: float) -> None:
    generator = np.random.default_rng(1)
    out = (generator.random((60, len(effects))) < 0.25).astype(float)
    values = generator.standard_normal(60) - out @ np.array(effects)
    for plain, scaled in zip(least_squares(out, values), least_squares(out, scale * values), strict=True):
        assert plain is not None
        assert scaled is not None
        assert scaled.mean == pytest.approx(scale * plain.mean, rel=1e-6, abs=1e-9 * scale)
        assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6, abs=1e-12)


def test_least_squares_agrees_with_scipys_regression() -> None:
    generator = np.random.default_rng(3)
    out = (generator.random((40, 1)) < 0.5).astype(float)
    values = generator.standard_normal(40) - 0.3 * out[:, 0]
    expected = stats.linregress(-out[:, 0], values, alternative="greater")
    (found,) = least_squares(out, values)
    assert found is not None
    assert found.mean == pytest.approx(expected.slope)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.reach == pytest.approx(stats.t.ppf(0.975, 38) * expected.stderr)


def test_an_easy_case_ends_at_an_early_look() -> None:
    effects = {1: 5.0, 2: 4.0, 3: -3.0}
    found = finish(next_step, plan(200, tuple(effects)), World(effects, 0.1))
    assert found.trials <= 51
    assert found.having("matters") == (1, 2)
    assert found.take_out == (3,)


def test_entangled_edits_are_told_and_judged_as_one() -> None:
    found = finish(next_step, plan(), World(EFFECTS, 0.02, conflicts=lambda out: (7 in out) != (8 in out)))
    assert found.entangled == ((7, 8),)
    assert found.having("matters") == (2, 7, 8, 11)


def test_an_edit_that_the_code_needs_is_no_idle_one() -> None:
    found = finish(next_step, plan(), World(EFFECTS, 0.02, crashes=lambda out: 4 in out))
    assert found.having("needed") == (4,)
    assert 4 not in found.take_out
    assert found.having("matters") == (2, 7, 11)


def test_an_edit_that_only_might_help_stays_in_the_leaner_incumbent() -> None:
    effects = {1: 1.0, 2: 0.05}
    found = finish(next_step, plan(40, (1, 2)), World(effects, 0.4, seed=2))
    (unit,) = (unit for unit in found.units if unit.edits == (2,))
    assert unit.verdict in ("undecided", "idle")
    assert (2 in found.take_out) == (unit.verdict == "idle") == (unit.effect is not None and unit.effect <= 0)


def test_results_that_never_vary_decide_nothing() -> None:
    found = finish(next_step, plan(60, (1, 2)), World({1: 0.0, 2: 0.0}, 0.0))
    assert {unit.verdict for unit in found.units} == {"undecided"}
    assert found.take_out == ()


@settings(max_examples=15)
@given(
    effects=st.lists(st.floats(-1, 1), min_size=1, max_size=5),
    extra=st.integers(0, 40),
    stuck=st.sets(st.integers(1, 5), max_size=3),
    fatal=st.sets(st.integers(1, 5), max_size=2),
)
def test_it_ends_within_its_budget_whatever_applies_or_crashes(
    effects: list[float], extra: int, stuck: set[int], fatal: set[int]
) -> None:
    truth = dict(enumerate(effects, start=1))
    trials = least_trials(len(truth)) + extra
    world = World(
        truth,
        0.3,
        conflicts=lambda out: bool(out & stuck) and not stuck & set(truth) <= out,
        crashes=lambda out: bool(out & fatal),
    )
    found = finish(next_step, plan(trials, tuple(truth)), world)
    assert isinstance(found, Attribution)
    assert found.trials == world.trials <= trials
    assert sorted(edit for unit in found.units for edit in unit.edits) == sorted(truth)
    assert not set(found.take_out) & set(found.having("matters"))


def test_plans_that_make_no_sense_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="at least 20 trials"):
        plan(19)
    with pytest.raises(UsageError, match="each of them once"):
        plan(40, (1, 1))
    with pytest.raises(UsageError, match="between 0 and 1"):
        plan(false_discovery=1.0)
