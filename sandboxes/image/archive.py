"""Tar archives that depend on content alone: no times, owners or order of the machine that they were made on."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

SOURCE_EPOCH = 1767225600
"""Every file's time and the image's: 2026-01-01T00:00:00Z. A fixed one, so that the same content has one digest."""
BLOCK = 1 << 18


class Entry(NamedTuple):
    """One file, folder or symbolic link of an archive, with how to read it."""

    name: str
    kind: bytes
    mode: int
    target: str = ""
    """Of a symbolic link."""
    size: int = 0
    read: Callable[[], IO[bytes]] = io.BytesIO

    @property
    def is_folder(self) -> bool:
        """Neither a file nor a link."""
        return self.kind == tarfile.DIRTYPE

    def member(self) -> tarfile.TarInfo:
        """The header: what is not content is the same for every file."""
        info = tarfile.TarInfo(self.name)
        info.type, info.mode, info.linkname, info.size = self.kind, self.mode, self.target, self.size
        info.mtime = SOURCE_EPOCH
        return info


def of_bytes(name: str, content: bytes) -> Entry:
    """A file with that content, readable by anyone."""
    return Entry(name, tarfile.REGTYPE, 0o644, size=len(content), read=lambda: io.BytesIO(content))


def folder_named(name: str) -> Entry:
    """A folder that anyone may look into."""
    return Entry(name, tarfile.DIRTYPE, 0o755)


def of_file(name: str, path: Path) -> Entry:
    """A file of the host, readable by anyone whatever its mode here."""
    facts = path.stat()
    mode = 0o755 if facts.st_mode & 0o100 else 0o644
    return Entry(name, tarfile.REGTYPE, mode, size=facts.st_size, read=lambda: path.open("rb"))


def of_folder(path: Path, name: str = "", *, exact_modes: bool = False) -> Iterator[Entry]:
    """Everything below a folder; the caches of an interpreter, sockets and devices stay out.

    Args:
        path: the folder.
        name: the folder that its files lie in within the archive.
        exact_modes: keep modes (of a whole system's tree) but for set-user-id bits; else all is readable by anyone.
    """
    for place, folders, files in os.walk(path):
        folders[:] = [folder for folder in folders if folder != "__pycache__"]
        for file in (*folders, *files):
            source = Path(place) / file
            relative = str(PurePosixPath(name) / source.relative_to(path).as_posix())
            facts = source.lstat()
            if stat.S_ISLNK(facts.st_mode):
                yield Entry(relative, tarfile.SYMTYPE, 0o777, target=str(source.readlink()))
            elif stat.S_ISDIR(facts.st_mode):
                yield Entry(relative, tarfile.DIRTYPE, facts.st_mode & 0o1777 if exact_modes else 0o755)
            elif stat.S_ISREG(facts.st_mode):
                entry = of_file(relative, source)
                yield entry._replace(mode=facts.st_mode & 0o777) if exact_modes else entry


def of_archive(archive: tarfile.TarFile) -> Iterator[Entry]:
    """Everything in an archive that an engine made; a hard link becomes a file of its own, a device stays out."""
    for member in archive.getmembers():
        name = str(PurePosixPath(member.name))
        if member.issym():
            yield Entry(name, tarfile.SYMTYPE, 0o777, target=member.linkname)
        elif member.isdir():
            yield Entry(name, tarfile.DIRTYPE, member.mode & 0o1777)
        elif member.isreg() or member.islnk():
            source = archive.getmember(member.linkname) if member.islnk() else member
            yield Entry(name, tarfile.REGTYPE, source.mode & 0o777, size=source.size, read=_reader(archive, source))


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        found = archive.extractfile(member)
        assert found is not None  # a regular file has content
        return found

    return read


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted by name, each name once (the last one given), every folder that leads to one before it."""
    known = {entry.name: entry for entry in entries if entry.name not in (".", "")}
    for name in [*known]:
        for parent in PurePosixPath(name).parents:
            if str(parent) != ".":
                known.setdefault(str(parent), folder_named(str(parent)))
    return [known[name] for name in sorted(known)]


def write(sink: IO[bytes], entries: Iterable[Entry]) -> None:
    """The archive of these entries in this order. Raises OSError where a file cannot be read whole."""
    with tarfile.open(fileobj=sink, mode="w|", bufsize=BLOCK, format=tarfile.GNU_FORMAT) as tar:
        for entry in entries:
            with entry.read() as source:
                tar.addfile(entry.member(), source)


class _Hashing(io.RawIOBase):
    """A file being written, and the hash of what went into it."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.state = hashlib.sha256()
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.state.update(data)
        return self._sink.write(data)


def write_hashed(path: Path, entries: Iterable[Entry]) -> str:
    """Write the archive to a file; the sha256 of all of it, in hexadecimal."""
    with path.open("wb") as sink:
        hashing = _Hashing(sink)
        write(hashing, entries)  # type: ignore[arg-type]
        return hashing.state.hexdigest()


def stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive as it is made, in blocks, so that gigabytes need no second copy."""
    read_end, write_end = os.pipe()
    failure: list[BaseException] = []

    def write_all() -> None:
        try:
            with os.fdopen(write_end, "wb", 1 << 20) as sink:
                write(sink, entries)
        except BaseException as error:  # raised again on the reader's side
            failure.append(error)

    writer = threading.Thread(target=write_all, daemon=True)
    writer.start()
    with os.fdopen(read_end, "rb", 1 << 20) as source:
        while block := source.read(BLOCK):
            yield block
    writer.join()
    if failure:
        raise failure[0]
