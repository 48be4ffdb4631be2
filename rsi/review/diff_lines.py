"""What each line of a unified diff is: of a file's name, of a hunk, taken out, put in, or left as it was.

Told by the lengths in the hunk headers, not by how a line begins: code may hold lines that look like a diff's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["file", "hunk", "removed", "added", "same"]
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")


class DiffLine(NamedTuple):
    """One line."""

    kind: Kind
    text: str


def lines_of(diff: str) -> Iterator[DiffLine]:
    """The lines in order."""
    old = new = 0
    for text in diff.rstrip("\n").split("\n"):
        kind: Kind = "file"
        if old <= 0 and new <= 0:
            if match := _HUNK.match(text):
                old, new = (int(length) if length is not None else 1 for length in match.groups())
                kind = "hunk"
        elif text.startswith("\\"):
            kind = "same"
        else:
            kind = "removed" if text.startswith("-") else "added" if text.startswith("+") else "same"
            old -= kind != "added"
            new -= kind != "removed"
        yield DiffLine(kind, text)


def counts_of(lines: Iterable[DiffLine]) -> dict[str, tuple[int, int]]:
    """File → lines put in, lines taken out."""
    files: dict[str, tuple[int, int]] = {}
    name = ""
    for kind, text in lines:
        if kind == "file" and text.startswith(("--- ", "+++ ")) and text[4:] != "/dev/null":
            name = text[6:] if text[4:6] in {"a/", "b/"} else text[4:]
            files.setdefault(name, (0, 0))
        elif kind in {"added", "removed"} and name:
            added, removed = files[name]
            files[name] = (added + (kind == "added"), removed + (kind == "removed"))
    return files
