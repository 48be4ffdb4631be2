"""What follows when a trial was lost: wait for the engine, try again, or stop and say why.

A loss says nothing about the candidate, and whoever started the run is asleep. So an engine that is gone is waited
for, within bounds; an engine that answers gets the trial again; and only one that loses trial after trial ends the
session. Several trials that die with one engine are one incident, however many they are.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rsi.errors import EngineLost, EnvironmentFault, UsageError
from rsi.execution import ExitKind
from rsi.state import TrialState

ENGINE_SECONDS = 60.0
"""How long an engine may be gone; RSI_ENGINE_PATIENCE says otherwise."""
POLL_SECONDS = 1.0
SAY_EVERY = 15.0
INCIDENTS = 3
"""In a row, with no trial that came to its end between them. One may be a container's own bad luck."""


class Patience:
    """Counts what was lost in a row; one for each session of a run."""

    def __init__(
        self,
        describe: Callable[[], object],
        stopped: Callable[[float], bool],
        say: Callable[[str], None],
    ) -> None:
        """UsageError where RSI_ENGINE_PATIENCE is no number of seconds.

        Args:
            describe: asks the sandbox whether it can run.
            stopped: waits that many seconds; true at once where the user wants the run to end.
            say: tells the user a sentence.
        """
        self._describe = describe
        self._stopped = stopped
        self._say = say
        self._seconds = engine_seconds()
        self._incidents = 0
        self._doomed: set[str] = set()
        """Trials that were under way at an incident: lost in it too, should they be lost."""
        self._losses: Counter[tuple[object, ...]] = Counter()
        """Of each slot: one that is lost at a late stage is tried again in a trial whose early stages go well."""

    def heed(self, ended: Sequence[TrialState], under_way: Iterable[str] = ()) -> str:
        """Take in trials that ended; returns once the next may begin, or with the reason to stop here.

        Args:
            ended: trials that were judged or failed since this was last asked.
            under_way: the names of those that have begun and have not ended, whose outcome may hang on the same engine.
        """
        names = {trial.started.trial for trial in ended}
        lost = [trial for trial in ended if trial.failed is not None and trial.failed.kind is ExitKind.LOST]
        counted = [trial for trial in lost if trial.started.trial not in self._doomed]
        self._doomed -= names
        if ended and not lost:
            self._incidents = 0
        if not counted:
            return ""
        self._doomed.update(under_way)
        self._incidents += 1
        self._losses.update(_slot(trial) for trial in counted)
        why = _detail(counted[-1])
        wrong = self._await_engine(why)
        if not wrong and self._incidents >= INCIDENTS:
            return f"{self._incidents} times in a row a trial was lost ({why}); see `rsi doctor`, then resume"
        often = max(counted, key=lambda trial: self._losses[_slot(trial)])
        if not wrong and self._losses[_slot(often)] >= INCIDENTS:
            experiment, times = often.started.experiment, self._losses[_slot(often)]
            return f"the same trial of experiment {experiment} was lost {times} times ({why}); see `rsi doctor`"
        return wrong

    def heed_loss(self, why: str, under_way: Iterable[str] = ()) -> str:
        """As `heed`, of a job that belongs to no trial and was lost."""
        self._doomed.update(under_way)
        self._incidents += 1
        wrong = self._await_engine(why)
        if not wrong and self._incidents >= INCIDENTS:
            return f"{self._incidents} times in a row a job was lost ({why}); see `rsi doctor`, then resume"
        return wrong

    def _await_engine(self, why: str) -> str:
        """Empty once the sandbox can run, or the user has asked to stop; else what is wrong with it."""
        began = said = time.monotonic()
        while True:
            try:
                self._describe()
            except EngineLost as fault:
                waited = time.monotonic() - began
                if waited >= self._seconds:
                    return f"the engine was lost and did not come back within {self._seconds:g} s ({_plain(fault)})"
                if waited < POLL_SECONDS:
                    self._say(f"The engine is gone ({why}); waiting up to {self._seconds:g} s for it.")
                elif time.monotonic() - said >= SAY_EVERY:
                    said = time.monotonic()
                    self._say(f"The engine is still gone after {waited:.0f} s.")
            except EnvironmentFault as fault:
                return f"a trial was lost, and no other can run ({_plain(fault)})"
            else:
                waited = time.monotonic() - began
                if waited >= POLL_SECONDS:
                    self._say(f"The engine is back after {waited:.0f} s; what was lost is tried again.")
                return ""
            if self._stopped(POLL_SECONDS):
                return ""


def engine_seconds() -> float:
    """The patience that this process was told to have."""
    text = os.environ.get("RSI_ENGINE_PATIENCE", "")
    try:
        seconds = float(text) if text else ENGINE_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 7 * 86400:
        raise UsageError(f"RSI_ENGINE_PATIENCE is {text!r}; give seconds, from 0 to {7 * 86400} (a week).")
    return seconds


def _slot(trial: TrialState) -> tuple[object, ...]:
    """What stays the same where a trial is tried again."""
    started = trial.started
    return started.experiment, started.role, started.slot, started.milestone, started.without


def _plain(fault: Exception) -> str:
    return str(fault).rstrip(".")


def _detail(trial: TrialState) -> str:
    """The sandbox's own sentence about the execution that was lost."""
    executions = [body.execution for body in trial.runs()]
    return executions[-1].detail.rstrip(".") if executions else ""
