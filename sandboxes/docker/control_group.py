"""A container's use, read from the kernel's control groups: exact, and a thousand times quicker than asking the engine.

The engine answers a request for statistics after up to a second. Where it runs on this machine, the kernel's own files
are read instead; which ones they are is learned from the container's first process, and believed only where their
path names the container, so that a process id of another machine cannot mislead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandboxes.place import Gone, Reading

ROOT = Path("/sys/fs/cgroup")


class ControlGroup:
    """The files that tell what one container uses."""

    def __init__(self, cpu: Path, memory: Path, processes: Path, *, unified: bool) -> None:
        self._unified = unified
        self._cpu = cpu / ("cpu.stat" if unified else "cpuacct.usage")
        peak = ("memory.peak", "memory.current") if unified else ("memory.max_usage_in_bytes",)
        self._memory = tuple(memory / name for name in peak)
        # Not pids.peak: the engine's launcher started in this group, with more threads than most programs.
        self._processes = (processes / "pids.current",)

    @classmethod
    def find(cls, process: int, container: str, root: Path = ROOT) -> ControlGroup | None:
        """The groups of a container whose first process has that id; None where the engine is not on this machine."""
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
        group = cls(*(paths[name] for name in names), unified=unified)
        try:
            group.read()
        except Gone:
            return None
        return group

    def read(self) -> Reading:
        """What the container has used so far; Gone once its groups are."""
        try:
            text = self._cpu.read_text(encoding="ascii")
        except OSError:
            raise Gone(str(self._cpu)) from None
        seconds = int(text.split()[1]) / 1e6 if self._unified else int(text) / 1e9
        return Reading(cpu_seconds=seconds, memory_bytes=_first(self._memory), processes=_first(self._processes))


def _first(paths: Sequence[Path]) -> int:
    """The number in the first of these files that is there; older kernels lack the peaks."""
    for path in paths:
        try:
            return int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    raise Gone(str(paths[-1]))
