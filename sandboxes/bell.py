"""A bell that ends a wait from another thread: how an interruption reaches an execution at once."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from rsi.errors import UsageError


class Interrupted(Exception):
    """Our user asked to stop before a program had been started."""


class Readable(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


def readable(things: Iterable[Readable], seconds: float) -> list[int]:
    """The descriptors that can be read (or are broken) within that time. Unlike `select`, it takes any number."""
    poll = select.poll()
    for thing in things:
        poll.register(thing.fileno(), select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]


class Bell:
    """Rung once, it ends every wait that watches it, now and later."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        """Readable once the bell was rung."""
        return self._reader.fileno()

    def ring(self) -> None:
        """From any thread, any number of times."""
        with contextlib.suppress(OSError):  # closed: nobody waits any more
            self._writer.send(b"!")

    @property
    def rung(self) -> bool:
        """Whether anyone rang."""
        return bool(readable([self], 0.0))

    def raise_if_rung(self) -> None:
        """Interrupted, where anyone rang."""
        if self.rung:
            raise Interrupted

    def close(self) -> None:
        """Give the two descriptors back."""
        self._reader.close()
        self._writer.close()


class Belfry:
    """The bells of all executions of one sandbox: rung together, and waited for at its end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bells: set[Bell] = set()
        self._closed = False

    @contextlib.contextmanager
    def execution(self) -> Iterator[Bell]:
        """For as long as one execution takes; UsageError once the sandbox was closed."""
        with self._changed:
            if self._closed:
                raise UsageError("This sandbox has been closed; make a new one.")
            bell = Bell()
            self._bells.add(bell)
        try:
            yield bell
        finally:
            with self._changed:
                self._bells.remove(bell)
                self._changed.notify_all()
            bell.close()

    def ring(self) -> None:
        """Interrupt every execution under way."""
        with self._changed:
            for bell in self._bells:
                bell.ring()

    def close(self) -> None:
        """Let none begin, interrupt those under way, and wait until they have ended."""
        with self._changed:
            self._closed = True
        self.ring()
        with self._changed:
            self._changed.wait_for(lambda: not self._bells)
