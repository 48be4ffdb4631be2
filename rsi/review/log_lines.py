"""`rsi log`: the events of one or several runs that a reader asks for, a line each, in words or as recorded JSON.

What reviewers wrote stands between the events, at its time. Nothing is held in memory but what is being printed.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from rsi.chain import Event, read_events
from rsi.errors import UsageError
from rsi.events import BODIES
from rsi.plugins import nearest
from rsi.records import Record, Severity
from rsi.review.filtering import Filter, Search
from rsi.review.findings import RANK, Finder
from rsi.review.following import Belonging, Follower
from rsi.review.liveness import is_being_written
from rsi.review.log import describe
from rsi.review.notes import KIND, NOTES
from rsi.review.reading import Reading, is_of, require_experiment
from rsi.review.wording import one_line, say
from rsi.runs import LEDGER

POLL_SECONDS = 0.3
_STYLES = {Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


class Entry(NamedTuple):
    """One event, or one note, with what a reader wants to know about it besides."""

    run: str
    file: str
    """`ledger.jsonl` or `notes.jsonl`: where it stands."""
    event: Event
    experiment: int | None
    severity: Severity | None
    """The gravest of what it says."""
    line: str = ""
    """What happened, as one harmless line, where that is known already."""

    def words(self) -> str:
        """What happened; hostile text as it stands in the record."""
        if self.file != NOTES:
            return describe(self.event)
        body = self.event.body
        mark = f" is {body['mark']}" if body.get("mark") else ""
        return f"experiment {body.get('experiment')}{mark}, says {body.get('author')}: {body.get('text')}"

    def as_json(self) -> dict[str, Any]:
        """As recorded, and beside it `run`, `file`, `experiment` and `severity`."""
        return {
            **self.event.model_dump(mode="json"),
            "run": one_line(self.run),
            "file": self.file,
            "experiment": self.experiment,
            "severity": self.severity.value if self.severity else None,
        }


def _rank(severity: Severity | None) -> int:
    return -1 if severity is None else RANK[severity]


class LogPrinter:
    """Prints the entries that fit a filter."""

    def __init__(self, wanted: Filter, console: Console, *, several: bool, as_json: bool) -> None:
        """UsageError where the filter's expression is none."""
        self.wanted = wanted
        self.search = Search(wanted)
        self.console = console
        self.several = several
        self.as_json = as_json

    def take(self, entries: Iterable[Entry]) -> None:
        """Print those of them that fit."""
        for entry in entries:
            if self._fits(entry):
                self._print(entry)

    def _fits(self, entry: Entry) -> bool:
        wanted, event = self.wanted, entry.event
        return (
            (not wanted.kinds or is_of(event.kind, wanted.kinds))
            and (wanted.experiment is None or entry.experiment == wanted.experiment)
            and (not wanted.numbers or (entry.file == LEDGER and event.seq in wanted.numbers))
            and (not wanted.since or event.time >= wanted.since)
            and (not wanted.until or event.time <= wanted.until)
            and (wanted.severity is None or _rank(entry.severity) >= RANK[wanted.severity])
            and ((not wanted.text and not wanted.pattern) or self.search.finds(event.body, entry.words))
        )

    def _print(self, entry: Entry) -> None:
        if self.as_json:
            # Straight to the file: a console would wrap or style what a program is to read.
            self.console.file.write(json.dumps(entry.as_json(), sort_keys=True) + "\n")
            return
        event = entry.event
        line = Text(f"{event.time[:19].replace('T', ' ')} ", style="dim")
        if self.several:
            line.append(f"{one_line(entry.run, 60)} ", style="dim")
        line.append(f"{'note' if entry.file == NOTES else event.seq:>6} ", style="dim")
        line.append(f"{one_line(event.kind, 40):<22} ", style="cyan")
        words = entry.line or one_line(entry.words(), 400)
        line.append(words, style=_STYLES.get(entry.severity, "") if entry.severity else "")
        if self.console.is_terminal or self.console.options.ascii_only:
            say(self.console, line)
        else:
            self.console.file.write(line.plain + "\n")  # a hundred thousand lines are many to lay out


def print_log(readings: Sequence[Reading], wanted: Filter, console: Console, *, as_json: bool = False) -> list[str]:
    """Print what fits, oldest first, of several runs by time; returns what must be said besides, a sentence each.

    UsageError for a kind or an experiment that no run has, and for an expression that is none or takes for ever.
    """
    _require_known(readings, wanted)
    printer = LogPrinter(wanted, console, several=len(readings) > 1, as_json=as_json)
    printer.take(heapq.merge(*(_entries(reading, wanted) for reading in readings), key=lambda entry: entry.event.time))
    if printer.search.given_up:
        return [f"--regex took too long on {printer.search.given_up} of the events, which are not shown; use --text."]
    return []


def _require_known(readings: Sequence[Reading], wanted: Filter) -> None:
    for kind in wanted.kinds:
        known = is_of_any((*BODIES, KIND), kind)
        if not known and not any(True for reading in readings for _ in reading.events(kinds=[kind])):
            raise UsageError(f"No event is called {one_line(kind, 40)!r}: {nearest(kind, sorted((*BODIES, KIND)))}")
    require_experiment(readings, wanted.experiment)


def is_of_any(known: Iterable[str], kind: str) -> bool:
    """Whether one of the known kinds is this one, or begins so."""
    return any(is_of(one, [kind]) for one in known)


def _entries(reading: Reading, wanted: Filter) -> Iterator[Entry]:
    return heapq.merge(_ledger(reading, wanted), _notes(reading), key=lambda entry: entry.event.time)


def _ledger(reading: Reading, wanted: Filter) -> Iterator[Entry]:
    run = reading.folder.resolve().name
    found = reading.entries(
        wanted.experiment,
        kinds=wanted.kinds,
        since=wanted.since,
        until=wanted.until,
        severity=wanted.severity,
        text=wanted.text,
    )
    for entry in found:
        yield Entry(run, LEDGER, entry.event, entry.experiment, entry.severity, entry.words)


def _notes(reading: Reading) -> Iterator[Entry]:
    run, path = reading.folder.resolve().name, reading.folder / NOTES
    if not reading.notes_problem and reading.notes:
        for event in read_events(path):
            yield _note(run, event)


def _note(run: str, event: Event) -> Entry:
    number = event.body.get("experiment")
    severity = Severity.WARNING if event.body.get("mark") == "suspicious" else None
    return Entry(run, NOTES, event, number if isinstance(number, int) else None, severity)


class _Followed:
    """One run that is followed: its events and notes as they come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.over = False
        self.ledger = Follower(folder / LEDGER)
        self.notes = Follower(folder / NOTES)
        self._belonging = Belonging()
        self._finder = Finder()
        self._finished = False

    def news(self) -> Iterator[Entry]:
        """What has come since the last time; `over` where nothing more will come."""
        writing = is_being_written(self.folder)  # asked before the events, so that the last ones are not missed
        for event in self.ledger.news():
            body = _body(event)
            found = [item.severity for item in self._finder.take(event, body)]
            gravest = max(found, key=RANK.__getitem__, default=None)
            self._finished = event.kind in {"run.finished", "run.paused"}
            yield Entry(self.folder.resolve().name, LEDGER, event, self._belonging.take(event, body), gravest)
        try:
            for event in self.notes.news():
                yield _note(self.folder.resolve().name, event)
        except UsageError:  # nobody has written one yet
            pass
        self.over = bool(self.ledger.problem) or self._finished or writing is False


def _body(event: Event) -> Record | None:
    body_type = BODIES.get(event.kind)
    try:
        return body_type.model_validate(event.body) if body_type else None
    except ValueError:
        return None


def follow_log(folders: Sequence[Path], wanted: Filter, console: Console, *, as_json: bool = False) -> list[str]:
    """Print what fits and what comes, until every run has ended, was paused, or nobody writes it any more.

    Returns what must be said besides, a sentence each: chains that do not hold.
    """
    printer = LogPrinter(wanted, console, several=len(folders) > 1, as_json=as_json)
    followed = [_Followed(folder) for folder in folders]
    try:
        while any(not run.over for run in followed):
            for run in followed:
                printer.take(run.news())
            console.file.flush()
            if any(not run.over for run in followed):
                time.sleep(POLL_SECONDS)
    finally:
        for run in followed:
            run.ledger.close()
            run.notes.close()
    return [sentence for run in followed for sentence in (run.ledger.problem, run.notes.problem) if sentence]


def unreadable(reading: Reading) -> list[str]:
    """What must be said of a run besides what is shown: where its chain, and that of its notes, does not hold."""
    said = []
    if reading.problem:
        said.append(f"The record does not hold; what is shown ends before: {reading.problem}")
    if reading.notes_problem:
        said.append(f"The reviewers' notes do not hold and are left out: {reading.notes_problem}")
    return said
