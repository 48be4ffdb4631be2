"""A policy that insists on trying one edit again is heard once for each incumbent, however many are open at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from insisting import Insisting

from rsi import events as e
from rsi.configuration import Budget
from rsi.history import History
from rsi.ledger import Event
from rsi.records import Plan as Wish
from rsi.records import TryAgain
from rsi.review.rederive import Rederivation
from rsi.review.sequence import contradiction
from rsi.review.storage import Wrong
from rsi.state import RunState
from simulated.running import Plan, SimulatedRun, Stores, simulate
from simulated.surface import Surface

EXPERIMENTS = 16


def plan(surface: Surface, policy: Insisting, parallel: int) -> Plan:
    return Plan(
        surface, policy, Budget(experiments=EXPERIMENTS, trials=300), seed=surface.seed, parallel=parallel, certify=True
    )


def insist(parallel: int, seed: int) -> SimulatedRun:
    surface = Surface(seed=seed, noise=0.01, crashing=0.1)
    return simulate(plan(surface, Insisting(), parallel))


def problems(stores: Stores) -> Iterator[str | Wrong]:
    """What `rsi verify` says of the order and the decisions; verdicts are taken as recorded."""
    blobs, workspace = cast("Any", stores.blobs), cast("Any", stores.workspace)
    derive = Rederivation(blobs, workspace, verdicts=False, trust_paths=True)
    state = RunState()
    for event in stores.ledger.events:
        body = e.BODIES[event.kind].model_validate(event.body)
        out_of_order = contradiction(state, body)
        if out_of_order:
            yield out_of_order
        yield from derive.problems(state, event, body)
        state.apply(event)
    yield from derive.settled_by_now(0)
    derive.close()


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([1, 2, 3, 5]), st.integers(0, 99))
def test_the_same_wish_is_granted_once_for_each_incumbent_and_the_record_follows(parallel: int, seed: int) -> None:
    run = insist(parallel, seed)
    assert run.state.finished is not None
    assert run.state.proposals == EXPERIMENTS, "the wish kept the fresh proposals out"
    planned = [x.proposed for x in run.state.experiments.values() if x.proposed.again is not None]
    winners = {number for number, x in run.state.experiments.items() if x.status.value == "reapplied"}
    tried = Counter((x.again, x.parent) for x in planned if x.again not in winners)
    assert max(tried.values(), default=1) == 1
    assert list(problems(run.stores)) == []


def test_it_is_wished_for_twice_at_one_length_of_the_history() -> None:
    """Else nothing above was shown: between two proposals no experiment closes, and the policy says the same."""
    wishes: list[tuple[int, int]] = []

    class Noting(Insisting):
        def plan(self, history: History) -> Wish:
            wish = super().plan(history)
            if isinstance(wish, TryAgain):
                wishes.append((len(history.past), wish.experiment))
            return wish

    simulate(plan(Surface(seed=3, noise=0.01), Noting(), 3))
    assert max(Counter(wishes).values()) > 1


@pytest.mark.parametrize("twice", [False, True])
def test_a_record_that_grants_it_twice_does_not_hold(twice: bool) -> None:
    run = insist(3, 3)
    events = run.stores.ledger.events
    wish = next(event for event in events if event.kind == "policy.planned")
    state = RunState()
    for event in events[: wish.seq]:
        state.apply(event)
    granted = next(event for event in events[wish.seq :] if event.kind == "experiment.proposed")
    assert contradiction(state, _body(wish)) == ""
    for event in events[wish.seq : granted.seq + twice]:
        state.apply(event)
    assert contradiction(state, _body(wish)) != ""


def _body(event: Event) -> Any:
    return e.BODIES[event.kind].model_validate(event.body)
