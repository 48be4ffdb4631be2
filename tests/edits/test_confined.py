from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rsi import confined

HERE = "tests_confined_targets"


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Functions for the child to run: it finds them beside `rsi`, because this process's path is not passed on."""
    (tmp_path / f"{HERE}.py").write_text(
        "import ctypes, os, subprocess, sys, time\n"
        "def echo(x): return x\n"
        "def pid(_): return os.getpid()\n"
        "def sleep(x): time.sleep(x)\n"
        "def spin(_):\n    while True: pass\n"
        "def native(_): return len(str(10 ** 10 ** 8))\n"
        "def crash(_): ctypes.string_at(0)\n"
        "def hog(_): return len(bytearray(8 << 30))\n"
        "def raises(x): raise ValueError(x)\n"
        "def shout(n): return 'x' * n\n"
        "def prints(x): print('noise', flush=True); os.write(1, b'noise'); return x\n"
        "def spawn(_): return subprocess.Popen(['sleep', '60']).pid\n"
        "def leave(_): os._exit(3)\n"
    )
    monkeypatch.setattr(
        confined, "_PROGRAM", confined._PROGRAM.replace("from rsi", f"sys.path.append({str(tmp_path)!r}); from rsi")
    )
    confined.close()
    yield HERE
    confined.close()


def ask(name: str, argument: Any = None, **limits: Any) -> Any:
    return confined.call(f"{HERE}:{name}", argument, **limits)


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


pytestmark = pytest.mark.usefixtures("targets")


def test_json_goes_in_and_comes_out() -> None:
    value = {"a": [1, 2.5, None, True, "é\ud800"], "large": "y" * 3_000_000}
    assert ask("echo", value) == value


def test_what_a_target_prints_does_not_reach_the_answer() -> None:
    assert ask("prints", 7) == 7
    assert ask("echo", 8) == 8


def test_one_child_serves_many_calls_and_is_replaced_when_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "CALLS_PER_CHILD", 3)
    pids = [ask("pid") for _ in range(4)]
    assert pids[0] == pids[1] == pids[2] != pids[3]
    assert gone(pids[0])


@pytest.mark.parametrize("name", ["sleep", "spin", "native"])
def test_work_past_the_deadline_is_killed(name: str) -> None:
    pid = ask("pid")
    start = time.monotonic()
    with pytest.raises(confined.TooLong):
        ask(name, 60, seconds=0.5)
    assert time.monotonic() - start < 4
    assert gone(pid)
    assert ask("echo", 1) == 1


def test_a_crash_is_told_apart_and_the_next_call_works() -> None:
    with pytest.raises(confined.Crashed, match="SIGSEGV"):
        ask("crash")
    with pytest.raises(confined.Crashed, match="exit code 3"):
        ask("leave")
    assert ask("echo", 1) == 1


def test_memory_is_limited() -> None:
    with pytest.raises(confined.OutOfMemory):
        ask("hog")
    assert ask("echo", 1) == 1


def test_an_exception_of_the_target_comes_back_by_name() -> None:
    with pytest.raises(confined.TargetRaised, match="ValueError: no") as raised:
        ask("raises", "no")
    assert raised.value.error == "ValueError"
    with pytest.raises(confined.TargetRaised):
        ask("no_such_function")


def test_an_answer_may_not_be_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "OUTPUT_BYTES", 1000)
    with pytest.raises(confined.TooMuchOutput):
        ask("shout", 2000)
    assert ask("shout", 10) == "x" * 10


def test_the_whole_group_of_the_child_is_killed() -> None:
    grandchild = ask("spawn")
    confined.close()
    assert gone(grandchild)


def test_calls_from_several_threads_do_not_mix() -> None:
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: ask("echo", n)})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: n for n in range(8)}


@pytest.mark.parametrize("busy", ["", "spin", "sleep"])
def test_the_child_dies_with_a_parent_that_was_killed(busy: str, tmp_path: Path) -> None:
    program = (
        f"import sys, threading, time; sys.path.insert(0, {confined._ROOT!r})\n"
        f"from rsi import confined; confined._PROGRAM = {confined._PROGRAM!r}\n"
        f"print(confined.call('{HERE}:pid', None), flush=True)\n"
        + (f"confined.call('{HERE}:{busy}', 60, seconds=1.5)\n" if busy else "time.sleep(60)\n")
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)
