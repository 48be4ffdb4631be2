"""What is hostile or broken around a run: told in one sentence, harmless to the terminal, nothing half-made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from test_commands import RSI, rsi

ESCAPES = "\x1b]0;PWN\x07\x1b[31mRED\u202e"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short finished run of `digits`."""
    folder = tmp_path_factory.mktemp("faults")
    done = rsi(folder, "run", "digits", "--sandbox", "process", "--experiments", "2", "--no-certify")
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "runs").iterdir()
    return found


def rewritten(run_folder: Path, target: Path, change) -> Path:  # type: ignore[no-untyped-def]
    """A copy whose events were changed and whose chain was hashed anew, as whoever made a folder can."""
    copy = target / run_folder.name
    shutil.copytree(run_folder, copy)
    events = [json.loads(line) for line in (copy / "ledger.jsonl").read_text().splitlines()]
    events = change(events) or events
    previous, lines = "0" * 64, []
    for seq, event in enumerate(events):
        fields = {key: value for key, value in event.items() if key != "hash"} | {"seq": seq, "previous": previous}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        previous = hashlib.sha256(text.encode()).hexdigest()
        full = fields | {"hash": previous}
        lines.append(json.dumps(full, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n")
    (copy / "ledger.jsonl").write_text("".join(lines))
    return copy


def one_sentence(done: subprocess.CompletedProcess[str], code: int) -> None:
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert "\x07" not in done.stderr + done.stdout
    assert "\u202e" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", ["show", "diff", "log", "verify"])
@pytest.mark.parametrize("kind", ["key", "deep", "usage", "metric"])
def test_a_hostile_ledger_is_refused_or_shown_and_does_nothing(
    run_folder: Path, tmp_path: Path, command: str, kind: str
) -> None:
    def change(events):  # type: ignore[no-untyped-def]
        for event in events:
            if kind == "key" and event["kind"] == "experiment.committed":
                event["body"][ESCAPES] = 1
            if kind == "deep" and event["kind"] == "data.prepared":
                nested: list[object] = []
                for _ in range(400):
                    nested = [nested]
                event["body"]["facts"] = {"x": nested}
            if kind == "usage" and event["kind"] == "trial.trained":
                event["body"]["execution"]["usage"]["wall_seconds"] = 1e308
            if kind == "metric" and event["kind"] == "run.started":
                event["body"]["objective"]["metric"] = "nothing"

    copy = rewritten(run_folder, tmp_path, change)
    done = rsi(tmp_path, command, str(copy))
    one_sentence(done, done.returncode)
    assert done.returncode in {0, 1}
    if kind != "metric":
        assert done.returncode == 1


@pytest.mark.parametrize("left", [b"", b'{"seq":0,"ti'])
@pytest.mark.parametrize("command", ["show", "diff", "log", "verify", "replay", "resume", "attribute"])
def test_a_ledger_of_no_whole_event_is_no_run_whatever_is_asked_of_it(
    run_folder: Path, tmp_path: Path, command: str, left: bytes
) -> None:
    copy = tmp_path / run_folder.name
    shutil.copytree(run_folder, copy)
    (copy / "ledger.jsonl").write_bytes(left)
    done = rsi(tmp_path, command, str(copy), *(["--trust"] if command in {"resume", "attribute"} else []))
    one_sentence(done, 1)
    assert "no run.started event" in done.stdout + done.stderr


def test_a_replay_of_a_broken_run_is_told_before_anything_is_trained(run_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "source"
    shutil.copytree(run_folder, copy)
    shutil.rmtree(copy / "blobs")
    arguments = ["run", "digits", "--sandbox", "process", "--proposer", "replay", "--source", str(copy)]
    done = rsi(tmp_path, *arguments)
    one_sentence(done, 1)
    assert "is missing" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_verify_of_a_run_without_its_blobs_says_what_is_missing_and_raises_nothing(
    run_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / run_folder.name
    shutil.copytree(run_folder, copy)
    shutil.rmtree(copy / "blobs")
    done = rsi(tmp_path, "verify", str(copy))
    one_sentence(done, 1)
    assert "AssertionError" not in done.stdout
    assert "is missing" in done.stdout


def test_a_run_that_did_not_begin_here_is_not_resumed_unasked(run_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / run_folder.name
    shutil.copytree(run_folder, copy)
    before = (copy / "ledger.jsonl").read_bytes()
    done = rsi(tmp_path, "resume", str(copy), "--experiments", "3")
    one_sentence(done, 2)
    assert "--trust" in done.stderr
    assert (copy / "ledger.jsonl").read_bytes() == before
    done = rsi(tmp_path, "resume", str(copy), "--experiments", "3", "--trust")
    assert done.returncode == 0, done.stderr


def test_our_own_run_written_anew_by_another_is_not_resumed(run_folder: Path, tmp_path: Path) -> None:
    def change(events):  # type: ignore[no-untyped-def]
        events[0]["body"]["configuration"]["data"] = "/etc/hostname"

    copy = rewritten(run_folder, tmp_path, change)
    state = str(run_folder.parent.parent / "state")
    done = rsi(tmp_path, "resume", str(copy), "--experiments", "3", "--trust", RSI_STATE=state)
    one_sentence(done, 1)
    assert "not what was written down" in done.stderr


def test_what_a_preparation_prints_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    rsi(tmp_path, "task", "new", "mine")
    (tmp_path / "mine" / "prepare.py").write_text(f"import sys\nsys.exit({ESCAPES!r})\n")
    done = rsi(tmp_path, "task", "check", "mine", "--sandbox", "process")
    one_sentence(done, 2)


def test_a_head_kept_elsewhere_finds_a_record_written_anew(run_folder: Path, tmp_path: Path) -> None:
    head = json.loads(rsi(tmp_path, "show", str(run_folder), "--json").stdout)["ledger_head"]
    assert rsi(tmp_path, "verify", str(run_folder), "--head", head).returncode == 0
    copy = rewritten(run_folder, tmp_path, lambda events: events[:-1])
    assert rsi(tmp_path, "verify", str(copy)).returncode == 0, "a clean cut holds by itself"
    done = rsi(tmp_path, "verify", str(copy), "--head", head)
    one_sentence(done, 1)
    assert "kept elsewhere" in done.stdout


@pytest.mark.parametrize("value", ["inf", "1e300", "nan", "0"])
def test_a_quota_that_is_no_size_is_told(tmp_path: Path, value: str) -> None:
    one_sentence(rsi(tmp_path, "run", "digits", "--sandbox", "process", "--disk-quota", value), 2)


def test_folders_that_cannot_be_written_are_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for variable in ("RSI_CACHE", "RSI_RUNS"):
        arguments = ["run", "digits", "--sandbox", "process", "--experiments", "0"]
        done = rsi(tmp_path, *arguments, **{variable: str(tmp_path / "file" / "below")})
        one_sentence(done, 3)
    assert not (tmp_path / "runs").exists()


def test_a_state_folder_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["run", "digits", "--sandbox", "process", "--experiments", "0"]
    done = rsi(tmp_path, *arguments, RSI_STATE=str(tmp_path / "file"))
    assert done.returncode == 0
    assert "cut-off end" in done.stderr


@pytest.mark.parametrize("text", ["def (", "raise RuntimeError('no')", "class P:\n    def __init__(self): 1 / 0"])
def test_a_plugin_that_does_not_load_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.py").write_text(text + "\n")
    done = rsi(tmp_path, "run", "digits", "--sandbox", "process", "--policy", "bad.py:P")
    one_sentence(done, 2)
    assert not (tmp_path / "runs").exists()


def test_a_task_with_a_pipe_for_its_code_does_not_wait_for_ever(tmp_path: Path) -> None:
    rsi(tmp_path, "task", "new", "mine")
    (tmp_path / "mine" / "train.py").unlink()
    os.mkfifo(tmp_path / "mine" / "train.py")
    one_sentence(rsi(tmp_path, "task", "check", "mine", "--sandbox", "process"), 2)


def test_a_task_toml_of_brackets_is_refused(tmp_path: Path) -> None:
    rsi(tmp_path, "task", "new", "mine")
    (tmp_path / "mine" / "task.toml").write_text("x = " + "[" * 3000 + "]" * 3000)
    one_sentence(rsi(tmp_path, "task", "check", "mine", "--sandbox", "process"), 2)


def test_a_file_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "odd") + b"/\xff\xfe.txt")).write_text("1,2\n")
    one_sentence(rsi(tmp_path, "run", "digits", "--sandbox", "process", "--data", "odd"), 2)


def test_the_source_of_a_replay_may_be_named_as_any_run(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "runs" / run_folder.name)
    done = rsi(
        tmp_path, "run", "digits", "--sandbox", "process", "--proposer", "replay", "--source", "latest", "--no-certify"
    )
    assert done.returncode == 0, done.stderr


def test_a_closed_terminal_pauses_the_run(tmp_path: Path) -> None:
    settings = {**os.environ, "RSI_STATE": str(tmp_path / "state"), "RSI_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [RSI, "run", "digits", "--sandbox", "process", "--experiments", "500"],
        cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if " 1 " in line:
            break
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(rsi(tmp_path, "show", "latest", "--json").stdout)["reason"] == "interrupted by the user"
