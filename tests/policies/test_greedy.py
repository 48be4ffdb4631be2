"""autoresearch's rule, and guards, which hold for every policy."""

from __future__ import annotations

import pytest
from arms import arm, comparison, guarded, history, objective

from rsi.errors import UsageError
from rsi.policies.conditions import broken_guard, guards
from rsi.policies.greedy import Greedy
from rsi.records import Comparison, Direction, Objective, Propose
from rsi.task import ObjectiveSection


def with_memory(candidate: tuple[float, ...], incumbent: tuple[float, ...], told: Objective) -> Comparison:
    better, worse = [2.0] * len(candidate), [1.0] * len(incumbent)
    return Comparison(
        objective=told, candidate=arm(1, better, memory=candidate), incumbent=arm(0, worse, memory=incumbent)
    )


@pytest.mark.parametrize(
    ("candidate", "direction", "kind"),
    [
        (1.1, Direction.MAXIMIZE, "keep"),
        (0.9, Direction.MAXIMIZE, "discard"),
        (1.0, Direction.MAXIMIZE, "discard"),
        (1.1, Direction.MINIMIZE, "discard"),
        (0.9, Direction.MINIMIZE, "keep"),
    ],
)
def test_greedy_keeps_what_measures_better_in_the_objectives_direction(
    candidate: float, direction: Direction, kind: str
) -> None:
    told = objective(direction)
    decision = Greedy().decide(comparison([candidate], [1.0], objective_=told), history({0: [1.0]}))
    assert decision.kind == kind
    assert isinstance(Greedy().plan(history({0: [1.0]})), Propose)


def test_greedy_discards_what_breaks_a_guard() -> None:
    compared = with_memory((12.0,), (10.0,), guarded(margin=1.0))
    decision = Greedy().decide(compared, history({0: [1.0]}))
    assert decision.kind == "discard"
    assert decision.reason == "the guard memory gets worse by more than 1: 12 against 10"


def test_an_exact_guard_holds_where_nothing_gets_worse() -> None:
    assert guards(with_memory((10.0,), (10.0,), guarded())) == ("holds", "")
    assert guards(with_memory((10.1,), (10.0,), guarded()))[0] == "broken"


def test_a_noisy_guard_is_unclear_until_its_bound_lies_within_the_margin() -> None:
    told = guarded(margin=1.0, noise=1.0)
    assert guards(with_memory((10.0,), (10.0,), told))[0] == "unclear"
    assert guards(with_memory((10.0,) * 6, (10.0,) * 6, told))[0] == "holds"
    assert broken_guard(with_memory((10.0,), (10.0,), told)) == ""


def test_a_guard_that_the_task_does_not_measure_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"The guard 'memory' is not among the task's measurements \(value\)"):
        Greedy().decide(comparison([2.0], [1.0], objective_=guarded()), history({0: [1.0]}))


def test_an_objective_cannot_guard_itself() -> None:
    with pytest.raises(ValueError, match="each named once"):
        objective(guards=({"metric": "value"},))


def test_a_task_that_sets_no_price_reads_and_hashes_as_before_there_was_one() -> None:
    section = ObjectiveSection(metric="value")
    assert section.model_dump(mode="json") == {"metric": "value", "direction": "minimize", "noise": 0.02}
    told = ObjectiveSection(metric="value", guards=({"metric": "memory", "margin": 1.0},), token_price=0.0)
    assert Objective(**told.model_dump()).guards[0].margin == 1.0
    assert Objective(**told.model_dump()).price_of_token == 0.0
    assert Objective(metric="value", noise=0.02).price_of_token == pytest.approx(5e-6)


@pytest.mark.parametrize("field", ["margin", "noise"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_guard_with_numbers_that_mean_nothing_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        objective(guards=({"metric": "memory", field: value},))
