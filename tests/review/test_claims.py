"""What a run claims is told as far as it was tested and no further: in sentences, tables, pictures and JSON."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import written
from rich.console import Console

from rsi import audits, runs
from rsi.claims.attribution import Attributed, Attribution
from rsi.configuration import Component, RunConfiguration
from rsi.records import Direction
from rsi.review import listing, reading
from rsi.review.claims import Certified, Milestone, Provisional
from rsi.review.closing import closing
from rsi.review.experiment import show_experiment
from rsi.review.filtering import Filter
from rsi.review.improvement import (
    calibration_words,
    certified_words,
    headline,
    how_sure,
    milestone_words,
    sentences,
    statement,
)
from rsi.review.log import describe
from rsi.review.log_lines import print_log
from rsi.review.progress import picture_of, write_picture
from rsi.review.results import write_results
from rsi.review.screen import PlainLines, Screen
from rsi.review.show import show_run
from rsi.review.staircase import Point, draw, points
from rsi.review.standing import standings, tried
from rsi.review.summary import RunSummary, Value, summarise
from rsi.review.underway import Underway
from rsi.review.view import seconds_left, view_of
from rsi.review.worth import attribution_words
from rsi.runs import ReadRun
from rsi.state import RunState, fold
from rsi.statistics import Interval
from rsi.testing.altering import load, store

sys.path.insert(0, str(Path(__file__).parent.parent / "loop"))
from composing import SCRIPTED
from composing import configuration as composed
from composing import run as compose

PASSED, FAILED, NOTHING = "30 50 20 35:crash", "40.0001 40.0002 40.0003 40.0004 40.0005 40.0006", "50 60"


def made(folder: Path, script: str, listeners: tuple[Any, ...] = (), **changes: object) -> ReadRun:
    folder.mkdir(exist_ok=True)
    config = composed(folder, script, **{"certify": True, "shared_seeds": True} | changes)
    code, record = compose(folder, config, listeners)
    assert code == 0
    return record


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    return made(tmp_path_factory.mktemp("passed"), PASSED)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    return made(tmp_path_factory.mktemp("failed"), FAILED)


def state_at(run: ReadRun, kind: str, number: int = 1) -> RunState:
    """The state right after the n-th event of that kind."""
    places = [place for place, event in enumerate(run.events) if event.kind == kind]
    return fold(run.events[: places[number - 1] + 1])


def at(run: ReadRun, state: RunState) -> ReadRun:
    return run._replace(state=state)


# --- sentences ------------------------------------------------------------------------------------------------------


def interval(estimate: float, low: float | None, high: float | None, **more: Any) -> Interval:
    return Interval(estimate=estimate, low=low, high=high, confidence=0.95, **{"n": 6, "method": "paired t"} | more)


def certified(improvement: Interval | None, **changes: Any) -> Certified:
    values = {"experiment": 12, "milestone": 1, "reference": 0, "alpha": 0.05, "measuring": False}
    return Certified(improvement=improvement, **values | changes)


def milestone(**changes: Any) -> Milestone:
    values: dict[str, Any] = {
        "number": 1,
        "candidate": 12,
        "reference": 0,
        "passed": False,
        "pairs": 14,
        "most_pairs": 24,
        "reason": "not shown to be better with the pairs that the budget grants",
        "closed": True,
        "estimate_pairs": 6,
        "estimated": 0,
        "improvement": None,
    }
    return Milestone(**values | changes)


@pytest.fixture(scope="module")
def blank(passed: ReadRun) -> RunSummary:
    """A finished run of twelve experiments that kept nothing yet, to be filled in."""
    return summarise(passed).model_copy(
        update={
            "experiments": 12,
            "baseline": Value(metric="val_bpb", value=3.41, experiment=0),
            "best": Value(metric="val_bpb", value=3.41, experiment=0),
            "certified": None,
            "milestones": (),
        }
    )


SIX = interval(0.2, 0.17, 0.23)
CLAIM = (
    "Certified: val_bpb on the holdout fell by 0.20 (95% interval 0.17 to 0.23; experiment 12, six fresh pairs; "
    "error rate 5% over the run)."
)
PASS = milestone(passed=True, estimated=6, improvement=SIX)
BEST = {"best": Value(metric="val_bpb", value=3.2, experiment=12)}


@pytest.mark.parametrize(
    ("changes", "told", "sure"),
    [
        pytest.param({"certified": certified(SIX), "milestones": (PASS,), **BEST}, [CLAIM], "certified", id="passed"),
        pytest.param(
            {
                "certified": certified(SIX),
                "milestones": (PASS,),
                "provisional": Provisional(experiment=15, over=12, gain=0.03, failed=None),
                **BEST,
            },
            [CLAIM, "Provisional: a further 0.030 on dev since (experiment 15), not tested."],
            "certified",
            id="passed-and-further",
        ),
        pytest.param(
            {
                "certified": certified(SIX),
                "milestones": (PASS, milestone(number=2, candidate=15, reference=12, taken_back=(14, 15))),
                **BEST,
            },
            [
                CLAIM,
                (
                    "Milestone 2 failed: experiment 15 was not shown to be better than experiment 12 on "
                    "fresh seeds, after "
                    "14 pairs; nothing more is claimed. The edits of 14 and 15 were taken back."
                ),
            ],
            "certified",
            id="passed-then-failed",
        ),
        pytest.param(
            {
                "milestones": (milestone(),),
                "provisional": Provisional(experiment=12, over=0, gain=0.21, failed=1),
                **BEST,
            },
            [
                (
                    "Nothing is certified: experiment 12 was not shown to be better than the baseline on fresh seeds, "
                    "after 14 pairs; nothing is claimed."
                ),
                (
                    "Provisional: val_bpb on dev fell from 3.41 to 3.20, better by 0.21 (experiment 12), "
                    "which the test "
                    "did not bear out."
                ),
            ],
            "not certified",
            id="failed",
        ),
        pytest.param(
            {"milestones": (milestone(reason="a trial gave no score", taken_back=(12,)),)},
            [
                (
                    "Nothing is certified: experiment 12 was not shown to be better than the baseline on fresh seeds, "
                    "after 14 pairs (a trial gave no score); nothing is claimed. The edit of 12 was taken back."
                )
            ],
            "not certified",
            id="failed-without-a-score",
        ),
        pytest.param(
            {},
            ["Nothing was kept, so nothing is certified: after 12 experiments the baseline's val_bpb of 3.410 stands."],
            "nothing kept",
            id="nothing-kept",
        ),
        pytest.param(
            {"status": "running"},
            [
                (
                    "Nothing is certified yet, for nothing is kept: after 12 experiments the baseline's "
                    "val_bpb of 3.410 "
                    "stands."
                )
            ],
            "nothing kept",
            id="running",
        ),
        pytest.param(
            {"status": "running", "provisional": Provisional(experiment=12, over=0, gain=0.21, failed=None), **BEST},
            [
                "Nothing is certified yet.",
                "Provisional: val_bpb on dev fell from 3.41 to 3.20, better by 0.21 (experiment 12), not tested.",
            ],
            "not certified",
            id="running-with-something-kept",
        ),
        pytest.param(
            {"status": "running", "milestones": (milestone(passed=None, closed=False, pairs=2),), **BEST},
            [
                (
                    "Nothing is certified yet: milestone 1 compares experiment 12 with the baseline on "
                    "fresh seeds, pair 3 "
                    "of at most 24."
                )
            ],
            "not certified",
            id="running-a-milestone",
        ),
    ],
)
def test_what_is_certified_comes_first_and_what_is_provisional_apart_from_it(
    blank: RunSummary, changes: dict[str, Any], told: list[str], sure: str
) -> None:
    summary = blank.model_copy(update=changes)
    assert list(sentences(summary)) == told
    assert statement(summary) == " ".join(told)
    assert how_sure(summary) == sure


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (certified(interval(0.02, -0.01, 0.05)), "by how much is uncertain: 0.02 better than the baseline (95%"),
        (certified(interval(-0.04, -0.06, -0.02)), "measured it worse than the baseline by 0.04"),
        (certified(interval(0.1, None, None, method="none: the differences do not vary")), "the differences do not"),
        (certified(None), "because a trial gave no score"),
        (certified(None, measuring=True), "by how much is being measured"),
        (certified(None, reference=7), "better than experiment 7 on the holdout"),
    ],
)
def test_a_claim_whose_size_is_not_known_names_none(claim: Certified, words: str) -> None:
    told = certified_words(claim, "val_bpb", Direction.MINIMIZE)
    assert words in told
    assert "error rate 5% over the run" in told
    assert "fell by" not in told


def test_a_maximised_metric_rises_when_it_is_certified() -> None:
    assert "accuracy on the holdout rose by 0.20" in certified_words(certified(SIX), "accuracy", Direction.MAXIMIZE)


def test_a_comparison_beside_a_failed_milestone_does_not_come_first(blank: RunSummary, run: ReadRun) -> None:
    confirmation = summarise(run).confirmation
    summary = blank.model_copy(update={"milestones": (milestone(),), "confirmation": confirmation, **BEST})
    assert sentences(summary)[0].startswith("Nothing is certified")
    assert sentences(summary)[-1].startswith("Compared, not tested: val_loss on the holdout fell")
    assert how_sure(summary) == "not certified"


def test_milestones_are_told_in_a_line_each() -> None:
    assert milestone_words(PASS) == (
        "milestone 1: experiment 12 against the baseline passed after 14 pairs; over the baseline 0.20 (95% interval "
        "0.17 to 0.23)"
    )
    assert "failed after 14 pairs" in milestone_words(milestone())
    measuring = milestone(passed=True, closed=False, estimated=1)
    assert milestone_words(measuring) == "milestone 1 passed, and by how much is measured: pair 2 of 6"


def test_which_edits_matter_is_told() -> None:
    units = [((3,), "matters"), ((5, 7), "idle"), ((9,), "needed"), ((11,), "undecided")]
    result = Attribution(
        units=tuple(Attributed.model_validate({"edits": edits, "verdict": verdict}) for edits, verdict in units),
        entangled=((5, 7),),
        take_out=(5, 7),
        trials=40,
    )
    assert attribution_words(result) == (
        "the edit of 3 matters; without the edit of 9 the code does not run; the edits of 5 and 7 seem to do nothing; "
        "of the edit of 11 it is not known; 5 and 7 come out only together"
    )


# --- the summary of runs that were made -----------------------------------------------------------------------------


def test_a_certified_run_says_so_everywhere(passed: ReadRun, pipe: Console) -> None:
    summary = summarise(passed)
    assert summary.certified is not None
    assert summary.certified.improvement is not None
    assert (summary.certified.experiment, summary.certified.milestone, summary.certified.alpha) == (3, 1, 0.05)
    assert summary.provisional is None
    closing(summarise(passed), pipe)
    assert written(pipe).startswith("Certified: val_loss on the holdout fell by ")
    show_run(reading.read(passed.folder), pipe)
    listing.render(listing.list_runs(passed.folder.parent), pipe)
    for words in ("improved   Certified:", "[certified by milestone 1]", "◆ certified", "gap        "):
        assert words in written(pipe)
    assert written(pipe).splitlines()[-1].rstrip().endswith("-            certified")
    assert headline(passed.state).startswith("certified ")


def test_luck_that_was_kept_looks_good_nowhere(failed: ReadRun, tmp_path: Path, pipe: Console) -> None:
    console = Console(file=io.StringIO(), width=110, height=40, force_terminal=True)
    screen = Screen(console)
    screen.listener(failed.events[-1], failed.state)
    console.print(screen.picture())
    assert "nothing certified" in written(console)
    closing(summarise(failed), pipe)
    assert written(pipe).startswith("Nothing is certified: experiment 6 was not shown to be better")
    assert "The edits of 1, 5 and 6 were taken back." in written(pipe)
    assert picture_of(failed.state).headline.startswith("nothing certified")
    (row,) = listing.list_runs(failed.folder.parent)
    assert (row.sure, row.certified) == ("not certified", None)
    rows = write_results(tmp_path, failed.state).read_text()
    assert "[failed milestone 1; taken back by 7] try 40.0006" in rows
    assert all(line.count("\t") == 4 for line in rows.splitlines())


def test_taking_everything_back_leaves_nothing_provisional(failed: ReadRun) -> None:
    assert failed.state.incumbent == 7
    assert summarise(failed).provisional is None
    summary = summarise(at(failed, state_at(failed, "milestone.closed")))
    assert summary.provisional is not None
    assert (summary.provisional.experiment, summary.provisional.over, summary.provisional.failed) == (6, 0, 1)


def test_the_json_has_what_is_claimed_and_what_is_not(passed: ReadRun, failed: ReadRun) -> None:
    values = json.loads(summarise(passed).model_dump_json())
    assert values["certified"].keys() >= {"experiment", "milestone", "alpha", "improvement"}
    assert values["certified"]["improvement"]["low"] > 0
    (told,) = values["milestones"]
    assert (told["number"], told["candidate"], told["reference"], told["passed"]) == (1, 3, 0, True)
    assert told["pairs"] > 1
    (gap,) = values["gap"]
    assert gap["gap"] == pytest.approx(gap["dev_gain"] - gap["holdout_gain"])
    values = json.loads(summarise(failed).model_dump_json())
    assert values["certified"] is None
    assert values["gap"] == []
    assert (values["milestones"][0]["passed"], values["milestones"][0]["taken_back"]) == (False, [1, 5, 6])
    assert values["own"] == {"again": 0, "removals": 1, "null": 0}


def test_null_edits_are_counted_and_told_as_such(tmp_path: Path, pipe: Console) -> None:
    proposer = Component(
        name=SCRIPTED.replace("Scripted", "Patching"), options={"script": "value=30 value=29 value=28"}
    )
    composed(tmp_path)
    (tmp_path / "task" / "train.py").write_text("import random\n\nrandom.seed(1)\n\n\nVALUE = 40\n")
    record = made(tmp_path, "1 2 3", certify=False, null_share=0.5, proposer=proposer)
    nulls = [n for n, entry in record.state.experiments.items() if entry.proposed.null]
    assert nulls, "no null edit was slipped in, so nothing was shown"
    summary = summarise(record)
    assert summary.calibration is not None
    kept = sum(record.state.experiments[n].status.value == "kept" for n in nulls)
    assert (summary.calibration.kept, summary.calibration.decided) == (kept, len(nulls))
    assert 0 <= summary.calibration.low <= kept / len(nulls) <= summary.calibration.high <= 1
    assert f" of {len(nulls)} kept" in calibration_words(summary)
    show_run(reading.read(record.folder), pipe)
    show_experiment(record, nulls[0], pipe)
    print_log([reading.read(record.folder)], Filter(kinds=("experiment.proposed",)), pipe)
    assert written(pipe).count("null edit: Nothing but further draws") == len(nulls)
    assert "the loop, not the proposer: null edit" in written(pipe)
    assert "luck kept" in written(pipe)


def test_audits_are_told_as_the_ladder_released_them(tmp_path: Path, pipe: Console) -> None:
    record = made(tmp_path, "39 38 37", holdout_questions=5)
    points = summarise(record).audits
    assert points, "nothing was audited, so nothing was shown"
    show_run(reading.read(record.folder), pipe)
    where = "ahead of" if points[-1].gap > 0 else "behind"
    assert f"audited    dev {where} the holdout by {abs(points[-1].gap):.3g}" in written(pipe)
    show_experiment(record, record.state.incumbent, pipe)
    trained = sum(1 for line in written(pipe).splitlines() if " train " in f" {line} " and line.startswith("3.1 "))
    assert trained == 1, "an audit trains nothing, so its weights' training is told once"


def test_what_is_tried_again_is_told_as_such(passed: ReadRun) -> None:
    proposed = passed.state.experiments[2].proposed
    assert tried(proposed, 80) == "try 50"
    assert tried(proposed.model_copy(update={"again": 1}), 80) == "1 again: try 50"
    assert tried(proposed.model_copy(update={"removes": (1,)}), 80) == "removal: try 50"


def test_what_stands_provisionally_is_marked(tmp_path: Path, passed: ReadRun) -> None:
    state = state_at(passed, "milestone.begun")
    assert standings(state) == {1: "provisional", 3: "provisional"}
    assert standings(passed.state) == {3: "certified by milestone 1"}


# --- what is watched --------------------------------------------------------------------------------------------------


def test_the_screen_tells_which_pair_of_a_milestone_is_under_way(passed: ReadRun) -> None:
    seen = []
    state = RunState()
    for event in passed.events:
        state.apply(event)
        view = view_of(state)
        if view.milestone not in seen[-1:]:
            seen.append(view.milestone)
    tests = [words for words in seen if "compares experiment 3 with the baseline on fresh seeds" in words]
    assert [words.partition("pair ")[2][0] for words in tests] == [str(n + 1) for n in range(len(tests))]
    pairs = passed.state.milestones[0].begun.estimate_pairs
    assert seen[-2].endswith(f"pair {pairs} of {pairs}")
    assert seen[-1] == ""


@pytest.mark.parametrize("height", [8, 12, 24])
def test_the_screen_with_a_milestone_fits_its_terminal(passed: ReadRun, height: int) -> None:
    console = Console(file=io.StringIO(), width=100, height=height, force_terminal=True)
    screen, state = Screen(console), state_at(passed, "milestone.begun")
    screen.listener(passed.events[0], state)
    console.print(screen.picture())
    assert "milestone 1" in written(console)
    assert len([line for line in written(console).splitlines() if line]) < height


def test_a_pipe_is_told_what_became_of_milestones(tmp_path: Path, pipe: Console) -> None:
    made(tmp_path, PASSED, (PlainLines(pipe).listener,))
    lines = [line for line in written(pipe).splitlines() if "ilestone" in line or "ertified" in line]
    assert lines[0].startswith("milestone 1 compares experiment 3 with the baseline")
    assert lines[1].startswith("milestone 1 passed")
    assert lines[2].startswith("Certified: val_loss")
    assert len(lines) == 3


def test_a_pipe_is_told_what_failed_and_what_was_taken_back(failed: ReadRun, pipe: Console) -> None:
    lines, state = PlainLines(pipe), RunState()
    for event in failed.events:
        lines.listener(event, state.apply(event))
    text = written(pipe)
    assert "Nothing is claimed." in text
    assert "looking which of the edits of 1, 5 and 6 are to blame" in text
    assert "the edits of 1, 5 and 6 to be taken back" in text


def test_the_line_of_an_experiment_is_its_own_however_early_a_later_one_closed(pipe: Console, tmp_path: Path) -> None:
    record = made(tmp_path, "30 refuse same 20", (PlainLines(pipe).listener,), certify=False, parallel=3)
    assert record.state.closed != sorted(record.state.closed), "they closed in order, so nothing was shown"
    numbers = [line.split()[0] for line in written(pipe).splitlines() if line.split()[0].isdigit()]
    assert numbers == [str(number) for number in record.state.closed]


def test_trials_beside_a_closed_experiment_stay_on_the_screen(passed: ReadRun) -> None:
    underway = Underway()
    underway.watch("9.1")
    closed = next(event for event in passed.events if event.kind == "experiment.closed")
    underway.listener(closed, passed.state)
    assert [progress.trial for progress in underway.now()] == ["9.1"]


def test_the_time_left_counts_the_milestone(passed: ReadRun) -> None:
    before = seconds_left(state_at(passed, "milestone.begun"))
    after = seconds_left(state_at(passed, "milestone.tested"))
    assert before is not None
    assert after is not None
    assert before > after > 0
    assert seconds_left(passed.state) == 0


def test_the_budget_of_trials_is_told(tmp_path: Path) -> None:
    from rsi.configuration import Budget  # noqa: PLC0415

    record = made(tmp_path, "30 50", budget=Budget(trials=40))
    assert f"{len(record.state.trials)} of 40 trials" in view_of(record.state).spent


# --- pictures, log, one experiment ------------------------------------------------------------------------------------


def test_the_picture_has_milestones_and_the_certified_level(passed: ReadRun, failed: ReadRun, tmp_path: Path) -> None:
    picture = picture_of(passed.state)
    (level,) = picture.levels
    baseline = passed.state.mean(0)
    improvement = passed.state.milestones[0].closed.improvement  # type: ignore[union-attr]
    assert improvement is not None
    assert baseline is not None
    assert level.value == baseline - improvement.estimate
    assert level.low == baseline - improvement.low  # type: ignore[operator]
    assert [point.milestone for point in picture.plotted] == [None, None, None, True, None]
    assert [p.experiment for p in picture_of(failed.state).plotted if p.milestone is False] == [6]
    sizes = []
    for record in (passed, failed):
        path = write_picture(tmp_path, picture_of(record.state))
        assert path.read_bytes().startswith(b"\x89PNG")
        sizes.append(path.read_bytes())
        bare = record.state.milestones
        record.state.milestones = []
        assert write_picture(tmp_path, picture_of(record.state)).read_bytes() != sizes[-1], (
            "milestones are not in the picture"
        )
        record.state.milestones = bare


def test_the_gap_between_dev_and_holdout_is_drawn_where_it_was_audited(tmp_path: Path, passed: ReadRun) -> None:
    assert picture_of(passed.state).gap is None
    record = made(tmp_path, "39 38 37", holdout_questions=5)
    panel = picture_of(record.state).gap
    assert panel is not None
    assert [point.experiment for point in panel.audited] == [1, 2, 3]
    assert [point.gap for point in panel.audited] == [point.gap for point in summarise(record).audits]
    assert panel.limit == audits.plan(record.state).limit
    (milestone,) = panel.milestones
    (gap,) = summarise(record).gap
    assert milestone.gap == gap.gap
    assert milestone.low < gap.gap < milestone.high  # type: ignore[operator]
    with_gap = write_picture(tmp_path, picture_of(record.state)).read_bytes()
    record.state.audits = {}
    assert len(write_picture(tmp_path, picture_of(record.state)).read_bytes()) < len(with_gap)


def test_the_staircase_marks_milestones_in_ascii_too(passed: ReadRun, failed: ReadRun) -> None:
    for record, sign, words in ((passed, "C", "C certified"), (failed, "F", "F milestone failed")):
        rows = draw(points(record.state), 80, 6, Direction.MINIMIZE, unicode=False)
        assert any(sign in row for row in rows[:-1])
        assert rows[-1].endswith(words)


def test_a_crowded_staircase_keeps_its_milestones() -> None:
    from rsi.records import ExperimentStatus  # noqa: PLC0415

    kept = ExperimentStatus.KEPT
    plotted = [Point(experiment=n, value=1.0, status=kept, best=1.0, milestone=n == 50 or None) for n in range(200)]
    assert any("◆" in row for row in draw(plotted, 60, 6, Direction.MINIMIZE, unicode=True)[:-1])


def test_the_log_has_words_for_every_kind_of_event(passed: ReadRun, failed: ReadRun) -> None:
    for record in (passed, failed):
        told = {event.kind: describe(event) for event in record.events}
        assert all(told.values())
    assert told["milestone.begun"].startswith("milestone 1: experiment 6 against the baseline at level 0.025")
    assert told["ablation.closed"].endswith("come out only together")


def test_the_log_of_an_experiment_has_its_milestone(passed: ReadRun, pipe: Console) -> None:
    print_log([reading.read(passed.folder)], Filter(kinds=("milestone",), experiment=3), pipe)
    assert len(written(pipe).splitlines()) == 3


def test_one_experiment_is_shown_with_its_milestone_trials(passed: ReadRun, pipe: Console) -> None:
    show_experiment(passed, 3, pipe)
    text = written(pipe)
    assert "certified by milestone 1" in text
    assert "(to certify for milestone 1, on holdout" in text
    assert "(to estimate for milestone 1, on holdout" in text


# --- runs of before -------------------------------------------------------------------------------------------------


def test_a_run_from_before_milestones_is_still_shown(run_folder: Path, pipe: Console) -> None:
    events = load(run_folder)
    since = {
        "run.started": {"configuration": {"certify", "alpha", "certify_share", "shared_seeds", "null_share"}},
        "experiment.proposed": {"again", "removes", "null"},
        "trial.started": {"milestone", "ablation", "without", "weights_of"},
        "run.resumed": {"attribute", "other_image"},
    }
    for event in events:
        fields = since.get(event["kind"], set())
        part = event["body"]
        if isinstance(fields, dict):
            part, fields = part["configuration"], fields["configuration"]
        for field in fields:
            part.pop(field, None)
    store(run_folder, events)
    old = runs.read(run_folder)
    summary = summarise(old)
    assert (summary.certify, summary.certified, summary.milestones, summary.calibration) == (False, None, (), None)
    assert how_sure(summary) == "confirmed"
    show_run(reading.read(old.folder), pipe)
    closing(summarise(old), pipe)
    text = written(pipe)
    assert "improved   val_loss on the holdout fell" in text
    assert "ertified" not in text
    assert picture_of(old.state).headline == ""


def test_a_record_whose_numbers_point_nowhere_is_refused_or_shown(tmp_path: Path, passed: ReadRun) -> None:
    """A folder from elsewhere may name experiments that are not there, or parents that go round in circles."""
    import shutil  # noqa: PLC0415

    from rsi.errors import RsiError  # noqa: PLC0415

    for field, value in (("candidate", 99), ("reference", 99), ("milestone", 7)):
        folder = Path(shutil.copytree(passed.folder, tmp_path / field))
        events = load(folder)
        begun = next(event for event in events if event["kind"] == "milestone.begun")
        begun["body"][field] = value
        store(folder, events)
        try:
            record = runs.read(folder)
        except RsiError:
            continue
        console = Console(file=io.StringIO(), width=100)
        show_run(reading.read(record.folder), console)
        closing(summarise(record), console)
        assert written(console)


def test_parents_in_a_circle_do_not_hang_the_tables(passed: ReadRun) -> None:
    state = fold(passed.events)
    for number in (1, 3):
        entry = state.experiments[number]
        looped = entry.proposed.model_copy(update={"parent": 4 - number})
        state.experiments[number] = entry.model_copy(update={"proposed": looped})
    assert standings(state)


def test_the_configuration_of_before_tests_nothing(tmp_path: Path) -> None:
    parts = dict.fromkeys(("proposer", "policy", "sandbox", "verifier"), Component(name="x"))
    old = RunConfiguration.model_validate({"task": "t", "budget": {}, **parts})
    assert (old.certify, old.shared_seeds, old.null_share) == (False, False, 0.0)
