"""Runs on the fake sandbox, composed through the same session as real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.recorder import Listener
from rsi.runs import ReadRun, read
from rsi.session import resume, start
from rsi.testing.fake_sandbox import write_fake_task

HERE = Path(__file__).parent
SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
PROPOSER = f"{rsi.testing.fake_proposer.__file__}:FakeProposer"
SCRIPTED = f"{HERE / 'scripted.py'}:Scripted"


def configuration(folder: Path, script: str = "", **changes: object) -> RunConfiguration:
    """Scripted edits (see scripted.py), or the fake proposer where there is no script."""
    task = folder / "task"
    if not task.exists():
        write_fake_task(task, value=40, verifier=VERIFIER)
    values: dict[str, object] = {
        "task": str(task),
        "proposer": Component(name=SCRIPTED, options={"script": script}) if script else Component(name=PROPOSER),
        "policy": Component(name="greedy"),
        "sandbox": Component(name=SANDBOX),
        "verifier": Component(name=VERIFIER),
        "budget": Budget(experiments=len(script.split()) if script else 5),
        "seed": 1,
    }
    return RunConfiguration.model_validate(values | changes)


def said(_sentence: str) -> None:
    """Nobody listens."""


def run(folder: Path, config: RunConfiguration, listeners: Sequence[Listener] = ()) -> tuple[int, ReadRun]:
    """Run to the end; the exit code and the record."""
    with start(config, said, root=folder / "runs") as session:
        code = session.go(listeners)
        where = session.run.folder
    return code, read(where)


def go_on(where: Path, budget: Budget | None = None) -> tuple[int, ReadRun]:
    """Resume to the end."""
    with resume(where, said, budget) as session:
        code = session.go()
    return code, read(where)


def shaped(folder: Path, *, certify: bool) -> ReadRun:
    """The record of two experiments on the task that lies at `folder/task`, the better code certified or not."""
    proposer = Component(name=PROPOSER, options={"values": 12})
    code, record = run(folder, configuration(folder, proposer=proposer, budget=Budget(experiments=2), certify=certify))
    assert code == 0
    return record
