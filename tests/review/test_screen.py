"""What a person watches: the live screen on a terminal, plain lines in a pipe, charts beside it."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pyte
import pytest
from conftest import make_run, written
from rich.console import Console

from rsi import runs
from rsi.recorder import Recorder
from rsi.review.progress import Charts
from rsi.review.screen import PlainLines, Screen, for_console
from rsi.review.underway import Underway, in_words
from rsi.review.view import seconds_left, view_of
from rsi.runs import ReadRun
from rsi.state import RunState, fold


def terminal(height: int = 30, width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="standard")


def shown(console: Console) -> tuple[list[str], pyte.Screen]:
    """What a terminal shows after all that was written to it."""
    screen = pyte.Screen(console.width, console.height)
    pyte.Stream(screen).feed(written(console).replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display], screen


def test_a_terminal_gets_the_screen_and_anything_else_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    assert isinstance(for_console(terminal()), Screen)
    assert isinstance(for_console(Console(file=io.StringIO())), PlainLines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(for_console(terminal()), PlainLines)


def test_the_screen_shows_a_whole_run_and_leaves_its_last_picture(tmp_path: Path) -> None:
    console = terminal()
    with Screen(console) as screen:
        folder = make_run(tmp_path, confirm=2, listeners=[screen.listener])
    lines, emulated = shown(console)
    text = "\n".join(lines)
    for words in ("in fake", "baseline", "best", "kept", "crashed", "Raise VALUE: nearly there", "4 of 4 trials"):
        assert words in text
    assert "6 of 6 experiments" in text
    assert folder.name in text
    assert not emulated.cursor.hidden


@pytest.mark.parametrize("height", [8, 12, 16, 24, 50])
def test_the_screen_fits_its_terminal(run: ReadRun, height: int) -> None:
    console = terminal(height)
    screen = Screen(console)
    for event in run.events:
        screen.listener(event, run.state)
    console.print(screen.picture())
    lines = [line for line in written(console).splitlines() if line]
    assert len(lines) < height


def test_the_screen_warns_of_what_is_not_protected(run: ReadRun) -> None:
    state = fold(run.events)
    assert state.started is not None
    open_sandbox = state.started.sandbox.model_copy(update={"isolates": False})
    state.started = state.started.model_copy(update={"grounded": False, "sandbox": open_sandbox})
    console = terminal()
    screen = Screen(console)
    screen.listener(run.events[-1], state)
    console.print(screen.picture())
    lines = PlainLines(console)
    lines.listener(run.events[-1], state)
    assert written(console).count("NOT ISOLATED") == written(console).count("UNGROUNDED") == 2


def test_the_screen_before_the_first_event_says_that_it_starts() -> None:
    console = terminal()
    console.print(Screen(console).picture())
    assert "starting" in written(console)


def test_a_picture_costs_a_few_milliseconds(run: ReadRun) -> None:
    console = terminal(50)
    screen = Screen(console)
    screen.listener(run.events[-1], run.state)
    begin = time.process_time()
    for _ in range(20):
        console.print(screen.picture())
    assert (time.process_time() - begin) / 20 < 0.05


def test_a_pipe_gets_one_line_an_experiment_and_no_control_sequence(tmp_path: Path, pipe: Console) -> None:
    lines = PlainLines(pipe)
    make_run(tmp_path, confirm=2, listeners=[lines.listener])
    text = written(pipe).splitlines()
    assert "\x1b" not in written(pipe)
    experiments = [line for line in text if line[:5].endswith(" ") and line[:4].strip().isdigit()]
    assert [line.split()[:2] for line in experiments] == [
        ["0", "baseline"],
        ["1", "kept"],
        ["2", "refused"],
        ["3", "discarded"],
        ["4", "crashed"],
        ["5", "rejected"],
        ["6", "kept"],
    ]
    assert sum("confirming" in line for line in text) == 4
    assert text[-1].startswith("finished")


def follow(run: ReadRun, underway: Underway, until: int) -> RunState:
    state = RunState()
    for event in run.events[:until]:
        state.apply(event)
        underway.listener(event, state)
    return state


def test_a_trial_under_way_is_followed_through_its_stages(run: ReadRun) -> None:
    clock = [100.0]
    underway = Underway(lambda: clock[0])
    at = next(i for i, event in enumerate(run.events) if event.kind == "trial.started" and event.body["trial"] == "1.1")
    stages = []
    for until in range(at + 1, at + 8):
        underway = Underway(lambda: clock[0])
        follow(run, underway, until)
        stages.append([progress.stage for progress in underway.now()])
    assert stages == [["waiting"], ["answering"], ["answering"], [], ["checking"], ["answering"], []]


def test_the_clock_of_a_trial_begins_with_its_training(run: ReadRun) -> None:
    clock = [100.0]
    underway = Underway(lambda: clock[0])
    at = next(i for i, event in enumerate(run.events) if event.kind == "trial.started")
    follow(run, underway, at + 1)
    clock[0] = 150.0
    watch = underway.watch("0.1")
    clock[0] = 153.0
    watch("stdout", b"step 3 lo")
    watch("stdout", b"ss 1.25\n")
    (progress,) = underway.now()
    assert (progress.stage, progress.seconds) == ("training", 3.0)
    assert in_words(progress) == "0.1 training, step 3, loss 1.25"


def test_the_time_left_shrinks_to_nothing_as_the_budget_is_spent(run: ReadRun) -> None:
    closings = [i for i, event in enumerate(run.events) if event.kind == "experiment.closed"]
    estimates = [seconds_left(fold(run.events[: at + 1])) for at in closings]
    assert all(estimate is not None and estimate > 0 for estimate in estimates)
    assert seconds_left(run.state) == 0


def test_the_view_says_what_the_budget_has_bought(run: ReadRun) -> None:
    view = view_of(run.state)
    assert view.spent.startswith("6 of 6 experiments")
    assert view.counted == "2 kept, 1 discarded, 1 rejected, 1 crashed, 1 refused"
    assert view.confirming.endswith("6 of 6 trials")
    assert view.left_seconds == 0


def test_charts_leave_table_and_picture_beside_the_run(run_folder: Path) -> None:
    read = runs.read(run_folder)
    with Charts(run_folder) as charts:
        for event in read.events:
            charts.listener(event, read.state)
    assert (run_folder / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert len((run_folder / "results.tsv").read_text().splitlines()) == 8


def test_charts_that_cannot_be_written_are_told_and_end_nothing(
    run: ReadRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    with Charts(gone) as charts:
        for event in run.events:
            charts.listener(event, run.state)
    assert "could not be written" in capsys.readouterr().err


def test_listeners_have_the_form_that_the_recorder_calls(run: ReadRun, pipe: Console) -> None:
    recorder = Recorder.__new__(Recorder)
    recorder.listeners = [Screen(terminal()).listener, PlainLines(pipe).listener, Charts(run.folder).listener]
    for listener in recorder.listeners[:2]:
        listener(run.events[-1], run.state)
