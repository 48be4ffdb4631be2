"""`rsi export` as a person calls it, with every library there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exported_runs import Known

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cli", "export", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@pytest.mark.parametrize(
    ("form", "name", "again"),
    [("inspect", "x.eval", 2), ("parquet", "x", 2), ("jsonl", "x.jsonl", 2), ("mlflow", "x", 0)],
)
def test_each_format_says_what_it_did_and_keeps_what_is_there(
    finished: Known, tmp_path: Path, form: str, name: str, again: int
) -> None:
    arguments = (str(finished.folder), "--format", form, "-o", str(tmp_path / name), "--json")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["schema"], outcome["format"], outcome["run"]) == (1, form, finished.run.state.run.run)
    assert (outcome["head"], outcome["events"]) == (finished.run.state.head, finished.run.state.events)
    assert outcome["records"]["experiment"] == len(finished.run.state.experiments)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    second = command(*arguments)
    assert second.returncode == again, second.stderr
    if again:
        assert len(second.stderr.splitlines()) == 1
        assert command(*arguments, "--force").returncode == 0
    else:
        assert json.loads(second.stdout)["did"] == "was already there"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_words_for_a_person_steer_no_terminal(finished: Known, tmp_path: Path) -> None:
    done = command(str(finished.folder), "--format", "inspect", "-o", str(tmp_path / "x.eval"))
    assert "is called" in done.stdout
    assert not set(done.stdout + done.stderr) & set("\x00\x1b\x07\x7f\u202e\u2028")
