"""An evolution, or one of its generations, as the source of a program: which run or folder holds it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from rsi.errors import IntegrityError, UsageError
from rsi.generations.evolution import Evolution, Standing, is_evolution, open_folder, whole
from rsi.records import CodeFiles

_PLACE = re.compile(r"generation-([0-9]{1,3})")


class Source(NamedTuple):
    """Where a program lies."""

    folder: Path
    """A run that certified it, or a folder with its files."""
    experiment: int
    """Of that run."""
    code: CodeFiles
    """All of its files, by whose digest it is known."""
    origin: str
    """`proposer@3 (sha256 …) of FOLDER`."""


def promoted(folder: Path) -> Source | None:
    """The program that stands in an evolution, or that one of its generations promoted; None for any other folder.

    UsageError for a generation that promoted nothing, IntegrityError where a record does not hold.
    """
    if is_evolution(folder):
        evolution = open_folder(folder)
        history = evolution.history()
        if history.damaged:
            raise IntegrityError(f"{history.damaged} Name the generation before it instead.")
        return _source(evolution, history.standing)
    found = _PLACE.fullmatch(folder.resolve().name)
    above = folder.resolve().parent
    if found is None or not is_evolution(above):
        return None
    number = int(found[1])
    evolution = open_folder(above)
    history = evolution.history()
    if number == 0:
        return _source(evolution, history.first)
    generation = next((one for one in history.generations if one.outcome.generation == number), None)
    if generation is None or not generation.outcome.promoted:
        stands = generation.after.program.label if generation is not None else history.standing.program.label
        raise UsageError(f"{folder} promoted nothing; {stands} stands there: name {above} for it.")
    return _source(evolution, generation.after)


def _source(evolution: Evolution, standing: Standing) -> Source:
    program = standing.program
    where = standing.run if standing.run is not None else evolution.place(0)
    origin = f"{program.label} (sha256 {program.sha256[:12]}) of {evolution.folder.resolve().name}"
    return Source(where, standing.experiment, whole(standing.code, evolution.task()), origin)
