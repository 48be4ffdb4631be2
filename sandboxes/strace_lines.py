r"""strace's lines taken apart: what stands in quotes and angle brackets is hostile, what stands outside is strace's.

strace escapes quotes, brackets and control characters in the texts that it quotes, so a line is first taken apart into
those texts and a skeleton that no program can write into: `openat(AT_FDCWD<0>, "1", O_RDONLY) = 3<2>`. Only the
skeleton decides what a line is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(rb'(?<=[0-9D])<((?:[^<>\\]|\\.)*)>|"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ENDED = re.compile(rb"(\d+) +\+\+\+ (?:exited with|killed by|superseded by)")
_SWITCHED = re.compile(rb"(\d+) +\[ Process PID=\d+ runs in (\w+(?: bit)?) mode\. \]")
_UNFINISHED = b" <unfinished ...>"
_BEGUN = re.compile(rb"(\d+) +\w+\(")
_RESUMED = re.compile(rb"(\d+) +<\.\.\. \w+ resumed>")
_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (?:(-?\d+|\?|0x[0-9a-f]+)(?:<(\d+)>)?)(?: ([A-Z]\w*))?[^=]*", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


class Call(NamedTuple):
    """One system call that was made, whether or not it succeeded."""

    process: int
    """In the host's own numbering; of the thread, where it is one."""
    name: str
    arguments: str
    """The skeleton between the brackets: texts are numbers in quotes or angle brackets."""
    texts: tuple[str, ...]
    resolved: str
    """The path behind the descriptor that came back, as the kernel names it; empty where none came back."""
    succeeded: bool
    error: str
    """`ENOENT`, …; empty where it succeeded or never came back."""


class Ended(NamedTuple):
    """A process or thread that was followed has ended."""

    process: int


class Switched(NamedTuple):
    """A process makes system calls as another kind of processor would."""

    process: int
    mode: str
    """`32 bit`, `x32`; `64 bit` where it goes back."""


class Lines:
    """Puts the two halves of a call that others interrupted together again."""

    def __init__(self) -> None:
        self._begun: dict[int, bytes] = {}

    def read(self, line: bytes) -> Call | Ended | Switched | None:
        """What a line says; None for the first half of a call. ValueError for a line that strace does not write."""
        if ended := _ENDED.match(line):
            self._begun.pop(int(ended[1]), None)
            return Ended(int(ended[1]))
        if switched := _SWITCHED.fullmatch(line):
            return Switched(int(switched[1]), switched[2].decode())
        if line.endswith(_UNFINISHED):
            begun = _BEGUN.match(line)
            if begun is None:
                raise ValueError(line[:80])
            self._begun[int(begun[1])] = line.removesuffix(_UNFINISHED)  # a thread has one call under way
            return None
        if resumed := _RESUMED.match(line):
            line = self._begun.pop(int(resumed[1]), b"") + line[resumed.end() :]
        return parsed(line)

    def unfinished(self) -> list[Call]:
        """The calls that never came back, such as those under way when the sandbox was ended."""
        return [parsed(line + b") = ?") for line in self._begun.values()]


def parsed(line: bytes) -> Call:
    """A whole line; ValueError where it is none of a call."""
    texts: list[str] = []

    def numbered(found: re.Match[bytes]) -> bytes:
        path, quoted = found.groups()
        texts.append(unescaped(path if quoted is None else quoted))
        number = str(len(texts) - 1).encode()
        return b"<" + number + b">" if quoted is None else b'"' + number + b'"'

    call = _CALL.fullmatch(_TEXT.sub(numbered, line).decode("ascii", "replace"))
    if call is None:
        raise ValueError(line[:80])
    process, name, arguments, result, behind, error = call.groups()
    return Call(
        process=int(process),
        name=name,
        arguments=arguments,
        texts=tuple(texts),
        resolved=texts[int(behind)] if behind else "",
        succeeded=result != "?" and not result.startswith("-"),
        error=error or "",
    )


def unescaped(text: bytes) -> str:
    """A text as the program gave it; bytes that are not UTF-8 as Python's own file names have them."""

    def plain(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if escape.isdigit():
            return bytes([int(escape, 8) & 0xFF])
        return _CONTROLS.get(escape, escape)

    return _ESCAPE.sub(plain, text).decode("utf-8", "surrogateescape")
