"""Comparisons on the fake sandbox, through the command line and real sessions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.testing.fake_sandbox import write_fake_task

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
PROPOSER = f"{rsi.testing.fake_proposer.__file__}:FakeProposer"
WORD = f"{HERE / 'ungrounded.py'}:Word"


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Rsi = Callable[..., Done]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_fake_task(tmp_path / "guess", value=40, verifier=VERIFIER)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "cli", "compare", *map(str, words)]


def few(task: Path, to: Path, *more: object) -> list[str]:
    """Two policies, each for a short while."""
    budget = ("--experiments", 3, "--no-certify", "--confirm", 2)
    parts = ("--policy", "greedy,fixed", "--proposer", f"{PROPOSER}(values=60)", "--sandbox", SANDBOX)
    return command(task, *parts, *budget, "--to", to, *more)


@pytest.fixture
def rsi() -> Rsi:
    def call(*words: object) -> Done:
        done = subprocess.run(command(*words), check=False, capture_output=True, text=True, cwd=ROOT)
        return Done(done.returncode, done.stdout, done.stderr)

    return call
