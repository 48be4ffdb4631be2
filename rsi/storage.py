"""What the loop needs of a run's record: three protocols, kept on disk (`ledger`, `blobs`, `workspace`) or in memory.

On disk is what a run is; in memory (`rsi.memory`) is for studying policies over thousands of simulated trials. Both
pass the same suites (`tests/record`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from rsi.chain import Event
from rsi.records import CodeFiles


class EventLog(Protocol):
    """An append-only log of events; one writer."""

    @property
    def events(self) -> Sequence[Event]:
        """All of them, in order; to be read only."""
        ...

    @property
    def head(self) -> str:
        """Hash of the last event; 64 zeros where there is none."""
        ...

    def append(self, kind: str, body: dict[str, Any]) -> Event:
        """Add an event, secrets redacted; it is as durable as this log ever makes it when this returns."""
        ...

    def close(self) -> None:
        """Take nothing more; closing twice is fine."""
        ...


class BlobStore(Protocol):
    """Large bodies by their sha256; IntegrityError for a digest that is none."""

    def put(self, data: bytes, durable: bool = True) -> str:
        """Store bytes and return their sha256."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes of that sha256; MissingBlob where there are none."""
        ...

    def has(self, digest: str) -> bool:
        """Whether there is a blob of that name."""
        ...

    def length(self, digest: str) -> int:
        """Bytes of one blob; MissingBlob where it is not there."""
        ...

    def drop(self, digest: str) -> None:
        """Remove a blob; none is needed to be there."""
        ...

    def digests(self) -> Iterator[str]:
        """The sha256 of every blob, in order."""
        ...

    def size(self) -> int:
        """Bytes of all blobs together."""
        ...


class CodeStore(Protocol):
    """Every candidate a commit, the kept ones a branch."""

    def commit(self, code: CodeFiles, message: str, parents: Sequence[str], time: str) -> str:
        """Write code as a commit and return its name; the same arguments give the same name.

        UsageError for code that cannot be committed, IntegrityError for a parent that is not there.
        """
        ...

    def read(self, commit: str) -> CodeFiles:
        """The files of a commit, the caller's to change; IntegrityError where there is none."""
        ...

    def has(self, commit: str) -> bool:
        """Whether that commit is there."""
        ...

    def mark(self, experiment: int, commit: str) -> None:
        """Name an experiment's candidate."""
        ...

    def keep(self, commit: str) -> None:
        """Move the branch of improvements."""
        ...

    def kept(self) -> str | None:
        """Where that branch stands; None before the first keep."""
        ...

    def refs(self) -> dict[str, str]:
        """Every reference, by full name."""
        ...
