"""What a tracer outside saw, as attempts: system calls of a whole process tree, whatever its code is written in.

A path that was opened is taken as the kernel resolved it, so that neither a link nor a second thread that rewrites the
name hides it; one that was refused is taken as it was asked for, and there a second thread may show another name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from rsi.attempts import (
    DETAIL_CHARACTERS,
    MOST_COUNTED,
    MOST_LISTED,
    TARGET_CHARACTERS,
    Attempt,
    AttemptKind,
    Grade,
    as_ascii,
)
from sandboxes.invocation import Folders
from sandboxes.strace_lines import Call, Ended, Lines, Switched

OPENING = ("open", "openat", "openat2", "creat")
CHANGING = (
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat"),
    *("truncate", "utimensat", "setxattr", "lsetxattr", "mount", "umount2", "chroot", "pivot_root", "swapon"),
)
REACHING = ("connect", "sendto", "sendmsg", "sendmmsg", "bind", "socket")
STARTING = ("execve", "execveat", "clone", "clone3", "fork", "vfork")
EVADING = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "io_uring_setup", "unshare", "setns", "bpf"),
    *("perf_event_open", "userfaultfd", "pidfd_getfd", "kcmp", "init_module", "finit_module", "open_by_handle_at"),
)
CALLS = (*OPENING, "chdir", *CHANGING, *REACHING, *STARTING, *EVADING)
"""The system calls that are followed. Looking at names (`stat`, `access`) is not among them: imports do little else."""

_PLACE = re.compile(r'(?:(?:AT_FDCWD|-?\d+)(?:<(\d+)>)?, )?"(\d+)"')
_ADDRESS = re.compile(r"\{sa_family=(AF_\w+)([^{}]*)\}")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_FLAGS = re.compile(r"\bflags=([\w|]+)")
_WRITING = re.compile(r"\bO_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND)\b")
_DECIDES = ("/proc/self/", "/proc/thread-self/")

Seen = tuple[AttemptKind, str, str]
"""Kind, target, detail."""


class Trace:
    """Takes the tracer's lines as they arrive; bounded whatever the program does."""

    def __init__(self, first_process: int, folders: Folders, libraries: Sequence[str]) -> None:
        self._lines = Lines()
        self._first = first_process
        self._own = {"inputs": folders.inputs, "outputs": folders.outputs, "scratch": folders.scratch}
        self._writable = (f"{folders.outputs}/", f"{folders.scratch}/")
        self._readable = (f"{folders.inputs}/", *libraries)
        self._counts: dict[Seen, int] = {}
        self.left_out = 0
        self.unread = 0
        """Lines that made no sense."""
        self.slipped = ""
        """By what call the program got out of sight, where it did."""
        self.first_ended = False
        """Whether the first process, and with it the whole sandbox, was followed to its end."""

    def take(self, line: bytes) -> None:
        """One line without its end."""
        try:
            said = self._lines.read(line)
        except ValueError:
            self.unread += 1
            return
        if isinstance(said, Ended):
            self.first_ended |= said.process == self._first
        elif isinstance(said, Switched):
            if said.mode != "64 bit":
                self._count((AttemptKind.EVASION, f"system calls in {said.mode} mode", "switched"))
                self.slipped = self.slipped or f"in {said.mode} mode its system calls are followed only in part"
        elif said is not None:
            self._take(said)

    def finish(self) -> None:
        """Nothing more will arrive: what was under way was attempted as well."""
        for call in self._lines.unfinished():
            self._take(call)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """In the order in which they were first seen."""
        return tuple(
            Attempt(grade=Grade.TRACED, kind=kind, target=target, detail=detail, count=min(count, MOST_COUNTED))
            for (kind, target, detail), count in self._counts.items()
        )

    def _take(self, call: Call) -> None:
        if call.process == self._first:
            return  # the worker's own; it runs no code of the program's
        for seen in self._meaning(call):
            self._count(seen)

    def _count(self, seen: Seen) -> None:
        kind, target, detail = seen
        key = (kind, as_ascii(target, TARGET_CHARACTERS), as_ascii(detail, DETAIL_CHARACTERS))
        if key in self._counts or len(self._counts) < MOST_LISTED:
            self._counts[key] = self._counts.get(key, 0) + 1
        else:
            self.left_out += 1

    def _meaning(self, call: Call) -> Iterator[Seen]:
        if call.name in OPENING:
            return self._opened(call)
        if call.name in REACHING:
            return self._reached(call)
        if call.name in STARTING:
            return self._started(call)
        if call.name in EVADING:
            return self._evaded(call)
        return self._changed(call)

    # --- files --------------------------------------------------------------------------------------------------

    def _opened(self, call: Call) -> Iterator[Seen]:
        path = self._asked(call)
        if call.resolved.startswith("/") and not (path or "").startswith(_DECIDES):
            path = call.resolved
        if path is not None:
            writes = call.name == "creat" or _WRITING.search(call.arguments) is not None
            yield from self._file(path, "write" if writes else "read")

    def _changed(self, call: Call) -> Iterator[Seen]:
        detail = "enter" if call.name == "chdir" else call.name
        for found in _PLACE.finditer(call.arguments):
            path = self._joined(call, found)
            if path is not None:
                yield from self._file(path, detail)

    def _asked(self, call: Call) -> str | None:
        found = _PLACE.match(call.arguments)
        return None if found is None else self._joined(call, found)

    def _joined(self, call: Call, found: re.Match[str]) -> str | None:
        """An absolute path; None for one below a folder that the line does not name.

        That folder is then one that was opened or entered before, which is on record where it is none of its own.
        """
        folder, name = found.groups()
        path = call.texts[int(name)]
        if not path.startswith("/"):
            if folder is None:
                return None
            path = f"{call.texts[int(folder)]}/{path}"
        return "/" + posixpath.normpath(path).lstrip("/")  # it keeps two at the beginning

    def _file(self, path: str, detail: str) -> Iterator[Seen]:
        if f"{path}/".startswith(self._writable):
            return
        reading = detail in ("read", "enter")
        if reading and f"{path}/".startswith(self._readable):
            return
        yield AttemptKind.FILE, self._shown(path), detail

    def _shown(self, path: str) -> str:
        for name, folder in self._own.items():
            if path == folder or path.startswith(f"{folder}/"):
                return name + path[len(folder) :]
        return path

    # --- connections --------------------------------------------------------------------------------------------

    def _reached(self, call: Call) -> Iterator[Seen]:
        if call.name == "socket":
            if "AF_PACKET" in call.arguments or "SOCK_RAW" in call.arguments.split("AF_NETLINK", 1)[0]:
                yield AttemptKind.CONNECTION, "packets of its own making", "socket"
            return
        detail = "send" if call.name.startswith("send") else call.name
        for family, rest in _ADDRESS.findall(call.arguments):
            if family not in ("AF_NETLINK", "AF_UNSPEC"):  # asking the kernel; taking a connection back
                yield AttemptKind.CONNECTION, self._address(family, rest, call.texts), detail

    def _address(self, family: str, rest: str, texts: tuple[str, ...]) -> str:
        numbers = [texts[int(number)] for number in re.findall(r'"(\d+)"', rest)]
        host = numbers[0] if numbers else "?"
        port = _PORT.search(rest)
        if family == "AF_UNIX":
            abstract = 'sun_path=@"' in rest
            return f"unix:@{host}" if abstract else f"unix:{self._shown(host)}"
        if port is None:
            return f"{family} {host}"
        return f"[{host}]:{port[1]}" if family == "AF_INET6" else f"{host}:{port[1]}"

    # --- processes ----------------------------------------------------------------------------------------------

    def _started(self, call: Call) -> Iterator[Seen]:
        if call.name in ("execve", "execveat"):
            program = self._asked(call) or (call.texts[0] if call.texts else "?")
            # Where a name is looked for in many folders, one attempt was made and not six.
            name = posixpath.basename(program) if call.error == "ENOENT" else program
            words = [call.texts[int(number)] for number in re.findall(r'"(\d+)"', _list(call.arguments))]
            yield AttemptKind.PROCESS, name, " ".join(words) or "execve"
            return
        flags = _FLAGS.search(call.arguments)
        names = flags[1].split("|") if flags else []
        apart = [name for name in names if name == "CLONE_UNTRACED" or name.startswith("CLONE_NEW")]
        for name in apart:
            yield AttemptKind.EVASION, name, call.name
        if "CLONE_UNTRACED" in names and call.succeeded:
            self.slipped = self.slipped or "a process that it started with CLONE_UNTRACED is not followed"
        if call.name == "vfork" or "CLONE_VFORK" in names:
            yield AttemptKind.PROCESS, "a copy of itself", "vfork"
        elif "CLONE_THREAD" not in names:
            yield AttemptKind.PROCESS, "a copy of itself", "fork"

    def _evaded(self, call: Call) -> Iterator[Seen]:
        if call.name == "io_uring_setup" and call.succeeded:
            self.slipped = self.slipped or "what it does through io_uring makes no system calls"
        yield AttemptKind.EVASION, call.name, call.error or "succeeded"


def _list(arguments: str) -> str:
    """The first list in brackets: a program's words."""
    return arguments.partition("[")[2].partition("]")[0]


def traced_calls() -> str:
    """For strace's `-e trace=`; a call that its version does not know is passed over."""
    return "trace=" + ",".join(f"?{name}" for name in CALLS)
