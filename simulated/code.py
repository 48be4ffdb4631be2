"""The one editable file of a simulated task, and edits of it: real ones, a line each."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rsi.records import Direction, Edit, EditFormat
from rsi.task import Task, TaskSpec

FILE = "train.py"
METRIC = "loss"
PREFIX = "effect_"
LONGEST = 6
"""Terms of an added line's expression, so that edits differ in syntax-tree tokens."""

PROGRAM = "Lower the loss. Every line is worth what the surface says; nothing is trained."


def baseline(regions: int) -> str:
    """The code before any edit: `regions` places for lines, comments between them.

    Edits in different regions merge; two in one region may be entangled, as lines that stand together are.
    """
    return "baseline = 0\n" + "".join(f"{_header(number)}\n" for number in range(regions))


def task(regions: int = 128, noise: float = 0.02) -> Task:
    """A task whose training code is `baseline`; `noise` is what `task.toml` would say about seeds."""
    spec = TaskSpec.model_validate(
        {
            "schema": 1,
            "name": "simulated",
            "title": "A surface whose truth is known",
            "code": {"editable": [FILE], "max_bytes": 1 << 20},
            "train": {"script": FILE, "budget": 1, "unit": "steps"},
            "objective": {"metric": METRIC, "direction": Direction.MINIMIZE, "noise": noise},
            "verifier": {"name": "simulated"},
        }
    )
    return Task(folder=Path("simulated"), spec=spec, program=PROGRAM, code={FILE: baseline(regions)}, protected={})


def addition(name: str, draw: int, regions: int) -> Edit:
    """An edit that adds a line of that name, in the region and of the length that the draw says."""
    header = _header(draw % regions)
    terms = 1 + draw // regions % LONGEST
    return _replace(header, f"{header}\n{PREFIX}{name} = {' + '.join('1' * terms)}")


def removal(line: str) -> Edit:
    """An edit that takes a line out."""
    return _replace(line, "")


def lines_of(text: str) -> list[str]:
    """The lines that edits have added."""
    return [line for line in text.split("\n") if line.startswith(PREFIX)]


def name_of(seed: int, experiment: int) -> str:
    """A name that no other draw has."""
    return hashlib.blake2b(f"{seed} {experiment}".encode(), digest_size=6).hexdigest()


def _header(region: int) -> str:
    return f"# region {region}"


def _replace(old: str, new: str) -> Edit:
    body = f"{new}\n" if new else ""
    text = f"{FILE}\n<<<<<<< SEARCH\n{old}\n=======\n{body}>>>>>>> REPLACE\n"
    return Edit(format=EditFormat.SEARCH_REPLACE, text=text)
