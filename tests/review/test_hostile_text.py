"""Whatever a proposal, a training or a task says, it steers no terminal and is no markup."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import make_run, written
from rich.console import Console

from rsi import runs
from rsi.records import Severity
from rsi.review import findings_told, listing, notes, reading
from rsi.review.closing import closing
from rsi.review.diff import print_diff
from rsi.review.experiment import experiment_json, show_experiment
from rsi.review.filtering import Filter
from rsi.review.log_lines import print_log
from rsi.review.progress import picture_of, write_picture
from rsi.review.results import write_results
from rsi.review.screen import PlainLines, Screen
from rsi.review.show import show_run
from rsi.review.summary import summarise
from rsi.review.underway import Underway, in_words
from rsi.runs import ReadRun
from rsi.testing.altering import load, store

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m[bold red]loud[/] [link=file:///]x[/link] :skull: \u202egnp\u200b $\\frac{1$ <b>"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
"""Colours are Rich's own; nothing else may be there."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    """A run whose proposer, code and training say evil things; the record holds them as they are."""
    patches = [
        ("VALUE = 1.0", f"VALUE = 2.0\nWORDS = '{EVIL}'", "better"),
        ("VALUE = 2.0", "VALUE = 9.0\nX = 1  # fake: crash", "long"),
    ]
    folder = make_run(tmp_path_factory.mktemp("hostile"), patches)
    events = load(folder)
    for event in events:
        body = event["body"]
        if event["kind"] == "experiment.proposed":
            body["rationale"] = EVIL + "y" * 100_000 if body["experiment"] == 2 else EVIL
            body["kind"], body["detail"] = EVIL, {EVIL: EVIL}
            body["provenance"]["proposer"] = body["provenance"]["model"] = EVIL
        elif event["kind"] == "run.started":
            body["configuration"]["task"] = body["sandbox"]["name"] = EVIL
        elif event["kind"] in {"trial.failed", "experiment.closed", "run.finished"}:
            body["reason"] = EVIL
        elif event["kind"] == "data.prepared":
            body["facts"] = {EVIL: [EVIL]}
        elif event["kind"] == "trial.trained":
            body["findings"] = [{"severity": "critical", "code": EVIL, "message": EVIL, "pointer": EVIL + "z" * 50_000}]
        elif event["kind"] == "trial.judged":
            body["verdict"]["findings"] = [
                {"severity": "critical", "code": EVIL, "message": EVIL, "pointer": EVIL + "z" * 50_000}
            ]
        elif event["kind"] == "policy.decided":
            body["decision"]["reason"] = EVIL
    store(folder, events)
    notes.write_on(folder, 1, EVIL, "suspicious", EVIL)
    return runs.read(folder)


def harmless(text: str) -> bool:
    """No control but line ends, nothing that reorders or hides."""
    left = ESCAPES.sub("", text)
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b]", left) and "owned" not in left


@pytest.mark.parametrize("terminal", [True, False])
def test_every_reading_command_shows_hostile_text_as_text(hostile: ReadRun, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=100, height=50, force_terminal=terminal, color_system="standard")
    show_run(reading.read(hostile.folder), console)
    noted = reading.read(hostile.folder).notes
    for number in (0, 1, 2):
        show_experiment(hostile, number, console, output=True, code=True, prompt=True, notes=noted)
    findings_told.render(findings_told.select([reading.read(hostile.folder)], Severity.INFO), console, everything=True)
    closing(summarise(hostile), console)
    listing.render(listing.list_runs(hostile.folder.parent), console)
    print_log([reading.read(hostile.folder)], Filter(), console)
    print_diff(reading.read(hostile.folder), "best", "", console)
    text = written(console)
    assert harmless(text)
    assert "[bold red]loud" in text.replace("\n", "")
    assert ":skull:" in text
    assert "💀" not in text
    assert max(map(len, ESCAPES.sub("", text).splitlines())) < 5000


def _everything(hostile: ReadRun) -> dict[str, Any]:
    opened = reading.read(hostile.folder)
    whole = experiment_json(hostile, 1, notes=opened.notes, findings=opened.findings_of(1), prompt=True)
    assert whole["notes"]
    assert whole["findings"]
    found = findings_told.findings_json(findings_told.select([opened], Severity.INFO))
    return {**whole, "second": experiment_json(hostile, 2), "found": found}


def test_json_for_programs_holds_no_control_characters(hostile: ReadRun) -> None:
    for value in (json.loads(summarise(hostile).model_dump_json()), _everything(hostile)):
        strings: list[str] = []

        def collect(part: object, into: list[str] = strings) -> None:
            if isinstance(part, dict):
                for key, item in part.items():
                    into.append(str(key))
                    collect(item)
            elif isinstance(part, list | tuple):
                for item in part:
                    collect(item)
            elif isinstance(part, str):
                into.append(part)

        collect(value)
        assert all(harmless(text) for text in strings)


def test_the_live_screen_and_the_plain_lines_show_hostile_text_as_text(hostile: ReadRun) -> None:
    console = Console(file=io.StringIO(), width=100, height=50, force_terminal=True, color_system="standard")
    screen, lines = Screen(console), PlainLines(console)
    for event in hostile.events:
        screen.listener(event, hostile.state)
        lines.listener(event, hostile.state)
    console.print(screen.picture())
    assert harmless(written(console))
    assert "[bold red]loud" in written(console)


def test_what_a_training_prints_reaches_the_screen_as_a_number_only() -> None:
    underway = Underway()
    watch = underway.watch("1.1")
    watch("stdout", b"\x1b]0;owned\x07 step 12 loss 2.5\x1b[2J [bold]\n")
    assert in_words(underway.now()[0]) == "1.1 training, step 12, loss 2.5"
    watch("stdout", b"step 99999999999999999999 loss nan\n")
    watch("stderr", b"step 7 loss 7\n")
    assert in_words(underway.now()[0]).endswith("loss nan")


def test_a_flood_of_output_costs_the_screen_no_time() -> None:
    import time  # noqa: PLC0415

    underway = Underway()
    watch = underway.watch("1.1")
    begin = time.process_time()
    for _ in range(64):
        watch("stdout", b"step 1 loss 1\n" * 5_000)
    assert time.process_time() - begin < 0.5


def test_the_table_and_the_picture_survive_hostile_text(hostile: ReadRun, tmp_path: Path) -> None:
    rows = write_results(tmp_path, hostile.state).read_text().splitlines()
    assert len(rows) == 4
    assert all(row.count("\t") == 4 and harmless(row.replace("\t", " ")) for row in rows)
    assert write_picture(tmp_path, picture_of(hostile.state)).stat().st_size > 1000
