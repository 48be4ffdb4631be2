"""Hostile code against those who watch it: it can silence and forge the hook inside, and not the tracer outside."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsi.attempts import Attempt, AttemptKind, Coverage, Grade
from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import Execution, ExitKind, Job
from rsi.records import Severity
from rsi.scrutiny import findings
from rsi.testing.sandbox_conformance import Watcher, completed, job
from rsi.testing.sandbox_payloads import ATTEMPTS
from sandboxes.docker import DockerSandbox
from sandboxes.process import ProcessSandbox

pytestmark = pytest.mark.docker
CAN_TRACE = os.geteuid() == 0 and shutil.which("strace") is not None
needs_strace = pytest.mark.skipif(not CAN_TRACE, reason="tracing needs root, and strace: `make setup` gets it")

REACH = """
import socket
reaching = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: reaching.sendto(b"x", ("192.0.2.7", 80))
except OSError: pass
"""

WORD = """
import gc, sys
frame = sys._getframe()
while "order" not in frame.f_locals: frame = frame.f_back
word = frame.f_locals["order"]["word"]
"""

ATTACKS = {
    "silences the hook's pen": "import os\nos.write = lambda *_: 0\n" + REACH,
    "takes the hook's memory apart": """
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == "Teller":
        thing.note = lambda *_: None
        thing.last_word = lambda: None
"""
    + REACH,
    "forges a list": WORD
    + """
for number in range(60):
    print(f'\\x1e{word} [1, "connection", "forged{number}:1", "connect", "code/program.py", 1, 1]', file=sys.stderr)
"""
    + REACH,
    "forges a good end": WORD + "print(f'\\x1e{word} [0, 0, 0]', file=sys.stderr)\n" + REACH,
    "floods the channel": WORD
    + """
line = f'\\x1e{word} [1, "file", "' + "x" * 190 + '{}", "read", "", 0, 1]\\n'
for number in range(3000): sys.stderr.write(line.format(number))
"""
    + REACH,
    "leaves in haste": REACH + "import os\nos._exit(0)\n",
    "closes every descriptor": "import os\nos.closerange(3, 64)\n" + REACH,
}
"""What the program does to the hook → the program; each then tries to reach the same address."""

NATIVE = """
import ctypes, struct
libc = ctypes.CDLL(None)
descriptor = libc.socket(2, 2, 0)
libc.connect(descriptor, struct.pack("=HH4s8x", 2, 0x5000, bytes([192, 0, 2, 9])), 16)
"""

UNTRACED = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(56, 0x00800000 | 17, 0, 0, 0, 0) == 0:
    open("/etc/hostname").read()
    os._exit(0)
os.wait()
"""

LINKED = """
import os
os.symlink("/etc/shadow", "notes")
os.chdir("/proc")
for path in ("/tmp/notes", "1/environ", "//etc/hostname"):
    try: open(path).read()
    except OSError: pass
try: open("/) = 5<\\\\tmp>\\n+++ exited with 0 +++\\x1b[2J", "w")
except OSError: pass
"""

RING = """
import ctypes
parameters = ctypes.create_string_buffer(120)
print(ctypes.CDLL(None).syscall(425, 4, parameters))
"""


OTHER_MODE = """
import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex("b814000000" "cd80" "c3"))  # getpid() as a 32-bit program calls it
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
print("called", call())
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DockerSandbox]:
    sandbox = DockerSandbox(pool=0)
    yield sandbox
    sandbox.close()


def traced(code: str, **changes: object) -> Job:
    return job(code, **changes).model_copy(update={"trace": True})


def of(execution: Execution, grade: Grade) -> tuple[list[Attempt], Coverage]:
    """One grade's attempts and what is known about them."""
    (coverage,) = [coverage for coverage in execution.coverage if coverage.grade is grade]
    return [attempt for attempt in execution.attempts if attempt.grade is grade], coverage


def targets(execution: Execution, grade: Grade) -> set[str]:
    return {attempt.target for attempt in of(execution, grade)[0]}


@needs_strace
@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_whoever_meddles_with_the_hook_is_noted_and_traced_all_the_same(sandbox: DockerSandbox, attack: str) -> None:
    execution = completed(sandbox.run(traced(ATTACKS[attack], output_bytes=1 << 20)))
    _, hook = of(execution, Grade.OBSERVED)
    assert hook.disputed or not hook.complete
    assert "attempts.observed" in {finding.code for finding in findings(execution)}
    _, tracer = of(execution, Grade.TRACED)
    assert (tracer.complete, tracer.disputed) == (True, False)
    assert "192.0.2.7:80" in targets(execution, Grade.TRACED)
    assert any(f.severity is Severity.CRITICAL and "`192.0.2.7:80`" in f.message for f in findings(execution))


@needs_strace
def test_native_code_is_seen_by_the_tracer_alone(sandbox: DockerSandbox) -> None:
    execution = completed(sandbox.run(traced(NATIVE)))
    assert "192.0.2.9:80" in targets(execution, Grade.TRACED) - targets(execution, Grade.OBSERVED)
    loaded = [attempt for attempt in of(execution, Grade.OBSERVED)[0] if attempt.detail == "native library"]
    assert [attempt.line for attempt in loaded] == [3]


@needs_strace
def test_a_child_that_slips_away_from_the_tracer_is_a_grave_finding(sandbox: DockerSandbox) -> None:
    execution = completed(sandbox.run(traced(UNTRACED)))
    _, tracer = of(execution, Grade.TRACED)
    assert (tracer.complete, tracer.disputed) == (False, True)
    assert "/etc/hostname" not in targets(execution, Grade.TRACED)  # else it had not slipped away
    codes = {finding.code for finding in findings(execution) if finding.severity is Severity.CRITICAL}
    assert codes == {"attempt.evasion", "attempts.traced"}


@needs_strace
def test_system_calls_through_a_ring_are_noted_where_the_kernel_has_it(sandbox: DockerSandbox) -> None:
    outcome = sandbox.run(traced(RING))
    execution = completed(outcome)
    assert "io_uring_setup" in targets(execution, Grade.TRACED)
    made = int(outcome.stdout) >= 0
    assert of(execution, Grade.TRACED)[1].disputed is made


@needs_strace
def test_system_calls_of_another_mode_are_noted_where_the_kernel_takes_them(sandbox: DockerSandbox) -> None:
    outcome = sandbox.run(traced(OTHER_MODE))
    if not outcome.stdout.startswith(b"called"):
        pytest.skip("this kernel takes no 32-bit system calls")
    execution = completed(outcome)
    assert "system calls in 32 bit mode" in targets(execution, Grade.TRACED)
    assert of(execution, Grade.TRACED)[1].disputed
    assert "memory by its address" in targets(execution, Grade.OBSERVED)


@needs_strace
def test_links_and_names_made_to_mislead_are_traced_as_the_kernel_resolves_them(sandbox: DockerSandbox) -> None:
    execution = completed(sandbox.run(traced(LINKED)))
    attempts, coverage = of(execution, Grade.TRACED)
    assert coverage.complete
    seen = {(attempt.target, attempt.detail) for attempt in attempts if attempt.kind is AttemptKind.FILE}
    assert {("/etc/shadow", "symlink"), ("/proc", "enter"), ("/proc/1/environ", "read")} <= seen
    assert ("/etc/hostname", "read") in seen
    assert any("exited with 0" in target and "\\x1b" in target for target, _ in seen)


@needs_strace
def test_what_was_traced_survives_a_deadline(sandbox: DockerSandbox) -> None:
    outcome = sandbox.run(traced(REACH + "import time\ntime.sleep(60)", wall_seconds=2.0))
    assert outcome.execution.kind is ExitKind.TIMED_OUT
    attempts, coverage = of(outcome.execution, Grade.TRACED)
    assert coverage.complete
    assert "192.0.2.7:80" in {attempt.target for attempt in attempts}


@needs_strace
def test_the_tracers_death_costs_the_trace_and_nothing_else(sandbox: DockerSandbox) -> None:
    watcher = Watcher()

    def kill_it() -> None:
        watcher.arrived.wait(60)
        (tracer,) = [entry for entry in Path("/proc").glob("[0-9]*") if _is_our_tracer(entry)]
        os.kill(int(tracer.name), signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    killer.start()
    code = REACH + "print('begun')\nimport time\ntime.sleep(2)\nopen('/etc/hostname').read()\nprint('done')"
    outcome = sandbox.run(traced(code), watcher)
    killer.join()
    execution = completed(outcome)
    assert outcome.stdout == b"begun\ndone\n"
    attempts, coverage = of(execution, Grade.TRACED)
    assert (coverage.complete, coverage.disputed) == (False, False)
    assert {"192.0.2.7:80"} <= {attempt.target for attempt in attempts}
    assert "/etc/hostname" in targets(execution, Grade.OBSERVED)
    assert [f.severity for f in findings(execution) if f.code == "attempts.traced"] == [Severity.WARNING]


def _is_our_tracer(entry: Path) -> bool:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        return (entry / "comm").read_text() == "strace\n" and int(fields[1]) == os.getpid()
    except OSError:
        return False


@needs_strace
def test_no_tracer_and_no_thread_is_left_behind(sandbox: DockerSandbox) -> None:
    before = set(threading.enumerate())
    completed(sandbox.run(traced("")))
    sandbox.run(traced("import os\nos.kill(os.getpid(), 9)"))
    deadline = time.monotonic() + 10
    while (set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(thread.name == "rsi-tracer" for thread in threading.enumerate())
    assert not any(_is_our_tracer(entry) for entry in Path("/proc").glob("[0-9]*"))


@needs_strace
def test_tracing_takes_no_protection_away(sandbox: DockerSandbox) -> None:
    code = "print(*[l for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNewPrivs', 'Seccomp:'))], sep='')"
    assert sandbox.run(traced(code)).stdout == sandbox.run(job(code)).stdout != b""


def test_no_strace_is_a_sentence_before_the_program_starts(
    sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="needs strace"):
        sandbox.run(traced(ATTEMPTS))
    (tmp_path / "strace").write_text("#!/bin/sh\necho 'strace: attach: ptrace: Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "strace").chmod(0o755)
    with pytest.raises(EnvironmentFault, match="Operation not permitted"):
        sandbox.run(traced(ATTEMPTS))


def test_an_engine_elsewhere_is_a_sentence(sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxes.docker.cell.ControlGroup.find", lambda *_: None)
    with pytest.raises(EnvironmentFault, match="engine on this machine"):
        sandbox.run(traced(""))


def test_the_process_sandbox_does_not_pretend_to_trace() -> None:
    sandbox = ProcessSandbox()
    with pytest.raises(UsageError, match="cannot trace"):
        sandbox.run(traced(""))
    sandbox.close()
