"""Blame: harmful edits are taken back, helpful ones stay, entangled ones go together, and the budget holds."""

from __future__ import annotations

import random

import pytest
from claim_worlds import World, finish
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.claims.ablation import Answer, Asks, TryRemoval
from rsi.claims.blame import BlamePlan, KeptEdit, TakeBack, next_step
from rsi.errors import UsageError

EFFECTS = {3: 0.06, 5: -0.05, 8: 0.04, 9: 0.0, 12: -0.08, 13: 0.05}


def plan(edits: tuple[int, ...] = tuple(EFFECTS), **more: object) -> BlamePlan:
    kept = tuple(KeptEdit(edit=edit, mean=0.02, sd=0.04) for edit in edits)
    return BlamePlan.model_validate({"edits": kept, "trials": 40, "noise": 0.02, "seed": 1, **more})


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_harmful_are_taken_back_and_the_helpful_stay(correlation: float) -> None:
    for seed in range(5):
        world = World(EFFECTS, 0.02, seed=seed, correlation=correlation)
        found = finish(next_step, plan(correlation=correlation, seed=seed), world)
        assert {5, 12} <= set(found.edits) <= {5, 9, 12}
        assert found.entangled == ()
        assert found.trials == world.trials <= 40


def test_it_needs_fewer_trials_where_pairs_share_their_luck() -> None:
    def needed(correlation: float) -> int:
        return sum(
            finish(
                next_step,
                plan(correlation=correlation, trials=60, noise=0.05, seed=seed),
                World(EFFECTS, 0.05, seed=seed, correlation=correlation),
            ).trials
            for seed in range(3)
        )

    assert needed(0.9) < 0.7 * needed(0.0)


def test_entangled_edits_are_found_told_and_judged_as_one() -> None:
    world = World(EFFECTS, 0.02, conflicts=lambda out: (5 in out) != (12 in out))
    found = finish(next_step, plan(), world)
    assert found.entangled == ((5, 12),)
    assert {5, 12} <= set(found.edits) <= {5, 9, 12}
    assert all((5 in ask.edits) == (12 in ask.edits) for ask in world.asked if not isinstance(ask, TryRemoval))


def test_edits_that_come_out_alone_but_not_together_are_taken_back_as_far_as_they_do() -> None:
    found = finish(next_step, plan(), World(EFFECTS, 0.02, conflicts=lambda out: {5, 12} <= out))
    assert found.entangled == ()
    assert 12 in found.edits
    assert 5 not in found.edits


def test_where_only_everything_comes_out_everything_is_one_group() -> None:
    found = finish(next_step, plan(), World(EFFECTS, 0.02, conflicts=bool))
    assert found.entangled == (tuple(EFFECTS),)
    assert found.edits in ((), tuple(EFFECTS))


def test_an_edit_without_which_the_code_crashes_is_not_taken_back() -> None:
    found = finish(next_step, plan(), World(EFFECTS, 0.02, crashes=lambda out: 12 in out))
    assert 12 not in found.edits
    assert 5 in found.edits


def test_edits_that_crash_the_code_when_out_together_are_not_taken_back_together() -> None:
    world = World(EFFECTS, 0.02, crashes=lambda out: {5, 12} <= out)
    found = finish(next_step, plan(trials=80), world)
    assert 12 in found.edits
    assert 5 not in found.edits
    crashed = [ask.edits for ask in world.asked if ask.kind == "train_without" and {5, 12} <= set(ask.edits)]
    assert len(crashed) == len(set(crashed)), "what crashed once is not trained again"


def test_an_edit_worth_less_than_the_margin_is_taken_back() -> None:
    found = finish(next_step, plan(margin=0.02, trials=80), World(EFFECTS, 0.02))
    assert set(found.edits) == {5, 9, 12}


def test_without_a_budget_the_searchs_own_beliefs_decide() -> None:
    kept = (KeptEdit(edit=1, mean=0.1, sd=0.1), KeptEdit(edit=2, mean=-0.1, sd=0.1))
    found = finish(next_step, BlamePlan(edits=kept, trials=0, noise=0.1, seed=0), World({1: 0.0, 2: 0.0}, 0.1))
    assert found.edits == (2,)
    assert found.trials == 0


@settings(max_examples=40)
@given(
    effects=st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    trials=st.integers(0, 30),
    seed=st.integers(0, 1000),
    order=st.randoms(use_true_random=False),
)
def test_it_ends_within_its_budget_whatever_applies_or_crashes(
    effects: list[float], trials: int, seed: int, order: random.Random
) -> None:
    truth = dict(enumerate(effects, start=1))
    subsets = {frozenset(order.sample(sorted(truth), order.randint(1, len(truth)))) for _ in range(4)}
    world = World(
        truth, 0.1, seed=seed, conflicts=lambda out: out in subsets, crashes=lambda out: len(out) % 3 == seed % 3
    )
    found = finish(next_step, plan(tuple(truth), trials=trials, seed=seed), world)
    assert isinstance(found, TakeBack)
    assert found.trials == world.trials <= trials
    assert set(found.edits) <= set(truth)
    assert sorted(edit for effect in found.effects for edit in effect.edits) == sorted(truth)


def test_answers_may_come_in_any_order_and_one_at_a_time() -> None:
    whole = finish(next_step, plan(), World(EFFECTS, 0.02, seed=3))
    values = {}
    world = World(EFFECTS, 0.02, seed=3)
    answers: list[Answer] = []
    while isinstance(asked := next_step(plan(), answers), Asks):
        for ask in asked.asks:
            values[ask] = values.get(ask) or world.answer(ask)
        answers.insert(0, values[asked.asks[-1]])
    assert asked == whole


@pytest.mark.parametrize("edits", [(), (1, 1)])
def test_a_plan_without_edits_or_with_one_twice_is_refused(edits: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="each of them once"):
        plan(edits)
