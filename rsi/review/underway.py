"""The trials under way: since when, at what stage, and the last loss that the training printed (its own word)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from rsi.execution import Watch
from rsi.ledger import Event
from rsi.records import Record
from rsi.state import RunState

_STEP = re.compile(rb"(?:step|iter|epoch)[\s:=#]{0,4}(\d{1,12})", re.IGNORECASE)
_LOSS = re.compile(
    rb"loss[\s:=]{0,4}([-+]?(?:\d{1,12}(?:\.\d{0,12})?(?:e[-+]?\d{1,3})?|nan|inf))", re.IGNORECASE
)  # what it matches is a number, so nothing of the candidate's text reaches the screen
_TAIL = 4096
"""Bytes looked at of what was printed last: a flood of output must not cost the screen any time."""


class Progress(Record):
    """One trial under way."""

    trial: str
    role: str
    stage: str
    """`waiting`, `training`, `answering`, `checking`."""
    seconds: float
    step: str = ""
    loss: str = ""


class Underway:
    """Follows trials from the events of one thread and the output of others; safe to be read from a third."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._trials: dict[str, Progress] = {}
        self._since: dict[str, float] = {}

    def listener(self, event: Event, state: RunState) -> None:
        """Take in one event."""
        trial = str(event.body.get("trial", ""))
        with self._lock:
            match event.kind:
                case "trial.started":
                    self._set(trial, role=str(event.body["role"]), stage="waiting")
                case "trial.trained":
                    self._set(trial, role=state.trials[trial].started.role, stage="answering")
                case "trial.answered" | "trial.controlled":
                    started = state.trials[trial].started
                    self._set(trial, role=started.role, stage="answering")
                case "trial.judged" | "trial.failed":
                    self._forget(trial)
                case "policy.decided" if event.body["decision"].get("kind") == "keep":
                    entry = state.experiments[int(event.body["experiment"])]
                    standing = next((name for name in entry.trials if state.trials[name].observation()), None)
                    if standing is not None:
                        self._set(standing, role="measure", stage="checking")
                case "experiment.closed":
                    for name in state.experiments[int(event.body["experiment"])].trials:
                        self._forget(name)
                case "run.paused" | "run.finished":
                    self._trials.clear()
                    self._since.clear()
                case _:
                    pass

    def watch(self, trial: str) -> Watch:
        """What a sandbox tells while a training runs; also tells us that it has begun."""
        with self._lock:
            role = self._trials[trial].role if trial in self._trials else "measure"
            self._since.pop(trial, None)
            self._set(trial, role=role, stage="training")
        tail = b""

        def arrived(stream: str, data: bytes) -> None:
            nonlocal tail
            if stream != "stdout":
                return
            tail = (tail + data)[-_TAIL:]
            step, loss = _last(_STEP, tail), _last(_LOSS, tail)
            if not step and not loss:
                return
            with self._lock:
                before = self._trials.get(trial)
                if before is not None and before.stage == "training":
                    seen = {"step": step or before.step, "loss": loss or before.loss}
                    self._trials[trial] = before.model_copy(update=seen)

        return arrived

    def now(self) -> tuple[Progress, ...]:
        """The trials under way at this moment, those that run before those that wait."""
        with self._lock:
            found = [
                progress.model_copy(update={"seconds": self._clock() - self._since[trial]})
                for trial, progress in self._trials.items()
            ]
        return tuple(sorted(found, key=lambda progress: progress.stage == "waiting"))

    def _set(self, trial: str, *, role: str, stage: str) -> None:
        before = self._trials.get(trial)
        if before is None:
            before = Progress(trial=trial, role=role, stage=stage, seconds=0.0)
        self._trials[trial] = before.model_copy(update={"role": role, "stage": stage})
        self._since.setdefault(trial, self._clock())

    def _forget(self, trial: str) -> None:
        self._trials.pop(trial, None)
        self._since.pop(trial, None)


def _last(pattern: re.Pattern[bytes], tail: bytes) -> str:
    found = pattern.findall(tail)
    return found[-1].decode("ascii") if found else ""


def in_words(progress: Progress) -> str:
    """`3.1 training, step 120, loss 2.41`."""
    said = [f"step {progress.step}"] if progress.step else []
    said += [f"loss {progress.loss}"] if progress.loss else []
    return ", ".join([f"{progress.trial} {progress.stage}", *said])
