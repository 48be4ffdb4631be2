"""The two output streams of a guest: kept up to a cap, shown to a watcher, the worker's own lines taken out."""

from __future__ import annotations

import time
from collections.abc import Callable

from rsi.course import Stream, StreamOrder
from rsi.execution import Watch
from sandboxes.arrivals import Arrivals

__all__ = ["Stream", "Streams", "WorkerLine"]

LINE_BYTES = 8192
"""A line of the worker's is far shorter; anything longer after its mark is the program's own output."""

TOLD_BYTES = 256 * 1024
"""Of one program's audit hook; what an honest one tells is bounded far below."""


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
            return self._hold(data, _partial_mark(data, self.mark))
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


def _partial_mark(data: bytes, mark: bytes) -> int:
    """Where at the end of the data a mark may have begun."""
    start = data.rfind(b"\x1e", max(0, len(data) - len(mark) + 1))
    return start if start >= 0 and mark.startswith(data[start:]) else len(data)


class ToldLines:
    r"""Takes every line `\x1e<word> …\n` out of a stream, up to a number of bytes; then they are ordinary output."""

    def __init__(self, word: str, take: Callable[[bytes], object], limit: int = TOLD_BYTES) -> None:
        self._mark = f"\x1e{word} ".encode()
        self._take = take
        self._left = limit
        self._held = b""

    @property
    def flooded(self) -> bool:
        """Whether there were more than an honest hook would tell."""
        return self._left < 0

    def feed(self, data: bytes) -> bytes:
        """What of the stream so far is certainly not such a line."""
        data, self._held = self._held + data, b""
        passed: list[bytes] = []
        at = 0
        while not self.flooded and (start := data.find(self._mark, at)) >= 0:
            begin = start + len(self._mark)
            end = data.find(b"\n", begin, begin + LINE_BYTES + 1)
            if end < 0 and len(data) - begin <= LINE_BYTES:
                self._held = data[start:]
                return b"".join([*passed, data[at:start]])
            # A mark without a line is the program's own; it is passed on, and looked on behind it.
            passed.append(data[at:start] if end >= 0 else data[at:begin])
            at = end + 1 if end >= 0 else begin
            if end >= 0:
                self._left -= at - start
                self._take(data[begin:end])
        until = len(data) if self.flooded else at + _partial_mark(data[at:], self._mark)
        self._held = data[until:]
        return b"".join([*passed, data[at:until]])

    def rest(self) -> bytes:
        """At the end of the stream: what was held back in vain."""
        held, self._held = self._held, b""
        return held


class Streams:
    """What a program printed, both streams together under one cap; what its audit hook `told` is taken out."""

    def __init__(self, nonce: str, limit: int, watch: Watch | None = None, told: ToldLines | None = None) -> None:
        self._limit = limit
        self._watch = watch
        self._told = told
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
        if name == "stderr" and self._told is not None:
            data = self._told.feed(data)
        self._record(name, self._last[name].feed(data))

    def finish(self) -> None:
        """Nothing more will arrive."""
        if self._told is not None:
            self._record("stderr", self._last["stderr"].feed(self._told.rest()))
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
