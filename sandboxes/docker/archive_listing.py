"""What lies in an output folder that may not come out: its tar stream read for names, sizes and hashes alone."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable

from rsi.course import Listing
from sandboxes.docker.collect import Chunks
from sandboxes.listing import BLOCK, Kind, Lister


def list_archive(chunks: Iterable[bytes], most_bytes: int, hashed_bytes: int) -> Listing:
    """A listing of what is in the stream's first `most_bytes` of contents; nothing of it is kept."""
    lister = Lister(hashed_bytes)
    source = Chunks(chunks)
    try:
        with tarfile.open(fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                if name in ("", "."):
                    continue
                if lister.full:
                    break
                read = member.isfile() and member.size <= most_bytes and lister.may_read(member.size)
                digest = _hash(archive, member) if read else None
                lister.add(name, _kind(member), member.size if member.isfile() else 0, digest)
                most_bytes -= member.size if member.isfile() else 0
                if most_bytes < 0:  # sparse files come at full size: what is behind this one is not waited for
                    lister.complete = False
                    break
    except tarfile.TarError:
        lister.complete = False
    return lister.listing()


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return "folder"
    if member.issym() or member.islnk():
        return "link"
    return "file" if member.isfile() else "other"


def _hash(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    """None where the stream broke off."""
    content = archive.extractfile(member)
    assert content is not None  # a regular file has content
    state, left = hashlib.sha256(), member.size
    while left > 0 and (block := content.read(min(BLOCK, left))):
        state.update(block)
        left -= len(block)
    return None if left else state.hexdigest()
