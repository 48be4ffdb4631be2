"""The audit hook: tells the host what the program attempts, as far as the interpreter sees it.

It lives in the program's own process, so the program can silence it and can forge what it says; the host labels its
word so. Native code that makes system calls itself is not seen at all, but its being loaded is.
`guest.teller` says how the host hears of it. Standard library only.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from .teller import Seen, Teller

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SYSTEM = ("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/")
INSTALLED = sysconfig.get_paths()
"""Looked up while the worker warms up."""
HANDS_ON = ("runpy.py", "pickle.py", "code.py", "codeop.py", "timeit.py", "ctypes/", "importlib/")
"""Parts of the standard library that run what they are given: whoever calls them is who runs it."""
IMPORTER = ("<frozen importlib", "<frozen runpy", "<frozen zipimport", "<frozen codeop")

Look = Callable[[tuple[Any, ...], "Surroundings"], Iterator[Seen]]


class Surroundings:
    """Which paths are the program's own, which are libraries, and who is calling."""

    def __init__(self, inputs: str, outputs: str, scratch: str) -> None:
        self.inputs = inputs.rstrip("/") + "/"
        self.own = {"inputs": inputs, "outputs": outputs, "scratch": scratch}
        self.writable = (outputs.rstrip("/") + "/", scratch.rstrip("/") + "/")
        paths = [*sys.path, *INSTALLED.values(), sys.prefix, sys.base_prefix, sys.exec_prefix]
        folders = {os.path.abspath(path).rstrip("/") + "/" for path in paths if path}  # noqa: PTH100
        self.libraries = tuple(sorted(folders - {"/", self.inputs, *self.writable, f"{self.inputs}code/"})) + SYSTEM
        standard = INSTALLED["stdlib"].rstrip("/") + "/"
        self.hands_on = tuple(standard + name for name in HANDS_ON) + IMPORTER
        self.frame_of = sys._getframe  # noqa: SLF001 - there is no public way to look at the callers

    def path(self, value: object) -> str | None:
        """An absolute path, `..` resolved, links not; None for a descriptor or what is no path."""
        if isinstance(value, bytes):
            value = os.fsdecode(value)
        if not isinstance(value, str):
            return None
        path = value if value.startswith("/") else f"{os.getcwd()}/{value}"  # noqa: PTH109
        # What is normal is left alone, for that is most; two slashes at the beginning stay two.
        return "/" + os.path.normpath(path).lstrip("/") if "/." in path or "//" in path else path

    def file(self, value: object, detail: str) -> Iterator[Seen]:
        """A path that was used, unless it is where a program is expected to use it so."""
        path = self.path(value)
        if path is None or f"{path}/".startswith(self.writable):
            return
        if detail not in ("read", "list", "enter") or not f"{path}/".startswith((self.inputs, *self.libraries)):
            yield "file", self.shown(path), detail

    def shown(self, path: str) -> str:
        """With the program's own folders by their names."""
        for name, folder in self.own.items():
            if path == folder or path.startswith(f"{folder}/"):
                return name + path[len(folder) :]
        return path

    def caller(self) -> str:
        """The file of the code that made the interpreter tell the hook: directly, or by a part that hands on."""
        frame: FrameType | None = self.frame_of(OWN_FRAMES)
        while frame is not None and frame.f_code.co_filename.startswith(self.hands_on):
            frame = frame.f_back
        return "" if frame is None else frame.f_code.co_filename

    def place(self) -> tuple[str, int]:
        """File, relative to the inputs, and line of the innermost frame in the program's own code."""
        frame: FrameType | None = self.frame_of(OWN_FRAMES - 1)
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self.inputs):
                return name[len(self.inputs) :], frame.f_lineno
            frame = frame.f_back
        return "", 0


OWN_FRAMES = 3
"""A method of the surroundings, a look and the hook lie on the stack above the code that made the interpreter tell."""


# --- what each event means --------------------------------------------------------------------------------------


def _open(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    path, mode, flags = arguments[:3]
    writes = (isinstance(flags, int) and flags & WRITING) or (isinstance(mode, str) and set(mode) & set("wax+"))
    return around.file(path, "write" if writes else "read")


def _using(detail: str, paths: int = 1) -> Look:
    def look(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
        for value in arguments[:paths]:
            yield from around.file("." if value is None else value, detail)

    return look


def _connection(detail: str) -> Look:
    def look(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
        if arguments[1] is not None:
            yield "connection", _address(arguments[1], around), detail

    return look


def _address(address: object, around: Surroundings) -> str:
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if isinstance(address, str):
        if address.startswith("\0"):
            return f"unix:@{address[1:]}"
        return f"unix:{around.shown(around.path(address) or '')}"
    if isinstance(address, tuple) and len(address) >= 2:
        host = str(address[0])
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return str(address)


def _lookup(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    host = arguments[0]
    yield "connection", host.decode("ascii", "replace") if isinstance(host, bytes) else str(host), "lookup"


def _socket(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    family, kind = int(arguments[1]), int(arguments[2]) & 0xF
    if family == 17 or kind == 3:  # AF_PACKET, SOCK_RAW
        yield "connection", "packets of its own making", "socket"


def _process(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    name, *rest = arguments
    program = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    words = rest[0] if rest and isinstance(rest[0], list | tuple) else ()
    yield "process", program, " ".join(str(word) for word in words[:20]) or "started"


def _command(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    command = arguments[0]
    yield "process", "sh", os.fsdecode(command) if isinstance(command, str | bytes) else str(command)


def _fork(_: tuple[Any, ...], __: Surroundings) -> Iterator[Seen]:
    yield "process", "a copy of itself", "fork"


def _exec(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    name = arguments[0].co_filename
    if name.startswith(around.writable):
        yield "code", around.shown(name), "from a writable folder"
        return
    a_file_of_its_own = name.startswith((around.inputs, *around.libraries, "<frozen "))
    if a_file_of_its_own and not around.frame_of(OWN_FRAMES - 1).f_code.co_filename.startswith(around.inputs):
        return  # what the importer runs for everybody
    if around.caller().startswith(around.inputs):
        yield "code", around.shown(name), "exec"
    elif not a_file_of_its_own:
        yield "code", "what libraries make for themselves", "library"


def _compile(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    if around.frame_of(OWN_FRAMES - 1).f_code.co_filename.startswith(around.inputs):
        name = arguments[1]
        yield "code", around.shown(name) if isinstance(name, str) else "<no name>", "compile"


def _marshal(_: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    if not around.frame_of(OWN_FRAMES - 1).f_code.co_filename.startswith(IMPORTER):
        yield "code", "marshal", "marshal"


def _unpickle(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    yield "code", f"{arguments[0]}.{arguments[1]}", "unpickle"


def _library(arguments: tuple[Any, ...], _: Surroundings) -> Iterator[Seen]:
    name = arguments[0]
    yield "code", "symbols of the interpreter" if name is None else str(name), "native library"


def _memory(_: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    """Where machine code of one's own goes in, and the hook itself could be reached."""
    if around.caller().startswith(around.inputs):
        yield "code", "memory by its address", "native memory"


def _import(arguments: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    path = around.path(arguments[1])
    if path is not None and path.startswith(around.writable):
        yield "code", around.shown(path), "native library"


def _code_object(_: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
    if around.caller().startswith(around.inputs):
        yield "code", "a code object of its own making", "code object"


def _meddling(what: str) -> Look:
    def look(_: tuple[Any, ...], around: Surroundings) -> Iterator[Seen]:
        if around.caller().startswith(around.inputs):
            yield "evasion", what, "observed"

    return look


LOOKS: dict[str, Look] = {
    "open": _open,
    "os.chdir": _using("enter"),
    "os.chmod": _using("chmod"),
    "os.chown": _using("chown"),
    "os.link": _using("link", 2),
    "os.listdir": _using("list"),
    "os.mkdir": _using("mkdir"),
    "os.remove": _using("remove"),
    "os.rename": _using("rename", 2),
    "os.rmdir": _using("remove"),
    "os.scandir": _using("list"),
    "os.symlink": _using("symlink", 2),
    "os.truncate": _using("write"),
    "os.utime": _using("utime"),
    "socket.__new__": _socket,
    "socket.bind": _connection("bind"),
    "socket.connect": _connection("connect"),
    "socket.sendmsg": _connection("send"),
    "socket.sendto": _connection("send"),
    "socket.getaddrinfo": _lookup,
    "socket.gethostbyaddr": _lookup,
    "socket.gethostbyname": _lookup,
    "subprocess.Popen": _process,
    "os.exec": _process,
    "os.posix_spawn": _process,
    "os.system": _command,
    "os.fork": _fork,
    "os.forkpty": _fork,
    "exec": _exec,
    "compile": _compile,
    "marshal.load": _marshal,
    "marshal.loads": _marshal,
    "pickle.find_class": _unpickle,
    "ctypes.addressof": _memory,
    "ctypes.cdata": _memory,
    "ctypes.cdata/buffer": _memory,
    "ctypes.dlopen": _library,
    "import": _import,
    "code.__new__": _code_object,
    "sys.addaudithook": _meddling("an audit hook of its own"),
    "gc.get_objects": _meddling("every object of the interpreter"),
    "gc.get_referrers": _meddling("what refers to an object"),
}


def observe(word: str, inputs: str, outputs: str, scratch: str) -> Callable[[], None]:
    """Install the hook for good; what is returned is to be called when the program has ended by itself."""
    around = Surroundings(inputs, outputs, scratch)
    teller = Teller(os.dup(2), word)  # closed on exec
    looks = dict(LOOKS)
    ending = f"rsi.end.{word}"

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        look = looks.get(event)
        if look is None:
            if event == ending:
                teller.last_word()
            return
        try:
            for seen in look(arguments, around):
                teller.note(seen, ("", 0) if seen[2] == "library" else around.place())
        except Exception:  # an audit hook that raises would forbid what it is there to tell of
            teller.left_out += 1

    sys.addaudithook(hook)
    return lambda: sys.audit(ending)
