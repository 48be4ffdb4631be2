r"""How the audit hook's word reaches the host: counted where it is the same, written now and then, bounded.

Each line goes to the worker's standard error, marked with a word of its own, in one piece, while the program runs:

    \x1e<word> [1, kind, target, detail, file, line, count]     the first, tenth, hundredth … time, and at the end
    \x1e<word> [0, lines written, attempts left out]            the last word, when the program has ended by itself

A process that the program forks goes on telling, with 2 in the first place, and has no last word.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

TOLD_APART = 200
"""Different attempts that the host is told of; further ones are counted together."""
TARGET_CHARACTERS = 200
DETAIL_CHARACTERS = 100

Seen = tuple[str, str, str]
"""Kind, target, detail."""


class Teller:
    """Counts what is the same and writes a line now and then, each in one piece."""

    def __init__(self, descriptor: int, word: str) -> None:
        self.descriptor = descriptor
        self.mark = b"\x1e" + word.encode() + b" "
        self.process = os.getpid()
        self.first = True
        self.counts: dict[tuple[str, str, str, str, int], int] = {}
        self.told: dict[tuple[str, str, str, str, int], int] = {}
        self.turns = itertools.count()  # unlike a sum, it is whole under threads; a lock would not survive a fork
        self.failed = 0
        self.left_out = 0

    def note(self, seen: Seen, place: tuple[str, int]) -> None:
        """One attempt."""
        if os.getpid() != self.process:  # a fork of the program's: it has told nothing yet
            self.process, self.first = os.getpid(), False
            self.counts, self.told = {}, {}
        kind, target, detail = seen
        named = (_plain(target, TARGET_CHARACTERS), _plain(detail, DETAIL_CHARACTERS), _plain(place[0], 200))
        key = (kind, *named, place[1])
        count = self.counts.get(key, 0) + 1
        if count == 1 and len(self.counts) >= TOLD_APART:
            self.left_out += 1
            return
        self.counts[key] = count
        if count == 1 or (count % 10 == 0 and str(count).rstrip("0") == "1"):
            self.tell(key, count)

    def tell(self, key: tuple[str, str, str, str, int], count: int) -> None:
        """So many times by now."""
        self.told[key] = count
        self.write([1 if self.first else 2, *key, count])

    def last_word(self) -> None:
        """Counts that have grown since they were told, then how many lines there were."""
        if self.first and os.getpid() == self.process:
            for key, count in self.counts.items():
                if self.told.get(key) != count:
                    self.tell(key, count)
            self.write([0, next(self.turns) - self.failed, self.left_out + self.failed])

    def write(self, values: list[Any]) -> None:
        """A pipe takes so short a line in one piece, or not at all."""
        next(self.turns)
        try:
            os.write(self.descriptor, self.mark + json.dumps(values).encode() + b"\n")
        except OSError:
            self.failed += 1


def _plain(text: str, most: int) -> str:
    """Printable ASCII of at most so many characters, as `rsi.attempts.as_ascii` makes it."""
    escaped = text[:most].encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in escaped)[:most]
