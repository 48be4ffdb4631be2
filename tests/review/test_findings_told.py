"""`rsi findings`, `rsi note`, and what `rsi show` says of both: ranked over runs, each with a command that shows it."""

from __future__ import annotations

import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Rsi, make_run

from rsi.errors import UsageError
from rsi.ledger import Ledger
from rsi.records import Severity
from rsi.redaction import Redactor
from rsi.review import notes
from rsi.review.findings_told import select
from rsi.review.reading import read
from rsi.testing.altering import alter, find, load

PATCHES = (
    ("VALUE = 1.0", "VALUE = 2.0\nX = 1  # fake: connect", "Raise VALUE, and ask an address"),
    ("VALUE = 2.0", "VALUE = 2.8\nY = 1  # fake: peek", "Peek at the answer"),
    ("VALUE = 2.0", "VALUE = 9.0", "Raise VALUE: too far"),
)
"""Kept with an attempt, rejected, discarded with the same attempt in the code it was made from."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("attacked"), PATCHES)


@pytest.fixture
def runs_of_two(attacked: Path, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Both runs in one folder of runs, and that folder as the one where runs are kept."""
    monkeypatch.setenv("RSI_RUNS", str(tmp_path))
    first, second = (Path(shutil.copytree(run, tmp_path / run.name)) for run in (attacked, pristine))
    return first, second


def found_by(rsi: Rsi, *arguments: str | Path) -> list[dict[str, object]]:
    value = json.loads(rsi("findings", *arguments, "--json").out)
    assert value["schema"] == 1
    return list(value["findings"])


def test_the_gravest_come_first_and_kept_code_before_other(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    found = found_by(rsi)
    assert {one["run"] for one in found} == {folder.name for folder in runs_of_two}
    ranks = [list(Severity).index(Severity(str(one["severity"]))) for one in found]
    assert ranks == sorted(ranks, reverse=True)
    first = found[0]
    assert (first["severity"], first["kept"], first["experiment"]) == ("critical", True, 1)
    assert first["run"] == runs_of_two[0].name
    assert found_by(rsi, runs_of_two[1]) == [one for one in found if one["run"] == runs_of_two[1].name]


def test_a_finding_quotes_the_diff_line_that_it_points_at(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    attempt = next(one for one in found_by(rsi) if one["experiment"] == 1)
    assert attempt["place"]["kind"] == "diff"  # type: ignore[index]
    assert attempt["quote"] == "+X = 1  # fake: connect"
    assert attempt["command"] == f"rsi diff {runs_of_two[0].name} 1"
    shown = rsi("findings", runs_of_two[0]).out
    place = attempt["place"]
    where = f"diff line {place['diff_line']} ({place['file']}:{place['line']})"  # type: ignore[index]
    assert f"{where}: +X = 1  # fake: connect" in shown


@pytest.mark.long
def test_every_finding_names_a_command_that_answers(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    notes.write_on(runs_of_two[0], 2, "why?", "suspicious", "Ann")
    commands = {str(one["command"]) for one in found_by(rsi, "--severity", "info")}
    assert {command.split()[1] for command in commands} >= {"diff", "log", "show"}
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "rsi"
        assert rsi(*arguments).code == 0, command
        assert rsi(*arguments).out.strip()


def test_streams_and_code_are_quoted_and_shown_with_the_same_numbers(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    run, _ = runs_of_two
    stdout = load(run)[find(load(run), "trial.trained")]["body"]["stdout"]
    printed = (run / "blobs" / stdout[:2] / stdout[2:]).read_text().splitlines()

    def change(events: list[dict[str, object]]) -> None:
        for pointer in (f"stdout:{len(printed)}", "train.py:1"):
            finding = {"severity": "critical", "code": "made.up", "message": pointer, "pointer": pointer}
            events[find(events, "trial.trained")]["body"]["findings"].append(finding)  # type: ignore[index]

    alter(run, change)
    found = {one["message"]: one for one in found_by(rsi, run) if one["code"] == "made.up"}
    stream, code = found[f"stdout:{len(printed)}"], found["train.py:1"]
    assert (stream["quote"], code["quote"]) == (printed[-1], "VALUE = 1.0")
    assert f"{len(printed)} | {printed[-1]}" in rsi(*shlex.split(str(stream["command"]))[1:]).out
    assert "1 | VALUE = 1.0" in rsi(*shlex.split(str(code["command"]))[1:]).out


def test_severity_and_experiment_leave_the_rest_out(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    notes.write_on(runs_of_two[0], 2, "why?", "suspicious", "Ann")
    everything = found_by(rsi, "--severity", "info")
    critical = found_by(rsi, "--severity", "critical")
    assert 0 < len(critical) < len(everything)
    assert {one["severity"] for one in critical} == {"critical"}
    assert all(2 in (one["experiment"], *one["also"]) for one in found_by(rsi, "--experiment", "2"))  # type: ignore[misc]


def test_a_long_list_is_cut_and_says_so(rsi: Rsi, run_folder: Path) -> None:
    def change(events: list[dict[str, object]]) -> None:
        findings = [{"severity": "notice", "code": f"c{n}", "message": f"m{n}", "pointer": ""} for n in range(80)]
        events[find(events, "trial.trained")]["body"]["findings"] = findings  # type: ignore[index]

    alter(run_folder, change)
    shown = rsi("findings", run_folder).out
    total = len(found_by(rsi, run_folder))
    assert f"{total - 50} further findings" in shown
    assert "m79" in rsi("findings", run_folder, "--all").out


def test_a_run_that_does_not_hold_is_said_and_the_others_are_shown(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    ledger = runs_of_two[1] / "ledger.jsonl"
    ledger.write_bytes(b"garbage\n" + ledger.read_bytes())
    done = rsi("findings")
    assert done.code == 1
    assert f"{runs_of_two[1].name} is left out" in done.err
    assert runs_of_two[0].name in done.out


# --- notes ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_note_is_shown_everywhere_after(rsi: Rsi, runs_of_two: tuple[Path, Path]) -> None:
    run, _ = runs_of_two
    assert rsi("note", run, "1", "asks an \x1b[31maddress", "--mark", "suspicious", "--author", "Ann  B").code == 0
    assert rsi("note", run, "3", "harmless", "--mark", "fine", "--author", "Bob").code == 0
    marked = next(one for one in found_by(rsi) if one["code"] == "note.suspicious")
    assert (marked["severity"], marked["experiment"], marked["message"]) == ("warning", 1, "Ann B: asks an address")
    shown = rsi("show", run).out
    assert "Ann B on experiment 1 (suspicious)" in shown
    assert "[suspicious, a reviewer says]" in shown
    assert "[fine, a reviewer says]" in shown
    assert "asks an address" in rsi("show", run, "1").out
    assert "asks an address" not in rsi("show", run, "3").out
    (said,) = json.loads(rsi("show", run, "1", "--json").out)["notes"]
    assert (said["author"], said["mark"], said["experiment"]) == ("Ann B", "suspicious", 1)
    row = next(row for row in json.loads(rsi("list", "--json").out)["runs"] if row["run"] == run.name)
    assert (row["notes"], row["suspicious"]) == (2, 1)
    assert "1 suspicious" in rsi("list").out
    assert "\x1b" not in shown


def test_a_note_is_written_while_the_run_goes_on(tmp_path: Path) -> None:
    written: list[int] = []

    def listener(event: object, state: object) -> None:
        if getattr(event, "kind", "") == "experiment.closed" and not written:
            (folder,) = (tmp_path / "runs").iterdir()
            written.append(notes.write_on(folder, 0, "the baseline, as expected", by="Ann").events)

    folder = make_run(tmp_path, [("VALUE = 1.0", "VALUE = 2.0", "better")], listeners=[listener])
    (note,) = read(folder).notes
    assert note.events == written[0] < len(load(folder))
    assert note.head == load(folder)[written[0] - 1]["hash"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99", "x"], "has no experiment 99; it has 0 to 6"),
        (["1", "  "], "1 to 4000 characters"),
        (["1", "x" * 4001], "1 to 4000 characters"),
        (["1", "x", "--mark", "bad"], "neither suspicious nor fine"),
    ],
)
def test_what_is_no_note_is_one_sentence_and_writes_nothing(
    rsi: Rsi, run_folder: Path, arguments: list[str], words: str
) -> None:
    done = rsi("note", run_folder, *arguments)
    assert done.code == 2
    assert words in done.err
    assert not (run_folder / "notes.jsonl").exists()


def test_a_note_on_a_record_that_does_not_hold_is_refused(rsi: Rsi, run_folder: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"nearly", b"hardly"))
    assert rsi("note", run_folder, "1", "x").code == 1
    assert not (run_folder / "notes.jsonl").exists()


def test_secrets_of_the_environment_are_taken_out_of_a_note(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-value-of-mine")
    notes.write_on(run_folder, 1, "it used s3cr3t-value-of-mine", by="Ann")
    assert read(run_folder).notes[0].text == "it used [redacted MY_API_KEY]"


def test_selecting_needs_no_run_at_all(rsi: Rsi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_RUNS", str(tmp_path / "none"))
    assert select([]) == []
    assert rsi("findings").code == 2


def test_notes_that_are_written_at_once_are_all_there(run_folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: notes.write_on(run_folder, 1, f"note {number}", by="Ann"), range(24)))
    assert {note.text for note in notes.read(run_folder)} == {f"note {number}" for number in range(24)}


def test_a_note_waits_for_nobody_for_ever(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "SECONDS_TO_WAIT", 0.1)
    with (
        Ledger.create(run_folder / notes.NOTES, Redactor.none(), notes.LOCK),
        pytest.raises(UsageError, match="Someone else is writing into"),
    ):
        notes.write_on(run_folder, 1, "x", by="Ann")
