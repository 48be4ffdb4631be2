"""Tar archives as they are made: gigabytes for the engine need no second copy on disk."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Keep = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


def clean_context(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Same content, same layer: no times, owners, caches; readable by any user, whatever the umask here was."""
    if "__pycache__" in member.name:
        return None
    member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def stream(entries: Mapping[str, Path], keep: Keep = clean_context) -> Iterator[bytes]:
    """A tar archive of folders and files as it is made, in blocks, so that gigabytes need no second copy."""
    read_end, write_end = os.pipe()
    failure: list[BaseException] = []

    def write() -> None:
        try:
            with (
                os.fdopen(write_end, "wb", 1 << 20) as sink,
                tarfile.open(fileobj=sink, mode="w|", bufsize=1 << 18) as tar,
            ):
                for name, path in entries.items():
                    tar.add(path, arcname=name, filter=keep)
        except BaseException as error:  # raised again on the reader's side
            failure.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with os.fdopen(read_end, "rb", 1 << 20) as source:
        while block := source.read(1 << 18):
            yield block
    writer.join()
    if failure:
        raise failure[0]
