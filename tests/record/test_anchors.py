"""Anchors: heads written down outside the run folder, against which a shortened or rewritten ledger shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsi import anchors
from rsi.ledger import Event, Ledger
from rsi.redaction import Redactor
from rsi.runs import new_run_id


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("RSI_STATE", str(folder))
    return folder


def test_what_is_recorded_is_read_in_order(state: Path) -> None:
    assert anchors.read("run-1") == ()
    for seq in range(3):
        assert anchors.record("run-1", seq, f"{seq:064x}")
    assert anchors.record("run-2", 9, "ab" * 32)
    assert [(anchor.seq, anchor.hash) for anchor in anchors.read("run-1")] == [(n, f"{n:064x}") for n in range(3)]
    assert (state / "heads" / "run-1.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"RSI_STATE": "/a", "XDG_STATE_HOME": "/b", "HOME": "/c"}, "/a/heads"),
        ({"XDG_STATE_HOME": "/b", "HOME": "/c"}, "/b/rsi/heads"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/c"}, "/c/.local/state/rsi/heads"),
        ({"HOME": "/c"}, "/c/.local/state/rsi/heads"),
    ],
)
def test_the_state_folder_is_the_users(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RSI_STATE", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(anchors.heads_folder()) == folder


def test_a_state_folder_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "file"))
    assert not anchors.record("run-1", 0, "ab" * 32)
    assert anchors.read("run-1") == ()


@pytest.mark.parametrize("run", ["", "../x", "a/b", ".hidden", "a\nb", "x" * 200])
def test_a_run_id_never_becomes_another_path(state: Path, run: str) -> None:
    assert not anchors.record(run, 0, "ab" * 32)
    assert anchors.read(run) == ()
    assert not state.exists()


def test_no_two_runs_share_their_anchors_however_many_begin_within_a_second(state: Path) -> None:
    names = [new_run_id("same") for _ in range(1500)]
    assert len(set(names)) == len(names)
    assert not anchors.claim(names[0])
    assert anchors.read(names[0]) == ()


def test_torn_and_foreign_lines_are_passed_over(state: Path) -> None:
    anchors.record("run-1", 0, "ab" * 32)
    file = state / "heads" / "run-1.jsonl"
    file.write_bytes(file.read_bytes() + b'\xff\n[]\n{"seq":-1,"hash":"x"}\n{"seq":1,"ha')
    assert [anchor.seq for anchor in anchors.read("run-1")] == [0]


def test_a_pipe_or_link_in_place_of_the_file_does_not_block_or_lead_elsewhere(state: Path, tmp_path: Path) -> None:
    (state / "heads").mkdir(parents=True)
    os.mkfifo(state / "heads" / "run-1.jsonl")
    (state / "heads" / "run-2.jsonl").symlink_to(tmp_path / "elsewhere")
    for run in ("run-1", "run-2"):
        assert not anchors.record(run, 0, "ab" * 32)
        assert anchors.read(run) == ()
    assert not (tmp_path / "elsewhere").exists()


def test_a_ledger_cut_short_or_written_anew_contradicts_its_anchors(tmp_path: Path) -> None:
    def write(name: str, text: str) -> list[Event]:
        with Ledger.create(tmp_path / name / "ledger.jsonl", Redactor.none()) as ledger:
            for _ in range(4):
                ledger.append("kind", {"text": text})
            return list(ledger.events)

    events, forged = write("a", "honest"), write("b", "forged")
    for event in (events[1], events[3]):
        anchors.record("run-1", event.seq, event.hash)
    kept = anchors.read("run-1")
    assert anchors.contradiction(kept, events) is None
    assert anchors.contradiction(kept, events[:3]) == kept[1]
    assert anchors.contradiction(kept, forged) == kept[0]
