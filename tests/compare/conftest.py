"""Comparisons on the fake sandbox, through the command line and real sessions.

Their folders lie in memory where there is one: a loop waits for the disk hundreds of times, on a busy one for minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cli
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


_grouped = False


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Rsi = Callable[..., Done]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's own, which lies on a disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_fake_task(tmp_path / "guess", value=40, verifier=VERIFIER)


def command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "cli", "compare", *words]


def few(task: Path, to: Path, *more: object, **parts: str) -> list[str]:
    """Two policies, each for a short while; `parts` replace flags."""
    flags = {"policy": "greedy,fixed", "proposer": f"{PROPOSER}(values=60)", "sandbox": SANDBOX} | parts
    given = [word for name, value in flags.items() for word in (f"--{name}", value)]
    budget = ("--experiments", 3, "--no-certify", "--confirm", 1, "--seed", 7)
    return [str(word) for word in (task, *given, *budget, "--to", to, *more)]


@pytest.fixture
def rsi(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Rsi:
    """The command itself, in this process; its loops are child processes as ever."""

    global _grouped  # noqa: PLW0603 - commands are added to the program once
    if not _grouped:
        cli._add_groups()
        _grouped = True
    monkeypatch.setattr(cli, "_add_groups", lambda: None)

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["rsi", "compare", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        return Done(code, *capfd.readouterr())

    return call
