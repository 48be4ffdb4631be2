"""What a program attempted inside its sandbox: connections, processes, files, code from data; in two grades.

`observed` is what an audit hook inside the interpreter told: the program shares its process with the hook, so it can
silence it and can forge what it says. `traced` is what a tracer outside the sandbox saw of its system calls: the
program can neither end nor alter that. The two are recorded side by side and never added up. All text is the
program's choice, reduced to printable ASCII and cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from rsi.records import Record, Severity

TARGET_CHARACTERS = 200
DETAIL_CHARACTERS = 100
MOST_COUNTED = 2**53
MOST_RECORDED = 24
"""Different attempts of one grade in an execution's record; what is more is kept beside it as a blob."""
MOST_LISTED = 1000
"""Different attempts of one execution and grade that are told apart at all."""


class Grade(StrEnum):
    """Who saw it."""

    OBSERVED = "observed"
    """A hook inside, which hostile code can silence or forge."""
    TRACED = "traced"
    """A tracer outside, which it cannot reach."""


class AttemptKind(StrEnum):
    """What was attempted."""

    CONNECTION = "connection"
    PROCESS = "process"
    FILE = "file"
    """Outside the folders that the program was given; expected reading of libraries is left out."""
    CODE = "code"
    """Code that came from data: exec, eval, compile, pickle, marshal, ctypes, modules in writable folders."""
    EVASION = "evasion"
    """A way out of sight, or into another process."""


class Attempt(Record):
    """One thing that was attempted, whether or not it succeeded."""

    grade: Grade
    kind: AttemptKind
    target: str
    """An address, a program, a path (`scratch/…` and `outputs/…` in the program's own folders), a name of code."""
    count: int = Field(default=1, ge=1, le=MOST_COUNTED)
    file: str = ""
    """The innermost of the program's own files on the stack of the first time, as the input is named; observed only."""
    line: int = Field(default=0, ge=0)
    detail: str = ""
    """How: `read`, `write`, `list`, `lookup`, the name of a system call, …"""


class Coverage(Record):
    """How far one grade's list goes; without one, nobody of that grade was looking."""

    grade: Grade
    complete: bool
    """Whether it was followed to the program's end. Never that nothing else happened: see the grade."""
    detail: str = ""
    """Why not, or what casts doubt on it; ours."""
    disputed: bool = False
    """Whether the program itself must have meddled with it: silenced, forged, flooded or slipped away."""
    left_out: int = Field(default=0, ge=0, le=MOST_COUNTED)
    """Attempts beyond those that are told apart."""


_IMAGE_READ = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache"),
    *("/etc/ld.so.preload", "/etc/host.conf", "/etc/mime.types", "/etc/os-release", "/etc/debian_version"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/uptime"),
    *("/proc/loadavg", "/proc/mounts", "/proc/self", "/proc/thread-self"),
)
_IMAGE_READ_BELOW = ("/proc/self/", "/proc/thread-self/", "/proc/sys/", "/sys/devices/", "/sys/fs/cgroup/")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108 - a private one of the sandbox
_SENSITIVE = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/proc/kcore", "/proc/kmsg", "/proc/kallsyms")
_SENSITIVE_PARTS = ("docker.sock", "containerd", "/.ssh/", "/.aws/", "/.kube/", "/run/secrets/")
_SENSITIVE_ENDS = ("/mem", "/environ")
_OWN = ("scratch", "outputs", "inputs")
_NAME_SERVICE = "unix:/var/run/nscd/socket"
"""What the C library asks for every user or host name, before it reads the files."""
_LOOKING = ("read", "list", "enter")
_SLIPS = ("CLONE_UNTRACED", "io_uring", "system calls in ")


def severity(attempt: Attempt) -> Severity:
    """How much one attempt deserves a reviewer's look; INFO is what honest training code does as well."""
    match attempt.kind:
        case AttemptKind.CONNECTION:
            return _of_connection(attempt)
        case AttemptKind.PROCESS:
            # The child of a vfork can do little but become the program that is listed for itself.
            return Severity.INFO if attempt.detail == "vfork" else Severity.WARNING
        case AttemptKind.FILE:
            return _of_file(attempt)
        case AttemptKind.CODE:
            return _of_code(attempt)
        case AttemptKind.EVASION:
            slips = attempt.target.startswith(_SLIPS)
            return Severity.CRITICAL if slips else Severity.WARNING


def _of_connection(attempt: Attempt) -> Severity:
    target = attempt.target
    if target == _NAME_SERVICE or _is_own(target.removeprefix("unix:")):
        return Severity.INFO
    local = target.startswith(("unix:@", "127.", "[::1]", "localhost:")) and not target.endswith(":53")
    return Severity.WARNING if local or attempt.detail == "bind" else Severity.CRITICAL


def _of_file(attempt: Attempt) -> Severity:
    target = attempt.target
    if target in _DEVICES or target.startswith(_SHARED_MEMORY) or target == "/proc/self/oom_score_adj":
        return Severity.INFO  # the last is how the worker makes its program the first to go
    if attempt.detail not in _LOOKING or target in _SENSITIVE or _is_sensitive(target):
        return Severity.WARNING
    expected = target in _IMAGE_READ or target.startswith(_IMAGE_READ_BELOW)
    return Severity.INFO if expected or _is_own(target) else Severity.NOTICE


def _of_code(attempt: Attempt) -> Severity:
    if attempt.detail == "library":
        return Severity.INFO
    return Severity.NOTICE if attempt.detail in ("exec", "compile", "unpickle", "marshal") else Severity.WARNING


def _is_sensitive(target: str) -> bool:
    if target.startswith("/proc/") and (target.startswith("/proc/1/") or target.endswith(_SENSITIVE_ENDS)):
        return True
    return any(part in target for part in _SENSITIVE_PARTS)


def _is_own(target: str) -> bool:
    return target.split("/", 1)[0] in _OWN


_ORDER = list(Severity)


def most_telling_first(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """By severity, else in the order given; so that what is cut off is what matters least."""
    return tuple(sorted(attempts, key=lambda attempt: -_ORDER.index(severity(attempt))))


def recorded(ranked: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """What goes into the execution's record. Each grade has its own room: what was forged crowds out nothing traced."""
    taken: list[Attempt] = []
    for attempt in ranked:
        if sum(other.grade is attempt.grade for other in taken) < MOST_RECORDED:
            taken.append(attempt)
    return tuple(taken)


def as_ascii(text: str, most: int) -> str:
    """Hostile text as printable ASCII of at most so many characters, the same for every grade."""
    escaped = text[:most].encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in escaped)[:most]
