"""The real loop over simulated trials: equal runs are equal, killed ones go on, and what is folded is what is read."""

from __future__ import annotations

import pytest

from rsi.configuration import Budget
from rsi.ledger import Event
from rsi.policies.greedy import Greedy
from rsi.protocols import Proposer, Sandbox, Verifier
from rsi.records import ExperimentStatus
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


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.mark.parametrize("policy", [Greedy()], ids=lambda policy: policy.name)
def test_a_run_killed_at_any_event_goes_on_as_if_it_had_not_been(policy: Greedy) -> None:
    expected = told(simulate(plan(14, policy=policy)))
    events = len(simulate(plan(14, policy=policy)).stores.ledger)
    for number in range(1, events - 1):
        stores = Stores.empty()

        def die(event: Event, state: RunState, at: int = number) -> None:
            if event.seq == at:
                raise Killed

        with pytest.raises(Killed):
            simulate(plan(14, policy=policy), [die], stores=stores)
        again = go_on(plan(14, policy=policy), stores)
        assert told(again) == expected, f"killed at event {number}"
        trained = [e.body["trial"] for e in stores.ledger.events if e.kind == "trial.trained"]
        assert len(trained) == len(set(trained)), f"a trial was trained twice after event {number}"


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
