"""A comparison on disk: `matrix.toml`, the runs of its loops in `loops`, those that measure final code in `truth`.

Nothing else is written down: what is left to do is what the run folders do not hold yet, so that a comparison that was
killed at any moment goes on with what is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rsi import anchors, runs
from rsi.compare.arms import component
from rsi.compare.matrix import LONGEST, MATRIX, Loop, Matrix
from rsi.compare.matrix import read as read_matrix
from rsi.durable import disk_faults, make_folder, read_regular, write_whole
from rsi.errors import IntegrityError, UsageError
from rsi.review.reading import Reading
from rsi.review.reading import read as read_run
from rsi.task import load_task

LOOPS, TRUTH = "loops", "truth"


class Comparison:
    """A folder with a comparison in it."""

    def __init__(self, folder: Path, matrix: Matrix) -> None:
        """Use `begin` or `open_folder`."""
        self.folder = folder
        self.matrix = matrix
        self.loops = matrix.loops()

    def run_of(self, loop: Loop) -> Reading | None:
        """The run of a loop as it stands now; None where it has not begun, IntegrityError where it is another's."""
        reading = _begun(self.loop_folder(loop))
        if reading is not None:
            self._require_its_own(loop, reading)
        return reading

    def truth_of(self, loop: Loop) -> Reading | None:
        """The run that measures a loop's final code again; None where it has not begun."""
        return _begun(self.truth_folder(loop))

    def loop_folder(self, loop: Loop) -> Path:
        """Where a loop's run folder lies."""
        return self.folder / LOOPS / loop.name

    def truth_folder(self, loop: Loop) -> Path:
        """Where the run lies that measures its final code again, beside the patch with that code."""
        return self.folder / TRUTH / loop.name

    def _require_its_own(self, loop: Loop, reading: Reading) -> None:
        found, matrix = reading.started.configuration, self.matrix
        wanted = (
            loop.task,
            matrix.seed_of(loop),
            component(loop.cell.policy, "policy"),
            component(loop.cell.proposer, "proposer"),
            matrix.budget,
        )
        if (found.task, found.seed, found.policy, found.proposer, found.budget) != wanted:
            raise IntegrityError(
                f"{reading.folder} is not the loop that its place says; restore the one that ran there, or take it "
                "away and have it run again."
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the comparison, so that no other process runs its loops; UsageError where one does."""
        busy = f"Another process is running {self.folder}; wait until it has ended."
        with _locked(self.folder / MATRIX, 0, busy):
            yield

    def require_ours(self, *, trusted: bool) -> None:
        """UsageError before anything is run that this machine did not write down, or that has changed since."""
        name, found = _anchor_name(self.folder), _digest(self.folder)
        known = anchors.read(name)
        if known and known[-1].hash != found:
            raise UsageError(
                f"{self.folder / MATRIX} was changed after its loops had begun, so they would not match; restore it, "
                "or start another comparison."
            )
        if not known and not trusted:
            raise UsageError(
                f"{self.folder} did not begin on this machine, and going on runs what its matrix names; if you trust "
                "whoever made it, say so with --trust."
            )
        for task, digest in self.matrix.digests.items():
            if load_task(task).digest() != digest:
                raise UsageError(
                    f"The task {task} has changed since the comparison began, so its loops would not match; restore "
                    "it, or start another comparison."
                )


def begin(matrix: Matrix, folder: Path | None) -> Comparison:
    """A new comparison, its matrix frozen; one that has begun in that folder with the same matrix is opened.

    UsageError where another one stands there.
    """
    matrix = matrix.settled()
    where = folder or runs.runs_folder().parent / "comparisons" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{_drawn(2)}"
    with disk_faults(where):
        make_folder(where.absolute())
    with _locked(where.resolve(), os.O_DIRECTORY, f"Another process begins in {where}; try again."):
        return _begin_alone(matrix, where)


def _begin_alone(matrix: Matrix, where: Path) -> Comparison:
    if (where / MATRIX).exists():
        there = open_folder(where)
        if not there.matrix.same_as(matrix):
            raise UsageError(
                f"Another comparison has begun in {where}; go on with it by `rsi compare {where}`, or name another "
                "folder with --to."
            )
        return there
    if any(where.iterdir()):
        raise UsageError(f"{where} holds something else; name an empty or a new folder with --to.")
    digests = {task: load_task(task).digest() for task in matrix.tasks}
    frozen = matrix.model_copy(update={"digests": digests, "seed": matrix.seed or secrets.randbits(62) + 1})
    with disk_faults(where):
        text = frozen.toml().encode()
        # The anchor first: a matrix without one would be taken for a stranger's.
        anchors.record(_anchor_name(where), 0, hashlib.sha256(text).hexdigest())
        write_whole(where / MATRIX, text, staging=where)
    return Comparison(where, frozen)


def open_folder(folder: Path) -> Comparison:
    """The comparison in a folder; UsageError where there is none."""
    if not (folder / MATRIX).is_file():
        raise UsageError(f"{folder} is no comparison: it has no {MATRIX}; name tasks, or a matrix in a .toml file.")
    return Comparison(folder, read_matrix(folder / MATRIX))


@contextmanager
def _locked(path: Path, kind: int, busy: str) -> Iterator[None]:
    """Hold a file or folder against other processes; UsageError where one of them holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(busy) from None
        yield
    finally:
        os.close(descriptor)


def _digest(folder: Path) -> str:
    return hashlib.sha256(read_regular(folder / MATRIX, LONGEST)).hexdigest()


def _anchor_name(folder: Path) -> str:
    """By its place: a comparison that was moved is asked about again."""
    return f"comparison-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}"


def _drawn(size: int) -> str:
    return secrets.token_hex(size)


def _begun(root: Path) -> Reading | None:
    """The run below a folder; None where there is none, or a process died before more than its beginning was written.

    Such a one may lack what tells that it is ours, and nothing is lost by beginning another beside it.
    """
    for folder in runs.list_runs(root):
        if folder.is_symlink() or not (folder / runs.LEDGER).stat().st_size:
            continue
        reading = read_run(folder)
        if reading.summary.events > 1:
            return reading
    return None
