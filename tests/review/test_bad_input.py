"""Runs that are damaged, foreign, too new, or not to be read: said in a sentence, and what can be shown is shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Rsi

from rsi.review import notes
from rsi.testing.altering import alter, load, store

ROOT = Path(__file__).parents[2]
READING = (
    ["show"],
    ["show", "1"],
    ["diff"],
    ["log"],
    ["log", "--follow"],
    ["findings"],
    ["verify"],
    ["anchor"],
    ["note", "1", "x"],
    ["replay"],
)


def call(rsi: Rsi, command: list[str], run: Path | str) -> tuple[int, str, str]:
    return rsi(command[0], run, *command[1:])


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_folder_without_runs_is_one_sentence(rsi: Rsi, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    for name in (tmp_path / "empty", tmp_path / "nowhere"):
        done = rsi(command[0], name, *command[1:])
        assert done.code == 2
        assert (len(done.err.splitlines()), done.out) == (1, "")


def test_a_folder_of_no_runs_lists_nothing(rsi: Rsi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_RUNS", str(tmp_path / "none"))
    assert "There are no runs here" in rsi("list").out
    assert "There is no run in" in rsi("findings").err
    assert "There is no run in" in rsi("log", "latest").err


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_run_of_a_newer_rsi_says_that_this_one_is_too_old(rsi: Rsi, run_folder: Path, command: list[str]) -> None:
    lines = (run_folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    newer = lines[9].replace('"schema":1', '"schema":2')
    (run_folder / "ledger.jsonl").write_text("".join([*lines[:9], newer, *lines[10:]]))
    done = rsi(command[0], run_folder, *command[1:])
    assert done.code == 1
    assert "too old" in done.err + done.out
    assert "event 9" in done.err + done.out
    assert "Traceback" not in done.err


def test_an_event_of_a_newer_rsi_says_that_this_one_is_too_old(rsi: Rsi, run_folder: Path) -> None:
    def newer(events: list[dict[str, object]]) -> None:
        events[9]["kind"] = "trial.dreamt"

    alter(run_folder, newer)
    done = rsi("show", run_folder)
    assert done.code == 1
    assert "Event 9 is of the unknown kind 'trial.dreamt': this rsi is too old" in done.err
    assert rsi("show", run_folder, "--anyway").out
    assert len(rsi("log", run_folder).out.splitlines()) == 9


def test_a_broken_chain_is_shown_up_to_the_break_where_that_is_asked_for(rsi: Rsi, run_folder: Path) -> None:
    events = load(run_folder)
    broken = next(n for n, event in enumerate(events) if event["kind"] == "experiment.closed" and n > 30)
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:broken], *lines[broken + 1 :]]))
    done = rsi("show", run_folder)
    assert (done.code, done.out) == (1, "")
    assert "--anyway" in done.err
    for arguments in (["show"], ["show", "1"], ["diff", "1"]):
        done = rsi(arguments[0], run_folder, *arguments[1:], "--anyway")
        assert done.code == 1
        assert "The record does not hold; what is shown ends before" in done.err
        assert f"event {broken}" in done.err
        assert "VALUE" in done.out
    done = rsi("log", run_folder, "--json")
    assert done.code == 1
    assert [json.loads(line)["seq"] for line in done.out.splitlines()] == list(range(broken))
    assert f"event {broken}" in done.err
    assert rsi("findings", run_folder).code == 1


def test_an_intact_run_shown_anyway_is_fine(rsi: Rsi, pristine: Path) -> None:
    assert rsi("show", pristine, "--anyway") == rsi("show", pristine)


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(["blobs"], marks=pytest.mark.long),
        pytest.param(["code.git"], marks=pytest.mark.long),
        ["blobs", "code.git", "run.toml"],
    ],
)
def test_a_half_copied_run_still_shows_what_is_there(rsi: Rsi, run_folder: Path, gone: list[str]) -> None:
    for name in gone:
        path = run_folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = rsi("show", run_folder)
    assert done.code == 0
    assert "Raise VALUE: nearly there" in done.out
    done = rsi("show", run_folder, "5", "--output", "--code", "--prompt")
    assert done.code == 0
    assert "rejected" in done.out
    assert "not to be had" in done.out
    assert json.loads(rsi("show", run_folder, "5", "--json").out)["status"] == "rejected"
    for command in (["log"], ["findings", "--severity", "info"], ["list"]):
        where = run_folder.parent if command == ["list"] else run_folder
        assert rsi(command[0], where, *command[1:]).code == 0
    done = rsi("diff", run_folder)
    assert (done.code, len(done.err.splitlines())) == ((2, 1) if "code.git" in gone else (0, 0))
    done = rsi("verify", run_folder, "--trust-plugins")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert rsi("note", run_folder, "1", "half of it is missing", "--author", "Ann").code == 0


def somebody(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, run by someone whom permissions bind: not as root, or as root without what lets root pass."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*bound, sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root passes every permission")
def test_no_permission_is_one_sentence(run_folder: Path) -> None:
    run_folder.chmod(0o555)
    done = somebody("note", str(run_folder), "1", "x", "--author", "Ann")
    assert done.returncode == 3
    assert "notes lie in the run folder, so copy it" in done.stderr
    assert done.stderr.startswith("rsi: ")
    run_folder.chmod(0o755)
    (run_folder / "blobs").chmod(0)
    done = somebody("show", str(run_folder), "5")
    assert done.returncode == 0
    assert "not to be had" in done.stdout
    (run_folder / "blobs").chmod(0o755)
    for secret in (run_folder / "ledger.jsonl", run_folder):
        secret.chmod(0)
        for command in ("show", "log", "verify", "anchor", "findings", "diff"):
            done = somebody(command, str(run_folder))
            assert done.returncode in {1, 2, 3}, (command, done)
            assert len(done.stderr.strip().splitlines()) <= 1, done.stderr
            assert "Traceback" not in done.stderr
        secret.chmod(0o755)


@pytest.mark.long
def test_a_run_of_which_nothing_holds_is_said_by_every_command(rsi: Rsi, run_folder: Path) -> None:
    (run_folder / "ledger.jsonl").write_text("")
    for command in READING:
        done = rsi(command[0], run_folder, *command[1:])
        assert done.code in ({0} if command == ["log", "--follow"] else {1, 2}), command
        assert "Traceback" not in done.err
    store(run_folder, [])
    assert "broken" in rsi("list", run_folder.parent).out


@pytest.mark.long
def test_links_and_pipes_in_place_of_the_notes_do_not_stop_the_rest(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    for make in (lambda path: path.symlink_to("/etc/passwd"), os.mkfifo):
        make(run_folder / notes.NOTES)
        for command in (["show"], ["show", "1"], ["log"]):
            done = rsi(command[0], run_folder, *command[1:])
            assert done.code == 1
            assert "notes do not hold" in done.err
            assert "VALUE" in done.out
            assert "root:" not in done.out + done.err
        assert "NOTES" in rsi("list", run_folder.parent).out
        assert rsi("note", run_folder, "1", "x").code in {1, 3}
        (run_folder / notes.NOTES).unlink()


def test_a_long_run_is_shown_by_what_it_kept_and_its_end(rsi: Rsi, run_folder: Path) -> None:
    """Experiments that were refused before they were trained, by the hundred."""
    events = load(run_folder)
    last = next(n for n, event in enumerate(events) if event["kind"] == "confirmation.finished") - 1
    while events[last]["kind"].startswith("trial."):
        last -= 1
    proposed = next(e for e in events if e["kind"] == "experiment.proposed" and e["body"]["experiment"] == 2)
    closed = next(e for e in events if e["kind"] == "experiment.closed" and e["body"]["experiment"] == 2)
    added = []
    for number in range(7, 307):
        for event in (proposed, closed):
            body = {**event["body"], "experiment": number}
            if "rationale" in body:
                body["rationale"] = f"idea number {number}"
            added.append({**event, "body": body, "time": events[last]["time"]})
    store(run_folder, [*events[: last + 1], *added])
    shown = rsi("show", run_folder)
    assert shown.code == 0
    assert "256 experiments that were not kept are left out" in shown.out or "left out, the last 50" in shown.out
    assert "idea number 306" in shown.out
    assert "idea number 100" not in shown.out
    assert "nearly there" in shown.out  # kept
    everything = rsi("show", run_folder, "--all").out
    assert "idea number 100" in everything
    assert "left out" not in everything


@pytest.mark.parametrize("number", [[], None, *(pytest.param(odd, marks=pytest.mark.long) for odd in ({}, 1.5, "one"))])
def test_an_event_that_cannot_be_read_stops_neither_a_note_nor_following(
    rsi: Rsi, run_folder: Path, number: object
) -> None:
    def change(events: list[dict[str, Any]]) -> None:
        proposed = next(x for x in events if x["kind"] == "experiment.proposed" and x["body"]["experiment"] == 2)
        proposed["body"]["experiment"] = number

    alter(run_folder, change)
    assert rsi("note", run_folder, "1", "x", "--author", "Ann").code == 0
    assert rsi("note", run_folder, "2", "x", "--author", "Ann").code == 2
    followed = rsi("log", run_folder, "--follow")
    assert followed.code == 0
    assert "an event that cannot be read" in followed.out
    assert "run.finished" in followed.out


ABSURD: list[tuple[str, tuple[str, ...], object]] = [
    ("blobs.dropped", ("bytes",), 10**400),
    ("trial.trained", ("execution", "stderr_bytes"), 10**400),
    ("experiment.committed", ("commit",), "a\0b"),
    ("experiment.committed", ("commit",), "../../../../etc/passwd"),
    ("policy.decided", ("comparison", "objective", "metric"), "nobody measured this"),
]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "path", "value"), ABSURD, ids=["dropped", "printed", "null", "path", "metric"])
def test_what_no_run_records_is_shown_without_a_fault(
    rsi: Rsi, run_folder: Path, kind: str, path: tuple[str, ...], value: object
) -> None:
    def change(events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["kind"] == kind:
                body = event["body"]
                for part in path[:-1]:
                    body = body[part]
                body[path[-1]] = value

    alter(run_folder, change)
    assert rsi("log", run_folder).code in {0, 1}
    for options in ((), ("--json",), ("--code", "--output")):
        done = rsi("show", run_folder, "1", *options)
        assert done.code in {0, 1}, done.err
    assert rsi("verify", run_folder, "--trust-plugins").code == 1
