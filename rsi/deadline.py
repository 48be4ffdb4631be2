"""Wait for trusted code no longer than it may take: a verifier of somebody's own that hangs must not hang the run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Overdue(Exception):
    """No answer came in time."""


def within(seconds: float | None, call: Callable[[], _T]) -> _T:
    """What the call gives or raises; `Overdue` where it takes longer. None waits for ever, in this thread.

    Python cannot end a thread: what is overdue goes on in one that nobody waits for, and ends with the process.
    """
    if seconds is None:
        return call()
    given: list[_T] = []
    raised: list[BaseException] = []

    def answer() -> None:
        try:
            given.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=answer, name="verifier", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not given:
        raise Overdue(f"no answer within {seconds:g} seconds")
    return given[0]
