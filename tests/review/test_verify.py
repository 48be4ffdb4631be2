"""`rsi verify`: what holds is said to hold, and every alteration is named at the event where it shows."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from rsi.blobs import Blobs
from rsi.chain import Event, read_events
from rsi.errors import UsageError
from rsi.redaction import Redactor
from rsi.review import verify as verifying
from rsi.review.verify import VerifyReport, verify
from rsi.testing.altering import Events, alter, find, load, store
from rsi.workspace import Workspace

MISSING = "ab" * 32


@pytest.fixture
def no_anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the run came from another machine: nothing outside its folder vouches for it."""
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "elsewhere"))


def check(folder: Path, verdicts: bool = True) -> VerifyReport:
    return verify(folder, verdicts=verdicts, trust_paths=True)


def test_a_run_of_the_loop_holds_and_everything_in_it_was_derived_again(pristine: Path) -> None:
    report = check(pristine)
    assert report.problems == ()
    assert report.ok
    events = load(pristine)
    kinds = [event["kind"] for event in events]
    assert report.events == len(events)
    assert report.head == events[-1]["hash"]
    assert report.counts.verdicts == kinds.count("trial.judged")
    assert report.counts.decisions == kinds.count("policy.decided")
    assert report.counts.refusals == report.counts.confirmations == 1
    assert report.counts.commits == kinds.count("experiment.committed") + 2
    assert report.counts.blobs > 20
    assert report.counts.anchors > 5
    assert report.notes == ()


def test_the_fast_path_takes_verdicts_as_recorded_and_still_derives_decisions(pristine: Path) -> None:
    report = check(pristine, verdicts=False)
    assert report.ok
    assert report.counts.verdicts == 0
    assert report.counts.decisions > 0


def test_verifying_changes_nothing_in_the_folder(run_folder: Path) -> None:
    def fingerprint() -> dict[str, tuple[int, bytes]]:
        files = (path for path in run_folder.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = fingerprint()
    check(run_folder)
    assert fingerprint() == before


Change = Callable[[Events], int]
"""Alters events and returns the number of the one at which it must show."""


def set_body(kind: str, path: str, value: Any, **fields: Any) -> Change:
    def change(events: Events) -> int:
        at = find(events, kind, **fields)
        *parents, last = path.split(".")
        target = events[at]["body"]
        for name in parents:
            target = target[int(name) if name.isdigit() else name]
        key = int(last) if last.isdigit() else last
        new = value(events, target[key]) if callable(value) else value
        assert target[key] != new
        target[key] = new
        return at

    return change


def later(change: Change, kind: str, **fields: Any) -> Change:
    """The alteration shows only at a later event."""

    def changed(events: Events) -> int:
        change(events)
        return find(events, kind, **fields)

    return changed


def removed(kind: str, shown_at: int = 0, **fields: Any) -> Change:
    def change(events: Events) -> int:
        at = find(events, kind, **fields)
        del events[at]
        return at + shown_at

    return change


def repeated(kind: str, **fields: Any) -> Change:
    def change(events: Events) -> int:
        at = find(events, kind, **fields)
        events.insert(at + 1, dict(events[at]))
        return at + 1

    return change


def swapped(kind: str, **fields: Any) -> Change:
    def change(events: Events) -> int:
        at = find(events, kind, **fields)
        bodies = events[at]["body"], events[at + 1]["body"]
        kinds = events[at]["kind"], events[at + 1]["kind"]
        (events[at + 1]["body"], events[at]["body"]), (events[at + 1]["kind"], events[at]["kind"]) = bodies, kinds
        return at

    return change


def of_another_trial(field: str, trial: str) -> Callable[[Events, Any], Any]:
    return lambda events, _old: events[find(events, "trial.answered", trial=trial)]["body"][field]


def evidence_dropped(events: Events) -> int:
    at = find(events, "blobs.dropped")
    scores = events[find(events, "trial.answered", trial="0.1")]["body"]["scores"]["loss"]
    events[at]["body"]["digests"].append(scores)
    return at


def kept_artifact_dropped(events: Events) -> int:
    at = next(i for i in range(len(events) - 1, 0, -1) if events[i]["kind"] == "blobs.dropped")
    artifact = events[find(events, "trial.trained", trial="6.1")]["body"]["artifact"]
    events[at]["body"]["digests"].extend(artifact.values())
    return at


def scored_instead_of_rejected(events: Events) -> int:
    """The keep that a peeker was refused, with everything that follows from it made to fit."""
    at = find(events, "trial.judged", trial="5.1", purpose="keep")
    screened = events[find(events, "trial.judged", trial="5.1", purpose="screen")]
    events[at]["body"]["verdict"] = screened["body"]["verdict"]
    return at


ALTERATIONS: list[tuple[str, str, Change]] = [
    ("objective", "task", set_body("run.started", "objective.noise", 0.5)),
    ("grounded", "task", set_body("run.started", "grounded", False)),
    ("task digest", "task", set_body("run.started", "task_digest", MISSING)),
    ("secret", "order", later(set_body("run.started", "randomness", MISSING), "trial.started")),
    ("policy", "underivable", set_body("run.started", "configuration.policy.name", "no-such-policy")),
    ("edit of another", "commit", later(
        set_body("experiment.proposed", "edit",
                 lambda events, _: events[find(events, "experiment.proposed", experiment=6)]["body"]["edit"],
                 experiment=1),
        "experiment.committed", experiment=1)),
    ("rationale", "commit", later(
        set_body("experiment.proposed", "rationale", "what it never said", experiment=1),
        "experiment.committed", experiment=1)),
    ("parent", "order", set_body("experiment.proposed", "parent", 0, experiment=3)),
    ("number", "order", set_body("experiment.proposed", "experiment", 7, experiment=3)),
    ("commit of another", "commit", set_body(
        "experiment.committed", "commit",
        lambda events, _: events[find(events, "experiment.committed", experiment=3)]["body"]["commit"], experiment=6)),
    ("no such commit", "underivable", set_body("experiment.committed", "commit", "0" * 40, experiment=1)),
    ("tree digest", "commit", set_body("experiment.committed", "tree_digest", MISSING, experiment=1)),
    ("changed files", "commit", set_body("experiment.committed", "changed", ["program.md"], experiment=1)),
    ("diff", "diff", set_body(
        "experiment.committed", "diff",
        lambda events, _: events[find(events, "experiment.committed", experiment=6)]["body"]["diff"], experiment=1)),
    ("seed", "order", set_body("trial.started", "seed", 1, trial="3.1")),
    ("slot", "order", set_body("trial.started", "slot", 1, trial="3.1")),
    ("split", "order", set_body("trial.started", "split", "holdout", trial="3.1")),
    ("confirmation's seed", "order", set_body("trial.started", "seed", 1, trial="6.c1")),
    ("confirmation's split", "order", set_body("trial.started", "split", "dev", trial="6.c1")),
    ("stream", "blob", set_body("trial.trained", "stdout", MISSING, trial="1.1")),
    ("artifact", "artifact", set_body("trial.trained", "artifact", {"model.safetensors": MISSING}, trial="1.1")),
    ("training's end", "order", later(
        set_body("trial.trained", "execution.kind", "crashed", trial="3.1"), "trial.answered", trial="3.1")),
    ("scores of another", "verdict", later(
        set_body("trial.answered", "scores", of_another_trial("scores", "6.1"), trial="3.1"),
        "trial.judged", trial="3.1")),
    ("no scores", "verdict", later(
        set_body("trial.answered", "scores", {}, trial="3.1"), "trial.judged", trial="3.1")),
    ("answer's end", "order", set_body("trial.answered", "execution.kind", "crashed", trial="3.1")),
    ("measurement", "verdict", set_body("trial.judged", "verdict.measurements.0.value", 0.001, trial="3.1")),
    ("standard error", "verdict", set_body("trial.judged", "verdict.measurements.0.standard_error", 1.0, trial="3.1")),
    ("reference", "verdict", set_body("trial.judged", "reference", "0.1", trial="3.1")),
    ("confirmed measurement", "verdict", set_body(
        "trial.judged", "verdict.measurements.0.value", 9.0, trial="0.c1")),
    ("rejection undone", "verdict", scored_instead_of_rejected),
    ("rejection's reason", "verdict", set_body(
        "trial.judged", "verdict.reason", "no reason", trial="5.1", purpose="keep")),
    ("failure's reason", "verdict", set_body("trial.failed", "reason", "it was unlucky", trial="4.1")),
    ("failure's kind", "order", set_body("trial.failed", "kind", "lost", trial="4.1")),
    ("decision", "decision", set_body("policy.decided", "decision.kind", "keep", experiment=3)),
    ("comparison", "decision", set_body(
        "policy.decided", "comparison.candidate.observations.0.measurements.val_loss", 0.1, experiment=3)),
    ("status", "closing", set_body("experiment.closed", "status", "kept", experiment=3)),
    ("crash called a discard", "closing", set_body("experiment.closed", "status", "discarded", experiment=4)),
    ("refusal called a crash", "closing", set_body("experiment.closed", "status", "crashed", experiment=2)),
    ("closing's reason", "closing", set_body("experiment.closed", "reason", "no reason", experiment=3)),
    ("gain", "closing", set_body("experiment.closed", "gain", 3.0, experiment=3)),
    ("kept commit", "commit", set_body(
        "experiment.closed", "commit",
        lambda events, _: events[find(events, "experiment.committed", experiment=3)]["body"]["commit"], experiment=1)),
    ("interval", "confirmation", set_body("confirmation.finished", "improvement.low", 1.99)),
    ("confirmed values", "confirmation", set_body("confirmation.finished", "best_values", [0.0, 0.0, 0.0])),
    ("evidence dropped", "drop", evidence_dropped),
    ("kept artifact dropped", "drop", kept_artifact_dropped),
    ("verdict removed", "order", removed("trial.judged", trial="3.1")),
    ("training removed", "order", removed("trial.trained", trial="3.1")),
    ("closing removed", "drop", removed("experiment.closed", experiment=3)),
    ("experiment's trial removed", "order", removed("trial.started", trial="3.1")),
    ("confirmation's trial removed", "order", later(
        removed("trial.started", trial="6.c3"), "trial.trained", trial="6.c3")),
    ("verdict repeated", "order", repeated("trial.judged", trial="3.1")),
    ("commit repeated", "order", repeated("experiment.committed", experiment=3)),
    ("closing repeated", "order", repeated("experiment.closed", experiment=3)),
    ("data repeated", "order", repeated("data.prepared")),
    ("answer repeated", "order", repeated("trial.answered", trial="3.1")),
    ("decision before the verdict", "order", swapped("trial.judged", trial="3.1")),
    ("answer before training", "order", swapped("trial.trained", trial="3.1")),
    ("went on after the end", "order", repeated("run.finished")),
    ("unknown kind", "order", lambda events: events[5].update(kind="x.y") or 5),  # type: ignore[func-returns-value]
    ("malformed body", "order", lambda events: events[5]["body"].pop("trial") and 5),
]  # fmt: skip


@pytest.mark.usefixtures("no_anchors")
@pytest.mark.parametrize(("kind", "change"), [(k, c) for _, k, c in ALTERATIONS], ids=[n for n, _, _ in ALTERATIONS])
def test_an_alteration_with_the_chain_hashed_again_is_named(run_folder: Path, kind: str, change: Change) -> None:
    shown_at: list[int] = []
    alter(run_folder, lambda events: shown_at.append(change(events)))
    report = check(run_folder)
    assert not report.ok
    assert (shown_at[0], kind) in {(problem.seq, problem.kind) for problem in report.problems}
    # What comes before may only be the trace that every hash anew leaves in the commits made after it.
    earlier = [problem for problem in report.problems if problem.seq < shown_at[0]]
    assert {problem.kind for problem in earlier} <= {"commit"}


@pytest.mark.usefixtures("no_anchors")
def test_hashing_the_chain_again_shows_at_the_next_commit_even_where_nothing_can_be_derived(run_folder: Path) -> None:
    """Times, resources and a preparation's facts follow from nothing; the commits after them name the head."""
    alter(run_folder, lambda events: events[1]["body"]["facts"].update(corpus="another"))
    report = check(run_folder)
    first = report.problems[0]
    assert (first.kind, first.event) == ("commit", "experiment.committed")


def test_a_ledger_written_anew_contradicts_the_head_that_was_written_down_elsewhere(run_folder: Path) -> None:
    def change(events: Events) -> None:
        events[-1]["body"]["session_seconds"] = 1.0

    alter(run_folder, change)
    report = check(run_folder)
    assert [problem.kind for problem in report.problems] == ["anchor"]
    assert report.problems[0].seq == report.events - 1


def test_a_cut_off_end_contradicts_the_head_that_was_written_down_elsewhere(run_folder: Path) -> None:
    events = load(run_folder)
    store(run_folder, events[:-1])
    report = check(run_folder)
    assert [problem.kind for problem in report.problems] == ["anchor"]
    assert "cut off" in report.problems[0].sentence


@pytest.mark.usefixtures("no_anchors")
def test_without_a_head_written_down_elsewhere_the_report_says_what_that_means(run_folder: Path) -> None:
    report = check(run_folder)
    assert report.ok
    assert report.counts.anchors == 0
    assert any("cut-off end" in note for note in report.notes)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_ledger_is_found(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    data = bytearray((pristine / "ledger.jsonl").read_bytes())
    at = int(place * len(data))
    data[at] ^= 1 << bit
    (folder / "ledger.jsonl").write_bytes(data)
    report = verify(folder, verdicts=False)
    last_line = bytes(data).count(b"\n", 0, at) == len(load(pristine)) - 1
    chain = [problem for problem in report.problems if problem.kind == "chain"]
    assert chain or (last_line and report.torn_bytes > 0)


def test_a_torn_tail_is_a_note_and_no_problem(run_folder: Path) -> None:
    with (run_folder / "ledger.jsonl").open("ab") as file:
        file.write(b'{"body":{"experim')
    report = check(run_folder)
    assert report.ok
    assert report.torn_bytes == 17
    assert any("unfinished event" in words for words in report.torn)
    assert report.notes == ()


def test_a_problem_before_a_broken_chain_is_the_first(run_folder: Path) -> None:
    def change(events: Events) -> None:
        set_body("trial.judged", "verdict.measurements.0.value", 0.1, trial="0.1")(events)

    alter(run_folder, change)
    lines = (run_folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    lines[40] = lines[40].replace('"kind":', '"kjnd":')
    (run_folder / "ledger.jsonl").write_text("".join(lines))
    report = check(run_folder)
    assert report.problems[0].event == "trial.judged"
    assert (report.problems[-1].seq, report.problems[-1].kind) == (40, "chain")


# --- blobs and code -------------------------------------------------------------------------------------------------


def blob_path(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest[:2] / digest[2:]


def scores_of(folder: Path, trial: str) -> tuple[int, str]:
    events = load(folder)
    at = find(events, "trial.answered", trial=trial)
    return at, events[at]["body"]["scores"]["loss"]


def test_a_missing_blob_is_named_at_the_event_that_points_at_it(run_folder: Path) -> None:
    at, digest = scores_of(run_folder, "3.1")
    blob_path(run_folder, digest).unlink()
    report = verify(run_folder, verdicts=False)
    assert [(problem.seq, problem.kind) for problem in report.problems] == [(at, "blob")]


def test_an_altered_blob_is_named_at_the_event_that_points_at_it(run_folder: Path) -> None:
    at, digest = scores_of(run_folder, "3.1")
    blob_path(run_folder, digest).write_bytes(b"other scores")
    report = verify(run_folder, verdicts=False)
    assert [(problem.seq, problem.kind) for problem in report.problems] == [(at, "blob")]


def test_a_blob_behind_a_link_is_refused(run_folder: Path, tmp_path: Path) -> None:
    _, digest = scores_of(run_folder, "3.1")
    path = blob_path(run_folder, digest)
    shutil.move(path, tmp_path / "same content")
    path.symlink_to(tmp_path / "same content")
    report = verify(run_folder, verdicts=False)
    assert [problem.kind for problem in report.problems] == ["blob"]
    assert "link" in report.problems[0].sentence


def test_a_recorded_drop_is_no_loss(run_folder: Path) -> None:
    dropped = [d for event in load(run_folder) if event["kind"] == "blobs.dropped" for d in event["body"]["digests"]]
    assert dropped
    assert not any(blob_path(run_folder, digest).exists() for digest in dropped)
    assert check(run_folder).counts.dropped == len(dropped)


@pytest.mark.parametrize("name", ["ledger.jsonl", "blobs", "code.git"])
def test_links_in_place_of_the_parts_of_a_run_are_refused(run_folder: Path, tmp_path: Path, name: str) -> None:
    shutil.move(run_folder / name, tmp_path / "moved")
    (run_folder / name).symlink_to(tmp_path / "moved")
    report = check(run_folder)
    assert not report.ok
    assert "link" in report.problems[0].sentence


def commit_of(folder: Path, experiment: int) -> tuple[int, str]:
    events = load(folder)
    at = find(events, "experiment.committed", experiment=experiment)
    return at, events[at]["body"]["commit"]


def test_a_missing_commit_is_named(run_folder: Path) -> None:
    at, commit = commit_of(run_folder, 3)
    (run_folder / "code.git" / "objects" / commit[:2] / commit[2:]).unlink()
    report = verify(run_folder, verdicts=False)
    assert at in {problem.seq for problem in report.problems}


def test_an_altered_object_is_named(run_folder: Path) -> None:
    at, commit = commit_of(run_folder, 3)
    _, other = commit_of(run_folder, 1)
    objects = run_folder / "code.git" / "objects"
    path = objects / commit[:2] / commit[2:]
    path.chmod(0o644)
    path.write_bytes((objects / other[:2] / other[2:]).read_bytes())
    report = verify(run_folder, verdicts=False)
    assert at in {problem.seq for problem in report.problems}


def test_a_branch_that_was_moved_is_named(run_folder: Path) -> None:
    _, commit = commit_of(run_folder, 3)
    Workspace.open(run_folder).keep(commit)
    report = check(run_folder)
    assert [problem.kind for problem in report.problems] == ["reference"]
    assert report.problems[0].event == "experiment.closed"


def test_an_experiments_reference_that_was_moved_is_named(run_folder: Path) -> None:
    at, _ = commit_of(run_folder, 3)
    Workspace.open(run_folder).mark(3, commit_of(run_folder, 1)[1])
    report = check(run_folder)
    assert [(problem.seq, problem.kind) for problem in report.problems] == [(at, "reference")]


def test_a_forged_run_whose_code_and_refs_fit_is_still_caught_by_its_edit(run_folder: Path) -> None:
    """A commit with other code, well-formed and referred to, is not what the recorded edit gives."""
    workspace = Workspace.open(run_folder)
    forged = workspace.commit({"train.py": "VALUE = 3.0\n"}, "forged", [commit_of(run_folder, 0)[1]], "2026-01-01")
    workspace.mark(1, forged)
    alter(run_folder, set_body("experiment.committed", "commit", forged, experiment=1))  # type: ignore[arg-type]
    report = check(run_folder)
    assert any("does not hold the code that the edit gives" in problem.sentence for problem in report.problems)


def test_no_program_of_the_folder_is_run(run_folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    (run_folder / "code.git" / "config").write_text(f"[core]\n\tfsmonitor = {script}\n\tpager = {script}\n")
    (run_folder / "code.git" / "hooks").mkdir()
    shutil.copy(script, run_folder / "code.git" / "hooks" / "post-checkout")
    module = tmp_path / "trap.py"
    module.write_text(f"open({str(trap)!r}, 'w')\nclass Trap:\n    name = 'trap'\n    grounded = True\n")
    alter(run_folder, set_body("run.started", "configuration.verifier.name", f"{module}:Trap"))  # type: ignore[arg-type]
    report = verify(run_folder)
    assert not trap.exists()
    assert report.problems[0].kind == "underivable"
    assert "not loaded unasked" in report.problems[0].sentence


# --- hostile folders, reports, speed --------------------------------------------------------------------------------


def test_a_folder_without_a_ledger_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        verify(tmp_path)


def test_an_empty_ledger_is_no_problem_but_no_run_either(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").touch()
    assert verify(tmp_path).events == 0


@pytest.mark.usefixtures("no_anchors")
def test_hostile_text_in_a_report_reaches_no_terminal(run_folder: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[bold]\u202e" + "x" * 10_000
    alter(run_folder, set_body("experiment.closed", "reason", evil, experiment=3))  # type: ignore[arg-type]
    report = check(run_folder)
    assert not report.ok
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    verifying.render(report, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b" not in text + report.model_dump_json()
    assert "\u202e" not in text + json.loads(report.model_dump_json())["problems"][0]["sentence"]


def test_the_report_for_people_names_the_first_event_that_does_not_hold(run_folder: Path) -> None:
    at, digest = scores_of(run_folder, "3.1")
    blob_path(run_folder, digest).unlink()
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    verifying.render(verify(run_folder, verdicts=False), console)
    assert isinstance(console.file, io.StringIO)
    assert f"does not hold: event {at} (trial.answered), line {at + 1}" in console.file.getvalue()


def test_the_json_has_its_version_first(pristine: Path) -> None:
    values = json.loads(check(pristine).model_dump_json())
    assert values["schema"] == 1
    assert {"ok", "events", "head", "problems", "notes", "torn_bytes", "counts"} <= set(values)


def test_a_crash_between_a_keep_and_its_branch_is_torn_and_no_problem(run_folder: Path) -> None:
    events = load(run_folder)
    store(run_folder, events[: find(events, "experiment.closed", experiment=6) + 1])
    Workspace.open(run_folder).keep(events[find(events, "experiment.closed", experiment=1)]["body"]["commit"])
    report = check(run_folder)
    assert "reference" not in {problem.kind for problem in report.problems}
    assert any("rsi resume" in words for words in report.torn)


def test_a_sealed_answer_lost_in_a_crash_of_the_machine_is_torn_after_a_resume(run_folder: Path) -> None:
    events = load(run_folder)
    at = find(events, "trial.answered", trial="6.c1")
    resumed = dict(events[-1]) | {"kind": "run.resumed", "body": {
        "sandbox": events[0]["body"]["sandbox"], "versions": {}, "budget": None, "torn_tail": None}}  # fmt: skip
    Blobs(run_folder / "blobs", Redactor.none()).drop(events[at]["body"]["answer"])
    without = [event for event in events if event["kind"] != "blobs.dropped"]
    store(run_folder, without)
    assert "blob" in {problem.kind for problem in check(run_folder, verdicts=False).problems}
    store(run_folder, [*without, resumed])
    report = check(run_folder, verdicts=False)
    answers = [problem for problem in report.problems if problem.kind == "blob" and "its answer" in problem.sentence]
    assert answers == []
    assert any("sealed answers are gone" in words for words in report.torn)


def test_ctrl_c_waits_for_nothing_that_is_still_being_derived(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> Iterator[Event]:
        yield from itertools.islice(read_events(path), 40)
        raise KeyboardInterrupt

    monkeypatch.setattr(verifying, "read_events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(pristine, trust_paths=True)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("confined")]


def test_a_blob_that_is_mentioned_very_often_takes_no_longer(run_folder: Path) -> None:
    """One event of four megabytes can name the same blob fifty thousand times."""

    def often(events: list[dict[str, Any]]) -> None:
        scores = events[find(events, "trial.answered")]["body"]["scores"]
        digest = next(iter(scores.values()))
        scores.update({f"s{number}": digest for number in range(40_000)})

    alter(run_folder, often)
    begin = time.process_time()
    assert not verify(run_folder, trust_paths=True).ok
    assert time.process_time() - begin < 10
