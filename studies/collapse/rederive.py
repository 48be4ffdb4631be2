"""Does a study's record hold? Every text to train on and every number, derived again without a sandbox."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from rsi.blobs import Blobs
from rsi.errors import IntegrityError
from rsi.heads import redactor_of
from rsi.records import Record
from studies.collapse.design import CONTEXT, STREAM
from studies.collapse.generation import World, ancestors, streams_of, training_rows, world_of
from studies.collapse.measures import measure
from studies.collapse.ngrams import Bytes, Floats
from studies.collapse.record import Cell, Measured, Study, read, real_text_of


class Rederived(Record):
    """What came of it."""

    models: int
    problems: tuple[str, ...]
    """A sentence each."""
    head: str

    @property
    def holds(self) -> bool:
        """Whether all of it follows."""
        return not self.problems


def rederive(folder: Path) -> Rederived:
    """Read, and derive again; IntegrityError where the chain itself does not hold.

    What is taken from the record as it stands is what models wrote and what their answers cost: bytes and losses.
    """
    study = read(folder)
    blobs = Blobs(folder / "blobs", redactor_of(os.environ))
    world = world_of(study.design, real_text_of(folder, study.started))
    problems = []
    for entry in study.measured:
        try:
            problems += _problems(world, study, entry, blobs)
        except IntegrityError as error:
            problems.append(str(error))
    return Rederived(models=len(study.measured), problems=tuple(problems), head=study.head)


def _problems(world: World, study: Study, entry: Measured, blobs: Blobs) -> list[str]:
    cell = entry.cell
    name = f"{cell.arm}, seed {cell.seed}, generation {cell.generation}"
    texts = [_streams(world, study, before, blobs) for before in ancestors(world.design, cell)]
    rows, acceptance = training_rows(world, cell, texts)
    losses = _losses(blobs.get(entry.losses), name)
    found = []
    if hashlib.sha256(rows.tobytes()).hexdigest() != entry.trained_on or acceptance != entry.acceptance:
        found.append(f"{name}: what it was trained on does not follow from the text of those before it.")
    if measure(world.yardstick, _streams(world, study, cell, blobs), losses) != entry.measures:
        found.append(f"{name}: its measures do not follow from what it wrote and answered.")
    return found


def _losses(content: bytes, name: str) -> Floats:
    if not content or len(content) % 8:
        raise IntegrityError(f"{name}: its losses are no numbers.")
    return np.frombuffer(content, "<f8")


def _streams(world: World, study: Study, cell: Cell, blobs: Blobs) -> Bytes:
    for entry in study.measured:
        if entry.cell == cell:
            content = blobs.get(entry.text)
            if len(content) != streams_of(world.design, cell) * (CONTEXT + STREAM):
                raise IntegrityError(f"{cell.arm}, seed {cell.seed}: its text is not of the length that was asked for.")
            return np.frombuffer(content, np.uint8).reshape(-1, CONTEXT + STREAM)
    raise IntegrityError(f"{cell.arm}, seed {cell.seed}: generation {cell.generation} is missing from the record.")
