"""`rsi findings`: what deserves a look in one or several runs, gravest first, each with the command that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from rsi.records import Severity
from rsi.review.findings import RANK, Found, order
from rsi.review.pointing import command, quote
from rsi.review.reading import Reading
from rsi.review.wording import count, one_line, say
from rsi.sanitize import for_terminal

MOST_SHOWN = 50
"""On a screen; what is further is counted."""
_STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan", Severity.INFO: "dim"}


class Pointed(NamedTuple):
    """A finding with the run that it was read from."""

    found: Found
    reading: Reading


def select(
    readings: Sequence[Reading], severity: Severity = Severity.NOTICE, experiment: int | None = None
) -> list[Pointed]:
    """The findings of these runs that are at least so grave, the gravest first."""
    pointed = [Pointed(found, reading) for reading in readings for found in reading.findings]
    wanted = [
        item
        for item in pointed
        if RANK[item.found.severity] >= RANK[severity]
        and (experiment is None or experiment == item.found.experiment or experiment in item.found.also)
    ]
    return sorted(wanted, key=lambda item: order(item.found))


def findings_json(pointed: Sequence[Pointed]) -> dict[str, Any]:
    """Findings as plain values, every text in them made harmless; `schema` is the version."""
    return {"schema": 1, "findings": [_as_json(item) for item in pointed]}


def _as_json(item: Pointed) -> dict[str, Any]:
    values = item.found.model_dump(mode="json")
    harmless = {key: for_terminal(value) if isinstance(value, str) else value for key, value in values.items()}
    place = {key: for_terminal(value) if isinstance(value, str) else value for key, value in values["place"].items()}
    quoted = for_terminal(quote(item.reading, item.found))
    return {**harmless, "place": place, "quote": quoted, "command": command(item.reading.folder, item.found)}


def render(pointed: Sequence[Pointed], console: Console, *, everything: bool = False) -> None:
    """Tell a person: two or three lines a finding."""
    if not pointed:
        say(console, "Nothing was found that grave; `--severity info` shows everything that was noted.")
    shown = pointed if everything else pointed[:MOST_SHOWN]
    for item in shown:
        _tell(item, console)
    if len(shown) < len(pointed):
        say(console, f"{count(len(pointed) - len(shown), 'further finding')} less grave or later; --all shows them.")


def _tell(item: Pointed, console: Console) -> None:
    found = item.found
    line = Text(f"{found.severity.value:<8} ", style=_STYLES[found.severity])
    where = "the run" if found.experiment is None else f"experiment {found.experiment}"
    line.append(one_line(found.run, 60), style="dim")
    line.append(f" {where}", style="bold")
    line.append(f"{' (kept)' if found.kept else ''}{one_line(f', {found.stage}' if found.stage else '', 60)}: ")
    line.append(one_line(found.message, 400))
    line.append(f" [{one_line(found.code, 60)}]", style="dim")
    say(console, line)
    if found.times > 1:
        also = f", also in {_numbers(found.also)}" if found.also else ""
        say(console, f"         {found.times} times{also}", "dim")
    pointer = _pointer(found)
    quoted = for_terminal(quote(item.reading, found), 160)
    if pointer or quoted:
        say(console, f"         {pointer}{': ' if pointer and quoted else ''}{quoted}")
    say(console, f"         {command(item.reading.folder, found)}", "dim")


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")


def _pointer(found: Found) -> str:
    place = found.place
    match place.kind:
        case "diff":
            return f"diff line {place.diff_line} ({one_line(place.file, 100)}:{place.line})"
        case "stream":
            return f"{place.file} line {place.line}"
        case "code":
            return f"{one_line(place.file, 100)} line {place.line}"
        case "evidence":
            return one_line(found.pointer, 200)
    return f"event {found.seq}"
