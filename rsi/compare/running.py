"""Running what is left of a comparison: loop after loop in child processes, some side by side, none run twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess

from rsi.begun import at_its_first_end
from rsi.compare import one_loop
from rsi.compare.arms import short
from rsi.compare.folder import Comparison
from rsi.compare.matrix import FACTORS, Loop, Matrix
from rsi.compare.one_loop import finished
from rsi.compare.words import NOT_GROUNDED
from rsi.session import build
from rsi.verification import verifier_of

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Running:
    """The loops of a comparison that are under way.

    Args:
        comparison: Which one.
        side_by_side: How many loops at once.
        told: One sentence each, as loops begin and end.
        trusted: Go on with runs that did not begin on this machine.
    """

    def __init__(
        self, comparison: Comparison, side_by_side: int, told: Callable[[str], None], *, trusted: bool = False
    ) -> None:
        self.comparison = comparison
        self.stopped = False
        self.ran = False
        """Whether any loop was begun or gone on with."""
        self.faults: dict[str, int] = {}
        """Loops that did not come to their end, and their exit codes."""
        self._side_by_side = side_by_side
        self._told = told
        self._trusted = trusted
        self._context = get_context("spawn")  # a fork would inherit threads and locks
        self._children: dict[Loop, BaseProcess] = {}
        self._measures: dict[tuple[str, str], bool] = {}
        """Of each task and verifier, whether it is grounded."""

    def go(self) -> int:
        """Run what is left; 0 where every loop came to its end, 130 where the user stopped it.

        A loop that cannot go on is left where it is and the others are run; where it is the machine that lacks
        something (exit code 3), no further one is begun.
        """
        waiting = iter(self.left())
        while True:
            while not self._ending and len(self._children) < self._side_by_side:
                loop = next(waiting, None)
                if loop is None:
                    break
                self._begin(loop)
            if not self._children:
                break
            self._heed()
        if self.stopped:
            return 130
        return max(self.faults.values(), default=0)

    def left(self) -> tuple[Loop, ...]:
        """The loops that are not at their end, in order."""
        return tuple(loop for loop in self.comparison.loops if not self._done(loop))

    def stop(self) -> None:
        """Have the loops under way end their trials and pause; the second time, leave at once."""
        self.stopped = True
        for child in tuple(self._children.values()):
            child.terminate()

    @property
    def _ending(self) -> bool:
        return self.stopped or 3 in self.faults.values()

    def _done(self, loop: Loop) -> bool:
        reading = self.comparison.run_of(loop)
        if not finished(reading):
            return False
        assert reading is not None
        wanted = self.comparison.matrix.truth and at_its_first_end(reading).best.experiment != 0
        return not wanted or finished(self.comparison.truth_of(loop))

    def _begin(self, loop: Loop) -> None:
        self.ran = True
        place = self.comparison.loops.index(loop) + 1
        mark = "" if self._grounded(loop) else f" [{NOT_GROUNDED}]"
        told = in_words(loop, self.comparison.matrix)
        self._told(f"Loop {place} of {len(self.comparison.loops)}: {told}{mark}.")
        arguments = (self.comparison.folder, loop.name, self._trusted)
        child = self._context.Process(target=one_loop.main, args=arguments, name=loop.name)
        with _blocked():  # until the child can heed them, signals wait
            child.start()
            self._children[loop] = child

    def _grounded(self, loop: Loop) -> bool:
        where = loop.task, loop.cell.verifier
        if where not in self._measures:
            verifier = verifier_of(self.comparison.matrix.configuration(loop), build)
            self._measures[where] = verifier.grounded
        return self._measures[where]

    def _heed(self) -> None:
        """Wait until a child ends, or a moment, and take note of how it ended."""
        connection.wait([child.sentinel for child in self._children.values()])
        for loop, child in tuple(self._children.items()):
            if child.is_alive():
                continue
            child.join()
            del self._children[loop]
            code = child.exitcode
            if code == 130:
                self.stopped = True
            elif code:
                self.faults[loop.name] = code if code in (1, 2, 3) else 1
                where = self.comparison.loop_folder(loop)
                self._told(f"Loop {loop.name} did not come to its end; look into the run in {where}.")


def in_words(loop: Loop, matrix: Matrix) -> str:
    """The task, what varies, and the seed: `digits, greedy, seed 3`."""
    cell = [short(arm) for factor, arm in zip(FACTORS, loop.cell, strict=True) if factor in matrix.factors()]
    return ", ".join((matrix.named(loop.task), *cell, f"seed {loop.seed}"))


@contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
