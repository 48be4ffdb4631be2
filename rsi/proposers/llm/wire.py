"""Bounds every response that comes over httpx, whoever made the client: no redirects, no flood, no endless drip.

litellm and its client libraries make their clients in many places and follow redirects in all of them, with keys and
prompts. All of them send through `httpx.HTTPTransport`, so that is where responses are looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING

from rsi.calls import CallFault, Redirected, TimedOut, Unreadable

if TYPE_CHECKING:
    import httpx

_ENVELOPE_BYTES = 256 * 1024
_BYTES_A_TOKEN = 64
"""JSON escapes make six bytes of one, and thoughts come besides the answer."""
_ELSEWHERE_SECONDS = 3600.0
_ELSEWHERE_TOKENS = 1_000_000
"""For what a library sends outside of a call of ours."""


class Bounds:
    """Of one call; `fault` is what was found wrong, whatever the library makes of the exception."""

    def __init__(self, seconds: float, output_tokens: int) -> None:
        self.seconds = seconds
        self.deadline = float("inf")
        """From the first request on; what a library does before it is not the server's time."""
        self.most_bytes = _ENVELOPE_BYTES + _BYTES_A_TOKEN * output_tokens
        self.fault: CallFault | None = None
        self.overflowed = False
        """Whether what went past the bytes was an answer."""
        self._status = 0

    def stop(self, fault: CallFault) -> CallFault:
        """Note the fault, for the caller to raise."""
        self.fault = fault
        return fault

    def begin(self) -> None:
        """A request is about to be sent."""
        self.deadline = min(self.deadline, time.monotonic() + self.seconds)

    def look_at(self, response: httpx.Response) -> None:
        """Raise for what is not to be read at all."""
        self._status = response.status_code
        if 300 <= response.status_code < 400:
            raise self.stop(
                Redirected(f"the server sends us elsewhere ({response.status_code}), which is not followed")
            )
        if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise self.stop(Unreadable("the answer is compressed, though that was not asked for", charged=True))

    def chunks(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes, as long as they keep to the bounds."""
        size = 0
        for chunk in stream:
            size += len(chunk)
            if size > self.most_bytes:
                self.overflowed = self._status == 200
                raise self.stop(Unreadable(f"the answer is longer than {self.most_bytes} bytes", charged=True))
            if time.monotonic() > self.deadline:
                raise self.stop(TimedOut("the answer was not complete in time", charged=True))
            yield chunk


class _Current(threading.local):
    bounds: Bounds | None = None


_current = _Current()


@contextmanager
def bounded(seconds: float, output_tokens: int) -> Iterator[Bounds]:
    """All that this thread receives over httpx within keeps to these bounds."""
    before, _current.bounds = _current.bounds, Bounds(seconds, output_tokens)
    try:
        yield _current.bounds
    finally:
        _current.bounds = before


def install() -> None:
    """Put the guard into httpx, once."""
    import httpx  # noqa: PLC0415 - litellm's, and slow to import

    plain = httpx.HTTPTransport.handle_request
    if hasattr(plain, "__wrapped__"):
        return

    class Stream(httpx.SyncByteStream):
        def __init__(self, inner: httpx.SyncByteStream, bounds: Bounds) -> None:
            self.inner = inner
            self.bounds = bounds

        def __iter__(self) -> Iterator[bytes]:
            return self.bounds.chunks(iter(self.inner))

        def close(self) -> None:
            self.inner.close()

    @wraps(plain)
    def handle_request(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        bounds = _current.bounds or Bounds(_ELSEWHERE_SECONDS, _ELSEWHERE_TOKENS)
        request.headers["Accept-Encoding"] = "identity"
        bounds.begin()
        response = plain(transport, request)
        try:
            bounds.look_at(response)
        except CallFault:
            response.close()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = Stream(response.stream, bounds)
        return response

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign, assignment]
