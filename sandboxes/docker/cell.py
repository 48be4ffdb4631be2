"""One single-use place: two capped volumes, the holder that keeps them, and the worker container that waits in them."""

from __future__ import annotations

import contextlib
import errno
import json
import signal
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from rsi.course import Listing
from rsi.errors import EngineLost, EnvironmentFault, UsageError
from rsi.execution import ExitKind
from sandboxes.bell import Bell
from sandboxes.docker import policy
from sandboxes.docker.archive_listing import list_archive
from sandboxes.docker.attachment import Attachment
from sandboxes.docker.collect import pack, unpack
from sandboxes.docker.control_group import ControlGroup
from sandboxes.docker.engine import Engine, translated
from sandboxes.docker.first_process import FirstProcess
from sandboxes.docker.host_view import HostView
from sandboxes.docker.policy import CellPlan
from sandboxes.invocation import Folders, missing_module
from sandboxes.listing import list_folder
from sandboxes.outputs import Intake
from sandboxes.place import Gone, PlaceEnd, Reading
from sandboxes.streams import Stream, WorkerLine

READY_SECONDS = 120.0
DESTROY_ATTEMPTS = 5
READ_BYTES = 1 << 20
POLL_SECONDS = 0.2
KILL_SECONDS = 10.0
WARMING_LOOK_SECONDS = 0.2
"""How soon a place that is being made ahead learns that a job waits for it."""
FIRST_LOOK_SECONDS = 0.01
KILLED = (None, 128 + signal.SIGKILL, 128 + signal.SIGTERM, 255)
"""Exit codes that no program can give its container's first process; 255 where an engine was not there to see it."""


class Cell:
    """Make it with `make`, fill it, start it once, destroy it."""

    poll_seconds = POLL_SECONDS
    libraries: tuple[str, ...] = policy.LIBRARIES

    def __init__(self, engine: Engine, plan: CellPlan) -> None:
        self.plan = plan
        self._engine = engine
        self._holder = f"{plan.name}-holder"
        self._lease: Attachment | None = None
        self._attachment: Attachment | None = None
        self._group: ControlGroup | None = None
        self._view: HostView | None = None
        self._first: FirstProcess | None = None
        self._end: PlaceEnd | None = None
        self._process = 0
        self.worker = plan.name
        self.baseline = Reading()

    @classmethod
    def make(
        cls,
        engine: Engine,
        plan: CellPlan,
        bell: Bell | None = None,
        bury: Callable[[Cell], object] | None = None,
        needed: threading.Event | None = None,
    ) -> Cell:
        """A cell whose worker has imported the shape's modules; whatever is raised, what there was of it is buried.

        Where it is made ahead, its imports give way to programs that run until `needed` is set.
        """
        cell = cls(engine, plan)
        try:
            cell._build(bell, needed)
        except BaseException as error:
            (bury or cls.destroy)(cell)
            if isinstance(error, Gone):
                engine.require_image()
                raise EngineLost("The Docker engine lost a container that was being made; resume the run.") from None
            raise
        return cell

    def _build(self, bell: Bell | None, needed: threading.Event | None) -> None:
        api = self._engine.api
        with translated():
            for volume in (policy.input_volume(self.plan), policy.output_volume(self.plan)):
                api.create_volume(volume["Name"], volume["Driver"], volume["DriverOpts"], volume["Labels"])
            holder = api.create_container_from_config(policy.holder_options(self.plan), self._holder)["Id"]
            self._lease = Attachment(api, self._holder)
            api.start(holder)
        if bell is not None:
            bell.raise_if_rung()
        with translated():
            # By id from here on: the name may change.
            options = policy.launch_options(self.plan, ahead=needed is not None)
            self.worker = api.create_container_from_config(options, self.plan.name)["Id"]
        self._attachment = Attachment(api, self.worker)
        with translated():
            api.start(self.worker)
            process = api.inspect_container(holder)["State"]["Pid"]
        self._view = HostView.open(process, holder, policy.FOLDERS.inputs, policy.FOLDERS.outputs)
        self._await_ready(bell, needed)
        with translated():
            self._update(policy.CHANGED_ONCE_WARM)
            found = api.inspect_container(self.worker)
        if not found["State"]["Running"]:
            raise Gone(self.worker)
        policy.check_worker(found, self.plan, swap_is_limited=self._engine.swap_is_limited)
        self._process = found["State"]["Pid"]
        self._first = FirstProcess.open(self._process, self.worker)
        self._group = ControlGroup.find(self._process, self.worker, policy.WRITABLE)
        self.baseline = self.read_usage()

    def _update(self, names: Sequence[str]) -> None:
        """Have these limits, which launching wanted otherwise, as the policy says; the check that follows sees it."""
        host = policy.worker_options(self.plan)["HostConfig"]
        api = self._engine.api
        # Not update_container: the client knows not every one of them.
        url = f"{api.base_url}/v{api.api_version}/containers/{self.worker}/update"
        api.post(url, json={name: host[name] for name in names}, timeout=60).close()

    def _await_ready(self, bell: Bell | None, needed: threading.Event | None) -> None:
        ready = WorkerLine("ready")
        deadline = time.monotonic() + READY_SECONDS
        while ready.found is None:
            if bell is not None:
                bell.raise_if_rung()
            if self.ended:
                raise self._died_warming()
            if time.monotonic() > deadline:
                raise EnvironmentFault("A sandbox was not ready within two minutes; look at the machine's load.")
            if needed is not None and needed.is_set():
                with translated():
                    self._update(["CpuShares"])
                needed = None
            for stream, data in self.receive(1.0 if needed is None else WARMING_LOOK_SECONDS, bell):
                if stream == "stderr":
                    ready.feed(data)  # all before the line is noise of the imports
        error = json.loads(ready.found)["error"]
        if error:
            remedy = "name modules that are in it, or rebuild it with `rsi image build`"
            raise missing_module(error, f"the image {self._engine.image}", remedy)

    def _died_warming(self) -> Exception:
        state = self.state()
        limits = self.plan.shape.limits
        if state.get("OOMKilled"):
            modules = ", ".join(self.plan.shape.imports) or "Python"
            return UsageError(f"memory_bytes = {limits.memory_bytes} is too small to load {modules}; raise it.")
        reason = state.get("Error") or f"exit code {state.get('ExitCode')}"
        return EnvironmentFault(f"The sandbox's worker ended before it was ready ({reason}); run `rsi image build`.")

    @property
    def folders(self) -> Folders:
        """The same in every container."""
        return policy.FOLDERS

    @property
    def environment(self) -> dict[str, str]:
        """What the worker was started with."""
        return self.plan.environment

    @property
    def ended(self) -> bool:
        """Whether the attached streams ended, which they do with the container or the engine."""
        return self._streams.ended

    def first_process(self) -> int:
        """The container's process 1 as this machine numbers it; EnvironmentFault where the engine is on another."""
        if self._group is None:
            raise EnvironmentFault(
                "Tracing needs a Docker engine on this machine, whose processes can be seen from here; "
                "use one, or leave out --trace."
            )
        return self._process

    def send(self, data: bytes) -> None:
        """To the worker's standard input."""
        self._streams.send(data)

    def receive(self, seconds: float, bell: Bell | None = None) -> list[tuple[Stream, bytes]]:
        """From the worker's two streams."""
        return self._streams.receive(seconds, bell)

    @property
    def _streams(self) -> Attachment:
        assert self._attachment is not None  # made in `make`
        return self._attachment

    def fill(self, inputs: Mapping[str, bytes | Path]) -> None:
        """Put the inputs where the worker sees them, read-only; Gone where the worker no longer waits for them."""
        self.receive(0.0)
        if self.ended:
            raise Gone("The sandbox was ended from outside before its program started; resume the run.")
        try:
            if self._view is not None:
                self._view.put(inputs)
                return
            packed = _packed(inputs)
        except OSError as error:
            raise UsageError(f"An input file cannot be read ({error}); put it back and run again.") from None
        with contextlib.closing(packed) as archive, translated():
            self._engine.api.put_archive(self._holder, policy.FOLDERS.inputs, archive)

    def rename(self, name: str) -> None:
        """Give the worker a name that tells a person what it runs. Failing to is no matter."""
        with contextlib.suppress(Gone, EnvironmentFault), translated():
            self._engine.api.rename(self.worker, name)

    def read_usage(self) -> Reading:
        """Ask the kernel, or the engine where it runs elsewhere; Gone where the container no longer runs."""
        if self._group is not None:
            return self._group.read()
        with translated():
            stats = self._engine.quick.stats(self.worker, stream=False, one_shot=True)
        cpu = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        memory = stats.get("memory_stats", {})
        if not cpu or not memory:
            raise Gone(self.worker)
        return Reading(
            cpu_seconds=cpu / 1e9,
            memory_bytes=memory.get("usage"),
            peak_memory_bytes=memory.get("max_usage"),
            processes=stats.get("pids_stats", {}).get("current"),
        )

    @property
    def first_look_seconds(self) -> float:
        """Soon where looking is reading a few of the kernel's files; an engine elsewhere is asked no oftener."""
        return POLL_SECONDS if self._group is None else FIRST_LOOK_SECONDS

    def list_scratch(self) -> Listing | None:
        """Names, kinds and sizes below the scratch folder, through the host's /proc; None where that is not ours."""
        root = self._group.root() if self._group is not None else None
        return None if root is None else list_folder(f"{root}{policy.FOLDERS.scratch}")

    def kill(self) -> None:
        """End every process of the worker's container; the engine is asked only where the kernel cannot be."""
        if self._first is not None and not self.ended:
            out_of_memory = self._first.killed_for_memory()
            if self._first.end(KILL_SECONDS):
                self._end = PlaceEnd(exit_code=128 + signal.SIGKILL, out_of_memory=out_of_memory, from_outside=True)
                return
        with contextlib.suppress(Gone), translated():
            self._engine.quick.kill(self.worker)

    def overstepped(self) -> tuple[ExitKind, str] | None:
        """Nothing: the engine's control groups and volumes enforce every limit that is not a time."""
        return None

    def how_it_ended(self) -> PlaceEnd:
        """As we ended it ourselves; else wait until the engine has seen the worker's container end, and ask how."""
        if self._end is not None:
            return self._end
        with translated():
            self._engine.api.wait(self.worker, timeout=30, condition="not-running")
        state = self.state()
        return PlaceEnd(
            exit_code=state.get("ExitCode"),
            out_of_memory=bool(state.get("OOMKilled")),
            # Process 1 cannot be killed or traced from within its container.
            from_outside=state.get("ExitCode") in KILLED,
        )

    def state(self) -> dict[str, Any]:
        """The worker's state as the engine tells it."""
        with translated():
            return dict(self._engine.api.inspect_container(self.worker)["State"])

    def collect(self, intake: Intake) -> None:
        """Take in what lies in the output folder. The worker must be dead."""
        if self._view is not None:
            try:
                self._view.take(intake)
            except OSError as error:
                raise EngineLost(f"The sandbox's outputs cannot be read ({error.strerror}); resume the run.") from None
            return
        with self._archive() as chunks:
            unpack(chunks, intake)

    def list_inputs(self) -> Listing | None:
        """What lies in the inputs folder, hashed; None where this machine cannot look into it."""
        return self._view.inputs_as_they_lie() if self._view is not None else None

    def list_outputs(self) -> Listing | None:
        """What lies in the output folder, contents hashed as far as they could have come out."""
        limits = self.plan.shape.limits
        with self._archive() as chunks:
            return list_archive(chunks, limits.disk_bytes, limits.artifact_bytes)

    @contextlib.contextmanager
    def _archive(self) -> Iterator[Iterator[bytes]]:
        """The output folder as a tar stream."""
        api = self._engine.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self._holder}/archive"
        path = {"path": f"{policy.FOLDERS.outputs}/."}
        # Not get_archive: its generator leaves the connection open when the reading is given up half-way.
        with translated(), contextlib.closing(api.get(url, params=path, stream=True, timeout=60)) as response:
            if response.status_code != HTTPStatus.OK:
                raise EngineLost("The engine no longer has the sandbox's outputs; resume the run.")
            try:
                yield response.iter_content(READ_BYTES)
            except tarfile.TarError as error:
                raise EngineLost(f"The engine's archive of the outputs broke off ({error}); resume the run.") from None

    def destroy(self) -> bool:
        """Remove the containers and the volumes; False where the engine would not, so that one can try again."""
        for held in (self._attachment, self._lease, self._view, self._first):
            if held is not None:
                with contextlib.suppress(Exception):  # what cannot be let go of must not keep the cell at the engine
                    held.close()
        api = self._engine.api
        removals = [
            (api.remove_container, {"container": self.worker, "force": True}),
            (api.remove_container, {"container": self._holder, "force": True}),
            (api.remove_volume, {"name": self.plan.inputs_volume, "force": True}),
            (api.remove_volume, {"name": self.plan.outputs_volume, "force": True}),
        ]
        removed = [_insist(remove, arguments) for remove, arguments in removals]  # each, whatever the others did
        return all(removed)


def _packed(inputs: Mapping[str, bytes | Path]) -> IO[bytes]:
    """The inputs as an archive; a full temporary folder is told from an input that cannot be read."""
    try:
        return pack(inputs)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = tempfile.gettempdir()
        sentence = f"{where} is full, where inputs are packed; make room there or set TMPDIR, then resume."
        raise EnvironmentFault(sentence) from None


def _insist(remove: Any, arguments: dict[str, Any]) -> bool:
    """Remove one thing; a conflict (a removal under way, a volume still in use) passes after a moment."""
    for attempt in range(DESTROY_ATTEMPTS):
        try:
            with contextlib.suppress(Gone), translated():
                remove(**arguments)
        except EngineLost:
            if attempt >= 1:
                return False
        except EnvironmentFault:
            pass
        else:
            return True
        time.sleep(0.1 * 2**attempt)
    return False
