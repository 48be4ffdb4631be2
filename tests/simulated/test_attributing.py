"""Attribution of simulated gains: what is listed carries the gain, and entangled edits are judged as one."""

from __future__ import annotations

import pytest

from rsi.claims.attribution import Attribution, AttributionPlan, procedure
from rsi.configuration import Budget
from rsi.policies.greedy import Greedy
from simulated.attributing import Removals, _answer, attribute, kept_edits
from simulated.code import FILE
from simulated.running import Plan, SimulatedRun, simulate
from simulated.surface import Surface, value


@pytest.fixture(scope="module")
def run() -> SimulatedRun:
    return simulate(Plan(Surface(seed=3, noise=0.01), Greedy(), Budget(experiments=150), seed=3, regions=24))


def test_kept_edits_are_those_that_the_incumbent_is_made_of(run: SimulatedRun) -> None:
    edits = kept_edits(run)
    assert len(edits) > 5
    effects = [run.worth(e).true - run.worth(run.state.experiments[e].proposed.parent).true for e in edits]
    assert sum(effects) == pytest.approx(run.worth(run.state.incumbent).true)


def test_taking_all_out_gives_the_baseline_and_one_its_effect(run: SimulatedRun) -> None:
    edits, places = kept_edits(run), Removals(run)
    whole = places.without(edits)
    assert whole is not None
    assert whole[FILE] == run.stores.workspace.commits[run.state.commit_of(0)].code[FILE]
    apart = [edit for edit in edits if places.without((edit,)) is not None]
    assert 0 < len(apart) < len(edits), "no edits are entangled, so nothing was shown"
    for edit in apart:
        without = places.without((edit,))
        assert without is not None
        lost = run.worth(run.state.incumbent).true - value(run.surface, without[FILE]).true
        gained = run.worth(edit).true - run.worth(run.state.experiments[edit].proposed.parent).true
        assert lost == pytest.approx(gained, abs=1e-12)


def test_listed_edits_carry_the_gain(run: SimulatedRun) -> None:
    found = attribute(run, 400)
    assert found is not None
    assert found.gain >= 0.7 * run.worth(run.state.incumbent).true
    assert found.idle <= 0.1 * found.listed
    assert attribute(run, 10) is None, "too few trials for so many edits"


def test_nothing_kept_is_nothing_to_attribute() -> None:
    run = simulate(Plan(Surface(helpful=0.0, null=0.0, noise=0.0001), Greedy(), Budget(experiments=5)))
    assert kept_edits(run) == ()
    assert attribute(run, 100) is None


def test_entangled_edits_find_each_other_however_far_apart_they_were_kept() -> None:
    run = simulate(Plan(Surface(seed=5, helpful=1.0, null=0.0, noise=0.0001), Greedy(), Budget(experiments=40), seed=5))
    edits, places = kept_edits(run), Removals(run)
    questions = procedure(AttributionPlan(edits=edits, trials=200, seed=1))
    asks = next(questions)
    try:
        while True:
            asks = questions.send(tuple(_answer(run, places, ask) for ask in asks))
    except StopIteration as end:
        found: Attribution = end.value
    for group in found.entangled:
        header = {_region(run, edit) for edit in group}
        assert len(header) == 1, f"{group} do not touch each other"
    assert any(edits.index(group[-1]) - edits.index(group[0]) > 8 for group in found.entangled)


def _region(run: SimulatedRun, edit: int) -> str:
    """The comment above the line that an edit added."""
    parent = run.state.experiments[edit].proposed.parent
    before, after = (
        run.stores.workspace.commits[run.state.commit_of(n)].code[FILE].split("\n") for n in (parent, edit)
    )
    at = next(at for at, line in enumerate(after) if before[at] != line)
    return next(line for line in reversed(after[:at]) if line.startswith("#"))
