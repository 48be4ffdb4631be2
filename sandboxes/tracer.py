"""strace on the host, attached to a sandbox's first process before its program starts: nothing in the sandbox changes.

The program can neither signal, read nor outlive it: it sees another process namespace and has no right to trace. It
can tell that it is being followed (`TracerPid` in its own `/proc`). What strace has not yet written holds the program
up instead of being lost, so a program that floods it slows itself. The tracer's end never ends the execution.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from rsi.attempts import MOST_COUNTED, Attempt, Coverage, Grade
from rsi.errors import EnvironmentFault
from sandboxes.place import Place
from sandboxes.trace import Trace, traced_calls

ATTACH_SECONDS = 10.0
DRAIN_SECONDS = 10.0
READ_BYTES = 1 << 16
LONGEST_LINE = 1 << 18
"""A path of 4096 bytes, each written as an octal number, is far shorter."""
TEXT_CHARACTERS = 64
"""Of a text that is no path; strace writes paths whole."""


class Tracer:
    """Follows one place. Use it as a context, so that no tracer is left behind whatever happens."""

    def __init__(self, place: Place) -> None:
        self._first = place.first_process()
        self._trace = Trace(self._first, place.folders, place.libraries)
        self._words: list[str] = []
        self._ended_by_us = False
        if shutil.which("strace") is None:
            raise EnvironmentFault(
                "Tracing needs strace on this machine; install it (`apt-get install strace`), or leave out --trace."
            )
        self._process, self._pipe = _start(self._first)
        self._reader = threading.Thread(target=self._read, name="rsi-tracer", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        """Wait until every thread of the first process is followed; EnvironmentFault where that may not be."""
        try:
            self._await_attached()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the tracer where it has not ended with what it followed."""
        if self._process.poll() is None:
            self._ended_by_us = True
            self._process.terminate()  # it lets go of what it follows
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(DRAIN_SECONDS)
            self._process.kill()
        self._process.wait()
        self._reader.join(DRAIN_SECONDS)

    def _await_attached(self) -> None:
        deadline = time.monotonic() + ATTACH_SECONDS
        while not _is_followed(self._first, self._process.pid):
            if self._process.poll() is not None:
                self._reader.join(DRAIN_SECONDS)
                reason = self._words[0] if self._words else f"exit code {self._process.returncode}"
                raise EnvironmentFault(
                    f"strace cannot follow the sandbox ({reason}); run as root, or leave out --trace."
                )
            if time.monotonic() > deadline:
                raise EnvironmentFault("strace did not attach within ten seconds; look at the machine's load.")
            time.sleep(0.001)

    def conclude(self, *, dead: bool) -> tuple[tuple[Attempt, ...], Coverage]:
        """What was attempted, and how far that goes; `dead` where the whole place has ended, and strace with it."""
        if dead:
            self._reader.join(DRAIN_SECONDS)
        self.__exit__()
        trace = self._trace
        if not self._reader.is_alive():
            trace.finish()
        detail = trace.slipped
        if not detail and not trace.first_ended:
            detail = "the tracer was ended while the program ran" if not self._ended_by_us else "its end was not seen"
        if not detail and trace.unread:
            detail = f"{trace.unread} lines of the tracer made no sense"
        coverage = Coverage(
            grade=Grade.TRACED,
            complete=not detail,
            disputed=bool(trace.slipped),
            detail=detail,
            left_out=min(trace.left_out, MOST_COUNTED),
        )
        return trace.attempts, coverage

    def _read(self) -> None:
        """In a thread of its own, until strace has ended: the program waits for us, so nothing here may wait for it."""
        held = b""
        with open(self._pipe, "rb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            while data := pipe.read(READ_BYTES):
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    self._take(line)
                if len(held) > LONGEST_LINE:
                    self._trace.unread += 1
                    held = b""

    def _take(self, line: bytes) -> None:
        if line[:1].isdigit():
            self._trace.take(line)
        elif line and len(self._words) < 5:
            self._words.append(line.decode("ascii", "replace").removeprefix("strace: ")[:200])


def _start(process: int) -> tuple[subprocess.Popen[bytes], int]:
    readable, writable = os.pipe()
    try:
        options = ["-f", "-y", "-s", str(TEXT_CHARACTERS), "--quiet=attach", "-e", "signal=kill", "-e", traced_calls()]
        # Its own session: a Ctrl-C at our terminal is for us, and what was attempted until then is wanted.
        tracer = subprocess.Popen(
            ["strace", *options, "-o", f"/dev/fd/{writable}", "-p", str(process)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=writable,
            pass_fds=(writable,),
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except OSError as error:
        os.close(readable)
        raise EnvironmentFault(f"strace cannot be started ({error}); mend it, or leave out --trace.") from None
    finally:
        os.close(writable)
    return tracer, readable


def _is_followed(process: int, tracer: int) -> bool:
    """Whether each of its threads has that tracer."""
    mark = f"TracerPid:\t{tracer}\n"
    try:
        statuses = [(task / "status").read_text(errors="replace") for task in Path(f"/proc/{process}/task").iterdir()]
    except OSError:
        return False
    return bool(statuses) and all(mark in status for status in statuses)
