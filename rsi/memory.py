"""A run's record in memory: the same three stores as on disk, for simulated runs. Nothing survives the process."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self

from rsi.blobs import MissingBlob, check_digest
from rsi.chain import GENESIS, SCHEMA, Event, check_depth, check_length, encode, make_event, now, seal
from rsi.errors import EnvironmentFault, IntegrityError
from rsi.events import KINDS
from rsi.recorder import Recorder
from rsi.records import CodeFiles, Record
from rsi.redaction import Redactor
from rsi.state import RunState
from rsi.workspace import KEPT, check_code, experiment_reference


class Entry(NamedTuple):
    """Where an event stands that was folded without being written down."""

    seq: int
    time: str
    kind: str
    hash: str


class MemoryLedger:
    """An event log in memory: `append` seals each event as the one on disk does; `enter` takes a record as it is.

    An entered record is turned into an event when someone reads `events`. Its hash is its number: what one process
    alone can reach, a chain would not protect.
    """

    def __init__(self, redactor: Redactor, clock: Callable[[], str] | None = None) -> None:
        self.redactor = redactor
        self.on_append: list[Callable[[Event], None]] = []
        """Called with each event that `append` adds, in order."""
        self._clock = clock or now
        self._events: list[Event] = []
        self._entered: list[tuple[Entry, Record]] = []
        """What came since `_events` was last brought up to date."""
        self._last = Entry(-1, "", "", GENESIS)
        self._closed = False
        self._mutex = threading.RLock()

    @property
    def events(self) -> list[Event]:
        """All of them, in order; to be read only."""
        with self._mutex:
            for entry, record in self._entered:
                previous = self._events[-1].hash if self._events else GENESIS
                plain = self.redactor.value(record.model_dump(mode="json"))
                fields = entry._asdict() | {"schema": SCHEMA, "body": plain, "previous": previous}
                self._events.append(make_event(fields))
            self._entered.clear()
            return self._events

    @property
    def head(self) -> str:
        """Hash of the last event; 64 zeros where there is none."""
        return self._last.hash

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return self._last.seq + 1

    def append(self, kind: str, body: dict[str, Any]) -> Event:
        """Add an event, secrets redacted. Thread-safe; ValueError as of the ledger on disk."""
        check_depth(body)
        plain = json.loads(encode(self.redactor.value(body)))
        with self._mutex:
            entry = self._next(kind)
            fields = entry._asdict() | {"schema": SCHEMA, "body": plain, "previous": self.head}
            del fields["hash"]
            line, digest = seal(fields)
            check_length(len(line) + 1)
            event = make_event({**fields, "hash": digest})
            self.events.append(event)
            self._last = entry._replace(hash=digest)
            for listener in tuple(self.on_append):
                listener(event)
            return event

    def enter(self, record: Record) -> Entry:
        """Add a frozen record of our own as it is: nothing is dumped, validated or hashed before someone reads it."""
        with self._mutex:
            self._last = self._next(KINDS[type(record)])
            self._entered.append((self._last, record))
            return self._last

    def _next(self, kind: str) -> Entry:
        if self._closed:
            raise EnvironmentFault("This ledger in memory was closed; begin another run.")
        seq = self._last.seq + 1
        return Entry(seq, max(self._clock(), self._last.time), kind, f"{seq + 1:064x}")

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryRecorder(Recorder):
    """Folds the records that it is given themselves, where the one on disk folds what a reader would read.

    For simulated runs alone: nothing of theirs comes from outside, so there is no secret to take out of it.
    """

    ledger: MemoryLedger

    def __init__(self, ledger: MemoryLedger, blobs: MemoryBlobs, state: RunState) -> None:
        super().__init__(ledger, blobs, state, Redactor.none())

    def record(self, body: Record) -> None:
        """Add to the ledger and fold; an event is made of it only where someone listens."""
        self.state.fold(body, self.ledger.enter(body))
        if self.listeners:
            event = self.ledger.events[-1]
            for listener in self.listeners:
                listener(event, self.state)


class MemoryBlobs:
    """Blobs in a dictionary. Bytes cannot be altered there, so they are not hashed again."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._size = 0

    def put(self, data: bytes, durable: bool = True) -> str:  # noqa: ARG002 - nothing here outlives the process
        """Store bytes and return their sha256."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._held:
            self._held[digest] = data
            self._size += len(data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of that sha256; MissingBlob where there are none."""
        data = self._held.get(digest)
        if data is None:
            check_digest(digest)
            raise MissingBlob(f"Blob {digest} is missing from memory; begin the run again.")
        return data

    def has(self, digest: str) -> bool:
        """Whether there is a blob of that name."""
        check_digest(digest)
        return digest in self._held

    def length(self, digest: str) -> int:
        """Bytes of one blob; MissingBlob where it is not there."""
        return len(self.get(digest))

    def drop(self, digest: str) -> None:
        """Remove a blob; none is needed to be there."""
        check_digest(digest)
        self._size -= len(self._held.pop(digest, b""))

    def digests(self) -> Iterator[str]:
        """The sha256 of every blob, in order."""
        return iter(sorted(self._held))

    def size(self) -> int:
        """Bytes of all blobs together."""
        return self._size


class Commit(NamedTuple):
    """What a workspace in memory holds of a commit."""

    code: CodeFiles
    message: str
    parents: tuple[str, ...]
    time: str


class MemoryWorkspace:
    """Commits and references in dictionaries; the names are hashes of the content, though not git's."""

    def __init__(self) -> None:
        self.commits: dict[str, Commit] = {}
        self._refs: dict[str, str] = {}

    def commit(self, code: CodeFiles, message: str, parents: Sequence[str], time: str) -> str:
        """Hold code as a commit and return its name; the same arguments give the same name."""
        for parent in parents:
            self._require(parent, "to build on")
        check_code(code)
        commit = Commit({path: code[path] for path in sorted(code)}, message, tuple(parents), time)
        told = repr(tuple(commit)).encode("utf-8", "surrogatepass")
        name = hashlib.sha1(told, usedforsecurity=False).hexdigest()
        self.commits[name] = commit
        return name

    def read(self, commit: str) -> CodeFiles:
        """The files of a commit; IntegrityError where there is none."""
        self._require(commit, "to read")
        return dict(self.commits[commit].code)

    def has(self, commit: str) -> bool:
        """Whether that commit is there."""
        return commit in self.commits

    def mark(self, experiment: int, commit: str) -> None:
        """Name an experiment's candidate."""
        self._point(experiment_reference(experiment), commit)

    def keep(self, commit: str) -> None:
        """Move the branch of improvements."""
        self._point(KEPT, commit)

    def kept(self) -> str | None:
        """Where that branch stands; None before the first keep."""
        return self._refs.get(KEPT)

    def refs(self) -> dict[str, str]:
        """Every reference, by full name."""
        return dict(sorted(self._refs.items()))

    def _point(self, name: str, commit: str) -> None:
        self._require(commit, f"for {name} to point at")
        self._refs[name] = commit

    def _require(self, commit: str, why: str) -> None:
        if commit not in self.commits:
            raise IntegrityError(f"The workspace in memory has no commit {commit[:80]!r} {why}.")
