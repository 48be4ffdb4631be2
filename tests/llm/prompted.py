"""Runs of the task `prompt` on loopback: a model that follows the rule in its briefing, and proposes better rules."""

from __future__ import annotations

import re
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

from model_runs import MODEL, TOKENS, experiment_in
from model_server import ModelServer, Says, prompt_text

from evals.inner import prompting
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.task import load_task

POOR, GOOD = "EPSILON, WARMUP", "OPTIMIZER, LEARNING_RATE, BATCH_SIZE"
LOOPS, ROUNDS = 3, 2
LONGER = {"loops_a_trial": 8, "rounds": 2, "at_once": 6, "compute": 16.0}
"""As many moves as shipped in half the calls, none of them left out."""
MANY = {"loops_a_trial": 24, "rounds": 1, "at_once": 9, "compute": 14.0}
"""So many loops that what a rule is worth shows in one trial. Over twelve other secrets the good rule came to 1.02
(standard deviation 0.10) when this was chosen: twice the task's noise lies well below."""
FAMILIES = """\
dev = [{ slot = ["surface", 0, 0, 0, 0.0, 1.0, 0.5], count = 8 }]
holdout = [{ slot = ["surface", 0, 0, 0, 0.0, 1.3, 0.5], count = 8 }]
"""


def rule(names: str) -> str:
    """The line of the instructions that the model follows."""
    return f"Try first: {names}"


def prompt_task(folder: Path, template: str | None = None, families: str = FAMILIES) -> Path:
    """The shipped task with instructions that lead astray; on simulated inner tasks, unless `families` says others."""
    shutil.copytree(load_task("prompt").folder, folder)
    (folder / "families.toml").write_text(families)
    (folder / "instructions.md").write_text(f"{rule(POOR)}\n")
    if template is not None:
        (folder / "prompt.md").write_text(template)
    return folder


def is_choice(body: dict[str, Any]) -> bool:
    """Whether the model is asked to choose moves."""
    return prompting.RULES[:40] in prompt_text(body)


def chooses(body: dict[str, Any]) -> Says:
    """The first moves on offer of the things that the briefing names, in turns, as many as may be tried."""
    text = prompt_text(body)
    found = re.search(r"^Try first: (.*)$", text, re.MULTILINE)
    offered = re.findall(r"^(\d+)\. ([A-Z_]+) \S+ -> \S+$", text, re.MULTILINE)
    names = found[1].split(", ") if found else []
    most = int(re.findall(r"up to (\d+) may be tried", text)[0])
    of_each = [[number for number, name in offered if name == wanted] for wanted in names]
    picked = [number for turn in zip_longest(*of_each) for number in turn if number is not None]
    return Says(f"As I am told.\n\nOPTIONS: {', '.join(picked[:most])}") if picked else Says("Nothing suits me.")


def edit(old: str, new: str, path: str = "instructions.md") -> str:
    block = f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
    return f"Kind: rule\nWhy: it helps to choose.\n\n{path}\n{block}"


def speaks(*proposals: str) -> Any:
    """Proposes these edits, one an experiment, and chooses as it is told."""

    def script(body: dict[str, Any]) -> Says:
        if is_choice(body):
            return chooses(body)
        number = experiment_in(body)
        return Says(proposals[min(number, len(proposals)) - 1]) if number else Says("ready")

    return script


def prompted(task: Path, server: ModelServer, **changes: Any) -> RunConfiguration:
    """A run whose proposer and whose inner model are the server's."""
    asked = {"model": MODEL, "api_base": f"{server.address}/v1", "retry_seconds": 0.01}
    inner = {"loops_a_trial": LOOPS, "rounds": ROUNDS, "at_once": 2, "compute": 6.0, **changes.pop("inner", {})}
    values: dict[str, Any] = {
        "task": str(task),
        "proposer": Component(name="llm", options={**asked, "repairs": 0, **changes.pop("options", {})}),
        "policy": Component(name="greedy"),
        "sandbox": Component(name="process"),
        "verifier": Component(name="prompted-loops", options={**asked, **inner}),
        "budget": Budget(experiments=1, tokens=TOKENS),
        "seed": 1,
        "shared_seeds": True,
        "certify": False,
        "unsafe_no_isolation": True,
    }
    return RunConfiguration.model_validate(values | changes)
