"""A unified diff in colours, the words that changed within a line set off from the rest of it.

The text is made harmless before it comes here; nothing in it is parsed but its first characters. Lines of code are
compared only where that is cheap, so that no hostile diff takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from rich.console import Console
from rich.text import Text

from rsi.review.diff_lines import lines_of

MOST_WORDS = 120
"""In a line whose words are compared."""
MOST_LINES = 40
"""In a group of lines taken out that are compared with as many put in."""
LEAST_ALIKE = 0.35
"""Share of two lines that must be the same for it to help to see what is not."""

_WORD = re.compile(r"\w+|\s+|.")
_REMOVED, _ADDED = "red", "green"
_STYLES = {"hunk": "cyan", "file": "bold"}


def print_highlighted(diff: str, console: Console) -> None:
    """Print it, long lines wrapped."""
    for line in highlighted(diff):
        if console.options.ascii_only:
            line.plain = line.plain.encode("ascii", "replace").decode()
        console.print(line, markup=False, emoji=False, highlight=False)


def highlighted(diff: str) -> Iterator[Text]:
    """Its lines, in order."""
    removed: list[str] = []
    added: list[str] = []
    for kind, text in lines_of(diff):
        if kind == "removed" and not added:
            removed.append(text)
            continue
        if kind == "added":
            added.append(text)
            continue
        yield from _changed(removed, added)
        removed, added = [], []
        if kind == "removed":
            removed.append(text)
        else:
            yield Text(text, style=_STYLES.get(kind, ""))
    yield from _changed(removed, added)


def _changed(removed: Sequence[str], added: Sequence[str]) -> Iterator[Text]:
    """Lines taken out, then those put in for them; the first is compared with the first, and so on."""
    old = [Text(line, style=_REMOVED) for line in removed]
    new = [Text(line, style=_ADDED) for line in added]
    if len(removed) == len(added) <= MOST_LINES:
        for before, after in zip(old, new, strict=True):
            _set_off(before, after)
    yield from old
    yield from new


def _set_off(before: Text, after: Text) -> None:
    """Mark what differs between two lines, where they are alike enough."""
    old, new = (_WORD.findall(text.plain[1 : 40 * MOST_WORDS]) for text in (before, after))
    if max(len(old), len(new)) > MOST_WORDS:
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind != "equal":
            _mark(before, old, old_from, old_to)
            _mark(after, new, new_from, new_to)


def _mark(text: Text, words: Sequence[str], begin: int, end: int) -> None:
    start = 1 + sum(map(len, words[:begin]))
    text.stylize("bold reverse", start, start + sum(map(len, words[begin:end])))
