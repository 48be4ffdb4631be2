"""Blobs of a run that is checked whole: each is hashed once, and small ones that are asked for again are kept."""

from __future__ import annotations

from collections import OrderedDict

from rsi.blobs import Blobs

SMALL = 64 * 1024
ROOM = 2 * 1024 * 1024
"""Bytes of small blobs that are kept, the latest asked for."""


class OnceRead:
    """Reads blobs, and knows which it has found whole."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._room = ROOM
        self._whole: set[str] = set()

    def get(self, digest: str) -> bytes:
        """The bytes of that sha256; MissingBlob or IntegrityError where they are gone or altered."""
        kept = self._kept.get(digest)
        if kept is not None:
            self._kept.move_to_end(digest)
            return kept
        data = self._blobs.get(digest)
        self._whole.add(digest)
        if len(data) <= SMALL:
            self._kept[digest] = data
            self._room -= len(data)
            while self._room < 0:
                self._room += len(self._kept.popitem(last=False)[1])
        return data

    def require(self, digest: str) -> None:
        """Read a blob if nobody has; raises what `get` does."""
        if digest not in self._whole:
            self.get(digest)
