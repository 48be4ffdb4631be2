"""The real loop over simulated trials: equal runs are equal, killed ones go on, and what is folded is what is read."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi import plugins
from rsi.configuration import Budget, Component
from rsi.ledger import Event
from rsi.policies.greedy import Greedy
from rsi.protocols import Proposer, Sandbox, Verifier
from rsi.records import ExperimentStatus
from rsi.session import build
from rsi.state import RunState, fold
from rsi.testing.proposer_conformance import check_proposer
from rsi.testing.verifier_conformance import CHECKS, VerifierCase
from simulated.code import FILE, METRIC, baseline
from simulated.proposer import SimulatedProposer
from simulated.running import Plan, SimulatedRun, Stores, go_on, simulate
from simulated.sandbox import SimulatedSandbox
from simulated.surface import Surface
from simulated.verifier import SimulatedVerifier

ROUGH = Surface(seed=3, crashing=0.1, exploiting=0.1, interacting=0.5, shared=0.5, noise=0.01)


def plan(experiments: int = 25, **changes: object) -> Plan:
    return Plan(surface=ROUGH, policy=Greedy(), budget=Budget(experiments=experiments), seed=4, removals=0.1)._replace(
        **changes
    )


def told(run: SimulatedRun) -> list[tuple[object, ...]]:
    """Everything that was decided and measured, without what a pause adds."""
    state = run.state
    return [
        (
            number,
            x.proposed.rationale,
            x.committed and (x.committed.tree_digest, x.committed.tree_tokens),
            x.closed and (x.closed.status, x.closed.gain, x.closed.reason),
            [(o.trial, o.seed, o.measurements) for o in state.observations(number)],
            [d.decision for d in x.decisions],
        )
        for number, x in state.experiments.items()
    ]


def test_equal_plans_give_equal_records_and_another_seed_another_run() -> None:
    one, two, other = simulate(plan()), simulate(plan()), simulate(plan(seed=5))
    bodies = [[(e.seq, e.kind, _timeless(e)) for e in run.stores.ledger.events] for run in (one, two)]
    assert bodies[0] == bodies[1]
    assert told(one) != told(other)
    assert one.state.count(ExperimentStatus.KEPT) > 2
    assert one.state.count(ExperimentStatus.CRASHED) > 0


def _timeless(event: Event) -> dict[str, object]:
    return {name: value for name, value in event.body.items() if not name.endswith("_seconds")}


def test_what_was_folded_is_what_a_reader_of_the_events_folds() -> None:
    run = simulate(plan())
    again = fold(run.stores.ledger.events)
    for name in ("experiments", "trials", "incumbent", "allowance", "started", "finished", "head", "events", "holding"):
        assert getattr(again, name) == getattr(run.state, name), name


# --- crashes and overtaking -------------------------------------------------------------------------------------

POLICIES = plugins.names("policies")
PLANS = st.builds(
    lambda seed, parallel, policy, **rates: plan(
        12,
        seed=seed,
        parallel=parallel,
        policy=build("policies", Component(name=policy)),
        surface=Surface(seed=seed, noise=0.01, **rates),
    ),
    seed=st.integers(0, 99),
    parallel=st.sampled_from([1, 2, 3]),
    policy=st.sampled_from(POLICIES),
    crashing=st.sampled_from([0.0, 0.2]),
    exploiting=st.sampled_from([0.0, 0.2]),
    shared=st.sampled_from([0.0, 0.7]),
)


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Dies:
    """A listener that ends the process, as it were, once an event is on record."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, event: Event, _state: RunState) -> None:
        if event.seq >= self.at:
            raise Killed


@settings(deadline=None, max_examples=25)
@given(PLANS, st.data())
def test_a_run_killed_again_and_again_goes_on_as_if_it_had_not_been(asked: Plan, data: st.DataObject) -> None:
    whole = simulate(asked)
    stores, resumed = Stores.empty(), False
    for at in sorted(data.draw(st.sets(st.integers(1, len(whole.stores.ledger) - 2), min_size=1, max_size=3))):
        with contextlib.suppress(Killed):
            if resumed:
                go_on(asked, stores, [Dies(at)])
            else:
                simulate(asked, [Dies(at)], stores=stores)
        resumed = True
    if stores.ledger.events[-1].kind != "run.finished":
        go_on(asked, stores)
    assert told(SimulatedRun(asked.surface, fold(stores.ledger.events), stores)) == told(whole)
    trained = [e.body["trial"] for e in stores.ledger.events if e.kind == "trial.trained"]
    assert len(trained) == len(set(trained)), "a trial was trained twice"


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_run_killed_at_any_event_goes_on_as_if_it_had_not_been(parallel: int) -> None:
    asked = plan(8, parallel=parallel)
    whole = simulate(asked)
    for number in range(1, len(whole.stores.ledger) - 1):
        stores = Stores.empty()
        with pytest.raises(Killed):
            simulate(asked, [Dies(number)], stores=stores)
        assert told(go_on(asked, stores)) == told(whole), f"killed at event {number}"


class Overtaking(Executor):
    """Ends what was submitted in an order of its own, from another thread."""

    def __init__(self, salt: int) -> None:
        self._random = random.Random(salt)
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.put(lambda: future.set_result(fn(*args, **kwargs)))
        return future

    def _work(self) -> None:
        held: list[Callable[[], None]] = []
        while True:
            try:
                item = self._waiting.get(timeout=0.001)
            except queue.Empty:
                if held:
                    held.pop(self._random.randrange(len(held)))()
                continue
            if item is None:
                return
            held.append(item)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._waiting.put(None)
        self._thread.join()


@pytest.mark.parametrize("policy", POLICIES)
def test_decisions_do_not_depend_on_which_trial_ends_first(policy: str) -> None:
    asked = plan(12, parallel=3, policy=build("policies", Component(name=policy)))
    runs = [simulate(asked)]
    for salt in range(2):
        with Overtaking(salt) as executor:
            runs.append(simulate(asked, executor=executor))
    assert told(runs[0]) == told(runs[1]) == told(runs[2])
    orders = {tuple(e.body["trial"] for e in r.stores.ledger.events if e.kind == "trial.trained") for r in runs}
    assert len(orders) > 1, "the trials never overtook each other, so nothing was shown"


def test_the_proposer_keeps_the_contract() -> None:
    check_proposer(lambda: SimulatedProposer(8, removals=0.3), {FILE: baseline(8)}, rounds=3)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_verifier_keeps_the_contract(check: object) -> None:
    case = VerifierCase(SimulatedVerifier(), METRIC, (-1e300, 1e300), stdout=b"dev 1.5\nholdout 1.25\n")
    check(case)  # type: ignore[operator]


def test_the_parts_are_those_that_the_loop_asks_for() -> None:
    assert isinstance(SimulatedProposer(), Proposer)
    assert isinstance(SimulatedSandbox(ROUGH), Sandbox)
    assert isinstance(SimulatedVerifier(), Verifier)
