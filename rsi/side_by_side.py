"""Drive several trials at once: their jobs run on an executor, their events are written from the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from rsi.execution import Job, Outcome
from rsi.trial import Steps


def drive(
    trials: Sequence[tuple[str, Steps]],
    execute: Callable[[str, Job], Outcome],
    executor: Executor,
    width: int,
    stopped: Callable[[], bool],
) -> None:
    """Run every trial to its end, `width` at a time; once `stopped`, begin no further one."""
    waiting = list(reversed(trials))
    running: dict[Future[Outcome], tuple[str, Steps]] = {}

    def proceed(name: str, steps: Steps, outcome: Outcome | None) -> None:
        try:
            job = next(steps) if outcome is None else steps.send(outcome)
        except StopIteration:
            return
        running[executor.submit(execute, name, job)] = (name, steps)

    while waiting or running:
        while waiting and len(running) < width and not stopped():
            proceed(*waiting.pop(), None)
        if not running:
            return
        # A finite wait, so that signal handlers of the main thread get their turn.
        done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            name, steps = running.pop(future)
            proceed(name, steps, future.result())
