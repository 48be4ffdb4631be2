"""Search/replace blocks: read leniently, apply exactly.

    train.py
    <<<<<<< SEARCH
    LEARNING_RATE = 1e-3
    =======
    LEARNING_RATE = 3e-3
    >>>>>>> REPLACE

Code fences, prose, CRLF and indentation of a whole block are passed over. What is searched for must stand in the file
exactly once, as whole lines; only where it does not stand there at all, the same lines at another depth of
indentation count, and the replacement is moved by as much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rsi.edits.matching import difference, listed, places, quoted, split
from rsi.edits.outcome import NotAnEdit, RefusalCode

_SEARCH = re.compile(r"([ \t]*)<{5,9} ?SEARCH\b.*")
_DIVIDER = re.compile(r"[ \t]*={5,9}[ \t]*")
_REPLACE = re.compile(r"[ \t]*>{5,9} ?REPLACE\b.*")
_PATH = re.compile(r"[\w./-]*\.\w+")
_FENCE = ("```", "~~~")


@dataclass
class Block:
    """One replacement; `path` is None where none was written."""

    number: int
    path: str | None
    search: list[str]
    replace: list[str]


# --- reading ----------------------------------------------------------------------------------------------------


def read(text: str) -> list[Block]:
    """The blocks of a text, in order."""
    lines = split(text)
    if lines and all(line.endswith("\r\n") for line in lines[:-1]):
        lines = [line.rstrip("\r\n") + "\n" for line in lines]
    blocks: list[Block] = []
    index = 0
    while index < len(lines):
        opening = _SEARCH.fullmatch(lines[index].rstrip("\n"))
        if opening is None:
            index += 1
            continue
        number = len(blocks) + 1
        divider = _find(
            lines, index + 1, _DIVIDER, f"Block {number} has no line `=======`; put it after the search text."
        )
        end = _find(
            lines, divider + 1, _REPLACE, f"Block {number} has no line `>>>>>>> REPLACE`; end the block with it."
        )
        search, replace = lines[index + 1 : divider], lines[divider + 1 : end]
        indent = opening[1]
        if all(line.startswith(indent) or not line.strip() for line in (*search, *replace)):
            search, replace = ([line.removeprefix(indent) for line in part] for part in (search, replace))
        blocks.append(Block(number, _path_above(lines, index), search, replace))
        index = end + 1
    if not blocks:
        raise NotAnEdit(
            RefusalCode.MALFORMED,
            "There is no block to apply; write the path, `<<<<<<< SEARCH`, `=======` and `>>>>>>> REPLACE` on lines of "
            "their own.",
        )
    return blocks


def _find(lines: Sequence[str], start: int, marker: re.Pattern[str], otherwise: str) -> int:
    for index in range(start, len(lines)):
        line = lines[index].rstrip("\n")
        if marker.fullmatch(line):
            return index
        if _SEARCH.fullmatch(line):
            break
    raise NotAnEdit(RefusalCode.MALFORMED, otherwise)


def _path_above(lines: Sequence[str], index: int) -> str | None:
    """The path on the nearest line above that is neither blank nor a fence, if that line is one."""
    for line in reversed(lines[max(0, index - 4) : index]):
        text = line.strip()
        if text.startswith(_FENCE):
            text = text.strip("`~ ").split(" ")[-1]
            if not _PATH.fullmatch(text):
                continue
        text = text.strip("`*#:\"' ").removeprefix("./")
        if text:
            return text if _PATH.fullmatch(text) else None
    return None


# --- applying ---------------------------------------------------------------------------------------------------


def apply(text: str, code: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, new text) for each file that the blocks touch; NotAnEdit where one does not fit exactly one place."""
    done: dict[str, str] = {}
    path: str | None = next(iter(code)) if len(code) == 1 else None
    for block in read(text):
        path = block.path or path
        if path is None:
            raise NotAnEdit(
                RefusalCode.MALFORMED, f"Block {block.number} names no file; write its path on the line above it."
            )
        if path not in code:
            raise NotAnEdit(RefusalCode.OUTSIDE_EDITABLE, f"{path} is not editable; editable are {', '.join(code)}.")
        done[path] = _replace(path, done.get(path, code[path]), block)
    yield from done.items()


def _replace(path: str, text: str, block: Block) -> str:
    lines = split(text)
    name = f"Block {block.number} ({path})"
    if not any(line.strip() for line in block.search) and not places(lines, block.search or ["\0"]):
        if text.strip():
            raise NotAnEdit(
                RefusalCode.NOT_APPLICABLE,
                f"{name} searches for nothing, which fits an empty file only; search for the lines beside the change.",
            )
        return "".join(block.replace)
    found, replace = places(lines, block.search), block.replace
    if not found:
        found, replace = _at_another_depth(lines, block)
    if len(found) > 1:
        raise NotAnEdit(
            RefusalCode.NOT_APPLICABLE,
            f"{name}: the search text stands at lines {listed(found)}; add lines, so that it stands there once.",
        )
    if not found:
        raise NotAnEdit(RefusalCode.NOT_APPLICABLE, f"{name} does not apply: {difference(lines, block.search)}.")
    start, end = found[0], found[0] + len(block.search)
    if replace and not lines[end - 1].endswith("\n"):
        replace = [*replace[:-1], replace[-1].removesuffix("\n")]
    return "".join([*lines[:start], *replace, *lines[end:]])


def _at_another_depth(lines: Sequence[str], block: Block) -> tuple[list[int], list[str]]:
    """Where the search text stands at a deeper or shallower indentation throughout, and the replacement moved there."""
    anchor = next((number for number, line in enumerate(block.search) if line.strip()), None)
    if anchor is None:
        return [], []
    wanted = block.search[anchor]
    results: dict[int, list[str]] = {}
    for index, line in enumerate(lines):
        if line.strip() != wanted.strip() or index < anchor:
            continue
        have, want = _indent(line), _indent(wanted)
        search = _moved(block.search, want, have)
        if search is None or index - anchor not in places(lines, search, index - anchor)[:1]:
            continue
        replace = _moved(block.replace, want, have)
        if replace is None:
            raise NotAnEdit(
                RefusalCode.NOT_APPLICABLE,
                f"Block {block.number} stands in the file at another indentation, to which its replacement, beginning "
                f"{quoted(block.replace[0])}, cannot be moved; indent both as in the file.",
            )
        results[index - anchor] = replace
    found = sorted(results)
    return found, results[found[0]] if found else []


def _moved(lines: Sequence[str], old: str, new: str) -> list[str] | None:
    """The lines with `old` indentation exchanged for `new`; None where one of them has less than `old`."""
    if any(line.strip() and not line.startswith(old) for line in lines):
        return None
    return [new + line.removeprefix(old) if line.strip() else line for line in lines]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
