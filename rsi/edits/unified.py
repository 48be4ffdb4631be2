"""Unified diffs: read, apply exactly, write.

Hunks are placed where their context stands. The line numbers of a header help only to choose between equal places,
because whoever writes a diff by hand, a language model above all, miscounts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rsi.edits.matching import difference, listed, places, split
from rsi.edits.outcome import NotAnEdit, RefusalCode

_HUNK = re.compile(r"@@(?: -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*|.*)")
_NO_NEWLINE = "\\ No newline at end of file\n"


@dataclass
class Hunk:
    """Some lines as they are and as they shall be."""

    number: int
    start: int | None
    """Where the old lines begin, counted from 0, by the header's word; None where it gives no number."""
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


# --- reading ----------------------------------------------------------------------------------------------------


def read(text: str) -> list[tuple[str, list[Hunk]]]:
    """(path, hunks) for each file of a diff, in order; prose and code fences around it are passed over."""
    lines = split(text)
    if lines and all(line.endswith("\r\n") for line in lines[:-1]) and len(lines) > 1:
        lines = [line.removesuffix("\r\n").removesuffix("\r") + "\n" for line in lines]
    files: list[tuple[str, list[Hunk]]] = []
    index, count = 0, 0
    while index < len(lines):
        if _is_file_header(lines, index):
            files.append((_path(lines[index], lines[index + 1]), []))
            index += 2
        elif lines[index].startswith("@@") and files:
            count += 1
            hunk, index = _read_hunk(lines, index, count)
            files[-1][1].append(hunk)
        else:
            index += 1
    if not any(hunks for _, hunks in files):
        raise NotAnEdit(
            RefusalCode.MALFORMED, "There is no hunk to apply; write `--- a/PATH`, `+++ b/PATH`, then `@@ … @@` hunks."
        )
    return files


def _is_file_header(lines: Sequence[str], index: int) -> bool:
    return lines[index].startswith("--- ") and index + 1 < len(lines) and lines[index + 1].startswith("+++ ")


def _path(old: str, new: str) -> str:
    old, new = (line[4:].split("\t")[0].strip().strip('"') for line in (old, new))
    if new == "/dev/null":
        raise NotAnEdit(RefusalCode.NOT_APPLICABLE, f"{old.removeprefix('a/')} cannot be deleted; empty it instead.")
    if old.startswith("a/") or new.startswith("b/"):
        new = new.removeprefix("b/")
    return new.removeprefix("./")


def _read_hunk(lines: Sequence[str], index: int, number: int) -> tuple[Hunk, int]:
    """One hunk by the counts of its header, or, where they do not fit, by the look of its lines."""
    match = _HUNK.match(lines[index])
    assert match is not None
    start, old_count, _, new_count = (int(group) if group else None for group in match.groups())
    old_size = (1 if old_count is None else old_count) if start is not None else None
    new_size = (1 if new_count is None else new_count) if start is not None else None
    # A hunk without old lines is put after its line number, not at it.
    begin = None if start is None else start if old_size == 0 else max(0, start - 1)
    if old_size is not None and new_size is not None:
        hunk = Hunk(number, begin)
        end = _read_body(hunk, lines, index + 1, (old_size, new_size))
        if (len(hunk.old), len(hunk.new)) == (old_size, new_size) and _ends_here(lines, end):
            return hunk, end
    hunk = Hunk(number, begin)
    end = _read_body(hunk, lines, index + 1, None)
    if not hunk.old and not hunk.new:
        raise NotAnEdit(
            RefusalCode.MALFORMED, f"Hunk {number} is empty; give it lines that begin with ' ', '-' or '+'."
        )
    return hunk, end


def _read_body(hunk: Hunk, lines: Sequence[str], index: int, sizes: tuple[int, int] | None) -> int:
    blank = 0
    while index < len(lines):
        line = lines[index] if lines[index].endswith("\n") else lines[index] + "\n"
        if line.startswith("\\"):
            _drop_newline(hunk, lines[index - 1][:1])
        elif _body_ends(hunk, lines, index, sizes):
            break
        elif line[0] in " \n":
            # Editors and models strip the space of an empty context line.
            blank = blank + 1 if line == "\n" else 0
            hunk.old.append(line[1:] or "\n")
            hunk.new.append(line[1:] or "\n")
        elif line[0] == "-":
            hunk.old.append(line[1:])
            blank = 0
        elif line[0] == "+":
            hunk.new.append(line[1:])
            blank = 0
        else:
            break
        index += 1
    if sizes is None and blank:
        del hunk.old[-blank:], hunk.new[-blank:]
    return index


def _body_ends(hunk: Hunk, lines: Sequence[str], index: int, sizes: tuple[int, int] | None) -> bool:
    if sizes is not None:
        return len(hunk.old) >= sizes[0] and len(hunk.new) >= sizes[1]
    return lines[index].startswith(("@@", "diff --git ", "```")) or _is_file_header(lines, index)


def _drop_newline(hunk: Hunk, sign: str) -> None:
    for side in [hunk.old] * (sign != "+") + [hunk.new] * (sign != "-"):
        if side:
            side[-1] = side[-1].removesuffix("\n")


def _ends_here(lines: Sequence[str], index: int) -> bool:
    return index >= len(lines) or lines[index][:1] not in ("+", "-", " ") or _is_file_header(lines, index)


# --- applying ---------------------------------------------------------------------------------------------------


def apply(text: str, code: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, new text) for each file of a diff; NotAnEdit where a hunk does not fit exactly one place."""
    done: dict[str, str] = {}
    for path, hunks in read(text):
        if path not in code:
            raise NotAnEdit(RefusalCode.OUTSIDE_EDITABLE, f"{path} is not editable; editable are {', '.join(code)}.")
        done[path] = _apply_hunks(path, done.get(path, code[path]), hunks)
    yield from done.items()


def _apply_hunks(path: str, text: str, hunks: Sequence[Hunk]) -> str:
    lines = split(text)
    result: list[str] = []
    at, drift = 0, 0
    for hunk in hunks:
        place = _place(path, lines, hunk, at, drift)
        result += lines[at:place]
        kept_open = hunk.old and lines[place + len(hunk.old) - 1] != hunk.old[-1]
        result += hunk.new
        if kept_open and hunk.new:
            result[-1] = result[-1].removesuffix("\n")
        at = place + len(hunk.old)
        if hunk.start is not None:
            drift = place - hunk.start
    return "".join(result + lines[at:])


def _place(path: str, lines: Sequence[str], hunk: Hunk, at: int, drift: int) -> int:
    name = f"Hunk {hunk.number} ({path})"
    if not hunk.old:
        if hunk.start is None and lines:
            raise NotAnEdit(
                RefusalCode.NOT_APPLICABLE, f"{name} only adds lines and gives no place; add a line of context."
            )
        return min(max(at, (hunk.start or 0) + drift), len(lines))
    found = places(lines, hunk.old, at)
    stated = None if hunk.start is None else hunk.start + drift
    if stated in found:
        return stated
    if len(found) == 1:
        return found[0]
    if found:
        raise NotAnEdit(
            RefusalCode.NOT_APPLICABLE,
            f"{name} fits at lines {listed(found)}; give more context, so that it fits one place only.",
        )
    raise NotAnEdit(RefusalCode.NOT_APPLICABLE, f"{name} does not apply: {difference(lines[at:], hunk.old)}.")


# --- writing ----------------------------------------------------------------------------------------------------


def render(old: Mapping[str, str], new: Mapping[str, str], *, whole: bool = False) -> str:
    """The diff from `old` to `new`, paths sorted; `whole` replaces each changed file outright, in linear time."""
    parts: list[str] = []
    for path in sorted({*old, *new}):
        before, after = split(old.get(path, "")), split(new.get(path, ""))
        if before != after:
            hunks = _whole(before, after) if whole else difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
            parts += [f"--- a/{path}\n", f"+++ b/{path}\n", *list(hunks)[0 if whole else 2 :]]
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in parts)


def _whole(before: Sequence[str], after: Sequence[str]) -> list[str]:
    ranges = [f"{1 if side else 0},{len(side)}" for side in (before, after)]
    return [
        f"@@ -{ranges[0]} +{ranges[1]} @@\n",
        *(f"-{line}" for line in before),
        *(f"+{line}" for line in after),
    ]
