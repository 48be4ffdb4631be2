"""Summary, show, list, log, diff, results and picture of a run, for people and as JSON."""

from __future__ import annotations

import io
import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from conftest import make_run, written
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rsi import runs
from rsi.edits import check
from rsi.errors import UsageError
from rsi.records import Direction, Edit, EditFormat, ExperimentStatus
from rsi.review import listing, reading
from rsi.review.closing import closing
from rsi.review.diff import diff, print_diff
from rsi.review.experiment import experiment_json, show_experiment
from rsi.review.filtering import Filter
from rsi.review.improvement import confirmed
from rsi.review.log_lines import print_log
from rsi.review.progress import picture_of, write_picture
from rsi.review.results import write_results
from rsi.review.show import show_run
from rsi.review.staircase import Point, draw, visible_range
from rsi.review.summary import Confirmation, folder_bytes, summarise
from rsi.review.summary import _union as union
from rsi.review.wording import count, decimals, duration, one_line
from rsi.runs import ReadRun
from rsi.statistics import difference
from rsi.testing.altering import load, store
from rsi.workspace import Workspace

# --- the summary ----------------------------------------------------------------------------------------------------


def test_the_summary_counts_what_became_of_the_experiments(run: ReadRun) -> None:
    summary = summarise(run)
    assert summary.experiments == 6
    counted = (summary.kept, summary.discarded, summary.crashed, summary.rejected, summary.refused, summary.undecided)
    assert counted == (2, 1, 1, 1, 1, 0)
    assert (summary.baseline.experiment, summary.best.experiment) == (0, 6)
    assert summary.best.value is not None
    assert summary.best.value < summary.baseline.value  # type: ignore[operator]
    assert summary.status == "finished"
    assert (summary.grounded, summary.isolated) == (True, True)
    assert summary.ledger_head == run.events[-1].hash
    assert summary.events == len(run.events)


def test_the_json_of_a_summary_has_all_that_readers_rely_on(run: ReadRun) -> None:
    values = json.loads(summarise(run).model_dump_json())
    assert values["schema"] == 1
    wanted = "run task experiments kept discarded crashed rejected baseline best ledger_head wall_seconds"
    assert set(wanted.split()) | {"train_seconds", "overhead_seconds", "confirmation", "problems"} <= set(values)
    assert set(values["baseline"]) >= {"metric", "value"}
    assert values["confirmation"]["improvement"]["low"] > 0
    assert values["data"]["facts"]


def test_what_went_wrong_is_counted_by_kind_with_its_first_example(run: ReadRun) -> None:
    problems = {trouble.kind: trouble for trouble in summarise(run).problems}
    assert {"crashed", "rejected", "refused", "finding: peek"} <= set(problems)
    assert (problems["crashed"].count, problems["crashed"].experiment) == (1, 4)
    assert "RuntimeError" in problems["crashed"].example


def test_a_run_whose_process_vanished_is_paused_and_one_that_is_held_is_running(run_folder: Path) -> None:
    events = load(run_folder)
    store(run_folder, events[:-1])
    assert summarise(runs.read(run_folder)).status == "paused"
    opened, _ = runs.open_to_write(run_folder, runs.Redactor.none())
    try:
        assert summarise(runs.read(run_folder)).status == "running"
    finally:
        opened.close()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)), max_size=8), st.floats(0, 50))
def test_overlapping_intervals_are_counted_once(intervals: list[tuple[float, float]], earliest: float) -> None:
    covered = union(intervals, earliest)
    assert 0 <= covered <= sum(length for _, length in intervals) + 1e-6
    end = max((start + length for start, length in intervals), default=0.0)
    assert covered <= max(0.0, end - earliest) + 1e-6
    assert union([*intervals, *intervals], earliest) == pytest.approx(covered)


def test_overhead_is_never_negative(run: ReadRun) -> None:
    """The fake sandbox claims more seconds than passed."""
    summary = summarise(run)
    assert summary.train_seconds > summary.wall_seconds
    assert summary.overhead_seconds >= 0


def test_the_size_of_a_folder_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"12345")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "out").symlink_to("/bin")
    assert folder_bytes(tmp_path / "a") == 5


# --- the statement --------------------------------------------------------------------------------------------------


def confirmation(baseline: list[float], best: list[float], direction: Direction) -> Confirmation:
    improvement = difference(best, baseline, direction) if min(len(baseline), len(best)) > 1 else None
    return Confirmation(
        metric="val_bpb",
        baseline_experiment=0,
        best_experiment=3,
        baseline_values=tuple(baseline),
        best_values=tuple(best),
        baseline_mean=sum(baseline) / len(baseline) if baseline else None,
        best_mean=sum(best) / len(best) if best else None,
        improvement=improvement,
        established=improvement is not None and improvement.low is not None and improvement.low > 0,
    )


def test_a_real_improvement_is_stated_with_its_interval_and_seeds() -> None:
    made = confirmation([3.41, 3.42, 3.40, 3.43, 3.41], [3.11, 3.12, 3.14, 3.13, 3.12], Direction.MINIMIZE)
    words = confirmed(made, Direction.MINIMIZE)
    assert words.startswith("val_bpb on the holdout fell from 3.41")
    assert "better by 0.29 (95% interval 0.27 to 0.31)" in words
    assert words.endswith("five fresh seeds each.")


def test_an_interval_that_holds_zero_is_no_improvement() -> None:
    made = confirmation([3.40, 3.50, 3.30], [3.38, 3.49, 3.29], Direction.MINIMIZE)
    words = confirmed(made, Direction.MINIMIZE)
    assert "includes zero: no improvement is shown" in words
    assert "better" not in words


def test_what_got_worse_is_said_to_have_got_worse() -> None:
    made = confirmation([3.11, 3.12, 3.14], [3.41, 3.42, 3.40], Direction.MINIMIZE)
    words = confirmed(made, Direction.MINIMIZE)
    assert "rose" in words
    assert "worse by" in words


def test_a_maximised_metric_rises_when_it_gets_better() -> None:
    made = confirmation([0.80, 0.81, 0.79], [0.90, 0.91, 0.92], Direction.MAXIMIZE)
    words = confirmed(made, Direction.MAXIMIZE)
    assert "rose" in words
    assert "better by" in words


@pytest.mark.parametrize(("baseline", "best"), [([3.0], [2.9]), ([3.0, 3.0], [2.9, 2.9])])
def test_without_an_interval_none_is_claimed(baseline: list[float], best: list[float]) -> None:
    words = confirmed(confirmation(baseline, best, Direction.MINIMIZE), Direction.MINIMIZE)
    assert "there is no interval" in words
    assert "%" not in words


def test_a_side_without_scores_says_nothing() -> None:
    assert "nothing can be said" in confirmed(confirmation([3.0], [], Direction.MINIMIZE), Direction.MINIMIZE)


# --- show, closing --------------------------------------------------------------------------------------------------


def test_show_begins_with_what_a_person_wants_to_know(run: ReadRun, pipe: Console) -> None:
    show_run(reading.read(run.folder), pipe)
    lines = written(pipe).splitlines()
    labels = [line.split()[0] for line in lines[1:6]]
    assert labels == ["improved", "how", "went", "cost", "did"]
    assert "val_loss on the holdout fell" in lines[1]
    assert "confirmed on fresh seeds" in lines[2]
    assert "rsi verify" in written(pipe)


def test_show_tells_every_experiment_and_draws_the_staircase(run: ReadRun, pipe: Console) -> None:
    show_run(reading.read(run.folder), pipe)
    text = written(pipe)
    for words in ("baseline", "kept", "discarded", "crashed", "rejected", "refused", "Raise VALUE: nearly there"):
        assert words in text
    assert "lower is better" in text


def test_an_ascii_console_gets_ascii(run: ReadRun) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii", write_through=True), width=90)
    show_run(reading.read(run.folder), console)
    closing(summarise(run), console)
    assert raw.getvalue().isascii()


def test_show_of_one_experiment_holds_proposal_diff_verdicts_decision_and_resources(
    run: ReadRun, pipe: Console
) -> None:
    show_experiment(run, 5, pipe)
    text = written(pipe)
    for words in ("Peek at the answer", "+VALUE = 2.8", "trial 5.1", "val_loss", "keep by greedy", "rejected", "CPU"):
        assert words in text
    assert "critical peek" in text


def test_the_json_of_one_experiment_has_its_version_and_its_parts(run: ReadRun) -> None:
    values = json.loads(json.dumps(experiment_json(run, 1)))
    assert values["schema"] == 1
    assert values["status"] == "kept"
    assert "+VALUE = 2.0" in values["diff"]
    assert values["trials"][0]["screened"]["verdict"]["kind"] == "scored"
    assert values["decisions"][0]["decision"]["kind"] == "keep"


def test_an_experiment_that_is_not_there_is_a_usage_error(run: ReadRun, pipe: Console) -> None:
    with pytest.raises(UsageError, match="0 to 6"):
        show_experiment(run, 7, pipe)


def test_the_last_words_end_with_the_head_of_the_ledger(run: ReadRun, pipe: Console) -> None:
    closing(summarise(run), pipe)
    lines = written(pipe).splitlines()
    assert lines[0].startswith("val_loss on the holdout fell")
    assert lines[-1].split()[-1] == run.events[-1].hash
    for command in ("show", "diff", "verify"):
        assert any(f"rsi {command} {run.folder} " in line for line in lines), "it lies outside the folder of runs"
    assert any(str(run.folder) in line for line in lines)


def test_a_run_that_kept_nothing_says_so(tmp_path: Path, pipe: Console) -> None:
    folder = make_run(tmp_path, [("VALUE = 1.0", "VALUE = 9.0", "worse")])
    closing(summarise(runs.read(folder)), pipe)
    assert "Nothing was kept: after one experiment" in written(pipe)


def test_an_unconfirmed_gain_is_called_provisional(tmp_path: Path, pipe: Console) -> None:
    folder = make_run(tmp_path, [("VALUE = 1.0", "VALUE = 2.0", "better")])
    show_run(reading.read(folder), pipe)
    text = written(pipe)
    assert "Provisional" in text
    assert "only provisional" in text
    assert "fell from" in text


def test_ungrounded_and_unisolated_runs_are_marked_in_plain_words(run_folder: Path, pipe: Console) -> None:
    events = load(run_folder)
    events[0]["body"]["grounded"] = False
    events[0]["body"]["sandbox"]["isolates"] = False
    store(run_folder, events)
    read = runs.read(run_folder)
    show_run(reading.read(read.folder), pipe)
    closing(summarise(read), pipe)
    listing.render(listing.list_runs(run_folder.parent), pipe)
    text = written(pipe)
    assert text.count("UNGROUNDED: the number rests on what the candidate writes or prints") == 2
    assert text.count("NOT ISOLATED: the training code ran on this machine") == 2
    assert "UNGROUNDED, NOT ISOLATED" in text.replace("\n", " ") or text.count("UNGROUNDED") >= 3


# --- list, log, diff ------------------------------------------------------------------------------------------------


def test_a_broken_run_is_a_row_that_says_so(run_folder: Path, pipe: Console) -> None:
    broken = run_folder.parent / "20200101-000000-broken"
    shutil.copytree(run_folder, broken)
    lines = (broken / "ledger.jsonl").read_text().splitlines(keepends=True)
    (broken / "ledger.jsonl").write_text("".join([lines[0], *lines[2:]]))
    empty = run_folder.parent / "20200101-000000-empty"
    empty.mkdir()
    (empty / "ledger.jsonl").touch()
    rows = {row.run: row for row in listing.list_runs(run_folder.parent)}
    assert rows[broken.name].status == rows[empty.name].status == "broken"
    assert "removed" in rows[broken.name].problem
    assert rows[run_folder.name].status == "finished"
    assert rows[run_folder.name].sure == "confirmed"
    listing.render(list(rows.values()), pipe)
    assert "broken" in written(pipe)


def test_an_empty_folder_of_runs_says_how_to_start(tmp_path: Path, pipe: Console) -> None:
    listing.render(listing.list_runs(tmp_path), pipe)
    assert "rsi run" in written(pipe)


def test_the_log_has_a_line_an_event(run: ReadRun, pipe: Console) -> None:
    print_log([reading.read(run.folder)], Filter(), pipe)
    assert len(written(pipe).splitlines()) == len(run.events)


def test_the_log_selects_by_kind_and_experiment(run: ReadRun, pipe: Console) -> None:
    print_log([reading.read(run.folder)], Filter(kinds=("trial",), experiment=3), pipe, as_json=True)
    events = [json.loads(line) for line in written(pipe).splitlines()]
    assert [event["kind"] for event in events] == ["trial.started", "trial.trained", "trial.answered", "trial.judged"]
    assert events[0]["hash"] == run.events[events[0]["seq"]].hash


def test_the_diff_of_an_experiment_leads_from_its_parent_to_it(run: ReadRun) -> None:
    workspace = Workspace.open(run.folder)
    committed = [run.state.experiments[number].committed for number in (1, 6)]
    assert committed[0] is not None
    assert committed[1] is not None
    old, new = (workspace.read(commit.commit) for commit in committed if commit)
    edit = Edit(format=EditFormat.UNIFIED_DIFF, text=diff(reading.read(run.folder), "6"))
    applied = check(edit, old, tuple(old), 10_000)
    assert applied.code == new


def test_the_best_is_compared_with_the_baseline_unless_told_otherwise(run: ReadRun) -> None:
    assert (
        diff(reading.read(run.folder), "best")
        == diff(reading.read(run.folder), "6", "baseline")
        != diff(reading.read(run.folder), "best", "1")
    )
    assert "-VALUE = 1.0" in diff(reading.read(run.folder), "best")
    assert diff(reading.read(run.folder), "1", "1") == ""


@pytest.mark.parametrize(("name", "words"), [("9", "no experiment 9"), ("x", "no experiment; give"), ("2", "no code")])
def test_what_has_no_diff_is_a_usage_error(run: ReadRun, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        diff(reading.read(run.folder), name)


def test_a_diff_in_a_pipe_can_be_applied(run: ReadRun, pipe: Console) -> None:
    print_diff(reading.read(run.folder), "best", "", pipe)
    assert written(pipe) == diff(reading.read(run.folder), "best")


# --- files ----------------------------------------------------------------------------------------------------------


def test_the_table_of_results_has_autoresearchs_columns(run: ReadRun, tmp_path: Path) -> None:
    rows = [line.split("\t") for line in write_results(tmp_path, run.state).read_text().splitlines()]
    assert rows[0] == ["commit", "val_loss", "memory_gb", "status", "description"]
    assert [row[3] for row in rows[1:]] == ["keep", "keep", "crash", "discard", "crash", "discard", "keep"]
    assert all(len(row) == 5 for row in rows)
    assert rows[3][:2] == ["-", "0.000000"]
    assert [path.name for path in tmp_path.iterdir()] == ["results.tsv"]


def test_the_picture_is_a_png_and_is_replaced_whole(run: ReadRun, tmp_path: Path) -> None:
    path = write_picture(tmp_path, picture_of(run.state))
    assert path.read_bytes().startswith(b"\x89PNG")
    write_picture(tmp_path, picture_of(run.state))
    assert [found.name for found in tmp_path.iterdir()] == ["progress.png"]


# --- the staircase and words ----------------------------------------------------------------------------------------

_STATUSES = st.sampled_from([s for s in ExperimentStatus if s is not ExperimentStatus.OPEN])
_POINTS = st.lists(st.tuples(st.none() | st.floats(-1e6, 1e6), _STATUSES), min_size=1, max_size=120)


@given(_POINTS, st.integers(10, 130), st.integers(3, 20), st.booleans())
def test_a_plot_fits_its_width_and_shows_every_kept_experiment(
    values: list[tuple[float | None, ExperimentStatus]], width: int, height: int, unicode: bool
) -> None:
    best = next((value for value, _ in values if value is not None), None)
    plotted = [Point(experiment=n, value=value, status=status, best=best) for n, (value, status) in enumerate(values)]
    rows = draw(plotted, width, height, Direction.MINIMIZE, unicode)
    assert rows == [] or len(rows) == height + 1
    assert all(len(row) <= width for row in rows)
    assert unicode or all(row.isascii() for row in rows)
    if rows:
        kept = any(p.value is not None and p.status is ExperimentStatus.KEPT for p in plotted)
        assert kept == any(("●" if unicode else "o") in row for row in rows[:-1])


def test_a_disaster_does_not_flatten_the_staircase() -> None:
    kept = [Point(experiment=n, value=v, status=ExperimentStatus.KEPT, best=v) for n, v in enumerate((3.4, 3.2, 3.1))]
    disaster = Point(experiment=3, value=900.0, status=ExperimentStatus.DISCARDED, best=3.1)
    shown = visible_range([*kept, disaster])
    assert shown is not None
    assert shown[1] < 4


@given(st.text(max_size=300))
def test_one_line_is_one_line_without_control(text: str) -> None:
    line = one_line(text, 50)
    assert "\n" not in line
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in line)


def test_words_for_amounts() -> None:
    assert count(1, "seed") == "one seed"
    assert count(5, "seed") == "five seeds"
    assert count(12345, "event") == "12,345 events"
    assert duration(0.04) == "0.0 s"
    assert duration(59.7) == "1 min 00 s"
    assert duration(7260) == "2 h 01 min"
    assert (decimals(0.02), decimals(2.0), decimals(0.0)) == (3, 1, 4)
