"""Files in and out of a cell as tar streams: inputs packed for reading only, outputs read with suspicion and caps."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from rsi.execution import MIB
from sandboxes.outputs import Intake, check_path

IN_MEMORY_BYTES = 64 * MIB


def size_of(inputs: Mapping[str, bytes | Path]) -> int:
    """Bytes of all inputs together."""
    return sum(len(content) if isinstance(content, bytes) else content.stat().st_size for content in inputs.values())


def pack(inputs: Mapping[str, bytes | Path]) -> IO[bytes]:
    """A tar of the inputs, owned by root and readable by all, rewound; in memory up to a size. Close it."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        _pack_into(file, inputs)
        file.seek(0)
    except BaseException:
        with contextlib.suppress(OSError):  # on a full disk, closing fails to write once more
            file.close()
        raise
    return file


def _pack_into(file: IO[bytes], inputs: Mapping[str, bytes | Path]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folders = {str(parent) for name in inputs for parent in PurePosixPath(name).parents} - {"."}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name in sorted(inputs):
            _add(archive, name, inputs[name])


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o444
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        return
    with content.open("rb") as source:
        entry.size = content.stat().st_size
        archive.addfile(entry, source)


def unpack(chunks: Iterable[bytes], intake: Intake) -> None:
    """Take the files of an output folder's tar into the intake; ForbiddenOutput for anything it may not hold.

    Nothing is written to disk and nothing is read that the intake has not admitted. tarfile.TarError where the
    stream breaks off.
    """
    source = Chunks(chunks)
    with tarfile.open(fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            intake.entry()
            name = member.name.removeprefix("./").rstrip("/")
            if member.isdir():
                if name not in ("", "."):
                    check_path(name)
                continue
            intake.admit(name, member.size, regular=member.type in (tarfile.REGTYPE, tarfile.AREGTYPE))
            content = archive.extractfile(member)
            assert content is not None  # a regular file has content
            data = content.read(member.size)
            if len(data) != member.size:
                raise tarfile.ReadError("the stream broke off in a file")
            intake.take(name, data)


class Chunks(io.RawIOBase):
    """A readable over an iterator of chunks; holds one chunk at a time."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = memoryview(b"")  # slices of it copy nothing

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        parts: list[memoryview] = []
        missing = size if size >= 0 else 1 << 62
        while missing > 0:
            if not self._left:
                self._left = memoryview(next(self._chunks, b""))
                if not self._left:
                    break
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
