"""A container's use as the kernel of its host shows it: exact, and a thousand times quicker than asking the engine.

The engine answers a request for statistics after up to a second. Where it runs on this machine, the kernel's own files
are read instead: the container's control groups, the accounts of its processes, and its writable file systems, all
through the host's /proc and /sys. Which they are is learned from the container's first process, and believed only
where its groups name the container, so that a process id of another machine cannot mislead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandboxes.place import Gone, Reading
from sandboxes.process_io import accounts_together

ROOT = Path("/sys/fs/cgroup")


class ControlGroup:
    """The files that tell what one container uses."""

    def __init__(
        self,
        cpu: Path,
        memory: Path,
        processes: Path,
        *,
        unified: bool,
        first: int = 0,
        writable: Sequence[str] = (),
    ) -> None:
        self._unified = unified
        self._cpu = cpu
        self._memory = memory
        # Not pids.peak: the engine's launcher started in this group, with more threads than most programs.
        self._count = processes / "pids.current"
        self._members = processes / "cgroup.procs"
        self._first = first
        self._writable = writable

    @classmethod
    def find(cls, process: int, container: str, writable: Sequence[str] = (), root: Path = ROOT) -> ControlGroup | None:
        """The groups of a container whose first process has that id; None where the engine is not on this machine.

        `writable` are the container's file systems whose use is part of a reading.
        """
        try:
            lines = Path(f"/proc/{process}/cgroup").read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        paths: dict[str, Path] = {}
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if container in path:
                for controller in controllers.split(","):
                    paths[controller] = root / controller / path.lstrip("/") if controller else root / path.lstrip("/")
        unified = "cpuacct" not in paths
        names = ("", "", "") if unified else ("cpuacct", "memory", "pids")
        if any(name not in paths for name in names):
            return None
        group = cls(*(paths[name] for name in names), unified=unified, first=process, writable=writable)
        try:
            group.read()
        except Gone:
            return None
        return group

    def read(self) -> Reading:
        """What the container has used so far; Gone once its groups are."""
        now, peak = (
            ("memory.current", "memory.peak")
            if self._unified
            else ("memory.usage_in_bytes", "memory.max_usage_in_bytes")
        )
        return Reading(
            **self._cpu_seconds(),
            memory_bytes=_required(self._memory / now),
            peak_memory_bytes=_number(self._memory / peak),  # older kernels lack it
            processes=_required(self._count),
            **self._accounts(),
            stored_bytes=self._stored(),
        )

    def root(self) -> str | None:
        """The container's files in the host's view, while its first process lives; None without it."""
        return f"/proc/{self._first}/root" if self._first in self._processes() else None

    def _cpu_seconds(self) -> dict[str, Any]:
        if not self._unified:
            user, system = _number(self._cpu / "cpuacct.usage_user"), _number(self._cpu / "cpuacct.usage_sys")
            return {
                "cpu_seconds": _required(self._cpu / "cpuacct.usage") / 1e9,
                "cpu_user_seconds": None if user is None else user / 1e9,
                "cpu_system_seconds": None if system is None else system / 1e9,
            }
        try:
            lines = (self._cpu / "cpu.stat").read_text(encoding="ascii").splitlines()
        except OSError:
            raise Gone(str(self._cpu)) from None
        found = {name: int(value) / 1e6 for name, value in (line.split() for line in lines)}
        return {
            "cpu_seconds": found["usage_usec"],
            "cpu_user_seconds": found.get("user_usec"),
            "cpu_system_seconds": found.get("system_usec"),
        }

    def _processes(self) -> list[int]:
        """Parents mostly before their children: ids rise."""
        try:
            return sorted(map(int, self._members.read_bytes().split()))
        except OSError:
            return []

    def _accounts(self) -> dict[str, Any]:
        """Only of processes that are in the group now, so that an id given anew is not taken for one of them."""
        processes = self._processes()
        if self._first not in processes:
            return {}
        return accounts_together(self._first, (process for process in processes if process != self._first))

    def _stored(self) -> int | None:
        """Bytes in the writable file systems; None where their host does not let us look."""
        root = self.root()
        if root is None or not self._writable:
            return None
        try:
            found = [os.statvfs(root + folder) for folder in self._writable]
        except OSError:
            return None
        return sum((status.f_blocks - status.f_bfree) * status.f_frsize for status in found)


def _number(path: Path) -> int | None:
    """The number in a file of the kernel's; None where it has no such file."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return None


def _required(path: Path) -> int:
    value = _number(path)
    if value is None:
        raise Gone(str(path))
    return value
