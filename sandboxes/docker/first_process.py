"""A container's first process, held by a handle of the kernel's: ended at once, and known to be dead with all the rest.

When process 1 of a container is killed, the kernel kills every other process in it and waits for them; only then does
the handle tell its end. The engine does the same by way of two launchers and tells it later, which on a busy machine
takes tenths of a second of every execution. Where the engine is elsewhere, or we may not signal its containers'
processes, `open` gives None and the engine is asked.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


class FirstProcess:
    """Close it; the process is not ended by that."""

    def __init__(self, handle: int, events: Path, word: str) -> None:
        self._handle = handle
        self._events = events
        self._word = word

    @classmethod
    def open(cls, process: int, container: str, groups: Path = GROUPS) -> FirstProcess | None:
        """The process with that id, believed only where it is process 1 of that container, by its control group."""
        try:
            handle = os.pidfd_open(process)
        except (OSError, AttributeError):  # absent before Linux 5.3, and elsewhere
            return None
        try:
            # After the handle was taken: were the id given anew in between, the handle would be of a dead process.
            found = _memory_events(process, container, groups)
            if found is None or _kills(*found) is None or not _is_first(process):
                raise PermissionError(container)
            signal.pidfd_send_signal(handle, 0)
        except OSError:
            os.close(handle)
            return None
        return cls(handle, *found)

    def killed_for_memory(self) -> bool:
        """Whether the kernel killed a process of the container for want of memory; while the first one lives."""
        return bool(_kills(self._events, self._word))

    def end(self, seconds: float) -> bool:
        """Kill the container as a whole; False where that was not seen to end it, or it had ended before."""
        if self._handle < 0 or self._dead_within(0.0):
            return False
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except OSError:
            return False
        return self._dead_within(seconds)

    def _dead_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Give the handle back; twice is no matter."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _is_first(process: int) -> bool:
    """Whether it is process 1 of a process namespace below ours, so that all others there die with it."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def _memory_events(process: int, container: str, groups: Path) -> tuple[Path, str] | None:
    """The file that counts what was killed for want of memory, and the word before the number."""
    for line in Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if container in path and controllers in ("", "memory"):
            if controllers:
                return groups / "memory" / path.lstrip("/") / "memory.oom_control", "oom_kill"
            if (groups / "cgroup.controllers").exists():  # all controllers in one tree
                return groups / path.lstrip("/") / "memory.events", "oom_kill"
    return None


def _kills(events: Path, word: str) -> int | None:
    try:
        lines = events.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(value) for name, _, value in (line.partition(" ") for line in lines) if name == word), None)
