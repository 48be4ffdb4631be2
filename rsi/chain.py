"""The chain of events: what a line of the ledger is, how it is hashed, and how a ledger is read and checked.

A line is the canonical JSON of an event (sorted keys, no spaces, ASCII only). Its hash is the sha256 of that line
without the hash itself. Reading takes no lock, so that a living run can be read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from pydantic import ConfigDict, Field

from rsi.durable import open_regular
from rsi.errors import IntegrityError, UsageError
from rsi.records import Record

SCHEMA = 1
GENESIS = "0" * 64
"""What stands for the hash before the first event."""
DEEPEST = 64
"""Levels of nesting in a body: a reader deep in its own calls must be able to handle what a writer wrote."""
LONGEST_LINE = 4 * 1024 * 1024
"""Bytes; larger bodies belong in blobs."""

_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
FIELDS = {"body", "hash", "kind", "previous", "schema", "seq", "time"}
"""Of every line."""
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


class Event(Record):
    """One thing that happened; `body` is not to be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    seq: int
    time: str
    """UTC, ISO 8601 with microseconds; never earlier than the event before."""
    schema_version: int = Field(alias="schema")
    kind: str
    body: dict[str, Any]
    previous: str
    hash: str


class Placed(Protocol):
    """Where in a record something stands, whatever it says."""

    @property
    def seq(self) -> int:
        """From 0."""
        ...

    @property
    def time(self) -> str:
        """UTC, ISO 8601."""
        ...

    @property
    def kind(self) -> str:
        """A key of `rsi.events.BODIES`."""
        ...

    @property
    def hash(self) -> str:
        """What stands for the record up to here."""
        ...


class Problem(Record):
    """Where a chain does not hold, and why."""

    line: int
    """From 1."""
    seq: int
    """The event that should stand there."""
    sentence: str


class ChainReport(Record):
    """What checking a ledger found."""

    events: int
    """Events that hold, from the first."""
    head: str
    """Hash of the last of them; 64 zeros where there is none."""
    problem: Problem | None = None
    torn_bytes: int = 0
    """Length of an unfinished last line: a crash, or a writer at work."""


class _Broken(Exception):
    """A line does not hold; the message says why."""


class _Unparseable(_Broken):
    """A line is no JSON at all, which a crash can also cause."""


class _Position(NamedTuple):
    """How far a ledger has been read."""

    events: int = 0
    head: str = GENESIS
    time: str = ""
    offset: int = 0


class Bytes(Protocol):
    """What a ledger is read from."""

    def readline(self, at_most: int, /) -> bytes:
        """The next line, its end included, or so many bytes of it; empty at the end."""
        ...

    def read(self, at_most: int, /) -> bytes:
        """At most so many bytes; empty at the end."""
        ...


class Scan:
    """Reads a ledger line by line, up to its end, its first problem, or a torn tail."""

    def __init__(self, path: Path, file: Bytes) -> None:
        self.path = path
        self.file = file
        self.at = _Position()
        self.problem: Problem | None = None
        self.torn = b""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in iter(lambda: self.file.readline(LONGEST_LINE + 1), b""):
            try:
                fields = _parse(line, self.at)
            except _Broken as broken:
                self._stopped(line, broken)
                return
            self.at = _Position(self.at.events + 1, fields["hash"], fields["time"], self.at.offset + len(line))
            yield fields

    def _stopped(self, line: bytes, broken: _Broken) -> None:
        if len(line) <= LONGEST_LINE and not self.file.read(1) and isinstance(broken, _Unparseable) and _torn(line):
            self.torn = line
            return
        number = self.at.events + 1
        sentence = f"{self.path}, line {number} (event {self.at.events}): {broken}."
        self.problem = Problem(line=number, seq=self.at.events, sentence=sentence)


def _torn(line: bytes) -> bool:
    """Whether a crash can have left this as the last line of a file that only grows; else someone altered it.

    A crash leaves the beginning of a line, or blocks of zeros where the disk lost some; neither holds a whole event
    with something behind it.
    """
    if b"\0\0" in line:
        return True
    if line.endswith(b"\n"):
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        return line.isascii()
    return end == len(line)


def _parse(line: bytes, at: _Position) -> dict[str, Any]:
    """The fields of the line that comes next; raises _Broken."""
    if len(line) > LONGEST_LINE:
        raise _Broken(f"it is longer than {LONGEST_LINE} bytes")
    if not line.endswith(b"\n"):
        raise _Unparseable("it does not end")
    try:
        text = line[:-1].decode("ascii")
        fields = json.loads(text)
    except RecursionError:
        raise _Broken("it is nested too deeply") from None
    except ValueError:
        raise _Unparseable("it is not JSON in ASCII") from None
    if not isinstance(fields, dict) or fields.keys() != FIELDS:
        raise _Broken("it does not have the fields of an event")
    if line.count(b"[") + line.count(b"{") > DEEPEST and isinstance(fields["body"], dict):
        try:
            check_depth(fields["body"])
        except ValueError as error:
            raise _Broken(str(error)) from None
    _check_fields(fields, at)
    claimed = fields["hash"]
    try:
        canonical, digest = seal(fields)
    except (ValueError, RecursionError):
        raise _Broken("it is not canonical JSON") from None
    if digest != claimed:
        raise _Broken("its hash does not match its content")
    if canonical != text:
        raise _Broken("it is not canonical JSON")
    return fields


def _check_fields(fields: dict[str, Any], at: _Position) -> None:
    seq, schema, time = fields["seq"], fields["schema"], fields["time"]
    if type(seq) is not int or seq != at.events:
        raise _Broken(f"it is numbered {_shown(seq)}: an event was removed, repeated or moved")
    if type(schema) is int and schema > SCHEMA:
        raise _Broken(f"it is of schema {_shown(schema)}, this rsi reads schema {SCHEMA}: too old for it; update rsi")
    if type(schema) is not int or schema != SCHEMA:
        raise _Broken(f"it is of schema {_shown(schema)}, this program reads schema {SCHEMA}")
    if fields["previous"] != at.head:
        raise _Broken("it does not follow from the event before it")
    if not (isinstance(fields["hash"], str) and _HASH.fullmatch(fields["hash"])):
        raise _Broken("its hash is no sha256")
    if not (isinstance(time, str) and _TIME.fullmatch(time) and time >= at.time):
        raise _Broken("its time is malformed or earlier than that of the event before it")
    if not (isinstance(fields["kind"], str) and isinstance(fields["body"], dict)):
        raise _Broken("its kind or body is of the wrong type")


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, int | str | float) else type(value).__name__


def seal(fields: dict[str, Any]) -> tuple[str, str]:
    """The canonical line of an event, and its hash.

    `body` sorts before `hash` and all others after it, so that the large part is encoded once for both.
    """
    body = '{"body":' + encode(fields["body"]) + ","
    rest = encode({name: fields[name] for name in FIELDS - {"body", "hash"}})[1:]
    digest = hashlib.sha256((body + rest).encode()).hexdigest()
    return f'{body}"hash":"{digest}",{rest}', digest


def make_event(fields: dict[str, Any]) -> Event:
    """An event from fields that were checked or just made."""
    # Not validated again: pydantic would refuse text that JSON can hold, such as a lone surrogate.
    renamed = {("schema_version" if name == "schema" else name): value for name, value in fields.items()}
    return Event.model_construct(**renamed)


def open_to_read(path: Path) -> BinaryIO:
    """A ledger, to be read only; UsageError where there is none."""
    try:
        return os.fdopen(open_regular(path, os.O_RDONLY), "rb", buffering=1 << 20)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{path.parent} is not a run folder: it has no {path.name}; `rsi list` shows the runs."
        ) from None


class EventReader:
    """Iterates over the events of a ledger that may be growing, without locking it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_bytes = 0
        """Once the iteration has ended: length of an unfinished last line."""

    def __iter__(self) -> Iterator[Event]:
        with open_to_read(self.path) as file:
            scan = Scan(self.path, file)
            for fields in scan:
                yield make_event(fields)
        if scan.problem is not None:
            raise IntegrityError(scan.problem.sentence)
        self.torn_bytes = len(scan.torn)


def read_events(path: Path) -> EventReader:
    """The events of a ledger, checked as they are read; IntegrityError at the first that does not hold."""
    return EventReader(path)


def check_chain(path: Path) -> ChainReport:
    """Check every line; UsageError where there is no ledger, IntegrityError where it is a link or no plain file."""
    with open_to_read(path) as file:
        scan = Scan(path, file)
        for _ in scan:
            pass
    return ChainReport(events=scan.at.events, head=scan.at.head, problem=scan.problem, torn_bytes=len(scan.torn))


def check_depth(body: dict[str, Any]) -> None:
    """ValueError for a body that is nested deeper than `DEEPEST` levels."""
    level: list[Any] = [body]
    for _ in range(DEEPEST):
        parts = [item.values() if isinstance(item, dict) else item for item in level]
        level = [item for part in parts for item in part if isinstance(item, dict | list | tuple)]
        if not level:
            return
    raise ValueError(f"the body of an event is nested deeper than {DEEPEST} levels")


def check_length(size: int) -> None:
    """ValueError for a line of so many bytes that no reader would take it."""
    if size > LONGEST_LINE:
        raise ValueError(f"an event of {size} bytes is too long for the ledger; put its body in a blob")


def now() -> str:
    """The time of an event that happens now."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
