"""The docker sandbox with chosen protections taken away, for attempts to prove that they would have had their effect.

Reachable from tests only: it subclasses the plan, the cell and the sandbox, and no configuration names it.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from escape_ground import SECRET_VARIABLE, Ground

from rsi.execution import MIB, Job, Shape
from rsi.testing.escapes import Protection as P  # noqa: N817 - as in the suite itself
from sandboxes.bell import Bell
from sandboxes.docker import DockerSandbox, collect, host_view, policy
from sandboxes.docker.cell import Cell
from sandboxes.docker.pool import Pool
from sandboxes.outputs import Intake
from sandboxes.place import PlaceEnd

CAPABILITIES = ["NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "MKNOD", "SYS_TIME", "SYS_NICE"]
Options = dict[str, Any]


def _mount(kind: str, source: str, target: str, *, read_only: bool) -> Options:
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": read_only}


def _without_limit(name: str) -> Callable[[Options, Ground], None]:
    def change(host: Options, _ground: Ground) -> None:
        host["Ulimits"] = [limit for limit in host["Ulimits"] if limit["Name"] != name]

    return change


def _scratch(old: str, new: str) -> Callable[[Options, Ground], None]:
    def change(host: Options, _ground: Ground) -> None:
        (folder, options), *_ = host["Tmpfs"].items()
        parts = [new if part.startswith(old) else part for part in options.split(",")]
        assert new in parts
        host["Tmpfs"] = {folder: ",".join(parts)}

    return change


def _set(**values: Any) -> Callable[[Options, Ground], None]:
    return lambda host, _ground: host.update(values)


HOST_OPTIONS: Mapping[P, Callable[[Options, Ground], Any]] = {
    P.NO_NETWORK: lambda host, ground: host.update(NetworkMode=ground.mark, Dns=[ground.gateway]),
    P.OWN_NETWORK: _set(NetworkMode="host"),
    P.OWN_PROCESSES: _set(PidMode="host"),
    P.OWN_IPC: _set(IpcMode="host"),
    P.NO_HOST_FILES: lambda host, ground: host["Mounts"].append(
        _mount("bind", str(ground.folder / "open"), str(ground.folder / "open"), read_only=False)
    ),
    P.NO_ENGINE: lambda host, _: host["Mounts"].append(
        _mount("bind", "/var/run/docker.sock", "/var/run/docker.sock", read_only=False)
    ),
    P.NO_OTHER_VOLUMES: lambda host, ground: host["Mounts"].extend(
        _mount("volume", f"{ground.facts['other']}-{end}", f"/other/{end}", read_only=False) for end in ("in", "out")
    ),
    P.NO_CAPABILITIES: _set(CapAdd=CAPABILITIES),
    P.NO_NEW_PRIVILEGES: lambda host, _: host["SecurityOpt"].remove("no-new-privileges"),
    P.SECCOMP: lambda host, _: host["SecurityOpt"].append("seccomp=unconfined"),
    P.READ_ONLY_ROOT: _set(ReadonlyRootfs=False),
    P.READ_ONLY_INPUTS: lambda host, _: host["Mounts"][0].update(ReadOnly=False),
    P.READ_ONLY_PROC: _set(ReadonlyPaths=[]),
    P.NOEXEC_SCRATCH: _scratch("noexec", "exec"),
    P.MEMORY: _set(Memory=2048 * MIB, MemorySwap=2048 * MIB),
    P.PROCESSES: _set(PidsLimit=600),
    P.CPUS: _set(NanoCpus=2 * 10**9),
    P.OPEN_FILES: _without_limit("nofile"),
    P.FILE_SIZE: _without_limit("fsize"),
    P.CORE_SIZE: _without_limit("core"),
    P.SHARED_MEMORY: _set(ShmSize=512 * MIB),
    P.SCRATCH_SIZE: _scratch("size=", f"size={64 * MIB}"),
    P.SCRATCH_INODES: _scratch("nr_inodes=", "nr_inodes=10000"),
    P.NO_LOG: _set(LogConfig={"Type": "json-file", "Config": {"max-size": "1m"}}),
}
"""Each takes exactly one protection away; what is unlimited stays bounded, a little above what the attempt uses."""

OUTPUT_VOLUME: Mapping[P, tuple[str, str]] = {
    P.NOEXEC_OUTPUTS: ("noexec", "exec"),
    P.OUTPUTS_SIZE: ("size=", f"size={64 * MIB}"),
    P.OUTPUTS_INODES: ("nr_inodes=", "nr_inodes=10000"),
}

JOB_LIMITS: Mapping[P, Mapping[str, Any]] = {
    P.WALL_TIME: {"wall_seconds": 30.0},
    P.CPU_TIME: {"cpu_seconds": 30.0},
    P.PRINTED_SIZE: {"output_bytes": 16 * MIB},
    P.ARTIFACT_SIZE: {"artifact_bytes": 16 * MIB},
    P.ARTIFACT_COUNT: {"artifact_files": 100},
}
"""What only the host enforces: the same job without that limit."""


class WeakPlan(policy.CellPlan):
    """Its containers lack some protections; the check after the start expects them to."""

    lacks: tuple[P, ...]
    ground: Any

    def adapt_worker(self, options: Options) -> Options:
        host = options["HostConfig"]
        for protection in self.lacks:
            if protection in HOST_OPTIONS:
                HOST_OPTIONS[protection](host, self.ground)
        if P.ENVIRONMENT in self.lacks:
            options["Env"].append(f"{SECRET_VARIABLE}={os.environ[SECRET_VARIABLE]}")
        options["NetworkDisabled"] = host["NetworkMode"] == "none"
        return options

    def adapt_volume(self, options: Options) -> Options:
        if options["Name"] == self.outputs_volume:
            for protection in self.lacks:
                if protection in OUTPUT_VOLUME:
                    old, new = OUTPUT_VOLUME[protection]
                    parts = options["DriverOpts"]["o"].split(",")
                    options["DriverOpts"]["o"] = ",".join(new if part.startswith(old) else part for part in parts)
        return options


class WeakCell(Cell):
    """A cell that may not kill what runs in it, or that extracts its outputs on the host as a careless reader would."""

    plan: WeakPlan

    def kill(self) -> None:
        if P.KILLED_OUTRIGHT in self.plan.lacks:
            self._engine.quick.kill(self.worker, signal="SIGTERM")
        elif P.KILLED_AS_A_WHOLE not in self.plan.lacks:
            super().kill()
            return
        self._streams.ended = True

    def how_it_ended(self) -> PlaceEnd:
        if {P.KILLED_OUTRIGHT, P.KILLED_AS_A_WHOLE} & set(self.plan.lacks):
            return PlaceEnd(exit_code=0)
        return super().how_it_ended()

    def destroy(self) -> bool:
        WeakSandbox.looked.wait(20)
        return super().destroy()

    def collect(self, intake: Intake) -> None:
        if P.NEVER_EXTRACTED not in self.plan.lacks:
            super().collect(intake)
            return
        stream, _ = self._engine.api.get_archive(self._holder, f"{policy.FOLDERS.outputs}/.")
        intake.files.update(_carelessly(b"".join(stream), self.plan.ground.folder / "deep" / self.plan.name))


def _carelessly(archive: bytes, folder: Path) -> dict[str, bytes]:
    """Extract all, unpack whatever looks like an archive too, and read what lies there, links followed."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        outer.extractall(folder, filter="fully_trusted")
    for path in [*folder.rglob("*")]:
        if path.is_file() and path.read_bytes()[257:262] == b"ustar":
            with tarfile.open(path) as inner:
                inner.extractall(folder, filter="fully_trusted")
    found: dict[str, bytes] = {}
    for place, _, names in os.walk(folder, followlinks=True):
        for path in (Path(place) / name for name in names):
            with contextlib.suppress(OSError):
                found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b""
    return found


class ObservedSandbox(DockerSandbox):
    """The docker sandbox as it is; remembers the cell of its last job, for the host to look into."""

    cell: Cell

    def _filled_cell(self, job: Job, bell: Bell, pool: Pool) -> Cell:
        self.cell = super()._filled_cell(job, bell, pool)
        return self.cell


class WeakSandbox(ObservedSandbox):
    """One whose cells lack some protections."""

    looked = threading.Event()
    """Set once the host has looked: a cell that is being destroyed hides what it let happen."""

    def __init__(self, lacks: Iterable[P], ground: Ground, other: policy.CellPlan, setuid_image: str) -> None:
        super().__init__(pool=0)
        self._lacks = tuple(lacks)
        self._ground = ground
        self._other = other
        self._setuid_image = setuid_image

    def _make(self, shape: Shape, bell: Bell, labels: Mapping[str, str] | None = None) -> Cell:
        self._engine.connect()
        return WeakCell.make(self._engine, self._plan(shape, labels or {}), bell)

    def _plan(self, shape: Shape, labels: Mapping[str, str]) -> policy.CellPlan:
        parts = dict(super()._plan(shape, labels))
        if P.UNPRIVILEGED_USER in self._lacks:
            parts["user"] = 0
        if P.OWN_USER in self._lacks:
            parts["user"] = self._other.user
        if P.NO_SETUID_FILES in self._lacks:
            parts["image"] = self._setuid_image
        return WeakPlan(**parts, lacks=self._lacks, ground=self._ground)


def patched(lacks: Iterable[P], patch: pytest.MonkeyPatch) -> None:
    """What is not asked of the engine but done on the host."""
    if P.NAME_RULES in lacks:
        patch.setattr("sandboxes.outputs.check_path", lambda _path: None)
        patch.setattr(collect, "check_path", lambda _path: None)
        patch.setattr(host_view, "check_path", lambda _path: None)


def end(processes: Iterable[int]) -> None:
    """Kill processes of an attempt that was looked at."""
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
