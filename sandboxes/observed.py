"""What the audit hook inside told, read with suspicion: the program shares its process and can write the same lines."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from rsi.attempts import (
    DETAIL_CHARACTERS,
    MOST_COUNTED,
    MOST_LISTED,
    TARGET_CHARACTERS,
    Attempt,
    AttemptKind,
    Coverage,
    Grade,
    as_ascii,
)

FIRST, OF_A_FORK, LAST_WORD = 1, 2, 0
KINDS = {kind.value for kind in AttemptKind}

_Key = tuple[str, str, str, str, int]


class Observed:
    """Takes the hook's lines as they arrive; bounded whatever they hold."""

    def __init__(self, inputs: Collection[str]) -> None:
        self._inputs = inputs
        self._counts: dict[_Key, int] = {}
        self._lines = 0
        self._odd = 0
        self._left_out = 0
        self._last_words: list[int] = []

    def take(self, line: bytes) -> None:
        """One line without its mark."""
        values = _values(line)
        if len(values) == 3 and values[0] == LAST_WORD and all(_is_count(value) for value in values):
            self._last_words.append(values[1] - self._lines)
            self._left_out += values[2]
        elif len(values) == 7 and values[0] in (FIRST, OF_A_FORK):
            self._lines += values[0] == FIRST
            self._take_attempt(values[1:])
        else:
            self._odd += 1

    def _take_attempt(self, values: list[Any]) -> None:
        kind, target, detail, file, line, count = values
        texts = (kind, target, detail, file)
        if not all(isinstance(text, str) for text in texts) or kind not in KINDS or not _is_count(line):
            self._odd += 1
            return
        if not _is_count(count) or count < 1:
            self._odd += 1
            return
        known = file in self._inputs
        place = (file, line) if known else ("", 0)
        key = (kind, as_ascii(target, TARGET_CHARACTERS), as_ascii(detail, DETAIL_CHARACTERS), *place)
        if key in self._counts or len(self._counts) < MOST_LISTED:
            self._counts[key] = max(count, self._counts.get(key, 0))
        else:
            self._left_out += 1

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """In the order in which they were first told."""
        return tuple(
            Attempt(
                grade=Grade.OBSERVED,
                kind=AttemptKind(kind),
                target=target,
                detail=detail,
                file=file,
                line=line,
                count=count,
            )
            for (kind, target, detail, file, line), count in self._counts.items()
        )

    def coverage(self, *, flooded: bool, cut_off: bool) -> Coverage:
        """How far the list goes, given whether there was too much of it and whether the end came from outside."""
        doubts = []
        if flooded:
            doubts.append("the program wrote more such lines than the hook does")
        if self._odd:
            doubts.append("the program wrote such lines as the hook does not")
        if len(self._last_words) > 1 or any(self._last_words):
            doubts.append("the hook counted other lines than arrived")
        silent = not self._last_words
        if doubts:
            detail = "; ".join(doubts)
        elif silent:
            detail = (
                "the program was ended" if cut_off else "the hook had no last word: it was silenced, or left in haste"
            )
        else:
            detail = ""
        return Coverage(
            grade=Grade.OBSERVED,
            complete=not silent and not doubts,
            disputed=bool(doubts),
            detail=detail,
            left_out=min(self._left_out, MOST_COUNTED),
        )


def _values(line: bytes) -> list[Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return values if isinstance(values, list) else []


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNTED
