"""A run handed on as JSON lines: whole, as published, text as it was; targets and what is missing said plainly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from conftest import PATCHES, make_run
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rsi import events as e
from rsi.chain import Event
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.review import notes, target
from rsi.review.export import jsonl, mlflow_names
from rsi.review.export.extras import require
from rsi.review.export.gather import Gathering
from rsi.review.export.records import LINE, Content, NoteLine, json_schema
from rsi.review.reading import read
from rsi.runs import ReadRun
from rsi.state import RunState
from rsi.testing.altering import alter, find

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "export-1.schema.json"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`rsi export` of this checkout."""
    line = [sys.executable, "-m", "cli", "export", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def exported(folder: Path, where: Path) -> list[dict[str, Any]]:
    """The lines of a fresh export."""
    jsonl.export(Gathering(folder), where, force=True)
    return [json.loads(line) for line in where.read_text("ascii").split("\n")[:-1]]


def of(lines: list[dict[str, Any]], record: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["record"] == record]


# --- what is in it --------------------------------------------------------------------------------------------------


def test_the_published_schema_is_what_the_records_say() -> None:
    assert json.loads(SCHEMA.read_text()) == json_schema(), "rsi export --schema > docs/schemas/export-1.schema.json"


def test_every_line_fits_the_published_schema_and_reads_back_equal(pristine: Path, tmp_path: Path) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    lines = exported(pristine, tmp_path / "x.jsonl")
    for line in lines:
        validator.validate(line)
        assert json.loads(LINE.validate_python(line).model_dump_json(by_alias=True)) == line
    assert not validator.is_valid({**lines[0], "record": "runs"})


def test_it_holds_what_the_ledger_holds(pristine: Path, run: ReadRun, tmp_path: Path) -> None:
    lines = exported(pristine, tmp_path / "x.jsonl")
    kinds = Counter(event.kind for event in run.events)
    counts = Counter(line["record"] for line in lines)
    assert counts["experiment"] == kinds["experiment.proposed"] == len(PATCHES) + 1
    assert counts["trial"] == kinds["trial.started"]
    assert counts["execution"] == kinds["trial.trained"] + kinds["trial.answered"] + sum(
        event.body["execution"] is not None for event in run.events if event.kind == "data.prepared"
    )
    assert counts["verdict"] == kinds["trial.judged"]
    assert counts["decision"] == kinds["policy.decided"]
    reading = read(pristine)
    experiments = (None, *(line.experiment for line in reading.lines))
    assert counts["finding"] == sum(len(reading.findings_of(number)) for number in experiments)
    by_seq = {event.seq: event for event in run.events}
    for line in lines:
        if line.get("seq") is not None:
            assert line["time"] == by_seq[line["seq"]].time
    assert all(line["seq"] is not None for line in lines if "seq" in line)
    assert lines[0]["record"] == "run"
    assert lines[0]["integrity"]["head"] == run.state.head
    assert lines[-1]["record"] == "end"
    assert lines[-1]["head"] == run.state.head
    assert lines[-1]["records"] == dict(sorted((counts - Counter(["end"])).items()))
    assert lines[-1]["problems"] == []


def test_statuses_values_and_measurements_are_those_of_the_record(pristine: Path, run: ReadRun, tmp_path: Path) -> None:
    lines = exported(pristine, tmp_path / "x.jsonl")
    for line in of(lines, "experiment"):
        number = line["experiment"]
        assert line["status"] == run.state.experiments[number].status.value
        assert line["value"] == run.state.mean(number)
        assert line["rationale"] == run.state.experiments[number].proposed.rationale
    told = {(m["trial"], m["purpose"], m["name"]): m["value"] for m in of(lines, "measurement")}
    there = {
        (event.body["trial"], event.body["purpose"], m["name"]): m["value"]
        for event in run.events
        if event.kind == "trial.judged"
        for m in event.body["verdict"].get("measurements", ())
    }
    assert told == there
    assert there


def test_both_streams_and_the_diff_come_byte_for_byte(pristine: Path, run: ReadRun, tmp_path: Path) -> None:
    lines = exported(pristine, tmp_path / "x.jsonl")
    by_seq = {event.seq: event.body for event in run.events}
    for line in of(lines, "execution"):
        for stream in ("stdout", "stderr"):
            digest = by_seq[line["seq"]][stream]
            assert Content.model_validate(line[stream]).data() == run.blobs.get(digest)
    diffs = [line for line in of(lines, "experiment") if line["diff"] is not None]
    assert diffs
    for line in diffs:
        committed = run.state.experiments[line["experiment"]].committed
        assert committed is not None
        assert committed.diff is not None
        assert Content.model_validate(line["diff"]).data() == run.blobs.get(committed.diff)


def test_nothing_of_this_machine_and_no_secret_of_the_run_goes_out(pristine: Path, tmp_path: Path) -> None:
    exported(pristine, tmp_path / "x.jsonl")
    text = (tmp_path / "x.jsonl").read_text()
    assert json.loads((pristine / "ledger.jsonl").read_text().splitlines()[0])["body"]["randomness"] not in text
    assert str(pristine) not in text


def test_reviewers_notes_go_along(run_folder: Path, run: ReadRun, tmp_path: Path) -> None:
    note = notes.Note(experiment=1, text="why?", mark="suspicious", author="me", head=run.state.head, events=3)
    notes.write(run_folder, note)
    [line] = of(exported(run_folder, tmp_path / "x.jsonl"), "note")
    assert (line["note"]["text"], line["note"]["mark"], line["note"]["author"]) == ("why?", "suspicious", "me")


# --- text -----------------------------------------------------------------------------------------------------------


@given(st.binary())
def test_any_bytes_come_back_as_they_were(data: bytes) -> None:
    content = Content.of("0" * 64, data)
    assert Content.model_validate_json(content.model_dump_json(ensure_ascii=True)).data() == data


@given(st.text(max_size=200))
def test_any_text_is_one_ascii_line_and_comes_back_as_it_was(text: str) -> None:
    note = notes.Note(experiment=0, text=text, author="me", head="0" * 64, events=1)
    line = jsonl.line(NoteLine(run=text, note=note))
    assert line.isascii()
    assert line.isprintable()
    assert LINE.validate_json(line).note.text == text


def test_hostile_streams_survive_and_steer_nothing(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x00\u202e\u2028[bold]\ud800".encode("utf-8", "surrogatepass")
    content = Content.of("0" * 64, evil)
    assert content.encoding == "base64"
    assert content.data() == evil
    assert "\ufffd" in content.text()


@given(st.text())
@example("_u41_")
@example("a..b/../c_u_")
@example("")
def test_names_for_mlflow_can_be_turned_back(text: str) -> None:
    theirs = mlflow_names.name(text)
    assert len(theirs) <= mlflow_names.LONGEST_NAME
    if len(theirs) < mlflow_names.LONGEST_NAME - 20:
        assert mlflow_names.named(theirs) == text


@given(st.text(), st.text())
@example("_u41_", "A")
@example("é", "_ue9_")
@example("é" * 300, "é" * 299)
def test_two_names_never_become_one(one: str, other: str) -> None:
    assert (mlflow_names.name(one) == mlflow_names.name(other)) == (one == other)


# --- records that lack something ------------------------------------------------------------------------------------


def test_a_missing_and_an_altered_blob_are_named_and_the_rest_goes(run_folder: Path, tmp_path: Path) -> None:
    state = read(run_folder).excerpt(1).state
    trained = state.trials[state.experiments[1].trials[0]].trained
    committed = state.experiments[1].committed
    assert trained is not None
    assert committed is not None
    assert committed.diff is not None
    for digest, text in ((trained.stdout, None), (committed.diff, b"something else")):
        path = run_folder / "blobs" / digest[:2] / digest[2:]
        path.unlink()
        if text is not None:
            path.write_bytes(text)
    done = command(str(run_folder), "--format", "jsonl", "-o", str(tmp_path / "x.jsonl"), "--json")
    assert done.returncode == 0
    outcome = json.loads(done.stdout)
    assert any(trained.stdout in problem and "missing" in problem for problem in outcome["problems"])
    assert any(committed.diff in problem and "altered" in problem for problem in outcome["problems"])
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert lines[-1]["problems"] == outcome["problems"]
    assert trained.stdout in done.stderr
    [line] = [x for x in of(lines, "experiment") if x["experiment"] == 1]
    assert line["diff"]["content"] is None
    assert "altered" in line["diff"]["problem"]


def test_a_broken_chain_is_not_handed_on(run_folder: Path, tmp_path: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("too far", "too fat"))
    done = command(str(run_folder), "--format", "jsonl", "-o", str(tmp_path / "x.jsonl"))
    assert done.returncode == 1
    assert "does not match its content" in done.stderr
    assert list(tmp_path.glob("*x*")) == []
    with pytest.raises(IntegrityError):
        Gathering(run_folder)


def test_a_record_written_anew_carries_the_contradiction(run_folder: Path, tmp_path: Path) -> None:
    def shortened(events: list[dict[str, Any]]) -> None:
        events[find(events, "policy.decided", experiment=1)]["body"]["decision"]["reason"] = "because"

    alter(run_folder, shortened)
    gathering = Gathering(run_folder)
    assert gathering.run().integrity.contradicted is not None
    outcome = jsonl.export(gathering, tmp_path / "x.jsonl", force=False)
    assert any("written anew" in problem for problem in outcome.problems)


def test_broken_notes_are_left_out_and_named(run_folder: Path, run: ReadRun, tmp_path: Path) -> None:
    notes.write(run_folder, notes.Note(experiment=1, text="why?", author="me", head=run.state.head, events=3))
    path = run_folder / notes.NOTES
    path.write_text(path.read_text().replace("why?", "who?"))
    lines = exported(run_folder, tmp_path / "x.jsonl")
    assert not of(lines, "note")
    assert any("notes" in problem for problem in lines[0]["integrity"]["problems"])


def test_a_run_that_goes_on_is_exported_up_to_now(tmp_path: Path) -> None:
    seen: list[tuple[int, list[dict[str, Any]]]] = []
    where: list[Path] = []

    def listener(event: Event, state: RunState) -> None:
        if isinstance(e.BODIES[event.kind].model_validate(event.body), e.PolicyDecided) and not seen:
            [folder] = (tmp_path / "runs").iterdir()
            where.append(folder)
            seen.append((event.seq, exported(folder, tmp_path / "x.jsonl")))

    make_run(tmp_path, PATCHES[:2], listeners=[listener])
    seq, lines = seen[0]
    assert lines[0]["going_on"]
    assert lines[0]["integrity"]["events"] == seq + 1
    assert lines[0]["integrity"]["contradicted"] is None
    assert of(lines, "experiment")[-1]["status"] == "open"
    assert not exported(where[0], tmp_path / "y.jsonl")[0]["going_on"]


# --- where it goes --------------------------------------------------------------------------------------------------


def test_what_exists_is_replaced_only_when_told(pristine: Path, tmp_path: Path) -> None:
    where = tmp_path / "x.jsonl"
    where.write_text("mine")
    done = command(str(pristine), "--format", "jsonl", "-o", str(where))
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert where.read_text() == "mine"
    done = command(str(pristine), "--format", "jsonl", "-o", str(where), "--force")
    assert done.returncode == 0
    assert where.read_text().endswith("\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl"]


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_half_written_stays(tmp_path: Path, exists: bool) -> None:
    where, folder = tmp_path / "x.jsonl", tmp_path / "tables"
    if exists:
        where.write_text("before")
        folder.mkdir()
        (folder / target.MANIFEST).write_text("before")
    before = sorted(path.name for path in tmp_path.rglob("*"))

    def interrupted(place: AbstractContextManager[Path], inside: str) -> None:
        with place as path:
            (path / inside).write_text("half")
            raise KeyboardInterrupt

    for place, inside in ((target.new_file(where, force=True), ""), (target.new_folder(folder, force=True), "half")):
        with pytest.raises(KeyboardInterrupt):
            interrupted(place, inside)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert not exists or where.read_text() == "before"


def test_a_folder_is_replaced_only_where_it_is_an_export(tmp_path: Path) -> None:
    own = tmp_path / "home"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="no export of this program"), target.new_folder(own, force=True):
        pass
    (own / target.MANIFEST).write_text("{}")
    with target.new_folder(own, force=True) as path:
        (path / "new").touch()
    assert [path.name for path in own.iterdir()] == ["new"]


def test_what_came_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    where = tmp_path / "x.jsonl"

    def overtaken() -> None:
        with target.new_file(where, force=False) as path:
            path.write_text("ours")
            where.write_text("theirs")

    with pytest.raises(UsageError, match="exists"):
        overtaken()
    assert [p.read_text() for p in tmp_path.iterdir()] == ["theirs"]


def test_links_and_missing_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for where, words in ((tmp_path / "link", "is a link"), (tmp_path / "no" / "x.jsonl", "is no folder")):
        with pytest.raises(UsageError, match=words):
            target.check(where, force=True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "parket", "-o", "x"], 2, "did you mean 'parquet'"),
        (["-o", "x"], 2, "known are inspect, jsonl, mlflow, parquet"),
        (["--format", "jsonl"], 2, "-o TARGET"),
        (["--format", "inspect", "-o", "x.log"], 2, ".eval"),
        (["--format", "jsonl", "-o", "nowhere/x.jsonl"], 2, "nowhere is no folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(pristine: Path, arguments: list[str], code: int, words: str) -> None:
    done = command(str(pristine), *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(EnvironmentFault, match=r"pip install 'rsi\[parquet\]'"):
        require("parquet", "json", "no_such_library")
    assert EnvironmentFault.exit_code == 3


def test_a_folder_that_cannot_be_written_is_said(pristine: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        done = command(str(pristine), "--format", "jsonl", "-o", "/proc/x.jsonl")
    else:
        tmp_path.chmod(0o500)
        done = command(str(pristine), "--format", "jsonl", "-o", str(tmp_path / "x.jsonl"))
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
