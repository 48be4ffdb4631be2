"""The docker sandbox keeps the contract of sandboxes, and keeps hostile code in."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker
import pytest

from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import MIB, ExitKind, Job, Outcome, Shape
from rsi.protocols import Sandbox
from rsi.testing.execution_record import check_record
from rsi.testing.sandbox_conformance import SandboxConformance, Watcher, completed, cpu_seconds, job, limits
from rsi.testing.sandbox_payloads import FORBIDDEN, OUTPUTS
from sandboxes.docker import DockerSandbox, owner, policy
from sandboxes.docker.control_group import ControlGroup
from sandboxes.docker.first_process import FirstProcess
from sandboxes.docker.host_view import HostView
from sandboxes.docker.sweep import sweep
from sandboxes.invocation import start_line

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    client = docker.from_env()
    yield client.api
    client.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DockerSandbox]:
    sandbox = DockerSandbox(pool=1)
    yield sandbox
    sandbox.close()
    assert left_behind() == []


def left_behind() -> list[str]:
    """Names of all containers and volumes that this process made."""
    client = docker.from_env()
    mine = {"label": f"{owner.OWNER_LABEL}={owner.this_process()}"}
    try:
        names = [container["Names"][0] for container in client.api.containers(all=True, filters=mine)]
        return names + [volume["Name"] for volume in client.api.volumes(filters=mine)["Volumes"] or []]
    finally:
        client.close()


BYTES = {"read_bytes", "written_bytes", "device_read_bytes", "device_written_bytes"}


class TestDockerSandbox(SandboxConformance):
    isolates = True
    # What the host's /proc tells of another user's processes, it tells root.
    measures = SandboxConformance.measures | (BYTES | {"peak_stored_bytes"} if os.geteuid() == 0 else set())

    @pytest.fixture(scope="class")
    @classmethod
    def make_sandbox(cls) -> Callable[[], Sandbox]:
        return lambda: DockerSandbox(pool=2)

    @classmethod
    def left_behind(cls) -> list[str]:
        return left_behind()


def printed(sandbox: DockerSandbox, code: str, **changes: Any) -> list[str]:
    outcome = sandbox.run(job(code, **changes))
    completed(outcome)
    return outcome.stdout.decode().splitlines()


# --- what hostile code finds ----------------------------------------------------------------------------------


def test_there_is_no_network_but_loopback(sandbox: DockerSandbox) -> None:
    code = """
import os, socket
print(*sorted(os.listdir("/sys/class/net")))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
        probe.connect(("192.0.2.1", 9))  # a datagram socket: nothing is sent, only a route is looked for
        print("a route")
    except OSError:
        print("no route")
"""
    assert printed(sandbox, code) == ["lo", "no route"]


def test_the_root_is_read_only_and_what_is_writable_can_not_be_executed(sandbox: DockerSandbox) -> None:
    code = """
import os, subprocess
folders = ("/", "/opt/rsi/guest", "/usr", "/etc", "/var/tmp", "/run/lock", "/in", "/dev", "/sys")
for path in (*(os.path.join(folder, "x") for folder in folders), "/proc/sys/kernel/hostname"):
    try:
        open(path, "w").close()
        print("wrote", path)
    except OSError:
        pass
for folder in ("/tmp", "/out", "/dev/shm"):
    program = os.path.join(folder, "program")
    with open(program, "w") as file:
        file.write("#!/bin/sh\\necho ran\\n")
    os.chmod(program, 0o755)
    try:
        subprocess.run([program], check=True)
    except PermissionError:
        print("not executable in", folder)
    os.remove(program)
"""
    assert printed(sandbox, code) == [f"not executable in {folder}" for folder in ("/tmp", "/out", "/dev/shm")]


def test_the_program_has_no_rights_and_a_filter(sandbox: DockerSandbox) -> None:
    code = """
for line in open("/proc/self/status"):
    name, _, value = line.partition(":")
    if name in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"):
        print(name, *value.split())
"""
    found = dict(line.partition(" ")[::2] for line in printed(sandbox, code))
    assert {found[name] for name in found if name.startswith("Cap")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    (user,), (group,) = set(found["Uid"].split()), set(found["Gid"].split())
    assert user == group
    assert int(user) >= 1000
    assert found["Groups"] in ("", user)


def test_no_two_places_share_a_user(sandbox: DockerSandbox) -> None:
    code = "import os\nprint(os.getuid())"
    assert printed(sandbox, code) != printed(sandbox, code)


def test_the_worker_cannot_be_read_traced_or_killed_by_its_program(sandbox: DockerSandbox) -> None:
    code = """
import ctypes, os, signal
for path in ("/proc/1/mem", "/proc/1/environ", "/proc/1/fd/0"):
    try:
        open(path, "rb")
        print("opened", path)
    except OSError:
        pass
print("traced", ctypes.CDLL(None).ptrace(16, 1, 0, 0))
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
    os.kill(1, number)
print("alive", os.getppid())
"""
    assert printed(sandbox, code) == ["traced -1", "alive 1"]


def test_a_forged_last_line_needs_a_word_that_the_program_does_not_have(sandbox: DockerSandbox) -> None:
    code = """
import sys
print("\\x1eready {}", file=sys.stderr)
print('\\x1e0123456789abcdef {"exit_code": 0, "signal": null}', file=sys.stderr)
raise SystemExit(4)
"""
    outcome = sandbox.run(job(code))
    assert (outcome.execution.kind, outcome.execution.exit_code) == (ExitKind.CRASHED, 4)
    assert outcome.stderr.startswith(b"\x1eready {}\n\x1e0123456789abcdef ")


def test_a_child_killed_for_memory_is_recorded_apart_from_the_exit_code(sandbox: DockerSandbox) -> None:
    code = """
import os
if os.fork() == 0:
    kept = [bytearray(b"x") * (16 << 20) for _ in range(64)]
os.wait()
"""
    execution = completed(sandbox.run(job(code, memory_bytes=160 * MIB)))
    assert execution.exit_code == 0
    assert execution.out_of_memory
    assert (execution.usage.peak_memory_bytes or 0) >= 150 * MIB


def test_one_process_is_a_limit_that_can_be_had(sandbox: DockerSandbox) -> None:
    code = """
import os, threading
for start in (os.fork, threading.Thread(target=print).start):
    try:
        start()
        print("started")
    except (OSError, RuntimeError):
        print("refused")
"""
    for _ in range(5):  # the engine's launcher used to die of so small a limit, now and then
        assert printed(sandbox, code, processes=1) == ["refused", "refused"]


def test_the_kernels_own_count_agrees_with_the_engines(sandbox: DockerSandbox) -> None:
    sandbox.describe()
    cell = sandbox._make(Shape(limits=limits()), _silent_bell())
    try:
        group, cell._group = cell._group, None
        asked = cell.read_usage()
        if group is None:
            pytest.skip("the engine is not on this machine")
        read = group.read()
        assert read.cpu_seconds == pytest.approx(asked.cpu_seconds, rel=0.05)
        assert read.memory_bytes == pytest.approx(asked.memory_bytes, rel=0.05)
        assert read.peak_memory_bytes == pytest.approx(asked.peak_memory_bytes, rel=0.05)
        assert read.processes == asked.processes == 1
    finally:
        cell.destroy()


def test_an_engine_elsewhere_leaves_the_same_record_with_less_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlGroup, "find", classmethod(lambda *_: None))  # as where the process is not ours to see
    sandbox = DockerSandbox(pool=1)
    leave = "open(os.environ['RSI_OUT'] + '/left', 'w').write('x' * 70)"
    asked = job(f"import os, time\n{leave}\ntime.sleep(0.5)\nraise SystemExit(3)")
    try:
        outcome = sandbox.run(asked)
    finally:
        sandbox.close()
    check_record(asked, outcome)
    usage, course = outcome.execution.usage, outcome.course
    assert (outcome.execution.kind, outcome.execution.exit_code) == (ExitKind.CRASHED, 3)
    assert usage.cpu_seconds is not None
    assert (usage.peak_memory_bytes or 0) > 0
    assert (usage.written_bytes, usage.peak_stored_bytes, usage.device_read_bytes) == (None, None, None)
    assert course is not None
    assert course.outputs is not None
    assert [(file.path, file.size) for file in course.outputs.files] == [("left", 70)]
    assert course.scratch is None


def test_torch_is_there_and_its_import_does_not_count(sandbox: DockerSandbox) -> None:
    asked = job("import torch\nprint(torch.get_num_threads())", imports=("torch",))
    outcome = sandbox.run(asked)
    execution = completed(outcome)
    assert outcome.stdout == b"1\n"
    assert cpu_seconds(execution) < 0.5  # importing takes more than one
    assert execution.setup_cpu_seconds is not None
    assert execution.setup_cpu_seconds > 0.5


# --- past the engine, where it is on this machine -----------------------------------------------------------------


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the engine is on another machine: process ids lead nowhere."""
    monkeypatch.setattr(HostView, "open", lambda *_: None)
    monkeypatch.setattr(FirstProcess, "open", lambda *_: None)
    monkeypatch.setattr(ControlGroup, "find", lambda *_: None)


@pytest.mark.long
def test_a_program_on_an_engine_far_away_is_served_by_the_engine_alone(far_away: None) -> None:
    own = DockerSandbox(pool=0)
    try:
        code = "import sys\nprint(open(sys.argv[1]).read())\n" + OUTPUTS
        asked = job(code)
        inputs = {**asked.inputs, "data/x": b"content"}
        argv = (*asked.argv, "/in/data/x")
        outcome = own.run(Job(**{**dict(asked), "inputs": inputs, "argv": argv}))
        completed(outcome)
        assert outcome.stdout == b"content\n"
        assert sorted(outcome.outputs) == ["deep/er/é", "empty", "weights.safetensors"]
        for what in ("a symbolic link", "a hard link", "a FIFO", "a sparse file"):
            outcome = own.run(job(FORBIDDEN[what], artifact_files=4, artifact_bytes=4 * MIB))
            assert (outcome.execution.kind, outcome.outputs) == (ExitKind.FORBIDDEN_OUTPUT, {}), what
    finally:
        own.close()
    assert left_behind() == []


def test_a_killed_place_is_dead_with_all_that_ran_in_it(api: Any, sandbox: DockerSandbox) -> None:
    sandbox.describe()
    cell = sandbox._make(Shape(limits=limits()), _silent_bell())
    try:
        if cell._first is None:
            pytest.skip("the engine is not on this machine, or this is not root")
        code = "import subprocess\nprint(subprocess.Popen(['sleep', '25'], start_new_session=True).pid, flush=True)"
        cell.fill({"code/program.py": (code + "\nimport time\ntime.sleep(25)").encode()})
        cell.send(start_line(job(code), cell.folders, cell.environment, "nonce", "word"))
        rows = wait_for(lambda: len(found := api.top(cell.worker)["Processes"]) == 3 and found)
        processes = [int(row[1]) for row in rows]
        cell.kill()
        assert [process for process in processes if _runs(process)] == []
        end = cell.how_it_ended()
        state = wait_for(lambda: (found := cell.state()) and not found["Running"] and found)
        assert (end.exit_code, end.out_of_memory) == (state["ExitCode"], state["OOMKilled"]) == (137, False)
        cell.kill()  # a second time is no matter
    finally:
        cell.destroy()


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_first_process_is_held_only_where_its_group_names_the_container() -> None:
    with subprocess.Popen(["sleep", "25"]) as child:
        try:
            assert FirstProcess.open(child.pid, "f" * 64) is None
            assert child.poll() is None
        finally:
            child.kill()


# --- places, warm and lost ------------------------------------------------------------------------------------


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited for a minute")


def workers(api: Any, status: str = "running") -> list[dict[str, Any]]:
    mine = {"label": f"{owner.OWNER_LABEL}={owner.this_process()}", "status": status}
    found = [found for found in api.containers(all=True, filters=mine) if "guest.worker" in found["Command"]]
    return [one for one in found if status != "running" or _lives(api, one["Id"])]


def _lives(api: Any, container: str) -> bool:
    """A place that was just ended is dead before its engine knows."""
    try:
        return _runs(api.inspect_container(container)["State"]["Pid"])
    except docker.errors.NotFound:
        return False


def test_a_warm_place_is_taken_by_a_job_of_its_shape_alone(api: Any) -> None:
    code = "import os\nprint(os.uname().nodename, os.getuid())"
    sandbox = DockerSandbox(pool=1)
    try:
        shape = Shape(limits=limits())
        sandbox.warm([shape, shape, shape])
        (warm,) = wait_for(lambda: workers(api))
        user = api.inspect_container(warm["Id"])["Config"]["User"].split(":")[0]
        assert printed(sandbox, code, processes=31)[0].split()[1] != user
        assert printed(sandbox, code)[0].split()[1] == user
        assert printed(sandbox, code)[0].split()[1] != user
    finally:
        sandbox.close()
    assert left_behind() == []


def test_a_warm_place_that_died_is_replaced(api: Any) -> None:
    sandbox = DockerSandbox(pool=1)
    try:
        sandbox.warm([Shape(limits=limits())])
        (warm,) = wait_for(lambda: workers(api))
        wait_for(lambda: api.inspect_container(warm["Id"])["State"]["Running"])
        api.kill(warm["Id"])
        wait_for(lambda: not api.inspect_container(warm["Id"])["State"]["Running"])
        completed(sandbox.run(job("print(1)")))
    finally:
        sandbox.close()
    assert left_behind() == []


def test_the_pool_refills_itself_with_what_was_asked_for(api: Any) -> None:
    sandbox = DockerSandbox(pool=1)
    try:
        sandbox.warm([Shape(limits=limits())])
        first = wait_for(lambda: workers(api))[0]["Id"]
        completed(sandbox.run(job("print(1)")))
        wait_for(lambda: len(workers(api)) == 1 and workers(api)[0]["Id"] != first)
    finally:
        sandbox.close()
    assert left_behind() == []


def test_other_shapes_make_room_in_a_full_pool(api: Any) -> None:
    sandbox = DockerSandbox(pool=1)
    try:
        sandbox.warm([Shape(limits=limits())])
        first = wait_for(lambda: workers(api))[0]["Id"]
        sandbox.warm([Shape(limits=limits(processes=31))])
        wait_for(lambda: [found for found in workers(api) if found["Id"] != first])
        wait_for(lambda: len(workers(api)) == 1)
    finally:
        sandbox.close()
    assert left_behind() == []


@pytest.mark.parametrize("how", ["removed", "killed"])
def test_a_container_that_vanishes_in_the_middle_is_lost_with_what_was_seen(api: Any, how: str) -> None:
    sandbox = DockerSandbox(pool=1)
    watcher = Watcher()
    outcomes: list[Outcome] = []
    asked = job("import time\nprint('started')\ntime.sleep(25)")
    runner = threading.Thread(target=lambda: outcomes.append(sandbox.run(asked, watcher)))
    try:
        runner.start()
        assert watcher.arrived.wait(60)
        (worker,) = workers(api)
        if how == "removed":
            api.remove_container(worker["Id"], force=True)
        else:
            api.kill(worker["Id"])
        runner.join(30)
        (outcome,) = outcomes
        assert outcome.execution.kind is ExitKind.LOST, outcome.execution.detail
        assert outcome.stdout == b"started\n"
        assert outcome.execution.exit_code is None
        check_record(asked, outcome)
        assert outcome.course is not None
        assert outcome.course.series is not None
        assert outcome.course.series.seconds, "what was seen until then is kept"
        assert outcome.execution.usage.cpu_seconds is not None
    finally:
        sandbox.close()
        runner.join()
    assert left_behind() == []


LOSER = """
import sys, threading
from rsi.testing.sandbox_conformance import Watcher, job
from sandboxes.docker import DockerSandbox, owner
sandbox = DockerSandbox(pool=1)
watcher = Watcher()
threading.Thread(target=lambda: (watcher.arrived.wait(60), print(owner.this_process(), flush=True))).start()
asked = job("import time\\nprint('started')\\ntime.sleep(25)")
for outcome in (sandbox.run(asked, watcher), sandbox.run(asked)):
    print(outcome.execution.kind, outcome.stdout, "engine" in outcome.execution.detail, flush=True)
sandbox.close()
"""


def test_an_engine_that_goes_away_is_lost_with_what_was_seen(tmp_path: Path) -> None:
    # In a process of its own: where a door is shut, the engine's client leaves sockets to the garbage collector.
    sandbox = DockerSandbox(pool=1)
    with Door(tmp_path / "engine.sock") as door:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{door.path}"}
        command = [sys.executable, "-c", LOSER]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as other:
            try:
                assert other.stdout is not None
                loser = other.stdout.readline().strip()
                door.close()
                told = other.communicate(timeout=60)[0].splitlines()
                assert told == ["lost b'started\\n' True", "lost b'' True"]
                assert other.returncode == 0
            finally:
                other.kill()
    try:
        sandbox.describe()
        assert sweep(sandbox._engine.api, lambda name: name != loser) == 4
    finally:
        sandbox.close()


class Door:
    """A way to the engine that can be shut: forwards one socket to the engine's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._welcome)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
        self._listener.close()

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)

    def _welcome(self) -> None:
        engine = docker.constants.DEFAULT_UNIX_SOCKET.removeprefix("http+unix://")
        with contextlib.suppress(OSError):
            while True:
                guest, _ = self._listener.accept()
                host = socket.socket(socket.AF_UNIX)
                self._sockets += [guest, host]
                host.connect(engine)
                for source, target in ((guest, host), (host, guest)):
                    thread = threading.Thread(target=self._pass_on, args=(source, target))
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_the_running_container_tells_what_it_runs(api: Any, sandbox: DockerSandbox) -> None:
    asked = job("import time\nprint('started', flush=True)\ntime.sleep(3)")
    asked = Job(**{**dict(asked), "labels": {"run": "r 1", "trial": "3/baseline"}})
    names: list[str] = []
    watcher = Watcher()

    def look() -> None:
        watcher.arrived.wait(60)
        names.extend(wait_for(lambda: [n for w in workers(api) for n in w["Names"] if n.startswith("/rsi-r_1")]))

    looking = threading.Thread(target=look)
    looking.start()
    completed(sandbox.run(asked, watcher))
    looking.join()
    assert names[0].startswith("/rsi-r_1-3_baseline-train-")


def test_a_watcher_that_raises_leaves_nothing_behind(sandbox: DockerSandbox) -> None:
    def broken(_stream: str, _data: bytes) -> None:
        raise RuntimeError("broken watcher")

    own = DockerSandbox(pool=1)
    with pytest.raises(RuntimeError, match="broken watcher"):
        own.run(job("import time\nprint('x')\ntime.sleep(25)"), broken)
    own.close()
    assert left_behind() == []


def test_memory_too_small_for_the_imports_is_a_usage_error(sandbox: DockerSandbox) -> None:
    with pytest.raises(UsageError, match="memory_bytes"):
        sandbox.run(job("", imports=("torch",), memory_bytes=40 * MIB))


def test_more_cpus_than_there_are_is_refused_in_a_sentence(sandbox: DockerSandbox) -> None:
    with pytest.raises(EnvironmentFault, match="CPUs"):
        sandbox.run(job("", cpus=4096.0))


def test_a_missing_image_says_how_to_make_it() -> None:
    sandbox = DockerSandbox(image="rsi-no-such-image")
    try:
        with pytest.raises(EnvironmentFault, match="make setup"):
            sandbox.describe()
        sandbox.warm([job("").shape])  # fails in the background, and is not tried for ever
        with pytest.raises(EnvironmentFault, match="make setup"):
            sandbox.run(job(""))
    finally:
        sandbox.close()


def test_no_engine_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    sandbox = DockerSandbox(image="any")
    try:
        with pytest.raises(EnvironmentFault, match="No Docker engine answers"):
            sandbox.describe()
    finally:
        sandbox.close()


# --- the policy and its check ---------------------------------------------------------------------------------


def test_a_container_that_differs_from_the_policy_is_found(api: Any, sandbox: DockerSandbox) -> None:
    sandbox.describe()
    plan = sandbox._plan(Shape(limits=limits()), {})
    cell = sandbox._make(plan.shape, _silent_bell())
    try:
        found = api.inspect_container(cell.worker)
        policy.check_worker(found, cell.plan, swap_is_limited=True)
        for spoil in SPOILERS:
            spoiled = json.loads(json.dumps(found))
            spoil(spoiled)
            with pytest.raises(EnvironmentFault, match="differs from the policy"):
                policy.check_worker(spoiled, cell.plan, swap_is_limited=True)
    finally:
        cell.destroy()


SPOILERS: list[Callable[[dict[str, Any]], Any]] = [
    lambda found: found["HostConfig"].update(Memory=0),
    lambda found: found["HostConfig"].update(MemorySwap=-1),
    lambda found: found["HostConfig"].update(NanoCpus=0),
    lambda found: found["HostConfig"].update(PidsLimit=None),
    lambda found: found["HostConfig"].update(CpuShares=policy.WARMING_CPU_SHARES),
    lambda found: found["HostConfig"].update(NetworkMode="bridge"),
    lambda found: found["HostConfig"].update(CapDrop=None),
    lambda found: found["HostConfig"].update(CapAdd=["SYS_ADMIN"]),
    lambda found: found["HostConfig"].update(ReadonlyRootfs=False),
    lambda found: found["HostConfig"].update(Privileged=True),
    lambda found: found["HostConfig"].update(SecurityOpt=None),
    lambda found: found["HostConfig"].update(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
    lambda found: found["HostConfig"].update(LogConfig={"Type": "json-file", "Config": {}}),
    lambda found: found["HostConfig"].update(Ulimits=[]),
    lambda found: found["HostConfig"].update(Tmpfs={}),
    lambda found: found["HostConfig"].update(PidMode="host"),
    lambda found: found["HostConfig"].update(Binds=["/:/host"]),
    lambda found: found["HostConfig"].update(RestartPolicy={"Name": "always"}),
    lambda found: found["Config"].update(User="0:0"),
    lambda found: found["Config"].update(Env=[]),
    lambda found: found["Mounts"][0].update(RW=True) or found["Mounts"][1].update(RW=True),
    lambda found: found["Mounts"].append({"Name": "more", "Destination": "/more", "RW": True}),
    lambda found: found["NetworkSettings"].update(Networks={"bridge": {}}),
]


def _silent_bell() -> Any:
    return None


# --- what a killed host leaves --------------------------------------------------------------------------------

ORPHAN_MAKER = """
import sys, time
from rsi.execution import Shape
from rsi.testing.sandbox_conformance import limits
from sandboxes.docker import DockerSandbox, owner
sandbox = DockerSandbox(pool=1)
sandbox._make(Shape(limits=limits()), None)
print(owner.this_process(), flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_uses_is_not(api: Any) -> None:
    sandbox = DockerSandbox(pool=1)
    with subprocess.Popen([sys.executable, "-c", ORPHAN_MAKER], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            name = other.stdout.readline().strip()
            label = {"label": f"{owner.OWNER_LABEL}={name}"}
            sandbox.describe()
            sandbox.sweep()
            assert len(api.containers(all=True, filters=label)) == 2
            other.kill()
            other.wait()
            assert sandbox.sweep() >= 4
            assert api.containers(all=True, filters=label) == []
            assert not api.volumes(filters=label)["Volumes"]
        finally:
            other.kill()
            sandbox.close()


def test_owners_that_cannot_be_seen_from_here_keep_what_runs(api: Any, sandbox: DockerSandbox) -> None:
    sandbox.describe()
    cell = sandbox._make(Shape(limits=limits()), _silent_bell())
    mine = owner.this_process()
    try:
        assert sweep(api, lambda name: None if name == mine else True) == 0
        assert sweep(api, lambda name: name != mine) >= 4
    finally:
        cell.destroy()


def test_importing_the_sandbox_does_not_import_the_engines_client() -> None:
    code = "import sys, sandboxes.docker; sandboxes.docker.DockerSandbox(image='x'); sys.exit('docker' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
