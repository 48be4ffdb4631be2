"""One attempt to escape: what it tries, how its success is seen from outside, and what stops it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Literal

from rsi.records import Record
from rsi.testing.escapes.scene import Scene


class Protection(StrEnum):
    """What can be taken away from a sandbox, one at a time, to see whether an attempt was stopped by it."""

    NO_NETWORK = "no network"
    OWN_NETWORK = "a network namespace of its own, not the host's"
    OWN_PROCESSES = "a process namespace of its own"
    OWN_IPC = "shared memory of its own"
    NO_HOST_FILES = "no host path mounted"
    NO_ENGINE = "the engine's socket not mounted"
    NO_OTHER_VOLUMES = "no other trial's volume mounted"
    ENVIRONMENT = "an environment that is a fixed list"
    UNPRIVILEGED_USER = "an unprivileged user"
    OWN_USER = "a user id that no other trial has"
    NO_CAPABILITIES = "all capabilities dropped"
    NO_NEW_PRIVILEGES = "no new privileges"
    NO_SETUID_FILES = "an image without setuid files"
    SECCOMP = "the seccomp filter"
    READ_ONLY_ROOT = "a read-only root"
    READ_ONLY_INPUTS = "inputs mounted read-only"
    READ_ONLY_PROC = "/proc/sys read-only"
    NOEXEC_OUTPUTS = "outputs mounted noexec"
    NOEXEC_SCRATCH = "scratch mounted noexec"
    MEMORY = "the memory limit"
    PROCESSES = "the process limit"
    CPUS = "the CPU share"
    OPEN_FILES = "the limit on open files"
    FILE_SIZE = "the limit on a file's size"
    CORE_SIZE = "the limit on core files"
    SHARED_MEMORY = "the size of /dev/shm"
    OUTPUTS_SIZE = "the size of the output volume"
    OUTPUTS_INODES = "the inodes of the output volume"
    SCRATCH_SIZE = "the size of scratch"
    SCRATCH_INODES = "the inodes of scratch"
    NO_LOG = "no engine log"
    WALL_TIME = "the wall time limit"
    CPU_TIME = "the CPU time limit"
    PRINTED_SIZE = "the cap on what is printed"
    KILLED_AS_A_WHOLE = "the place killed as a whole"
    KILLED_OUTRIGHT = "SIGKILL, which cannot be ignored"
    NEVER_EXTRACTED = "outputs read as a stream of regular files, never extracted"
    NAME_RULES = "the rules for output names"
    ARTIFACT_SIZE = "the cap on artifact bytes"
    ARTIFACT_COUNT = "the cap on artifact files"
    SANITISED = "what is shown is sanitised"


class Attempt(Record):
    """A bounded hostile program with the judgement, made on the host, of whether it had its effect."""

    name: str
    tries: str
    code: str
    """The body of a Python program. It knows `told` (see `Scene.facts`) and all names of `PRELUDE`."""
    effect: Callable[[Scene], bool]
    """Whether it had its effect, asked of the host."""
    seen: Literal["during", "after"] = "after"
    """While the program waits after its work, or once its sandbox has given the outcome."""
    stopped_by: tuple[Protection, ...]
    """Usually one. Several where each alone would stop it: all of them are then taken away together."""
    limits: Mapping[str, Any] = {}
    """What the attempt needs to be small, beside the suite's small limits."""
    harmless: bool = False
    """Whether it may run in a sandbox that does not isolate: it touches only what the suite itself made."""

    @property
    def program(self) -> str:
        """The whole Python program."""
        body = textwrap.dedent(self.code).strip("\n")
        last = "look()" if self.seen == "during" else "pass"
        return f"{PRELUDE}try:\n{textwrap.indent(body, '    ')}\n{FRAME}    {last}\n"


LOOK = b"\nlook now\n"
"""Printed by a program that has done its work and waits, up to `WAIT_SECONDS`, to be looked at and ended."""
WAIT_SECONDS = 5

PRELUDE = f"""
import ctypes, errno, json, os, resource, signal, socket, subprocess, sys, threading, time
told = json.loads(sys.argv[1])
token = told["token"].encode()
libc = ctypes.CDLL(None, use_errno=True)

def need(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def look():
    print("\\nlook now", flush=True)
    time.sleep({WAIT_SECONDS})

"""

FRAME = """except BaseException as error:
    print(type(error).__name__, error)
finally:
"""
