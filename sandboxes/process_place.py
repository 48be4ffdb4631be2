"""A temporary folder and a worker process in it: the place of the sandbox that does not isolate. Linux only."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from rsi.course import Listing
from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import MIB, ExitKind, Job, Shape
from sandboxes import process_tree
from sandboxes.bell import Bell, readable
from sandboxes.invocation import Folders, base_environment, missing_module
from sandboxes.listing import INPUT_BYTES, list_folder
from sandboxes.outputs import ForbiddenOutput, Intake, check_path
from sandboxes.place import Gone, PlaceEnd, Reading
from sandboxes.process_io import accounts_together
from sandboxes.streams import Stream, WorkerLine

GUEST = Path(__file__).parent / "guest"
READY_SECONDS = 120.0
POLL_SECONDS = 0.05
FIRST_LOOK_SECONDS = 0.01
DATA_SLACK_BYTES = 256 * MIB
"""Libraries map more than they touch; what is touched is polled against the limit itself."""


class ProcessPlace:
    """A folder and a worker process; see `sandboxes.place.Place`. Destroy it."""

    poll_seconds = POLL_SECONDS
    first_look_seconds = FIRST_LOOK_SECONDS
    libraries: tuple[str, ...] = ()

    def __init__(self, job: Job) -> None:
        self._limits = job.shape.limits
        self._imports = job.shape.imports
        self._root = Path(tempfile.mkdtemp(prefix="rsi-process-"))
        self._worker: subprocess.Popen[bytes] | None = None
        self._last = Reading()
        self.baseline = Reading()
        try:
            self._lay_out(job)
            # In the child's own session, so that a Ctrl-C at our terminal reaches us alone.
            self._worker = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", "guest.worker", *self._imports],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment_of(job.shape),
                cwd=self.folders.scratch,
                start_new_session=True,
                bufsize=0,
            )
            self._cap(self._worker.pid)
        except BaseException:
            self.destroy()
            raise
        self.environment = self.environment_of(job.shape)
        self._open: dict[Stream, IO[bytes]] = {"stdout": self._pipe("stdout"), "stderr": self._pipe("stderr")}

    @property
    def folders(self) -> Folders:
        """Below a temporary folder of this place."""
        names = {name: str(self._root / name) for name in ("inputs", "outputs", "scratch")}
        return Folders(**names)

    def environment_of(self, shape: Shape) -> dict[str, str]:
        """The fixed list, with this interpreter first on the path."""
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return base_environment(shape, self.folders, path=path, python_path=str(self._root / "modules"))

    def _lay_out(self, job: Job) -> None:
        for folder in ("inputs", "outputs", "scratch", "modules"):
            (self._root / folder).mkdir()
        # Linked alone: its neighbours, `docker` among them, would hide packages of the same name.
        (self._root / "modules" / "guest").symlink_to(GUEST, target_is_directory=True)
        for name, content in job.inputs.items():
            target = self._root / "inputs" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                shutil.copyfile(content, target)
            target.chmod(0o444)

    def _cap(self, process: int) -> None:
        caps = {
            resource.RLIMIT_FSIZE: self._limits.disk_bytes,
            resource.RLIMIT_NOFILE: self._limits.open_files,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: self._limits.memory_bytes + DATA_SLACK_BYTES,
        }
        for kind, value in caps.items():
            resource.prlimit(process, kind, (value, value))

    def _pipe(self, name: Stream) -> IO[bytes]:
        assert self._worker is not None
        pipe = getattr(self._worker, name)
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        return pipe  # type: ignore[no-any-return]

    def await_ready(self, bell: Bell) -> None:
        """Until the worker has imported the shape's modules; UsageError where it cannot."""
        ready = WorkerLine("ready")
        deadline = time.monotonic() + READY_SECONDS
        while ready.found is None:
            bell.raise_if_rung()
            if self.ended:
                raise UsageError("The worker ended before it was ready; raise memory_bytes, or see `rsi doctor`.")
            if time.monotonic() > deadline:
                raise EnvironmentFault("A sandbox was not ready within two minutes; look at the machine's load.")
            for stream, data in self.receive(1.0, bell):
                if stream == "stderr":
                    ready.feed(data)
        if error := json.loads(ready.found)["error"]:
            raise missing_module(error, "this interpreter", "use the docker sandbox")
        self.baseline = self.read_usage()

    def first_process(self) -> int:
        """None may follow it: a program that runs as this user can end its tracer."""
        raise UsageError("The process sandbox cannot trace: its programs could end the tracer; use --sandbox docker.")

    @property
    def ended(self) -> bool:
        """Whether both streams have ended, or the worker has and nothing is left to read."""
        assert self._worker is not None
        return not self._open or (self._worker.poll() is not None and not readable(self._open.values(), 0.0))

    def send(self, data: bytes) -> None:
        """To the worker's standard input."""
        assert self._worker is not None
        assert self._worker.stdin is not None
        with contextlib.suppress(OSError):
            self._worker.stdin.write(data)

    def receive(self, seconds: float, bell: Bell | None = None) -> list[tuple[Stream, bytes]]:
        """From the worker's two streams."""
        ready = readable([*self._open.values(), *([bell] if bell else [])], seconds)
        arrived: list[tuple[Stream, bytes]] = []
        for name, pipe in list(self._open.items()):
            if pipe.fileno() not in ready:
                continue
            data = pipe.read(1 << 16)
            if data:
                arrived.append((name, data))
            elif data is not None:
                del self._open[name]
        return arrived

    def read_usage(self) -> Reading:
        """From /proc: CPU time of the whole tree, memory and threads of what the worker started."""
        assert self._worker is not None
        entries = process_tree.tree(self._worker.pid)
        if not entries:
            raise Gone(str(self._worker.pid))
        memory = sum(entry.memory_bytes for entry in entries[1:])
        if memory > self._limits.memory_bytes:
            # What forked processes share was counted for each of them; the exact look is slower.
            memory = sum(process_tree.proportional_memory(entry.number) for entry in entries[1:])
        # A process that ends between two looks is counted by the parent that waited for it.
        user, system = (sum(entry.user_seconds for entry in entries), sum(entry.system_seconds for entry in entries))
        self._last = Reading(
            cpu_seconds=user + system,
            cpu_user_seconds=user,
            cpu_system_seconds=system,
            memory_bytes=memory or None,  # none at all: the only process was just ending
            processes=sum(entry.threads for entry in entries if not entry.zombie),
            stored_bytes=sum(_disk_use(Path(folder)) for folder in (self.folders.outputs, self.folders.scratch)),
            **accounts_together(self._worker.pid, (entry.number for entry in entries[1:])),
        )
        return self._last

    def overstepped(self) -> tuple[ExitKind, str] | None:
        """Memory, processes and disk, as of the last look."""
        limits = self._limits
        memory, stored, processes = self._last.memory_bytes, self._last.stored_bytes, self._last.processes
        if memory is not None and memory > limits.memory_bytes:
            return ExitKind.OUT_OF_MEMORY, "The program needed more memory than its limit."
        if stored is not None and stored > limits.disk_bytes:
            return ExitKind.DISK_FULL, "The program wrote more than its disk limit."
        if processes is not None and processes > limits.processes + 1:
            return ExitKind.CRASHED, f"The program started more than {limits.processes} processes."
        return None

    def kill(self) -> None:
        """End the worker and all below it; the worker last, for orphans are its children."""
        assert self._worker is not None
        process_tree.kill_descendants(self._worker.pid)
        self._worker.kill()
        process_tree.kill_marked(f"RSI_OUT={self.folders.outputs}")

    def how_it_ended(self) -> PlaceEnd:
        """The worker's exit code; a program here can have killed it, so nothing is called an end from outside."""
        assert self._worker is not None
        return PlaceEnd(exit_code=self._worker.wait())

    def collect(self, intake: Intake) -> None:
        """Read what lies in the output folder."""
        _take_in(Path(self.folders.outputs), "", intake)

    def list_scratch(self) -> Listing | None:
        """Names, kinds and sizes below the scratch folder."""
        return list_folder(self.folders.scratch)

    def list_inputs(self) -> Listing | None:
        """What lies in the inputs folder, hashed: here a program can change it."""
        return list_folder(self.folders.inputs, INPUT_BYTES)

    def list_outputs(self) -> Listing | None:
        """The same of the output folder, with contents hashed as far as they could have come out."""
        return list_folder(self.folders.outputs, self._limits.artifact_bytes)

    def destroy(self) -> None:
        """End what still runs and remove the folder."""
        if self._worker is not None:
            self.kill()
            self._worker.wait()
            for pipe in (self._worker.stdin, self._worker.stdout, self._worker.stderr):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self._root, onerror=_insist_on_removing)


def _disk_use(folder: Path) -> int:
    """Bytes that the files below it occupy, links not followed."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH118 - often
    return total


def _take_in(folder: Path, prefix: str, intake: Intake) -> None:
    for entry in sorted(folder.iterdir()):
        intake.entry()
        name = f"{prefix}{entry.name}"
        status = entry.lstat()
        if stat.S_ISDIR(status.st_mode):
            check_path(name)
            _take_in(entry, f"{name}/", intake)
            continue
        intake.admit(name, status.st_size, regular=stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        with entry.open("rb") as file:
            content = file.read(status.st_size + 1)
        if len(content) != status.st_size:
            raise ForbiddenOutput(f"{name!a} changed while it was being read.")
        intake.take(name, content)


def _insist_on_removing(remove: object, path: str, _: object) -> None:
    """A program may have taken away its own right to remove; a folder that stays is not worth a failure."""
    with contextlib.suppress(OSError):
        Path(path).parent.chmod(0o700)
        Path(path).chmod(0o700)
        if callable(remove):
            remove(path)
