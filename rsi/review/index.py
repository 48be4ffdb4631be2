"""An index of a ledger, so that a run of a hundred thousand events is read once: a SQLite file in the user's cache.

It is derived from the ledger alone and named by its content: a ledger that has changed by one byte has another. Nothing
of it comes with a run folder, and `rsi verify` uses nothing of it. Where the cache cannot be written, it is in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from rsi import __version__
from rsi.blobs import Blobs
from rsi.chain import Event, Scan, make_event, open_to_read
from rsi.errors import IntegrityError, RsiError
from rsi.preparation import cache_folder
from rsi.records import ExperimentStatus
from rsi.redaction import Redactor
from rsi.review.findings import RANK, Finder, Found
from rsi.review.following import Belonging
from rsi.review.lean import Lean
from rsi.review.lines import lines_of
from rsi.review.log import describe
from rsi.review.staircase import points
from rsi.review.summary import summarise
from rsi.review.wording import one_line
from rsi.runs import LEDGER, ReadRun
from rsi.state import RunState

VERSION = 2
MOST_KEPT = 64
"""Indexes in the cache; the eldest go first."""
_BATCH = 2000
_OF_THE_MACHINE = (RsiError, OSError, sqlite3.Error, MemoryError)
"""Failures that are no fault of the ledger's, or say themselves what is."""
_UNFINISHED = ".making"
_SECONDS_UNFINISHED = 24 * 3600
"""After which nobody is making it any more."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER, length INTEGER, kind TEXT, time TEXT, experiment INTEGER,
                     severity INTEGER, frame INTEGER, words TEXT);
CREATE TABLE findings (place INTEGER PRIMARY KEY, seq INTEGER, experiment INTEGER, severity INTEGER, record TEXT);
CREATE TABLE ranked (place INTEGER PRIMARY KEY, severity INTEGER, record TEXT);
CREATE TABLE lines (experiment INTEGER PRIMARY KEY, record TEXT);
CREATE INDEX events_by_experiment ON events (experiment);
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX findings_by_experiment ON findings (experiment);
"""

FRAME = (
    *("run.started", "run.paused", "run.resumed", "run.finished", "data.prepared"),
    *("advice.frozen", "program.frozen", "program.learned"),
    *("milestone.begun", "milestone.tested", "milestone.closed"),
    *("ablation.begun", "ablation.cut", "ablation.closed", "confirmation.finished"),
)
"""Events that concern every experiment."""
_KEPT_FRAME = ("experiment.proposed", "experiment.committed", "experiment.closed")
"""Of kept experiments: their lineage says which others are certified, provisional or taken back."""


class Told(NamedTuple):
    """How far a ledger was read."""

    problem: str
    """What is wrong behind the last event that is indexed; empty where all of it holds."""
    torn_bytes: int


def opened(folder: Path) -> sqlite3.Connection:
    """The index of a ledger as it is now, made where there is none; UsageError where there is no ledger."""
    digest = ledger_digest(folder / LEDGER)
    path = _path(digest)
    with contextlib.suppress(sqlite3.Error):
        connection = _open(path)
        if meta(connection, "version") == str(VERSION):
            with contextlib.suppress(OSError):
                os.utime(path)
            return connection
        connection.close()
    return _made(folder)


def ledger_digest(path: Path) -> str:
    """The sha256 of a ledger's bytes."""
    sha256 = hashlib.sha256()
    with open_to_read(path) as file:
        while data := file.read(1 << 20):
            sha256.update(data)
    return sha256.hexdigest()


def _path(digest: str) -> Path:
    return cache_folder() / "review" / f"{digest}.{VERSION}-{__version__}.sqlite"


def _open(path: Path) -> sqlite3.Connection:
    # Immutable: it is renamed into its place once it is whole, and never written again.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def meta(connection: sqlite3.Connection, name: str) -> str:
    """What the index says of the run as a whole under that name, empty where nothing."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


def _made(folder: Path) -> sqlite3.Connection:
    # Whatever the disk refuses, a cache is a convenience: what is wrong with the ledger itself is raised below again.
    with contextlib.suppress(sqlite3.Error, OSError):
        return _made_in_cache(folder)
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    _Maker(folder, connection).make()
    return connection


def _made_in_cache(folder: Path) -> sqlite3.Connection:
    kept = cache_folder() / "review"
    kept.mkdir(parents=True, exist_ok=True)
    _clear(kept)
    descriptor, name = tempfile.mkstemp(suffix=_UNFINISHED, dir=kept)
    unfinished = Path(name)
    try:
        with contextlib.closing(sqlite3.connect(unfinished)) as connection:
            digest = _Maker(folder, connection).make()
        os.fsync(descriptor)  # a crash of the machine must not leave a part of it under its final name
        path = _path(digest)
        unfinished.replace(path)
        return _open(path)
    finally:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)


def _clear(kept: Path) -> None:
    """Let the eldest indexes go, and what a crash left unfinished."""
    with contextlib.suppress(OSError):
        known = sorted(kept.glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
        for path in known[: max(0, len(known) - MOST_KEPT + 1)]:
            path.unlink(missing_ok=True)
        for path in kept.glob(f"*{_UNFINISHED}"):
            if time.time() - path.stat().st_mtime > _SECONDS_UNFINISHED:
                path.unlink(missing_ok=True)


class _Hashing:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def readline(self, at_most: int) -> bytes:
        line = self.file.readline(at_most)
        self.sha256.update(line)
        return line

    def read(self, at_most: int = -1) -> bytes:
        data = self.file.read(at_most)
        self.sha256.update(data)
        return data


class _Maker:
    """One pass over a ledger, from which every table is filled."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection
        self.state = RunState()
        self.finder = Finder()
        self.lean = Lean()
        self.told: list[Event] = []
        """Events of the run as a whole, of which a summary wants to know."""
        self.belonging = Belonging()
        self.found = 0

    def make(self) -> str:
        """Fill the index; the digest of what was read of the ledger."""
        connection = self.connection
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        with open_to_read(self.folder / LEDGER) as file:
            hashing = _Hashing(file)
            told = self._events(Scan(self.folder / LEDGER, hashing))
            while hashing.read(1 << 20):  # what stands behind a line that does not hold
                pass
        if told.problem and self.state.started is None:
            raise IntegrityError(told.problem)
        _ = self.state.run  # a ledger that no run.started event begins is no run, whatever is asked of it
        try:
            self._conclude(told)
        except _OF_THE_MACHINE:
            raise
        except Exception as error:  # hostile records make any of our code fail, and that is all there is to say
            raise IntegrityError(
                f"{self.folder / LEDGER} contradicts itself, so nothing can be told of it "
                f"({type(error).__name__}: {one_line(str(error), 100)})."
            ) from error
        connection.commit()
        return hashing.sha256.hexdigest()

    def _conclude(self, told: Told) -> None:
        """What follows from all events together."""
        connection = self.connection
        self._rank()
        run = ReadRun(self.folder, self.told, self.state, Blobs(self.folder / "blobs", Redactor.none()))
        self._lines(run)
        kept = [n for n, entry in self.state.experiments.items() if entry.status is ExperimentStatus.KEPT]
        marks = ", ".join("?" * len(_KEPT_FRAME))
        for number in kept:
            query = f"UPDATE events SET frame = 1 WHERE experiment = ? AND kind IN ({marks})"  # noqa: S608 - marks
            connection.execute(query, (number, *_KEPT_FRAME))
        facts = {
            "version": str(VERSION),
            "problem": told.problem,
            "torn_bytes": str(told.torn_bytes),
            "summary": summarise(run).model_dump_json(by_alias=True),
            "points": json.dumps([point.model_dump(mode="json") for point in points(self.state)]),
        }
        connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())

    def _events(self, scan: Scan) -> Told:
        rows: list[tuple[Any, ...]] = []
        problem, before = "", 0
        for fields in scan:
            event = make_event(fields)
            try:
                rows.append(self._event(event, before, scan.at.offset - before))
            except IntegrityError as error:
                problem = str(error)
                break
            except _OF_THE_MACHINE:
                raise
            except Exception as error:  # as in `make`
                problem = f"Event {event.seq} ({one_line(event.kind, 60)}) cannot be: {type(error).__name__}: {error}."
                break
            before = scan.at.offset
            if len(rows) >= _BATCH:
                self._write(rows)
        self._write(rows)
        if scan.problem is not None:
            problem = scan.problem.sentence
        return Told(problem, len(scan.torn))

    def _event(self, event: Event, at: int, length: int) -> tuple[Any, ...]:
        body = self.state.validated(event)
        self.lean.share(body)
        found = self.finder.take(event, body)
        gravest = max((RANK[item.severity] for item in found), default=None)
        frame, words = int(event.kind in FRAME), one_line(describe(event, body), 400)
        experiment = self.belonging.take(event, body)
        self.state.fold(body, event)
        self._found(found)
        if event.kind.startswith("run."):
            self.told.append(event)
        return (event.seq, at, length, event.kind, event.time, experiment, gravest, frame, words)

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        self.connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        rows.clear()

    def _found(self, found: list[Found]) -> None:
        for item in found:
            row = (self.found, item.seq, item.experiment, RANK[item.severity], item.model_dump_json())
            self.connection.execute("INSERT INTO findings VALUES (?, ?, ?, ?, ?)", row)
            self.found += 1

    def _rank(self) -> None:
        for place, item in enumerate(self.finder.ranked(self._all_found())):
            row = (place, RANK[item.severity], item.model_dump_json())
            self.connection.execute("INSERT INTO ranked VALUES (?, ?, ?)", row)

    def _all_found(self) -> Iterator[Found]:
        for (record,) in self.connection.execute("SELECT record FROM findings ORDER BY place"):
            yield Found.model_validate_json(record)

    def _lines(self, run: ReadRun) -> None:
        counted = "SELECT experiment, count(*), max(severity) FROM findings WHERE severity > 0 GROUP BY experiment"
        found = {number: (times, gravest) for number, times, gravest in self.connection.execute(counted)}
        rows = ((line.experiment, line.model_dump_json()) for line in lines_of(run.state, found))
        self.connection.executemany("INSERT INTO lines VALUES (?, ?)", rows)
