"""The fake sandbox on a machine that slows down: once a question was answered, trainings run out of time."""

from __future__ import annotations

from rsi.execution import ExitKind, Job, Outcome, Watch
from rsi.testing.fake_outcome import ended
from rsi.testing.fake_sandbox import FakeSandbox


class Tired(FakeSandbox):
    _tired = False

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        if job.purpose == "train" and self._tired:
            return ended(job, ExitKind.TIMED_OUT, 1)
        self._tired = self._tired or job.purpose == "predict"
        return super().run(job, watch)
