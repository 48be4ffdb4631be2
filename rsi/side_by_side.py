"""Several trials at once: their jobs run on an executor, their events are written from the calling thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from rsi.execution import Job, Outcome
from rsi.trial import Steps

TURN_SECONDS = 0.5
"""A finite wait, so that signal handlers of the main thread get their turn."""


class Lanes:
    """Trials under way, at most `width` at a time; used from one thread."""

    def __init__(self, execute: Callable[[str, Job], Outcome], executor: Executor, width: int) -> None:
        self._execute = execute
        self._executor = executor
        self._width = width
        self._under_way: dict[Future[Outcome], tuple[str, Steps]] = {}

    @property
    def free(self) -> bool:
        """Whether another trial may begin."""
        return len(self._under_way) < self._width

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    @property
    def names(self) -> list[str]:
        """The trials that are under way."""
        return [name for name, _ in self._under_way.values()]

    def holds(self, trial: str) -> bool:
        """Whether that trial is under way."""
        return trial in self.names

    def begin(self, trial: str, steps: Steps) -> bool:
        """Go on with a trial until its first job runs; False where it needed none and has ended."""
        return self._proceed(trial, steps, None)

    def turn(self) -> list[str]:
        """Wait a little for jobs to end and go on with their trials; the names of those that have ended."""
        done, _ = wait(self._under_way, timeout=TURN_SECONDS, return_when=FIRST_COMPLETED)
        ended = []
        for future in done:
            trial, steps = self._under_way.pop(future)
            if not self._proceed(trial, steps, future.result()):
                ended.append(trial)
        return ended

    def wind_down(self) -> list[str]:
        """Wait for the jobs under way and record their ends, but begin none; the names of their trials."""
        ended = []
        while self._under_way:
            done, _ = wait(self._under_way, timeout=TURN_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                trial, steps = self._under_way.pop(future)
                ended.append(trial)
                try:
                    steps.send(future.result())
                except StopIteration:
                    continue
                steps.close()  # its next job belongs to the session that resumes the run
        return ended

    def _proceed(self, trial: str, steps: Steps, outcome: Outcome | None) -> bool:
        try:
            job = next(steps) if outcome is None else steps.send(outcome)
        except StopIteration:
            return False
        self._under_way[self._executor.submit(self._execute, trial, job)] = (trial, steps)
        return True
