"""One loop of a comparison, in a process of its own: begun or gone on with, then its final code measured again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection, parent_process
from pathlib import Path

import rsi.compare.keeping
from rsi.begun import at_its_first_end
from rsi.compare.arms import OWN, verifiers
from rsi.compare.folder import Comparison, open_folder
from rsi.compare.matrix import Loop
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.durable import disk_faults, make_folder, write_whole
from rsi.errors import RsiError
from rsi.output import say
from rsi.review.diff import diff
from rsi.review.progress import Charts
from rsi.review.reading import Reading
from rsi.session import Session, resume, start
from rsi.task import load_task

KEEPING = f"{rsi.compare.keeping.__file__}:KeepScored"
PATCH = "final.patch"
GRACE = 30.0
"""Seconds in which a loop must have paused when the process that began it is gone; then it ends as if killed."""


class Stop:
    """Whether the user, or the end of the process that began this one, asks for an end; and to whom that is told."""

    def __init__(self) -> None:
        self.asked = False
        self._session: Session | None = None

    def ask(self) -> None:
        """End the trial under way and pause; from another thread."""
        self.asked = True
        session = self._session
        if session is not None:
            session.loop.stop()

    def go(self, session: Session) -> int:
        """Run a session that heeds this."""
        with Charts(session.run.folder) as charts:
            self._session = session
            if self.asked:
                session.loop.stop()
            try:
                return session.go([charts.listener])
            finally:
                self._session = None


def main(folder: Path, name: str, trusted: bool) -> None:
    """What the child process does; it ends with the loop's exit code."""
    stop = Stop()
    # A handler that did more could meet the very lock that this thread holds, and wait for itself for ever.
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    # Ctrl-C reaches every process of a terminal; whoever began this one passes it on.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    threading.Thread(target=_heed, args=(stop.ask, heard), daemon=True).start()
    try:
        code = run_loop(open_folder(folder), name, stop, trusted=trusted)
    except RsiError as error:
        say(f"{name}: {error}")
        code = error.exit_code
    raise SystemExit(code)


def run_loop(comparison: Comparison, name: str, stop: Stop, *, trusted: bool = False) -> int:
    """Bring a loop to its end, whatever there is of it already; returns the exit code of its last session."""
    loop = next(loop for loop in comparison.loops if loop.name == name)

    def told(sentence: str) -> None:
        say(f"{name}: {sentence}")

    code = _to_its_end(
        comparison.run_of(loop),
        lambda: _configured(comparison, loop),
        comparison.loop_folder(loop),
        told,
        stop,
        trusted=trusted,
    )
    if code or not comparison.matrix.truth:
        return code
    return _measure_again(comparison, loop, told, stop, trusted=trusted)


def _configured(comparison: Comparison, loop: Loop) -> RunConfiguration:
    comparison.require_unchanged()
    return comparison.matrix.configuration(loop)


def finished(reading: Reading | None) -> bool:
    """Whether nothing is left to run of a run."""
    return reading is not None and at_its_first_end(reading).status == "finished"


def _to_its_end(
    begun: Reading | None,
    configuration: Callable[[], RunConfiguration],
    root: Path,
    told: Callable[[str], None],
    stop: Stop,
    *,
    trusted: bool,
) -> int:
    if finished(begun):
        return 0
    with (
        start(configuration(), told, root, matched=True)
        if begun is None
        else resume(begun.folder, told, trusted=trusted)
    ) as session:
        return stop.go(session)


def _measure_again(
    comparison: Comparison, loop: Loop, told: Callable[[str], None], stop: Stop, *, trusted: bool
) -> int:
    """An ordinary run of one proposal, which is the final code; its confirmation compares it with the baseline."""
    reading = comparison.run_of(loop)
    assert reading is not None
    best = at_its_first_end(reading).best.experiment
    if best == 0:
        return 0
    folder = comparison.truth_folder(loop)
    begun = comparison.truth_of(loop)
    if begun is None:
        text = diff(reading, str(best), "baseline")
        if not text.strip():
            return 0
        with disk_faults(folder):
            make_folder(folder.absolute())
            write_whole(folder / PATCH, text.encode(), staging=folder)
    return _to_its_end(begun, lambda: _measuring(comparison, loop, folder), folder, told, stop, trusted=trusted)


def _measuring(comparison: Comparison, loop: Loop, folder: Path) -> RunConfiguration:
    configuration = _configured(comparison, loop)
    return configuration.model_copy(
        update={
            "proposer": Component(name="replay", options={"source": str(folder.resolve())}),
            "policy": Component(name=KEEPING),
            **verifiers(OWN, load_task(loop.task).spec),
            "budget": Budget(experiments=1),
            "certify": False,
            "confirm": comparison.matrix.truth,
        }
    )


def _heed(ask: Callable[[], None], heard: int) -> None:
    """Ask for an end when this process is told to or its parent is gone; what is asked twice, or in vain, ends it.

    A loop that is stuck (in a proposer that hangs) would else hold its run for ever, with nobody to end it. The record
    is whole at any moment, and the next session sweeps what was left at the engine.
    """
    parent = parent_process()
    assert parent is not None
    ready = connection.wait([heard, parent.sentinel])
    ask()
    if heard in ready:
        os.read(heard, 1)
    if parent.sentinel not in ready:
        ready = connection.wait([heard, parent.sentinel])
    if parent.sentinel in ready:
        connection.wait([heard], GRACE)
    os._exit(130)
