"""The event log of a run: one writer, append-only, on disk before an append returns.

What a crash leaves of a last line is cut off when the run is opened again; anything else that does not fit the chain
is an alteration, and refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from rsi.chain import (
    GENESIS,
    SCHEMA,
    ChainReport,
    Event,
    EventReader,
    Problem,
    Scan,
    check_chain,
    check_depth,
    check_length,
    encode,
    make_event,
    now,
    read_events,
    seal,
)
from rsi.durable import disk_faults, make_folder, open_regular, sync_folder
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.redaction import Redactor

__all__ = [
    "GENESIS",
    "ChainReport",
    "Event",
    "EventReader",
    "Ledger",
    "Problem",
    "check_chain",
    "read_events",
]


class Locked(UsageError):
    """Another process is writing."""


class Ledger:
    """The one writer of a run's ledger; holds the run's lock until it is closed."""

    def __init__(self, path: Path, redactor: Redactor, lock: int, descriptor: int) -> None:
        """Use `create` or `open`."""
        self.path = path
        self.redactor = redactor
        self.events: list[Event] = []
        """All of them, in order; to be read only."""
        self.recovered = b""
        """What a crash had left of an unfinished last line, cut off by `open`."""
        self.on_append: list[Callable[[Event], None]] = []
        """Called with each new event once it is on disk, in order, from the thread that appends."""
        self._lock_descriptor = lock
        self._descriptor = descriptor
        self._end = 0
        self._unusable = ""
        self._mutex = threading.RLock()

    @classmethod
    def create(cls, path: Path, redactor: Redactor, lock_name: str = "lock") -> Ledger:
        """An empty ledger; UsageError where there is one already."""
        with disk_faults(path):
            make_folder(path.parent)
        lock = _lock(path.parent / lock_name)
        try:
            with disk_faults(path):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    descriptor = os.open(path, flags, 0o644)
                except FileExistsError:
                    raise UsageError(f"{path} is there already; resume that run or choose another folder.") from None
                sync_folder(path.parent)
            return cls(path, redactor, lock, descriptor)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open(cls, path: Path, redactor: Redactor, lock_name: str = "lock") -> Ledger:
        """Take the lock, check the whole chain, cut off a torn tail.

        UsageError where another process writes the run or there is none; IntegrityError where the chain does not hold.
        """
        if not os.path.lexists(path):
            raise UsageError(f"{path.parent} is not a run folder: it has no {path.name}; `rsi list` shows the runs.")
        lock = _lock(path.parent / lock_name)
        descriptor = None
        try:
            descriptor = open_regular(path, os.O_RDWR | os.O_APPEND)
            ledger = cls(path, redactor, lock, descriptor)
            ledger._load()
        except BaseException:
            for held in (lock, descriptor):
                if held is not None:
                    os.close(held)
            raise
        return ledger

    def _load(self) -> None:
        with os.fdopen(os.dup(self._descriptor), "rb", buffering=1 << 20) as file:
            scan = Scan(self.path, file)
            self.events = [make_event(fields) for fields in scan]
        if scan.problem is not None:
            raise IntegrityError(scan.problem.sentence)
        self._end = scan.at.offset
        self.recovered = scan.torn
        if scan.torn:
            with disk_faults(self.path):
                os.ftruncate(self._descriptor, self._end)
                os.fsync(self._descriptor)

    @property
    def head(self) -> str:
        """Hash of the last event; 64 zeros where there is none."""
        return self.events[-1].hash if self.events else GENESIS

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def append(self, kind: str, body: dict[str, Any]) -> Event:
        """Add an event, secrets redacted; it is on disk when this returns. Thread-safe.

        EnvironmentFault where it cannot be written (nothing of it is then in the file); IntegrityError where someone
        else has written to the file; ValueError for a body that is no JSON, nested deeper than 64 levels or longer
        than 4 MiB.
        """
        check_depth(body)
        # Encoded and read back first, so that this event equals the one that a reader will see (tuples, number keys).
        plain = json.loads(encode(self.redactor.value(body)))
        with self._mutex:
            self._require_usable()
            fields = {
                "seq": len(self.events),
                "time": max(now(), self.events[-1].time if self.events else ""),
                "schema": SCHEMA,
                "kind": kind,
                "body": plain,
                "previous": self.head,
            }
            line, digest = seal(fields)
            self._write(line.encode() + b"\n")
            event = make_event({**fields, "hash": digest})
            self.events.append(event)
            for listener in tuple(self.on_append):
                listener(event)
            return event

    def _require_usable(self) -> None:
        if self._unusable:
            raise EnvironmentFault(self._unusable)
        if os.fstat(self._descriptor).st_size != self._end:
            raise IntegrityError(f"{self.path} was changed while this process was writing it; run `rsi verify` on it.")

    def _write(self, line: bytes) -> None:
        check_length(len(line))
        written = 0
        try:
            with disk_faults(self.path):
                while written < len(line):
                    written += os.write(self._descriptor, line[written:])
                try:
                    os.fsync(self._descriptor)
                except OSError:
                    # The kernel may have dropped the pages: only reading the file again tells what is on disk.
                    self._unusable = f"{self.path} could not be brought to disk; mend the disk, then resume the run."
                    raise
        except BaseException:
            self._cut_back()
            raise
        self._end += len(line)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
        except OSError:
            self._unusable = (
                f"{self.path} ends in an unfinished line that cannot be cut off; mend the disk, then resume."
            )

    def close(self) -> None:
        """Let another process have the run."""
        with self._mutex:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                os.close(self._lock_descriptor)
                self._descriptor = self._lock_descriptor = -1
                self._unusable = f"{self.path} was closed; open the run again to go on."

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(path: Path) -> int:
    """A lock with our process id in it; it goes with the process, however that ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with disk_faults(path):
        descriptor = os.open(path, flags, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with suppress(OSError):
                    holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                known = holder if holder.isdigit() else "unknown"
                raise Locked(
                    f"run {path.parent.resolve().name} is being written by another process (pid {known}); "
                    "wait for it to end, or stop it."
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor
