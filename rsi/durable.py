"""Files that survive a crash: written whole or not at all, on disk before a call returns; read without following links.

A run folder may come from elsewhere, so reading refuses whatever is not a plain file: links lead out of the folder,
and a pipe would block for ever.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rsi.errors import EnvironmentFault, IntegrityError

UNFINISHED = "tmp_obj_"
"""Before the names of files that are not in their place yet."""


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a sentence for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EnvironmentFault(
            f"{path} cannot be written: {reason}; nothing of it was kept. Make room or give access, then resume."
        ) from error


def open_regular(path: Path, flags: int) -> int:
    """A descriptor of a plain file; IntegrityError for anything else, FileNotFoundError where there is nothing."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink() or not path.is_file():
            raise _not_plain(path) from None
        raise EnvironmentFault(f"{path} cannot be opened: {error.strerror}; check its permissions.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_plain(path)
    return descriptor


def _not_plain(path: Path) -> IntegrityError:
    return IntegrityError(f"{path} is a link or no plain file, so it is not read; put the file itself there.")


def read_regular(path: Path, at_most: int) -> bytes:
    """All bytes of a plain file; IntegrityError where it is longer than `at_most` or no plain file."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        pieces, left = [], at_most + 1 if size <= at_most else 0
        while left and (piece := os.read(descriptor, min(left, max(size + 1, 1 << 16)))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
    data = b"".join(pieces)
    if size > at_most or len(data) > at_most:
        raise IntegrityError(f"{path} is longer than {at_most} bytes, which nothing of this program writes there.")
    return data


def make_folder(path: Path, *, durable: bool = True) -> None:
    """Make a folder and those above it; IntegrityError where a link stands in its place."""
    if path.is_symlink():
        raise IntegrityError(f"{path} is a link, so nothing is read or written there; put the folder itself there.")
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent, durable=durable)
    with suppress(FileExistsError):
        path.mkdir()
    if durable:
        sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, staging: Path, durable: bool = True) -> None:
    """Put a file in place at once, by way of a temporary one in `staging` (on the same file system)."""
    temporary = staging / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make a file that was written earlier durable, its name included."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make names that were added to or removed from a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
