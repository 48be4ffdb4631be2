"""`rsi simulate`: a table, JSON and a picture; what cannot be is one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_commands import rsi

ROOT = Path(__file__).parents[2]

SMALL = ("simulate", "--policy", "greedy,oracle", "--noise", "1", "--runs", "2", "--trials", "40", "--workers", "1")


def test_policies_are_compared_in_a_table_in_json_and_in_a_picture(tmp_path: Path) -> None:
    table = rsi(tmp_path, *SMALL)
    assert table.returncode == 0, table.stderr
    assert [line.split()[1] for line in table.stdout.splitlines()[1:]] == ["greedy", "oracle"]
    told = rsi(tmp_path, *SMALL, "--json", "--picture", "policies.svg")
    assert told.returncode == 0, told.stderr
    results = json.loads(told.stdout)
    assert results["schema_version"] == 1
    assert {row["policy"] for row in results["rows"]} == {"greedy", "oracle"}
    assert {"true_gain", "certified_gain", "null_kept"} <= results["rows"][0]["measured"].keys()
    assert (tmp_path / "policies.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "greedi"], "did you mean 'greedy'"),
        (["--noise", "-1"], "--noise"),
        (["--surface", "tails=1"], "FIELD=NUMBER"),
        (["--runs", "1"], "--runs"),
    ],
)
def test_what_cannot_be_simulated_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = rsi(tmp_path, "simulate", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_that_cannot_be_written_is_the_environments_fault(tmp_path: Path) -> None:
    done = rsi(tmp_path, *SMALL, "--picture", "nowhere/policies.png")
    assert done.returncode == 3
    assert "policies.png" in done.stderr


def test_a_killed_simulation_leaves_no_worker_behind(tmp_path: Path) -> None:
    arguments = ("simulate", "--policy", "greedy", "--noise", "1", "--runs", "400", "--workers", "2")
    with subprocess.Popen([sys.executable, "-m", "cli", *arguments], stdout=subprocess.DEVNULL, cwd=ROOT) as parent:
        deadline = time.monotonic() + 60
        while not (children := list(_children(parent.pid))) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert children
        parent.kill()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def _children(process: int) -> Iterator[int]:
    """The workers of a process: Python's helper that tracks shared resources ends by itself."""
    for path in Path(f"/proc/{process}/task/{process}").glob("children"):
        for child in path.read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield int(child)
