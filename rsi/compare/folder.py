"""A comparison on disk: `matrix.toml`, the runs of its loops in `loops`, those that measure final code in `truth`.

Nothing else is written down: what is left to do is what the run folders do not hold yet, so that a comparison that was
killed at any moment goes on with what is there.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from rsi import begun, runs
from rsi.compare.arms import component, verified_by
from rsi.compare.matrix import MATRIX, Loop, Matrix, program_digest
from rsi.compare.matrix import read as read_matrix
from rsi.errors import IntegrityError, UsageError
from rsi.review.reading import Reading
from rsi.task import load_task

LOOPS, TRUTH, KIND = "loops", "truth", "comparison"


class Comparison:
    """A folder with a comparison in it."""

    def __init__(self, folder: Path, matrix: Matrix) -> None:
        """Use `begin` or `open_folder`."""
        self.folder = folder
        self.matrix = matrix
        self.loops = matrix.loops()

    def run_of(self, loop: Loop) -> Reading | None:
        """The run of a loop as it stands now; None where it has not begun, IntegrityError where it is another's."""
        reading = begun.run_below(self.loop_folder(loop))
        if reading is not None:
            self._require_its_own(loop, reading)
        return reading

    def truth_of(self, loop: Loop) -> Reading | None:
        """The run that measures a loop's final code again; None where it has not begun."""
        return begun.run_below(self.truth_folder(loop))

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
        same = (found.task, found.seed, found.policy, found.proposer, found.budget) == wanted
        if not same or not verified_by(loop.cell.verifier, reading.task().spec, found):
            raise IntegrityError(
                f"{reading.folder} is not the loop that its place says; restore the one that ran there, or take it "
                "away and have it run again."
            )

        if begun.budget_was_changed(reading):
            raise IntegrityError(
                f"{reading.folder} was given another budget than the other loops before it ended; take it away and "
                "have it run again."
            )

    def alone(self) -> AbstractContextManager[None]:
        """Hold the comparison, so that no other process runs its loops; UsageError where one does."""
        return begun.alone(self.folder / MATRIX)

    def require_ours(self, *, trusted: bool) -> None:
        """UsageError before anything is run that this machine did not write down, or that has changed since."""
        begun.require_ours(self.folder / MATRIX, KIND, "loops", trusted=trusted)
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """UsageError where a loop that begins now would meet another task or program than those before it."""
        for arm, digest in self.matrix.programs.items():
            if program_digest(arm) != digest:
                raise UsageError(
                    f"The program of {arm} has changed since the comparison began, so its loops would not match; name "
                    "what stays as it is (one generation of an evolution, a copy), in another comparison."
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
    with begun.beginning(where):
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
    if not begun.holds_nothing_but(where, ()):
        raise UsageError(f"{where} holds something else; name an empty or a new folder with --to.")
    drawn = {
        "digests": {task: load_task(task).digest() for task in matrix.tasks},
        "programs": {arm: digest for arm in matrix.proposers if (digest := program_digest(arm))},
        "seed": matrix.seed or secrets.randbits(62) + 1,
    }
    frozen = matrix.model_copy(update=drawn)
    begun.freeze(where / MATRIX, frozen.toml(), KIND)
    return Comparison(where, frozen)


def open_folder(folder: Path) -> Comparison:
    """The comparison in a folder; UsageError where there is none."""
    if not (folder / MATRIX).is_file():
        raise UsageError(f"{folder} is no comparison: it has no {MATRIX}; name tasks, or a matrix in a .toml file.")
    return Comparison(folder, read_matrix(folder / MATRIX))


def _drawn(size: int) -> str:
    return secrets.token_hex(size)
