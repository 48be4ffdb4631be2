"""Cells made ahead of their jobs, each used once: the making and the removing happen in the background."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import NamedTuple

from rsi.execution import Shape
from sandboxes.bell import Bell, Interrupted
from sandboxes.docker.cell import Cell

THREADS = 4
"""For what is not waited for: removing, renaming, sweeping."""
MAKERS = max(2, min(8, os.cpu_count() or 2))
"""More places warming up than there are processors only make the first one, which is waited for, come later."""
PATIENCE_SECONDS = 0.05


class _Entry(NamedTuple):
    """A cell that waits or is being made."""

    shape: Shape
    cell: Future[Cell]
    needed: threading.Event
    """Set once a job waits for it: until then its making gives way to programs that run."""


class Pool:
    """At most `size` cells wait at any time, for the shapes that were asked for last."""

    def __init__(self, make: Callable[[Shape, Bell, threading.Event], Cell], size: int) -> None:
        self._make = make
        self._size = size
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._wanted: Counter[Shape] = Counter()
        self._undead: list[Cell] = []
        self._closing = Bell()
        self._closed = False
        self._makers = ThreadPoolExecutor(max_workers=MAKERS, thread_name_prefix="rsi-maker")
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="rsi-cell")

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Have one cell for each mention, as far as the size goes; those of other shapes make room."""
        wanted = list(shapes)[: self._size]
        self._bury_again()
        with self._lock:
            if self._closed:
                return
            self._wanted = Counter(wanted)
            missing = Counter(wanted)
            spare: list[_Entry] = []
            for entry in self._waiting:
                if missing[entry.shape] > 0:
                    missing[entry.shape] -= 1
                else:
                    spare.append(entry)
            room = self._size - (len(self._waiting) - len(spare))
            while spare and len(spare) > room - missing.total():
                self._waiting.remove(spare[0])
                self._dismiss(spare.pop(0).cell)
            for shape in wanted:
                if missing[shape] > 0:
                    missing[shape] -= 1
                    self._begin(shape)

    def _begin(self, shape: Shape) -> None:
        needed = threading.Event()
        self._waiting.append(_Entry(shape, self._makers.submit(self._make, shape, self._closing, needed), needed))

    def take(self, shape: Shape, bell: Bell) -> Cell | None:
        """A cell of exactly that shape, waiting for one that is being made; None where not one has been begun."""
        while True:
            with self._lock:
                # One that is ready before one that is not.
                found = sorted((e for e in self._waiting if e.shape == shape), key=lambda e: not e.cell.done())
                if not found:
                    return None
                self._waiting.remove(found[0])
            future = found[0].cell
            found[0].needed.set()
            if future.cancel():  # not begun: the caller makes one at once, not behind those that nobody waits for
                self._refill(shape)
                return None
            try:
                cell = self._await(future, bell)
            except Interrupted:
                future.add_done_callback(self._bury_result)
                raise
            except Exception:  # noqa: S112 - the caller makes one itself and sees the same failure
                continue
            self._refill(shape)
            return cell

    def _refill(self, shape: Shape) -> None:
        """While the program runs, make the next cell of its shape; only after one could be made, or it never ends."""
        with self._lock:
            waiting = sum(entry.shape == shape for entry in self._waiting)
            if waiting < self._wanted[shape] and len(self._waiting) < self._size and not self._closed:
                self._begin(shape)

    @staticmethod
    def _await(future: Future[Cell], bell: Bell) -> Cell:
        while True:
            try:
                return future.result(timeout=PATIENCE_SECONDS)
            except NotYet:
                if future.done():
                    raise
                bell.raise_if_rung()

    def bury(self, cell: Cell) -> None:
        """Destroy it in the background."""
        with contextlib.suppress(RuntimeError):  # the interpreter or the pool is ending: do it here
            self._threads.submit(self.destroy, cell)
            return
        self.destroy(cell)

    def destroy(self, cell: Cell) -> None:
        """Destroy it now; where the engine would not, again later."""
        if not cell.destroy():
            with self._lock:
                self._undead.append(cell)

    def _bury_again(self) -> None:
        with self._lock:
            undead, self._undead = self._undead, []
        for cell in undead:
            self.bury(cell)

    def in_background(self, work: Callable[[], object]) -> None:
        """Run something that may fail, is not waited for before `close`, and whose result nobody needs."""
        with contextlib.suppress(RuntimeError):
            self._threads.submit(work)

    def close(self) -> None:
        """Wait for everything under way and destroy every cell that waits."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        self._closing.ring()
        for entry in waiting:
            self._dismiss(entry.cell)
        self._makers.shutdown(wait=True)
        self._threads.shutdown(wait=True)
        for cell in [*self._undead]:
            self._undead.remove(cell)
            cell.destroy()
        self._closing.close()

    def _dismiss(self, future: Future[Cell]) -> None:
        if not future.cancel():
            future.add_done_callback(self._bury_result)

    def _bury_result(self, future: Future[Cell]) -> None:
        with contextlib.suppress(Exception, CancelledError):  # a cell that failed to be made has cleaned up itself
            self.bury(future.result())
