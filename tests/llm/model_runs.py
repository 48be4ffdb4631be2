"""Runs on the fake sandbox that a model server on loopback drives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_server import ModelServer, Says, prompt_text

import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi.calls import Message, Request
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.events import RunStarted
from rsi.execution import SandboxDescription
from rsi.redaction import Redactor
from rsi.runs import OpenRun, ReadRun, create, read, task_blob_digest
from rsi.session import resume, start
from rsi.task import load_task
from rsi.testing.fake_sandbox import write_fake_task

SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
MODEL = "openai/local-model"
TOKENS = 10_000_000


def edit(value: object, now: object, why: str = "closer to the target") -> str:
    """An answer that sets VALUE, in the form that is asked for."""
    block = f"<<<<<<< SEARCH\nVALUE = {now}\n=======\nVALUE = {value}\n>>>>>>> REPLACE\n"
    return f"Kind: value\nWhy: {why}.\n\ntrain.py\n{block}"


def value_in(body: dict[str, Any]) -> str:
    """VALUE in the code that a prompt shows; empty in the check at the start, which shows none."""
    match = re.search(r"^VALUE = (.+)$", prompt_text(body), re.MULTILINE)
    return match[1] if match else ""


def experiment_in(body: dict[str, Any]) -> int:
    """Which experiment a prompt asks for; 0 for the check at the start."""
    found = re.findall(r"^Propose experiment (\d+)\.", prompt_text(body), re.MULTILINE)
    return int(found[-1]) if found else 0


def steps(body: dict[str, Any]) -> Says:
    """A model that walks: experiment n sets VALUE to 40 - n."""
    number = experiment_in(body)
    return Says("ready") if number == 0 else Says(edit(40 - number, value_in(body)))


def configuration(folder: Path, server: ModelServer | None = None, **changes: Any) -> RunConfiguration:
    """Of a run whose model is the server's; `options` are the proposer's."""
    task = folder / "task"
    if not task.exists():
        write_fake_task(task, value=40, verifier=VERIFIER)
    options = {
        "model": MODEL,
        "api_base": f"{server.address}/v1" if server else "",
        "retry_seconds": 0.01,
        **changes.pop("options", {}),
    }
    values: dict[str, Any] = {
        "task": str(task),
        "proposer": Component(name="llm", options=options),
        "policy": Component(name="greedy"),
        "sandbox": Component(name=SANDBOX),
        "verifier": Component(name=VERIFIER),
        "budget": Budget(experiments=3, tokens=TOKENS),
        "seed": 1,
    }
    return RunConfiguration.model_validate(values | changes)


def said(_sentence: str) -> None:
    """Nobody listens."""


def run(folder: Path, config: RunConfiguration, approve: Any = None) -> tuple[int, ReadRun]:
    """Run to the end; the exit code and the record."""
    with start(config, said, root=folder / "runs") as session:
        code = session.go(approve=approve)
        where = session.run.folder
    return code, read(where)


def go_on(where: Path, budget: Budget | None = None) -> tuple[int, ReadRun]:
    """Resume to the end."""
    with resume(where, said, budget) as session:
        code = session.go()
    return code, read(where)


def kinds(record: ReadRun, beginning: str = "") -> list[str]:
    """The kinds of a run's events, in order."""
    return [event.kind for event in record.events if event.kind.startswith(beginning)]


def at(
    experiment: int, first: Callable[[dict[str, Any]], Any], otherwise: Callable[[dict[str, Any]], Any] = steps
) -> Any:
    """A script that answers one experiment differently, the first time it is asked for."""
    done: list[int] = []

    def script(body: dict[str, Any]) -> Any:
        if experiment_in(body) == experiment and not done:
            done.append(experiment)
            return first(body)
        return otherwise(body)

    return script


def open_run(folder: Path, budget: Budget) -> OpenRun:
    """A run that has only begun, for tests of the calls alone."""
    task = load_task(str(write_fake_task(folder / "task", verifier=VERIFIER)))
    started = RunStarted(
        run="a-run",
        configuration=configuration(folder, budget=budget),
        objective=task.objective,
        grounded=True,
        sandbox=SandboxDescription(name="fake", isolates=True),
        task=task_blob_digest(task),
        task_digest=task.digest(),
        randomness="00" * 32,
        versions={},
    )
    return create(started, folder / "run", task, Redactor.from_environment(os.environ))


def question(text: str = "a question", answer_tokens: int = 100, model: str = "a-model") -> Request:
    """A small request."""
    return Request(model=model, messages=(Message(role="user", parts=(text,)),), max_output_tokens=answer_tokens)
