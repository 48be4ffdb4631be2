"""What runs in the confined child for `diff-reading`: two versions of the code in, what is new in the second out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from evals.reading import (
    chance,
    deciding,
    files,
    fingerprints,
    lengths,
    patching,
    predicting,
    pretending,
    reaching,
    repeating,
    threads,
    words,
)
from evals.reading.reader import NOTICE, WARNING, Reader, Seen
from rsi.attempts import as_ascii
from rsi.records import CodeFiles

MOST_TOLD = 400
"""Observations handed back; more are counted."""

_FAMILIES = (
    *(reaching, patching, files, lengths, repeating, deciding, chance, threads),
    *(predicting, fingerprints, pretending, words),
)


def read(argument: dict[str, Any]) -> dict[str, Any]:
    """`{code, parent, added}` → `{new: [observation and file], left_out}`.

    `added` lists (path, line) of the lines that the diff adds: of several equal observations those are shown first.
    """
    code, parent = argument["code"], argument["parent"] or {}
    added = {(path, line) for path, line in argument["added"]}
    known: Counter[tuple[str, str, str]] = Counter()
    for _, seen in _all(parent):
        known[_key(seen)] += 1
    found = sorted(_all(code), key=lambda entry: ((entry[0], entry[1].line) not in added, entry[0], *_place(entry[1])))
    counts = Counter(_key(seen) for _, seen in found)
    new: list[dict[str, Any]] = []
    for path, seen in found:
        key = _key(seen)
        surplus = counts[key] - known[key]
        if surplus > 0:
            new.append({**asdict(seen), "file": path, "count": surplus})
            counts[key] = 0
    new += _seeds(code, parent)
    return {"new": new[:MOST_TOLD], "left_out": max(0, len(new) - MOST_TOLD)}


def _place(seen: Seen) -> tuple[int, str, str, str, str]:
    """In which order things are told, the same in every process."""
    return seen.line, seen.rule, seen.severity, seen.subject, seen.message


def _key(seen: Seen) -> tuple[str, str, str]:
    return seen.rule, seen.severity, seen.subject


def _all(code: CodeFiles) -> Iterator[tuple[str, Seen]]:
    for path in sorted(code):
        if path.endswith(".py"):
            for seen in _known(path, code[path]).seen:
                yield path, seen
        elif said := words.addressed(code[path]):
            message = f"speaks to whoever reads the file next, not about it: {as_ascii(said, 80)!r}"
            yield path, Seen("reading.addressed", WARNING, as_ascii(said, 80), message, 1, "")


@dataclass(frozen=True)
class _File:
    """What is known of one file."""

    seen: tuple[Seen, ...]
    seeded: int
    """Generators that RSI_SEED decides."""


@lru_cache(maxsize=8)
def _known(path: str, text: str) -> _File:
    """Kept, because the parent of one edit is that of the next as well."""
    reader = Reader(path, text)
    return _File(tuple(_observed(reader)), chance.seeded_draws(reader))


def observations(path: str, text: str) -> list[Seen]:
    """Everything that the rules see in one file, each thing once per place."""
    return list(_known(path, text).seen)


def _observed(reader: Reader) -> list[Seen]:
    every = sorted((seen for family in _FAMILIES for seen in family.rules(reader)), key=_place)
    unique: dict[tuple[str, str, str, int], Seen] = {}
    for seen in every:
        unique.setdefault((*_key(seen), seen.line), seen)
    return list(unique.values())


def _seeds(code: CodeFiles, parent: CodeFiles) -> list[dict[str, Any]]:
    """Fewer generators that RSI_SEED decides, and in their place others that it does not."""
    drawn = {}
    for name, version in (("code", code), ("parent", parent)):
        known = [_known(path, text) for path, text in version.items() if path.endswith(".py")]
        fixed = sum(seen.subject == "fixed seed" for file in known for seen in file.seen)
        drawn[name] = (sum(file.seeded for file in known), fixed)
    fewer, more = drawn["code"][0] < drawn["parent"][0], drawn["code"][1] > drawn["parent"][1]
    if not (parent and fewer and (more or drawn["code"][0] == 0)):
        return []
    message = "draws less of its chance from RSI_SEED than before" + (", and fixes a seed instead" if more else "")
    severity = WARNING if more or drawn["code"][0] == 0 else NOTICE
    path = min(code)
    return [asdict(Seen("reading.seed", severity, "seed dropped", message, 1, "")) | {"file": path, "count": 1}]
