"""Advice for a language model: the instructions that a run of the task `prompt` certified, or a folder's.

They are read once, when a run begins, and frozen into its record: nothing of the source is executed, links are not
followed, and what becomes of it afterwards does not matter. In a prompt they are quoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rsi.durable import read_regular
from rsi.errors import RsiError, UsageError
from rsi.runs import LEDGER, ReadRun, read
from rsi.workspace import Workspace

INSTRUCTIONS = "instructions.md"
LONGEST = 16_384
"""Bytes; what the task `prompt` lets its two files have together."""


class Advice(NamedTuple):
    """What a proposer is told besides."""

    text: str
    origin: str
    """Where it was found, in words: `experiment 5 of RUN`, `the folder mine`."""


def advice_of(source: Path) -> Advice:
    """The instructions that lie there; UsageError where there are none, or none that was certified."""
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder; name a run of the task prompt, or a folder with {INSTRUCTIONS}.")
    found = _of_run(read(source)) if (source / LEDGER).is_file() else _of_folder(source)
    if not found.text.strip():
        raise UsageError(f"The {INSTRUCTIONS} of {found.origin} is empty; leave --source out, or name another one.")
    if len(found.text.encode()) > LONGEST:
        raise UsageError(f"The {INSTRUCTIONS} of {found.origin} has more than {LONGEST} bytes; shorten it.")
    return found


def _of_run(run: ReadRun) -> Advice:
    name, certified = run.state.run.run, run.state.certified
    if INSTRUCTIONS not in run.task().spec.code.editable:
        raise UsageError(
            f"{name} is a run of {run.task().spec.name}, which has no {INSTRUCTIONS}; name one of the task prompt."
        )
    if certified == 0:
        raise UsageError(
            f"{name} certified nothing, so none of its instructions is known to be better than the first; go on with "
            f"it, or name a folder with the {INSTRUCTIONS} that you want."
        )
    code = Workspace.open(run.folder).read(run.state.commit_of(certified))
    return Advice(code.get(INSTRUCTIONS, ""), f"experiment {certified} of {name}")


def _of_folder(folder: Path) -> Advice:
    try:
        text = read_regular(folder / INSTRUCTIONS, LONGEST).decode()
    except FileNotFoundError:
        raise UsageError(f"{folder} holds neither a run nor {INSTRUCTIONS}; name a folder that does.") from None
    except (OSError, UnicodeDecodeError, RsiError) as error:
        raise UsageError(f"{folder / INSTRUCTIONS} cannot be used: {error}") from None
    return Advice(text, f"the folder {folder.resolve().name}")
