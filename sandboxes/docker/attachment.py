"""The attached streams of one container: bytes in, frames out."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from sandboxes.bell import Bell, readable
from sandboxes.docker.engine import translated
from sandboxes.streams import Stream

HEADER = struct.Struct(">BxxxL")
NAMES: dict[int, Stream] = {1: "stdout", 2: "stderr"}


class Attachment:
    """A hijacked connection to a container's standard streams, opened before the container starts."""

    def __init__(self, api: Any, container: str) -> None:
        with translated():
            self._file = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._socket: socket.socket = getattr(self._file, "_sock", self._file)
        self._socket.settimeout(10.0)
        self._buffer = b""
        self.ended = False

    def send(self, data: bytes) -> None:
        """Where nobody reads any more, that shows in `ended`."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.ended = True

    def receive(self, seconds: float, bell: Bell | None = None) -> list[tuple[Stream, bytes]]:
        """What arrives within that time; returns early when something came, at the end, or when the bell rings."""
        if self.ended:
            return []
        pending = getattr(self._socket, "pending", None)  # encrypted connections keep a buffer of their own
        waiting = not (pending and pending())
        if waiting and self._socket.fileno() not in readable([self._socket, *([bell] if bell else [])], seconds):
            return []
        try:
            data = self._socket.recv(1 << 18)
        except OSError:
            data = b""
        self.ended = not data
        self._buffer += data
        return self._frames()

    def _frames(self) -> list[tuple[Stream, bytes]]:
        frames: list[tuple[Stream, bytes]] = []
        start = 0
        while len(self._buffer) >= start + HEADER.size:
            kind, size = HEADER.unpack_from(self._buffer, start)
            end = start + HEADER.size + size
            if len(self._buffer) < end:
                break
            if kind in NAMES:
                frames.append((NAMES[kind], self._buffer[start + HEADER.size : end]))
            start = end
        self._buffer = self._buffer[start:]
        return frames

    def close(self) -> None:
        """Hang up; the worker's standard input closes with it."""
        self.ended = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # The response first: closed after its socket, it would complain when it is collected.
        for thing in (getattr(self._file, "_response", None), self._file, self._socket):
            if thing is not None:
                with contextlib.suppress(OSError, ValueError):
                    thing.close()
