"""The sandbox that does not isolate: the same worker in a plain subprocess, for machines without an engine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

from rsi.errors import EnvironmentFault
from rsi.execution import Job, Outcome, SandboxDescription, Shape, Watch
from sandboxes.bell import Belfry, Interrupted
from sandboxes.invocation import check_job
from sandboxes.outcome import Attempt
from sandboxes.process_place import ProcessPlace

PROTECTIONS = {
    "isolation": "none: the code runs as this user and can read, write and reach whatever this user can",
    "network": "not cut off",
    "files": "inputs are not protected from the code; outputs are checked by name, kind, number and size",
    "limits": "memory, processes, disk, CPU and wall time are looked at twenty times a second; CPUs are not capped",
    "environment": "a fixed list",
}


class ProcessSandbox:
    """Runs jobs as child processes of this one. For code that you trust, and for tests."""

    name = "process"
    isolates = False

    def __init__(self) -> None:
        self._belfry = Belfry()

    def describe(self) -> SandboxDescription:
        """The interpreter, and plainly what is not kept in."""
        if not sys.platform.startswith("linux"):
            raise EnvironmentFault("The process sandbox needs Linux's /proc; use the docker sandbox here.")
        return SandboxDescription(
            name=self.name,
            isolates=False,
            engine=f"CPython {platform.python_version()}",
            options=dict(PROTECTIONS),
            machine_cpus=os.cpu_count() or 0,
            machine_memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        )

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Nothing: an interpreter starts in a moment, and one that waits would keep its memory."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """Run one job in a child process; see `rsi.protocols.Sandbox.run`."""
        check_job(job)
        self.describe()
        with self._belfry.execution() as bell:
            attempt = Attempt(job, self.name, bell, watch)
            place = ProcessPlace(job)
            try:
                place.await_ready(bell)
                return attempt.run_in(place)
            except Interrupted as error:
                return attempt.without_place(error)
            finally:
                place.destroy()

    def interrupt(self) -> None:
        """End every execution under way."""
        self._belfry.ring()

    def close(self) -> None:
        """Interrupt what runs and wait for it."""
        self._belfry.close()
