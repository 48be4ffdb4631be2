"""Do all generations of a study, several at once, and go on where a killed one was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from rsi.configuration import Component
from rsi.preflight import require_modules
from rsi.protocols import Sandbox
from rsi.session import Say, build, versions
from rsi.task import load_task
from studies.collapse import jobs, record
from studies.collapse.design import CONTEXT, STREAM, Design
from studies.collapse.generation import World, ancestors, make, world_of
from studies.collapse.ngrams import Bytes
from studies.collapse.record import Cell, Measured, OpenStudy, Started, Study, cells
from studies.collapse.text import real_text, require_fit

TURN_SECONDS = 0.5
"""A finite wait, so that signal handlers of the main thread get their turn."""
Told = Callable[[Study], None]
"""Told how the study stands, whenever a model was measured."""


class Runner:
    """Holds a sandbox for one study; `stop` ends it from a signal handler, and the same command goes on later."""

    def __init__(self, sandbox: Sandbox, parallel: int, told: Told) -> None:
        self._sandbox = sandbox
        self._parallel = parallel
        self._told = told
        self.stopped = threading.Event()

    def stop(self) -> None:
        """End what is under way; what was measured is on record."""
        self.stopped.set()
        self._sandbox.interrupt()

    def start(self, folder: Path, design: Design, data: str, say: Say) -> Study:
        """Begin a study, or go on with the same one; UsageError where the folder holds another."""
        description, program = self._sandbox.describe(), jobs.program(design.model)
        begun = record.read(folder) if record.is_study(folder) else None
        if begun is not None:
            record.require_same(begun, design, program.code, description)
        text = real_text(self._sandbox, data)
        if begun is not None:
            record.require_same_text(begun, text)
            return begun if begun.complete else self.resume(folder, say)
        require_fit(text, design)
        if design.model == "charlm":
            require_modules(load_task("charlm"), self._sandbox)
        started = Started(
            design=design,
            window=text.window,
            program=record.digests(program.code),
            sandbox=description,
            versions=versions(),
            training=record.digest(text.training),
            dev=record.digest(text.dev),
            holdout=record.digest(text.holdout),
        )
        with closing(record.create(folder, started, text)) as study:
            return self._go(study, world_of(design, text), program, say)

    def resume(self, folder: Path, say: Say) -> Study:
        """Go on with the study of a folder, whatever it was asked."""
        with closing(record.reopen(folder)) as study:
            found = study.study
            program = jobs.program(found.design.model)
            record.require_same(found, found.design, program.code, self._sandbox.describe())
            if found.complete:
                return found
            text = record.real_text_of(folder, found.started)
            return self._go(study, world_of(found.design, text), program, say)

    def _go(self, study: OpenStudy, world: World, program: jobs.Program, say: Say) -> Study:
        design = world.design
        left = design.cells() - len(study.study.measured)
        say(f"{left} models to train in {study.folder}; if this is stopped, the same command goes on.")
        self._sandbox.warm([program.shape] * (2 * self._parallel))
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="rsi-study") as executor:
            under_way: dict[Future[Measured], Cell] = {}
            try:
                while not self.stopped.is_set():
                    for cell in self._next(study.study, set(under_way.values()))[: self._parallel - len(under_way)]:
                        under_way[executor.submit(self._make, study, world, program, cell)] = cell
                    if not under_way:
                        break
                    done, _ = wait(under_way, timeout=TURN_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        del under_way[future]
                        self._add(study, future)
            finally:
                if under_way:
                    self._sandbox.interrupt()
        return study.study

    def _add(self, study: OpenStudy, future: Future[Measured]) -> None:
        try:
            study.add(future.result())
        except jobs.Stopped:
            return
        self._told(study.study)

    def _make(self, study: OpenStudy, world: World, program: jobs.Program, cell: Cell) -> Measured:
        texts = [written(study, before) for before in ancestors(world.design, cell)]
        return make(world, program, cell, texts, self._sandbox.run, study.blobs)

    @staticmethod
    def _next(study: Study, under_way: set[Cell]) -> list[Cell]:
        """What can be trained now, the earliest generation first."""
        done = {entry.cell for entry in study.measured}
        return [
            cell
            for cell in cells(study.design)
            if cell not in done and cell not in under_way and done.issuperset(ancestors(study.design, cell))
        ]


def written(study: OpenStudy, cell: Cell) -> Bytes:
    """The streams that a model wrote, from the record."""
    entry = next(entry for entry in study.study.measured if entry.cell == cell)
    return np.frombuffer(study.blobs.get(entry.text), np.uint8).reshape(-1, CONTEXT + STREAM)


@contextmanager
def runner(sandbox: str, parallel: int, told: Told) -> Iterator[Runner]:
    """A runner with the sandbox of that name; leaves no container behind."""
    with closing(build("sandboxes", Component(name=sandbox))) as made:
        yield Runner(made, parallel, told)
