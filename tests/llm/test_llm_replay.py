"""Replay: every proposal from the record alone, and the name of the event where that fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_runs import configuration, edit, run, steps
from model_server import ModelServer

from rsi.configuration import Budget, Component
from rsi.review.replay import replay
from rsi.review.secrets_aside import same_but_for_secrets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ModelServer(steps) as server:
        _, record = run(tmp_path, configuration(tmp_path, server))
    return record.folder


def alter(folder: Path, kind: str, number: int, change: Callable[[dict[str, Any]], None]) -> int:
    """What one who hashes the chain again can do to the n-th event of a kind; its place in the ledger."""
    lines = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    place = [seq for seq, event in enumerate(lines) if event["kind"] == kind][number]
    change(lines[place]["body"])
    previous, written = "0" * 64, []
    for event in lines:
        fields = {key: value for key, value in event.items() if key != "hash"} | {"previous": previous}
        previous = hashlib.sha256(canonical(fields).encode()).hexdigest()
        written.append(canonical(fields | {"hash": previous}) + "\n")
    (folder / "ledger.jsonl").write_text("".join(written))
    return place


def canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def blob(folder: Path, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = folder / "blobs" / digest[:2] / digest[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return digest


def test_a_run_derives_again_with_no_server_and_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    report = replay(folder, trust_paths=True)
    assert report.ok, report.problems
    assert (report.proposals, report.calls, report.decisions) == (3, 3, 3)


def test_another_answer_than_the_one_that_was_used_is_found(folder: Path) -> None:
    def forge(body: dict[str, Any]) -> None:
        path = folder / "blobs" / body["answer"][:2] / body["answer"][2:]
        answer = json.loads(path.read_text())
        answer["text"] = edit(7, 39)
        body["answer"] = blob(folder, json.dumps(answer))

    alter(folder, "call.settled", 2, forge)  # after the check and the first proposal
    report = replay(folder, trust_paths=True)
    assert not report.ok
    assert report.problems[0].event in {"experiment.proposed", "experiment.committed"}
    assert any(problem.kind == "proposal" and "edit of experiment 2" in problem.sentence for problem in report.problems)


def test_another_reason_than_the_models_is_found_at_its_event(folder: Path) -> None:
    seq = alter(folder, "experiment.proposed", 2, lambda body: body.update(rationale="a better story"))
    report = replay(folder, trust_paths=True)
    assert not report.ok
    assert seq in {problem.seq for problem in report.problems if problem.kind == "proposal"}


def test_another_prompt_than_the_one_that_derives_is_found(folder: Path) -> None:
    alter(folder, "call.reserved", 1, lambda body: body.update(request_digest="0" * 64))
    report = replay(folder, trust_paths=True)
    assert report.problems[0].event == "call.reserved"
    assert any("is not the one that was recorded" in problem.sentence for problem in report.problems)


def test_tokens_that_the_answer_did_not_use_are_found(folder: Path) -> None:
    seq = alter(folder, "call.settled", 1, lambda body: body.update(output_tokens=1))
    report = replay(folder, trust_paths=True)
    assert (seq, "call") in {(problem.seq, problem.kind) for problem in report.problems}


def test_a_program_that_the_run_names_by_path_is_not_run_unasked(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n" + SOURCE)
    with ModelServer(steps) as server:
        config = configuration(
            tmp_path, server, proposer=Component(name=f"{planted}:Nothing"), budget=Budget(experiments=3)
        )
        _, record = run(tmp_path, config)
    (tmp_path / "ran").unlink()
    report = replay(record.folder)
    assert not (tmp_path / "ran").exists()
    assert any("not loaded unasked" in note for note in report.notes)


SOURCE = """
from rsi.protocols import Exhausted


class Nothing:
    name = "nothing"

    def propose(self, brief):
        raise Exhausted("nothing at all")
"""


@pytest.mark.parametrize("lie", ["a lie [redacted x]", "a lie [redacted SOME_KEY]", "[redacted SOME_KEY]"])
def test_a_placeholder_in_the_record_excuses_no_difference(folder: Path, lie: str) -> None:
    seq = alter(folder, "experiment.proposed", 2, lambda body: body.update(rationale=lie))
    problems = replay(folder, trust_paths=True).problems
    assert seq in {problem.seq for problem in problems if problem.kind == "proposal"}


@pytest.mark.parametrize(
    ("derived", "recorded", "same"),
    [
        ("use sk-4f5a9b1c2d now", "use [redacted SOME_KEY] now", True),
        ("use sk-4f5a9b1c2d", "use [redacted SOME_KEY]", True),
        ("use [redacted SOME_KEY] and sk-4f5a9b1c2d", "use [redacted SOME_KEY] and [redacted A_TOKEN]", True),
        ("use it now", "use [redacted SOME_KEY] now", False),
        ("drop sk-4f5a9b1c2d now", "use [redacted SOME_KEY] now", False),
        ("use\\nVALUE=3.00001;now", "use[redacted SOME_KEY]now", False),
        ("use sk-4f5a9b1c2d now", "use [redacted HOME] now", False),
    ],
)
def test_placeholders_stand_for_secrets_alone(derived: str, recorded: str, same: bool) -> None:
    assert same_but_for_secrets(derived, recorded) is same


@pytest.mark.parametrize(
    "worst", [{"calls": 0}, {"calls": 1, "tokens": 5, "input_tokens": 3, "output_tokens": 2, "unpriced_calls": 1}]
)
def test_a_reservation_that_is_not_the_worst_case_is_found(folder: Path, worst: dict[str, Any]) -> None:
    seq = alter(folder, "call.reserved", 1, lambda body: body.update(worst=worst))
    problems = replay(folder, trust_paths=True).problems
    assert (seq, "call") in {(problem.seq, problem.kind) for problem in problems}
