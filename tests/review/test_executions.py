"""What each execution used and printed is shown from the record, and its absence said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import make_run, written
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rsi import runs
from rsi.course import Course, read_course
from rsi.review.executions import executions_of, lines, short_size
from rsi.review.experiment import experiment_json, show_experiment
from rsi.review.verify import verify
from rsi.runs import ReadRun
from rsi.testing.altering import load, store

CRASHED = 4


def test_every_execution_has_a_row_with_what_it_used_and_a_dash_for_what_was_not_measured(
    run: ReadRun, pipe: Console
) -> None:
    show_experiment(run, 0, pipe)
    rows = [line.split() for line in written(pipe).splitlines()]
    header = next(row for row in rows if row[:2] == ["trial", "ran"])
    assert header == ["trial", "ran", "ended", "wall", "CPU", "memory", "procs", "read", "written", "held", "printed"]
    shown = [row for row in rows if row[1:2] in (["train"], ["predict"])]
    assert len(shown) == len(executions_of(run, run.state.experiments[0].trials)) + len(
        executions_of(run, [n for n in run.state.confirming if run.state.trials[n].started.experiment == 0])
    )
    assert all(row[-7:-4] == ["s", "1.0M", "1"] and row[-4:-1] == ["-", "-", "-"] for row in shown)


def test_the_json_has_the_totals_and_the_course_of_every_execution(run: ReadRun) -> None:
    value = experiment_json(run, CRASHED)
    assert json.loads(json.dumps(value)) == value
    (only,) = value["executions"]
    assert (only["execution"]["kind"], only["challenge"]) == ("crashed", None)
    assert only["execution"]["usage"]["written_bytes"] is None
    course = Course.model_validate(only["course"])
    assert course.series is not None
    assert len(course.series.seconds) == 4
    assert course.inputs is not None
    assert "code/train.py" in {file.path for file in course.inputs.files}


def test_what_the_preparation_printed_and_did_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))  # where no other run has prepared the data already
    run = runs.read(make_run(tmp_path))
    data = run.state.data
    assert data is not None
    assert data.stdout is not None
    assert data.course is not None
    assert read_course(run.blobs.get(data.course)) is not None


def test_the_output_is_shown_on_request_with_its_stream(run: ReadRun, pipe: Console) -> None:
    show_experiment(run, CRASHED, pipe)
    before = written(pipe)
    show_experiment(run, CRASHED, pipe, output=True)
    assert "! RuntimeError: line 2" not in before
    assert "! RuntimeError: line 2" in written(pipe)


def test_a_record_of_an_earlier_version_is_read_and_shown(run_folder: Path, pipe: Console) -> None:
    events = load(run_folder)
    for event in events:
        body = event["body"]
        for name in ("course", "stdout", "stderr"):
            if event["kind"] == "data.prepared" or name == "course":
                body.pop(name, None)
        execution = body.get("execution")
        if isinstance(execution, dict):
            execution.pop("ended")
            for name in ("discarded_stdout_bytes", "discarded_stderr_bytes"):
                execution.pop(name)
            kept = ("wall_seconds", "cpu_seconds", "peak_memory_bytes", "peak_processes")
            execution["usage"] = {name: execution["usage"][name] for name in kept}
    store(run_folder, events)
    old = runs.read(run_folder)
    show_experiment(old, CRASHED, pipe, output=True)
    assert "is not on record" in written(pipe)
    assert experiment_json(old, CRASHED)["executions"][0]["course"] is None
    assert not [problem for problem in verify(run_folder).problems if problem.kind == "blob"]


def test_a_course_that_was_altered_is_found_and_shown_as_none(run_folder: Path) -> None:
    state = runs.read(run_folder).state
    trained = state.trials[state.experiments[CRASHED].trials[0]].trained
    assert trained is not None
    assert trained.course is not None
    path = run_folder / "blobs" / trained.course[:2] / trained.course[2:]
    path.chmod(0o600)
    path.write_bytes(b'{"series":null}')
    assert experiment_json(runs.read(run_folder), CRASHED)["executions"][0]["course"] is None
    problems = [problem for problem in verify(run_folder).problems if problem.kind == "blob"]
    assert len(problems) == 1
    assert "its course does not hold" in problems[0].sentence


@pytest.mark.parametrize(
    ("amount", "words"),
    [(None, "-"), (0, "0"), (812, "812"), (1536, "1.5K"), (120 << 20, "120M"), (1023 << 10, "1.0M"), (5 << 40, "5T")],
)
def test_sizes_are_short(amount: int | None, words: str) -> None:
    assert short_size(amount) == words


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=6)), max_size=20))
def test_lines_keep_all_that_was_printed_on_each_stream(pieces: list[tuple[str, bytes]]) -> None:
    shown = list(lines(iter(pieces)))
    for stream in ("stdout", "stderr"):
        whole = b"".join(piece for one, piece in pieces if one == stream)
        expected = [line.decode("utf-8", "replace") for line in whole.split(b"\n")]
        assert [text for one, text in shown if one == stream] == (expected[:-1] if expected[-1] == "" else expected)
