"""The fake sandbox, whose trainings hang as long as a pipe is there, and tell so through it."""

from __future__ import annotations

import threading
from pathlib import Path

from rsi.execution import ExitKind, Job, Outcome, Watch
from rsi.testing.fake_outcome import ended
from rsi.testing.fake_sandbox import FakeSandbox


class Hanging(FakeSandbox):
    """Until it is interrupted; or, `heedless`, for ever, as a component that waits for something lost."""

    def __init__(self, pipe: str, how: str) -> None:
        super().__init__()
        self._pipe = Path(pipe)
        self._told = self._pipe.open("w") if self._pipe.exists() else None
        self._heeds = how == "heeding"
        self._interrupted = threading.Event()

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        if job.purpose != "train" or self._told is None:
            return super().run(job, watch)
        print("hangs", file=self._told, flush=True)
        self._interrupted.wait()
        print("interrupted", file=self._told, flush=True)
        return ended(job, ExitKind.INTERRUPTED, 1)

    def interrupt(self) -> None:
        super().interrupt()
        if self._heeds:
            self._interrupted.set()
        elif self._told is not None:
            print("was asked to end", file=self._told, flush=True)
