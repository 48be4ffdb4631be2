r"""Find a run of lines in a file exactly, and say what came nearest where it is not there.

Lines keep their "\n"; only that one character ends a line, so that joining them gives the text back whatever else
is in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

QUOTE = 90
_HINT_LINES = 2000
_HINT_WIDTH = 200


def split(text: str) -> list[str]:
    r"""The lines of a text, each with its "\n", the last one perhaps without."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def places(lines: Sequence[str], wanted: Sequence[str], start: int = 0) -> list[int]:
    """Every index at or after `start` where `wanted` stands.

    A file without a final newline also matches lines that have one at its end, but only where nothing matches exactly.
    """
    found = _exact(lines, wanted, start)
    if found or not wanted or not lines or lines[-1].endswith("\n"):
        return found
    return _exact([*lines[:-1], lines[-1] + "\n"], wanted, start)


def _exact(lines: Sequence[str], wanted: Sequence[str], start: int) -> list[int]:
    size = len(wanted)
    first = wanted[0] if wanted else None
    return [
        index
        for index in range(start, len(lines) - size + 1)
        if (first is None or lines[index] == first) and list(lines[index : index + size]) == list(wanted)
    ]


def difference(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """Half a sentence: the first line of `wanted` that does not match at the best place, and what is nearest to it."""
    best, agreed = 0, -1
    for index in range(len(lines)):
        run = 0
        while run < len(wanted) and index + run < len(lines) and lines[index + run] == wanted[run]:
            run += 1
        if run > agreed:
            best, agreed = index, run
        if index > _HINT_LINES:
            break
    missing = wanted[agreed] if 0 <= agreed < len(wanted) else wanted[0]
    if agreed > 0:
        there = quoted(lines[best + agreed]) if best + agreed < len(lines) else "the end of the file"
        return f"its line {agreed + 1}, {quoted(missing)}, meets {there} at line {best + agreed + 1}"
    short = {line[:_HINT_WIDTH].strip(): number for number, line in enumerate(lines[:_HINT_LINES], start=1)}
    close = difflib.get_close_matches(missing[:_HINT_WIDTH].strip(), list(short), n=1, cutoff=0.5)
    hint = f"; the nearest is line {short[close[0]]}, {quoted(close[0])}" if close else ""
    return f"no line of the file reads {quoted(missing)}{hint}"


def quoted(line: str) -> str:
    """A line as it may be shown: escaped, and short."""
    line = line.rstrip("\n")
    return repr(line if len(line) <= QUOTE else line[: QUOTE - 1] + "…")


def listed(indices: Sequence[int]) -> str:
    """Line numbers for a sentence."""
    shown = ", ".join(str(index + 1) for index in indices[:4])
    return f"{shown}, …" if len(indices) > 4 else shown
