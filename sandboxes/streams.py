"""The two output streams of a guest: kept up to a cap, shown to a watcher, the worker's own lines taken out."""

from __future__ import annotations

import time

from rsi.course import Stream, StreamOrder
from rsi.execution import Watch
from sandboxes.arrivals import Arrivals

__all__ = ["Stream", "Streams", "WorkerLine"]

LINE_BYTES = 8192
"""A line of the worker's is far shorter; anything longer after its mark is the program's own output."""


class WorkerLine:
    r"""Finds one line `\x1e<word> …\n` in a stream that arrives in pieces; all before it is passed through."""

    def __init__(self, word: str) -> None:
        self.mark = f"\x1e{word} ".encode()
        self.found: bytes | None = None
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of the stream so far is certainly not the line; what follows the line comes back as well."""
        if self.found is not None:
            return data
        data = self._held + data
        start = data.find(self.mark)
        if start < 0:
            return self._hold(data, self._partial_mark(data))
        line, newline, rest = data[start + len(self.mark) :].partition(b"\n")
        if newline and len(line) <= LINE_BYTES:
            self.found, self._held = line, b""
            return data[:start] + rest
        if len(line) <= LINE_BYTES:
            return self._hold(data, start)
        self._held = b""
        after = start + len(self.mark)  # a mark without a line: the program's own; look on behind it
        return data[:after] + self.feed(data[after:])

    def rest(self) -> bytes:
        """At the end of the stream: what was held back in vain."""
        held, self._held = self._held, b""
        return held

    def _hold(self, data: bytes, start: int) -> bytes:
        self._held = data[start:]
        return data[:start]

    def _partial_mark(self, data: bytes) -> int:
        start = data.rfind(b"\x1e", max(0, len(data) - len(self.mark) + 1))
        return start if start >= 0 and self.mark.startswith(data[start:]) else len(data)


class Streams:
    """What a program printed, both streams together under one cap."""

    def __init__(self, nonce: str, limit: int, watch: Watch | None = None) -> None:
        self._limit = limit
        self._watch = watch
        self._last: dict[Stream, WorkerLine] = {"stdout": WorkerLine(nonce), "stderr": WorkerLine(nonce)}
        self._kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.seen: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._arrivals = Arrivals()
        self._began = time.monotonic()

    def begin(self, at: float) -> None:
        """The program starts: times are counted from here, on the monotonic clock."""
        self._began = at

    def feed(self, name: Stream, data: bytes) -> None:
        """Take what arrived on one stream."""
        self._record(name, self._last[name].feed(data))

    def finish(self) -> None:
        """Nothing more will arrive."""
        for name, line in self._last.items():
            self._record(name, line.rest())

    @property
    def trailer(self) -> bytes | None:
        """The worker's last line without its mark, once it is complete."""
        return self._last["stderr"].found

    @property
    def complete(self) -> bool:
        """Whether the worker has told that nothing more comes on either stream."""
        return all(line.found is not None for line in self._last.values())

    @property
    def stdout(self) -> bytes:
        """Standard output, as far as it fitted."""
        return bytes(self._kept["stdout"])

    @property
    def stderr(self) -> bytes:
        """Standard error without the worker's line, as far as it fitted."""
        return bytes(self._kept["stderr"])

    @property
    def discarded(self) -> int:
        """Bytes that were seen and did not fit."""
        return sum(self.seen.values()) - sum(len(kept) for kept in self._kept.values())

    def cut(self, name: Stream) -> int:
        """Bytes of one stream that were seen and did not fit."""
        return self.seen[name] - len(self._kept[name])

    @property
    def order(self) -> StreamOrder:
        """In which order what was kept arrived."""
        return self._arrivals.order()

    def _record(self, name: Stream, data: bytes) -> None:
        if not data:
            return
        room = self._limit - sum(len(kept) for kept in self._kept.values())
        taken = data[: max(0, room)]
        self.seen[name] += len(data)
        self._kept[name] += taken
        if not taken:
            return
        self._arrivals.add(time.monotonic() - self._began, name, len(taken))
        if self._watch is not None:
            self._watch(name, taken)
