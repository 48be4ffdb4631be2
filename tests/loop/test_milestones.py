"""What the run gains is certified on the holdout, on fresh seeds, or not claimed."""

from __future__ import annotations

from pathlib import Path

import pytest
from composing import HERE, configuration, go_on, run, said

from rsi import audits, briefing
from rsi.configuration import Budget, Component
from rsi.derive import history
from rsi.review.verify import verify
from rsi.runs import ReadRun, read
from rsi.session import resume, start

KEEPING = Component(name=f"{HERE / 'scripted.py'}:Keeping")


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
    with start(config, said, root=tmp_path / "again") as session:

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


# --- what failed is taken back ------------------------------------------------------------------------------------


def lucky(folder: Path, **changes: object) -> ReadRun:
    """Greedy keeps luck: edits that change nothing but their seed, on a machine with much noise."""
    script = " ".join(f"40.{number:04d}1" for number in range(12))
    sandbox = Component(name=configuration(folder).sandbox.name, options={"noise": 2.0})
    return certified(folder, script, sandbox=sandbox, **changes)


def test_a_failed_milestone_is_explained_and_what_is_worth_nothing_taken_back(tmp_path: Path) -> None:
    record = lucky(tmp_path)
    state = record.state
    assert not state.milestones[0].tested.passed
    (ablation, *_) = state.ablations
    assert ablation.begun.milestone == 1
    assert ablation.closed is not None
    assert {trial.started.split for trial in state.trials.values() if trial.started.ablation} == {"dev"}
    taken_back = ablation.closed.result.edits
    if taken_back:
        removal = next(x for x in state.experiments.values() if x.proposed.removes)
        assert removal.proposed.removes == taken_back
        assert removal.closed.status.value == "kept"
        assert set(taken_back) <= state.taken_back
    assert state.certified == 0


# --- audits, null edits, attribution ------------------------------------------------------------------------------


def test_kept_code_is_asked_about_the_holdout_with_its_own_weights(tmp_path: Path) -> None:
    record = certified(tmp_path, "30 50 20", holdout_questions=5)
    state = record.state
    assert set(state.audits) == {0, 1, 3}
    for experiment, trial in state.audits.items():
        started = state.trials[trial].started
        assert started.weights_of == f"{experiment}.1"
        assert started.split == "holdout"
    trained = [e.body["trial"] for e in record.events if e.kind == "trial.trained"]
    assert not set(state.audits.values()) & set(trained), "an audit trains nothing"
    points = audits.chart(state)
    assert [point.trials_spent for point in points] == sorted(point.trials_spent for point in points)
    assert all(abs(point.gap) < 10 for point in points)


def test_the_holdout_is_asked_no_more_often_than_allowed(tmp_path: Path) -> None:
    record = certified(tmp_path, "39 38 37 36 35", holdout_questions=2)
    assert len(set(record.state.audits) - {0}) == 2


FITTING = Component(name=f"{HERE / 'scripted.py'}:Fitting")


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_search_that_fits_dev_alone_halts_says_why_and_goes_on_only_when_told(tmp_path: Path, parallel: int) -> None:
    code, record = run(
        tmp_path, configuration(tmp_path, "30 20 10", sandbox=FITTING, holdout_questions=5, parallel=parallel)
    )
    assert code == 1
    assert record.state.finished is None
    assert record.state.paused.reason.startswith("Dev says the incumbent gained 9.9")
    assert "the search fits the dev split: look at the latest kept edits" in record.state.paused.reason
    assert set(record.state.audits) == {0, 1}
    assert verify(record.folder, trust_paths=True).ok
    code, again = go_on(record.folder)
    assert verify(record.folder, trust_paths=True).ok
    if parallel == 1:  # side by side, the other winners touch the same line as the first
        assert code == 1, "a further audit past the limit halts again"
        assert again.state.paused.reason.startswith("Dev says the incumbent gained 19.")
        assert len(again.state.audits) == 3
    else:
        assert code == 0, "what was told once is not told again"


def test_a_run_killed_before_it_could_halt_halts_when_it_goes_on(tmp_path: Path) -> None:
    class Killed(BaseException):
        """As SIGKILL: nothing is recorded after it."""

    config = configuration(tmp_path, "30 20", sandbox=FITTING, holdout_questions=5)
    with start(config, said, root=tmp_path / "runs") as session:
        folder = session.run.folder

        def die(event, state) -> None:
            if audits.halt(state) is not None:
                raise Killed

        with pytest.raises(Killed):
            session.go([die])
    assert read(folder).state.paused is None
    code, record = go_on(folder)
    assert code == 1
    assert len(record.state.audits) == 2, "nothing went on past the gap"
    assert "the search fits the dev split" in record.state.paused.reason


def test_a_null_edit_is_slipped_in_and_nobody_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path, "30 29 28 27", certify=True, null_share=0.5)
    (tmp_path / "task" / "train.py").write_text("import random\n\nrandom.seed(1)\n\n\nVALUE = 40\n")
    proposer = Component(
        name=f"{HERE / 'scripted.py'}:Patching", options={"script": "value=30 value=29 value=28 value=27"}
    )
    code, record = run(tmp_path, config.model_copy(update={"proposer": proposer}))
    assert code == 0
    nulls = [x for x in record.state.experiments.values() if x.proposed.null]
    assert nulls
    assert record.state.proposals == 4
    for entry in nulls:
        before = record.state.experiments[entry.proposed.parent].committed
        assert entry.committed.tree_digest != before.tree_digest, "it moves the random stream, so it is another program"
    assert verify(record.folder, trust_paths=True).ok
    told = briefing.Told().history(record.state, record.blobs.get)
    assert {entry.experiment for entry in told}.isdisjoint({x.proposed.experiment for x in nulls})


def test_attribution_lists_what_matters_and_leaves_a_leaner_incumbent(tmp_path: Path) -> None:
    proposer = Component(name=f"{HERE / 'scripted.py'}:Patching", options={"script": "value=30 two=idle value=20"})
    config = configuration(tmp_path, "", proposer=proposer, budget=Budget(experiments=3), policy=KEEPING)
    (tmp_path / "task" / "train.py").write_text("VALUE = 40\n\n\n# two\n")
    _, record = run(tmp_path, config)
    assert record.state.incumbent == 3
    with resume(record.folder, said, attribute=48) as session:
        assert session.go() == 0
    again = read(record.folder)
    (ablation,) = again.state.ablations
    units = {unit.edits: unit.verdict for unit in ablation.closed.result.units}
    assert units[2,] == "idle"
    assert "matters" in units.values()
    leaner = again.state.experiments[again.state.incumbent]
    assert leaner.proposed.removes == (2,)
    assert verify(record.folder, trust_paths=True).ok


def test_taken_back_edits_are_told_to_the_policy(tmp_path: Path) -> None:
    state = lucky(tmp_path).state
    told = {past.experiment for past in history(state).past if past.taken_back}
    assert told == state.taken_back
