"""Evolutions on the fake sandbox, through the command line and in this process; and outcomes made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.configuration import Budget, Component
from rsi.generations.beginning import begin
from rsi.generations.evolution import Evolution
from rsi.generations.outcome import Outcome
from rsi.generations.plan import Plan
from rsi.generations.running import run_generations
from rsi.session import Session
from rsi.statistics import Interval
from rsi.testing.fake_sandbox import write_fake_task

ROOT = Path(__file__).parents[2]
SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
PROPOSER = f"{rsi.testing.fake_proposer.__file__}:FakeProposer"
REMEMBERING = f"{Path(__file__).parent / 'remembering.py'}:Remembering"


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def rsi_command(*words: object, **environment: str) -> Done:
    words = (sys.executable, "-m", "cli", *words)
    done = subprocess.run(
        [str(word) for word in words],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def fake_programs(folder: Path, value: float = 40, code: str = "", verifier: str = VERIFIER) -> Path:
    """The fake task, whose code is called a program that proposes."""
    task = write_fake_task(folder, value=value, verifier=verifier)
    text = (task / "task.toml").read_text()
    text = text.replace('"train.py"', '"proposer.py"').replace("[train]", '[train]\nscript = "proposer.py"')
    (task / "task.toml").write_text(text)
    (task / "train.py").rename(task / "proposer.py")
    if code:
        (task / "proposer.py").write_text(code)
    return task


def plan(task: Path, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "task": str(task),
        "generations": 2,
        "budget": Budget(experiments=3),
        "proposer": Component(name=PROPOSER, options={"values": 40}),
        "policy": Component(name="greedy"),
        "sandbox": Component(name=SANDBOX),
        "seed": 3,
    }
    return Plan.model_validate(values | changes)


def begun(folder: Path, **changes: Any) -> Evolution:
    """An evolution of the fake task, nothing run yet."""
    task = folder / "guess"
    return begin(plan(task if task.exists() else fake_programs(task), **changes), folder / "evolution")[0]


def go(session: Session) -> int:
    return session.go()


def said(_sentence: str) -> None:
    """Nobody listens."""


def evolved(folder: Path, **changes: Any) -> Evolution:
    """One that came to its end."""
    found = begun(folder, **changes)
    assert run_generations(found, go, said) == 0
    return found


def interval(estimate: float, half: float = 0.1, n: int = 6) -> Interval:
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half, confidence=0.95, n=n, method="t")


def outcome(generation: int = 1, **changes: Any) -> Outcome:
    """A generation that was promoted and carries over."""
    values: dict[str, Any] = {
        "generation": generation,
        "run": "a-run",
        "folder": f"generation-{generation}/a-run",
        "status": "finished",
        "reason": "the budget is spent",
        "proposed_by": "proposer@0",
        "alpha": 0.01,
        "used": 0.0,
        "promoted": True,
        "tested": True,
        "gain": interval(0.5),
        "carried": interval(0.5),
        "dev_gain": 0.6,
        "dev_error": 0.05,
        "baseline": 0.8,
        "experiments": 10,
        "kept": 3,
        "trials": 40,
        "cpu_seconds": 100.0,
        "scoring_seconds": 20.0,
        "wall_seconds": 60.0,
        "cost_usd": 0.0,
        "unit": "gain_per_compute",
    }
    return Outcome.model_validate(values | changes)
