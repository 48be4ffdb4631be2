"""The walk of `docs/reviewing.md`: its commands, what stands under them, and running them in a shell.

What the page promises of an output, line by line: `…` is anything on a line, at its end also nothing; a line `…` is
lines left out; a figure with a decimal point is any such figure; how many spaces stand between words is of no matter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reviewing.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY = "…"
_LOOSE = re.compile(r"(…|(?<![\d.])\d+\.\d+(?![\d.]))")
_SHELL = 'set -o pipefail; rsi() { "$RSI_PYTHON" -c "import cli; cli.main()" "$@"; }; '


class Step(NamedTuple):
    """A command of the page."""

    command: str
    promised: tuple[str, ...]
    """The lines under it."""
    own: bool
    """Whether it belongs to the first block: what whoever made the run does, on a machine of theirs."""


class Done(NamedTuple):
    """What it came to."""

    step: Step
    code: int
    output: str


def steps() -> list[Step]:
    """Every command of the page, in order."""
    found: list[Step] = []
    for number, block in enumerate(_BLOCK.findall(PAGE.read_text(encoding="utf-8"))):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *promised = part.rstrip("\n").split("\n")
            found.append(Step(command, tuple(promised), number == 0))
    return found


def walk(folder: Path) -> list[Done]:
    """Run all of them in that folder, with the edits where the page says; the maker's state is not the reviewer's."""
    edits = folder / "docs" / "reviewing"
    edits.mkdir(parents=True)
    (edits / "edits").symlink_to(ROOT / "docs" / "reviewing" / "edits")
    done = []
    for step in steps():
        environment = {
            **{name: value for name, value in os.environ.items() if name not in {"RSI_RUNS", "RSI_AUTHOR"}},
            "PYTHONPATH": str(ROOT),
            "RSI_PYTHON": sys.executable,
            "RSI_STATE": str(folder.parent / ("state-of-the-maker" if step.own else "state-of-the-reviewer")),
        }
        ran = subprocess.run(
            ["bash", "-c", _SHELL + step.command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        done.append(Done(step, ran.returncode, ran.stdout))
    return done


def missing(promised: tuple[str, ...], output: str) -> str:
    """The first promised line that the output does not bear out, where nothing is left out but where it says so."""
    lines = [" ".join(line.split()) for line in output.rstrip("\n").split("\n")]
    at, gap = 0, False
    for line in promised:
        if line.strip() == _ANY:
            gap = True
            continue
        pattern = _pattern(line)
        places = range(at, len(lines)) if gap else range(at, min(at + 1, len(lines)))
        found = next((place for place in places if pattern.fullmatch(lines[place])), None)
        if found is None:
            return line
        at, gap = found + 1, False
    return "" if gap or at == len(lines) or not promised else f"(nothing further, but there is: {lines[at]})"


def _pattern(line: str) -> re.Pattern[str]:
    words = " ".join(line.split())
    ending = r"(?: .*)?" if words.endswith(f" {_ANY}") else ""
    parts = _LOOSE.split(words.removesuffix(f" {_ANY}"))
    loose = [".*" if part == _ANY else r"\d+(?:\.\d+)?(?:e-\d+)?" for part in parts[1::2]]
    fixed = [re.escape(part) for part in parts[::2]]
    return re.compile("".join(piece for pair in zip(fixed, [*loose, ending], strict=True) for piece in pair))
