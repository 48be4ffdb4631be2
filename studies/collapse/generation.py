"""One generation of one arm: from the text of those before it to rows, weights, answers, text and measures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rsi.execution import Job, Outcome
from rsi.storage import BlobStore
from studies.collapse import jobs
from studies.collapse.acceptance import Acceptance, Reference, accept, passages, reference_of
from studies.collapse.design import FIRST, Design
from studies.collapse.measures import Yardstick, losses_of, measure
from studies.collapse.ngrams import Bytes
from studies.collapse.record import Cell, Measured
from studies.collapse.text import RealText

Run = Callable[[Job], Outcome]


class World(NamedTuple):
    """What is the same for every generation of a study."""

    design: Design
    text: RealText
    reference: Reference
    yardstick: Yardstick


def world_of(design: Design, text: RealText) -> World:
    """Count real text once."""
    yardstick = Yardstick(size=design.size, rare=text.rare(design.size), quadruples=text.quadruples())
    return World(design, text, reference_of(design, text.reference()), yardstick)


def ancestors(design: Design, cell: Cell) -> list[Cell]:
    """Whose text a generation is trained on: the one before it, or all of them where text accumulates."""
    if cell.generation == 0 or design.arm(cell.arm).kind == "real":
        return []
    line = [Cell(arm=FIRST if g == 0 else cell.arm, seed=cell.seed, generation=g) for g in range(cell.generation)]
    return line if design.arm(cell.arm).kind == "accumulated" else line[-1:]


def streams_of(design: Design, cell: Cell) -> int:
    """How many streams a generation writes: more where passages of it are to be accepted."""
    filtered = cell.arm if cell.generation else next((arm.name for arm in design.arms if arm.kind == "filtered"), "")
    offers = filtered and cell.generation < design.generations and design.arm(filtered).kind == "filtered"
    return design.streams * (design.offered if offers else 1)


def training_rows(world: World, cell: Cell, texts: Sequence[Bytes]) -> tuple[Bytes, Acceptance | None]:
    """The rows (N, 8) that a generation is trained on; `texts` are the streams of its ancestors, in order."""
    design = world.design
    kind = design.arm(cell.arm).kind if cell.generation else "real"
    real = design.secret("rows", cell.seed, cell.generation)
    draw = design.secret("draw", cell.arm, cell.seed, cell.generation).generator()
    if kind == "real":
        return world.text.rows(design.passages, real), None
    if kind == "filtered":
        return accept(design, texts[0], world.reference, draw)
    written = [passages(streams[: design.streams]) for streams in texts]
    if kind == "accumulated":
        first = world.text.rows(design.passages, design.secret("rows", cell.seed, 0))
        return np.concatenate([first, *written]), None
    share = round(design.arm(cell.arm).real_share * design.passages)
    kept = np.sort(draw.permutation(design.passages)[: design.passages - share])
    return np.concatenate([world.text.rows(share, real), written[0][kept]]), None


def make(
    world: World, program: jobs.Program, cell: Cell, texts: Sequence[Bytes], run: Run, blobs: BlobStore
) -> Measured:
    """Train, ask and let write, each in a fresh place; then measure."""
    design = world.design
    labels = {"run": "collapse", "trial": f"{cell.arm}-{cell.seed}-{cell.generation}"}
    rows, acceptance = training_rows(world, cell, texts)
    beginning = design.secret("train", cell.seed, cell.generation).seed()
    trained = run(jobs.training(program, rows, beginning, labels))
    weights = jobs.weights_of(trained)
    contexts, targets = world.text.questions(design.secret("questions", cell.arm, cell.seed, cell.generation))
    asked = jobs.question(contexts)
    answered = run(jobs.answering(program, weights, asked, labels))
    losses = losses_of(jobs.answer_of(answered, asked), targets)
    count = streams_of(design, cell)
    seed = design.secret("write", cell.seed, cell.generation).seed()
    wrote = run(jobs.writing(program, weights, count, seed, labels))
    streams = jobs.text_of(wrote, count)
    return Measured(
        cell=cell,
        trained_on=hashlib.sha256(rows.tobytes()).hexdigest(),
        rows=len(rows),
        acceptance=acceptance,
        weights={name: hashlib.sha256(content).hexdigest() for name, content in sorted(weights.items())},
        losses=blobs.put(losses.astype("<f8").tobytes()),
        text=blobs.put(streams.tobytes()),
        measures=measure(world.yardstick, streams, losses),
        executions=tuple(outcome.execution for outcome in (trained, answered, wrote)),
    )
