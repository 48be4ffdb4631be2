"""What the run gains is certified on the holdout, on fresh seeds, or not claimed."""

from __future__ import annotations

from pathlib import Path

import pytest
from composing import HERE, configuration, go_on, run

from rsi.configuration import Budget, Component
from rsi.review.verify import verify
from rsi.runs import ReadRun


def certified(folder: Path, script: str, **changes: object) -> ReadRun:
    code, record = run(folder, configuration(folder, script, certify=True, shared_seeds=True, **changes))
    assert code == 0, record.state.paused
    report = verify(record.folder, trust_paths=True)
    assert report.ok, report.problems
    return record


def test_a_run_certifies_what_it_ends_with(tmp_path: Path) -> None:
    record = certified(tmp_path, "30 50 20")
    (milestone,) = record.state.milestones
    assert (milestone.begun.candidate, milestone.begun.reference) == (3, 0)
    assert milestone.tested.passed
    assert record.state.certified == 3
    improvement = milestone.closed.improvement
    assert improvement.low > 0
    assert improvement.n == milestone.begun.estimate_pairs


def test_its_seeds_are_fresh_shared_by_a_pair_and_measured_on_the_holdout(tmp_path: Path) -> None:
    record = certified(tmp_path, "30 50 20")
    started = [trial.started for trial in record.state.trials.values()]
    claims = [trial for trial in started if trial.milestone is not None]
    assert {trial.split for trial in claims} == {"holdout"}
    assert not {trial.seed for trial in claims} & {t.seed for t in started if t.milestone is None}
    places: dict[tuple[str, int], set[int]] = {}
    for trial in claims:
        places.setdefault((trial.role, trial.slot), set()).add(trial.seed)
    assert all(len(seeds) == 1 for seeds in places.values())
    assert len(set().union(*places.values())) == len(places), "the estimate uses no seed of the test"


def test_nothing_kept_means_nothing_to_certify(tmp_path: Path) -> None:
    assert certified(tmp_path, "50 60").state.milestones == []


def test_luck_that_was_kept_is_not_certified(tmp_path: Path) -> None:
    # The same value again differs by nothing but its seed, so what greedy keeps of it is luck.
    record = certified(tmp_path, "40.0001 40.0002 40.0003 40.0004 40.0005 40.0006")
    assert record.state.incumbent != 0, "greedy kept none of them, so nothing was shown"
    (milestone,) = record.state.milestones
    assert not milestone.tested.passed
    assert milestone.closed.improvement is None
    assert record.state.certified == 0


def test_code_that_fails_on_some_seeds_is_not_certified_by_the_others(tmp_path: Path) -> None:
    record = certified(tmp_path, "30:crash-odd 20:crash-odd 10:crash-odd")
    for milestone in record.state.milestones:
        if any(t.started.milestone and t.failed for t in record.state.trials.values()):
            assert not milestone.tested.passed or milestone.closed.improvement is None


def test_the_budget_of_trials_holds_with_the_milestones_in_it(tmp_path: Path) -> None:
    record = certified(tmp_path, "39 38 37 36 35 34 33 32 31 30 29 28 27 26", budget=Budget(trials=30))
    assert len(record.state.trials) <= 30
    assert record.state.certified > 0


@pytest.mark.parametrize("event", ["milestone.begun", "trial.started", "trial.answered", "milestone.tested"])
def test_a_milestone_that_was_interrupted_goes_on_where_it_stood(tmp_path: Path, event: str) -> None:
    whole = certified(tmp_path, "30 50 20")
    config = configuration(tmp_path, "30 50 20", certify=True, shared_seeds=True)
    from rsi.session import start  # noqa: PLC0415

    with start(config, lambda _: None, root=tmp_path / "again") as session:

        def stop(recorded, state) -> None:
            if state.milestones and recorded.kind == event:
                session.loop.stop()

        assert session.go([stop]) == 130
        where = session.run.folder
    code, record = go_on(where)
    assert code == 0
    assert record.state.milestones[0].closed == whole.state.milestones[0].closed
    assert verify(where, trust_paths=True).ok


def test_side_by_side_gives_the_same_claim_as_one_after_another(tmp_path: Path) -> None:
    uneven = Component(name=f"{HERE / 'scripted.py'}:Uneven")
    one = certified(tmp_path, "30 50 20", parallel=2, sandbox=uneven)
    two = certified(tmp_path, "30 50 20", parallel=3, sandbox=Component(name=uneven.name, options={"salt": 5}))
    assert one.state.milestones[0].closed == two.state.milestones[0].closed
