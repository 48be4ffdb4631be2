"""The process sandbox keeps the contract of sandboxes, as far as a plain subprocess can."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rsi import confined
from rsi.errors import UsageError
from rsi.execution import ExitKind
from rsi.protocols import Sandbox
from rsi.testing.sandbox_conformance import SandboxConformance, completed, course_of, job
from sandboxes import process_tree
from sandboxes.bell import Bell
from sandboxes.process import ProcessSandbox
from sandboxes.process_place import ProcessPlace

_BEFORE: set[int] = set()
"""Children of this process from before: what other tests, or the libraries that they use, keep waiting."""


def children() -> set[int]:
    return {entry.number for entry in process_tree.tree(os.getpid())[1:] if not entry.zombie}


def left_behind() -> list[str]:
    folders = [str(path) for path in Path(tempfile.gettempdir()).glob("rsi-process-*")]
    processes = sorted(children() - _BEFORE)
    processes += process_tree._marked(f"RSI_OUT={tempfile.gettempdir()}/rsi-process-".encode())
    return folders + [str(number) for number in processes]


@pytest.fixture(autouse=True, scope="module")
def _own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # What lies there is ours, whatever else this machine runs.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("places")))
        confined.close()  # another test of this process may have left its warm child waiting
        _BEFORE.update(children())  # so may multiprocessing, whose resource tracker stays once a process was spawned
        yield


BYTES = {"read_bytes", "written_bytes", "device_read_bytes", "device_written_bytes"}


class TestProcessSandbox(SandboxConformance):
    isolates = False
    # The worker lets no one but root look at its account.
    measures = SandboxConformance.measures | {"peak_stored_bytes"} | (BYTES if os.geteuid() == 0 else set())

    @pytest.fixture(scope="class")
    @classmethod
    def make_sandbox(cls) -> Callable[[], Sandbox]:
        return ProcessSandbox

    @classmethod
    def left_behind(cls) -> list[str]:
        return left_behind()


def test_it_says_plainly_that_nothing_is_kept_in() -> None:
    description = ProcessSandbox().describe()
    assert description.options["isolation"].startswith("none")
    assert description.options["network"] == "not cut off"


def test_a_missing_pytorch_sends_one_to_the_docker_sandbox() -> None:
    with pytest.raises(UsageError, match="PyTorch, which this interpreter lacks; use the docker sandbox"):
        ProcessSandbox().run(job("", imports=("torch",)))


def test_a_daemon_that_left_its_session_and_its_environment_is_killed_too(tmp_path: Path) -> None:
    code = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "w") as file:
            file.write(str(os.getpid()))
        os.execve("/bin/sleep", ["sleep", "25"], {})
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    pass
"""
    completed(ProcessSandbox().run(job(code, str(tmp_path / "daemon"))))
    daemon = process_tree.read(int((tmp_path / "daemon").read_text()))
    assert daemon is None or daemon.zombie


def test_a_program_that_kills_its_worker_has_crashed_and_is_not_lost() -> None:
    execution = ProcessSandbox().run(job("import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(25)")).execution
    assert execution.kind is ExitKind.CRASHED
    assert left_behind() == []


def test_a_closed_sandbox_says_so() -> None:
    sandbox = ProcessSandbox()
    sandbox.close()
    with pytest.raises(UsageError, match="closed"):
        sandbox.run(job(""))


def test_a_watcher_that_raises_leaves_nothing_behind() -> None:
    def broken(_stream: str, _data: bytes) -> None:
        raise RuntimeError("broken watcher")

    with pytest.raises(RuntimeError, match="broken watcher"):
        ProcessSandbox().run(job("import time\nprint('x')\ntime.sleep(25)"), broken)
    assert left_behind() == []


def test_times_are_counted_from_the_start_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = ProcessPlace.await_ready

    def late(place: ProcessPlace, bell: Bell) -> None:
        time.sleep(1.0)
        ready(place, bell)

    monkeypatch.setattr(ProcessPlace, "await_ready", late)
    sandbox = ProcessSandbox()
    outcome = sandbox.run(job("print('hello')"))
    sandbox.close()
    execution = completed(outcome)
    order, series = course_of(outcome).order, course_of(outcome).series
    assert order is not None
    assert series is not None
    assert execution.setup_seconds >= 1.0
    assert order.seconds[0] <= execution.usage.wall_seconds + 0.5
    assert series.seconds[-1] <= execution.usage.wall_seconds + 0.5
