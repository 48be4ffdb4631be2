"""Large bodies by content: streams, diffs, prompts, answers, artifacts; the ledger holds their sha256."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsi.durable import disk_faults, make_folder, read_regular, sync_file, sync_folder, write_whole
from rsi.errors import EnvironmentFault, IntegrityError
from rsi.redaction import Redactor

LARGEST = 2 * 1024**3
"""Bytes; what is longer is not read into memory."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_STAGING = "incoming"


class MissingBlob(IntegrityError):
    """A blob that the record names is not there."""


class Blobs:
    """A folder of blobs, `ab/cdef…`; nothing is touched before the first `put`, so readers leave no trace.

    `put` does not redact, since a changed artifact would be no artifact: whoever records text passes it through
    `redactor` first.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self.folder = folder
        self.redactor = redactor
        self._total: int | None = None
        """Bytes of all blobs, once someone has asked; what this object puts and drops is added and taken off."""
        self._counting = threading.Lock()
        self._plain: set[str] = set()
        """Folders that were seen to be no links when something was read from them."""

    def put(self, data: bytes, durable: bool = True) -> str:
        """Store bytes and return their sha256; on disk before it returns, unless `durable` is false.

        EnvironmentFault where they cannot be written; nothing is half-written then.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if self._holds(path, data):
            if durable:  # it may have been written without
                with disk_faults(path):
                    sync_file(path)
            return digest
        with disk_faults(path), self._counted(path):
            make_folder(self.folder / _STAGING, durable=durable)
            make_folder(path.parent, durable=durable)
            write_whole(path, data, staging=self.folder / _STAGING, durable=durable)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of that sha256, hashed again; MissingBlob or IntegrityError where they are gone or altered.

        EnvironmentFault where they may not be read.
        """
        check_digest(digest)
        group = digest[:2]
        with self._access():
            path = self.folder / group / digest[2:] if group in self._plain else self._path(digest)
        try:
            with self._access():
                data = read_regular(path, LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingBlob(f"Blob {digest} is missing from {self.folder}; restore it from a copy.") from None
        self._plain.add(group)
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(f"{path} was altered: its content no longer hashes to its name.")
        return data

    def has(self, digest: str) -> bool:
        """Whether a file of that name is there; only `get` says whether it is whole."""
        with self._access():
            path = self._path(digest)
            return path.is_file() and not path.is_symlink()

    def length(self, digest: str) -> int:
        """Bytes of one blob; MissingBlob where it is not there."""
        if not self.has(digest):
            raise MissingBlob(f"Blob {digest} is missing from {self.folder}; restore it from a copy.")
        return self._path(digest).lstat().st_size

    def drop(self, digest: str) -> None:
        """Remove a blob; none is needed to be there, so that a drop cut off by a crash can be repeated."""
        path = self._path(digest)
        with disk_faults(path), self._counted(path):
            path.unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """The sha256 of every blob, in order."""
        if self.folder.is_symlink() or not self.folder.is_dir():
            return
        for group in sorted(entry for entry in self.folder.iterdir() if _FAN_OUT.fullmatch(entry.name)):
            if group.is_symlink() or not group.is_dir():
                continue
            names = sorted(group.name + entry.name for entry in group.iterdir() if not entry.is_symlink())
            yield from (name for name in names if _DIGEST.fullmatch(name))

    def size(self) -> int:
        """Bytes of all blobs together: the folder is walked once, for its writer asks after every experiment."""
        with self._counting:
            if self._total is None:
                self._total = sum(_length(self.folder / digest[:2] / digest[2:]) for digest in self.digests())
            return self._total

    @contextmanager
    def _counted(self, path: Path) -> Iterator[None]:
        """Keep the sum of all sizes true while one blob comes, goes or is written anew."""
        with self._counting:
            before = _length(path)
            try:
                yield
            finally:
                if self._total is not None:
                    self._total += _length(path) - before

    def clear_unfinished(self) -> None:
        """Remove what a crash left of blobs being written; only for the one process that writes the run."""
        staging = self.folder / _STAGING
        if staging.is_dir() and not staging.is_symlink():
            with disk_faults(staging):
                for leftover in staging.iterdir():
                    leftover.unlink()
                sync_folder(staging)

    @contextmanager
    def _access(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise EnvironmentFault(
                f"{self.folder} cannot be read: {error.strerror}; ask its owner for access."
            ) from None

    def _path(self, digest: str) -> Path:
        check_digest(digest)
        group = self.folder / digest[:2]
        for folder in (self.folder, group):
            if folder.is_symlink():
                raise IntegrityError(f"{folder} is a link, so nothing is read there; put the folder itself there.")
        return group / digest[2:]

    def _holds(self, path: Path, data: bytes) -> bool:
        """Whether the blob is there and whole: one written without `durable` may be short after a crash."""
        try:
            return path.lstat().st_size == len(data) and read_regular(path, len(data)) == data
        except (FileNotFoundError, NotADirectoryError):
            return False


def _length(path: Path) -> int:
    """Bytes of a file, none where it is not there."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def check_digest(digest: str) -> None:
    """IntegrityError for a name that is no sha256."""
    if not _DIGEST.fullmatch(digest):
        raise IntegrityError(f"{digest[:80]!r} is no sha256, so the record that names it was altered.")
