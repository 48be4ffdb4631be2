"""What lies in a folder that hostile code has written to, and what a job was given: names, kinds, sizes, sha256.

A folder is walked by descriptors, so that no link is ever followed, whatever changes while it is walked; entries, depth
and bytes read are bounded.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rsi.course import FileSeen, Listing

MOST_ENTRIES = 1024
"""Of a folder that is walked; inputs are always listed in full."""
MOST_DEPTH = 32
NAME_CHARACTERS = 500
BLOCK = 1 << 20
INPUT_BYTES = 1 << 30
"""Of inputs that are hashed again after the end."""

Kind = Literal["file", "folder", "link", "other"]


class Lister:
    """Collects what is seen, within the bounds."""

    def __init__(self, hashed_bytes: int) -> None:
        self._seen: list[FileSeen] = []
        self._left = hashed_bytes
        self.complete = True

    @property
    def full(self) -> bool:
        """Whether there is no room for more, which is then said in the listing."""
        if len(self._seen) >= MOST_ENTRIES:
            self.complete = False
            return True
        return False

    def may_read(self, size: int) -> bool:
        """Whether a content of that size is still to be read; counts it."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits

    def add(self, path: str, kind: Kind, size: int = 0, sha256: str | None = None) -> None:
        """Take one entry."""
        self._seen.append(FileSeen(path=harmless_path(path), kind=kind, size=size, sha256=sha256))

    def listing(self) -> Listing:
        """What was seen, by path."""
        return Listing(files=tuple(sorted(self._seen, key=lambda seen: seen.path)), complete=self.complete)


def harmless_path(path: str) -> str:
    """A path of bounded length that is UTF-8: bytes that are not, as backslash escapes."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if len(text) <= NAME_CHARACTERS else text[:NAME_CHARACTERS] + "…"


def list_folder(folder: str, hashed_bytes: int = 0) -> Listing | None:
    """What lies below a folder, contents hashed up to so many bytes in all; None where it cannot be opened."""
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    return list_open_folder(top, hashed_bytes)


def list_open_folder(descriptor: int, hashed_bytes: int = 0) -> Listing:
    """The same of a folder that is open, and closed with this."""
    lister = Lister(hashed_bytes)
    _walk(descriptor, "", 0, lister)
    return lister.listing()


def _walk(descriptor: int, prefix: str, depth: int, lister: Lister) -> None:
    """List an open folder, which is closed with it."""
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if lister.full:
                    return
                _look(descriptor, entry.name, prefix, depth, lister)
    except OSError:
        lister.complete = False
    finally:
        os.close(descriptor)


def _look(folder: int, name: str, prefix: str, depth: int, lister: Lister) -> None:
    path = prefix + name
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            lister.add(path, "folder")
            if depth + 1 >= MOST_DEPTH:
                lister.complete = False
                return
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            _walk(os.open(name, flags, dir_fd=folder), f"{path}/", depth + 1, lister)
        elif stat.S_ISREG(status.st_mode):
            read = lister.may_read(status.st_size)
            lister.add(path, "file", status.st_size, _hash_in(folder, name, status.st_size) if read else None)
        else:
            lister.add(path, "link" if stat.S_ISLNK(status.st_mode) else "other")
    except OSError:  # gone meanwhile, or closed to us
        lister.complete = False


def _hash_in(folder: int, name: str, size: int) -> str | None:
    """Of a regular file as long as it is expected to be; None for anything that it became meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = file.read(size + 1)
    except OSError:
        return None
    return hashlib.sha256(content).hexdigest() if len(content) == size else None


def list_inputs(inputs: Mapping[str, bytes | Path]) -> Listing:
    """What a job is given. A host file is hashed again when it looks different."""
    seen = []
    for path in sorted(inputs):
        content = inputs[path]
        if isinstance(content, bytes):
            seen.append(FileSeen(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest()))
            continue
        size, digest = 0, None
        with contextlib.suppress(OSError):
            status = content.stat()
            size = status.st_size
            digest = _hash_of(content, status.st_dev, status.st_ino, status.st_mtime_ns, size)
        seen.append(FileSeen(path=path, size=size, sha256=digest))
    return Listing(files=tuple(seen))


@functools.lru_cache(maxsize=1024)
def _hash_of(path: Path, *_identity: int) -> str:
    """Of a host file of that identity: training data is the same for every trial."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()
