"""Run a named, trusted function on hostile text in a child process that can be killed.

A few thousand parentheses crash a syntax-tree library and take its process with them; a diff can make `difflib`
think for hours. So whatever parses a candidate's text runs here: in an isolated interpreter (`-I`) with limits on
memory and CPU, in a session of its own, with a deadline on this side and another one, the kernel's, on that side.
What crosses is JSON, one frame each way. One child is kept warm, because importing libcst takes a third of a second;
it is replaced after any failure and after `CALLS_PER_CHILD` calls.

ConfinedError               the function gave no answer
├── TooLong                 it was still working at the deadline, or used its CPU time
├── Crashed                 the child died: a segfault from deep nesting, an abort
│   └── OutOfMemory         it asked for more memory than it may have
├── TooMuchOutput           the answer was larger than `OUTPUT_BYTES`
└── TargetRaised            the function raised; `error` is the exception's class
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from rsi.errors import RsiError

MIB = 1024 * 1024
OUTPUT_BYTES = 32 * MIB
CALLS_PER_CHILD = 1000
START_SECONDS = 20.0
"""Granted on top of the deadline for a cold child on a busy machine to start; it parses nothing meanwhile."""

_HEADER = 8
_ROOT = str(Path(__file__).resolve().parent.parent)
_PROGRAM = f"import sys; sys.path.insert(0, {_ROOT!r}); from rsi.confined import serve; serve()"


class ConfinedError(RsiError):
    """The confined function gave no answer."""


class TooLong(ConfinedError):
    """The function was still working at its deadline."""


class Crashed(ConfinedError):
    """The child died under the function."""


class OutOfMemory(Crashed):
    """The function asked for more memory than it may have."""


class TooMuchOutput(ConfinedError):
    """The function's answer was larger than an answer may be."""


class TargetRaised(ConfinedError):
    """The function raised an exception; `error` is its class."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error = error


# --- this side ------------------------------------------------------------------------------------------------


class _Child:
    """One warm interpreter; `close` kills its whole session."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.calls = 0
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            bufsize=0,
        )

    def usable(self) -> bool:
        """Whether it is ours (a fork of this process must not speak on our pipes), alive and not worn."""
        return self.owner == os.getpid() and self.calls < CALLS_PER_CHILD and self.process.poll() is None

    def exchange(self, frame: bytes, seconds: float) -> bytes:
        """One question, one answer; raises a ConfinedError."""
        deadline = time.monotonic() + seconds + (START_SECONDS if self.calls == 0 else 0.0)
        self.calls += 1
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        to_child, from_child = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(to_child, False)
        pending = memoryview(_framed(frame))
        received = bytearray()
        wanted = _HEADER
        with selectors.PollSelector() as selector:
            selector.register(from_child, selectors.EVENT_READ)
            selector.register(to_child, selectors.EVENT_WRITE)
            while len(received) < wanted:
                left = deadline - time.monotonic()
                ready = {key.fd for key, _ in selector.select(max(0.0, left))}
                if not ready and left <= 0:
                    raise TooLong(f"no answer within {seconds:g} seconds")
                if to_child in ready:
                    with contextlib.suppress(BrokenPipeError):  # a dead child shows as the end of its answers
                        pending = pending[os.write(to_child, pending[: 1 << 16]) :]
                    if not pending or from_child in ready:
                        selector.unregister(to_child)
                if from_child in ready:
                    received += self._received(from_child)
                    wanted = _HEADER + self._announced(received)
        return bytes(received[_HEADER:wanted])

    def _received(self, descriptor: int) -> bytes:
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            raise self._death()
        return chunk

    @staticmethod
    def _announced(received: bytearray) -> int:
        size = int.from_bytes(received[:_HEADER], "big") if len(received) >= _HEADER else 0
        if size > OUTPUT_BYTES:
            raise TooMuchOutput(f"the answer is larger than {OUTPUT_BYTES} bytes")
        return size

    def _death(self) -> ConfinedError:
        code = self.process.wait(timeout=5)
        if code in (-signal.SIGXCPU, -signal.SIGALRM):
            return TooLong("no answer within the time allowed")
        return Crashed(f"the parser died with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}")

    def close(self) -> None:
        """Kill the session and reap the child."""
        if self.owner != os.getpid():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


_lock = threading.Lock()
_warm: _Child | None = None


def call(target: str, argument: Any, *, seconds: float = 10.0, memory_bytes: int = 1024 * MIB) -> Any:
    """`target` is `module:function`, taking and giving one JSON value; raises a ConfinedError where it gives none.

    Calls from several threads queue up; the deadline of each begins when its turn comes.
    """
    frame = json.dumps({"target": target, "argument": argument, "seconds": seconds, "memory": memory_bytes}).encode()
    with _lock:
        child = _take()
        try:
            answer = json.loads(child.exchange(frame, seconds))
        except BaseException:
            _discard(child)
            raise
        if "memory" in answer:
            _discard(child)
            raise OutOfMemory(f"more than {memory_bytes // MIB} MiB of memory were asked for")
    if "error" in answer:
        raise TargetRaised(answer["error"], answer["message"])
    return answer["value"]


def close() -> None:
    """End the warm child, if there is one; the next call starts another."""
    with _lock:
        if _warm is not None:
            _discard(_warm)


atexit.register(close)


def _take() -> _Child:
    global _warm  # noqa: PLW0603 - one warm child per process is the point
    if _warm is not None and not _warm.usable():
        _discard(_warm)
    if _warm is None:
        _warm = _Child()
    return _warm


def _discard(child: _Child) -> None:
    global _warm  # noqa: PLW0603
    child.close()
    if _warm is child:
        _warm = None


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(_HEADER, "big") + body


# --- the child's side -----------------------------------------------------------------------------------------


def serve() -> None:
    """Answer questions until standard input ends, which it does when the parent is gone, however it went."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # A target that prints must not speak into the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    while (question := _read(questions)) is not None:
        answers.write(_framed(_answer(question)))
        answers.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _read(stream: BinaryIO) -> bytes | None:
    header = stream.read(_HEADER)
    if len(header) < _HEADER:
        return None
    size = int.from_bytes(header, "big")
    body = stream.read(size)
    return body if len(body) == size else None


def _answer(question: bytes) -> bytes:
    asked = json.loads(question)
    module, _, name = asked["target"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        _limit(asked["seconds"], asked["memory"])
        return json.dumps({"value": function(asked["argument"])}).encode()
    except MemoryError:
        return json.dumps({"memory": True}).encode()
    except Exception as error:
        return json.dumps({"error": type(error).__name__, "message": str(error)[:2000]}).encode()


def _limit(seconds: float, memory_bytes: int) -> None:
    """The kernel's own deadlines: they hold while C code keeps the interpreter's lock, and when the parent is dead."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1.0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))
