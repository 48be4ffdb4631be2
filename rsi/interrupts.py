"""What Ctrl-C does to a command that has begun something: once, it comes to an end; twice, it leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(stop: Callable[[], None], leave: Callable[[], None] | None = None) -> Iterator[None]:
    """Until this is left, signals that ask for an end are heeded; afterwards they do what they did before.

    Args:
        stop: Ends what is under way, the first time. It is called between two instructions of the main thread, so it
            must not wait for a lock that this thread may hold.
        leave: What is still to be done the second time, before the process ends at once with exit code 130.
    """
    pressed = False

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            if leave is not None:
                leave()
            os._exit(130)
        pressed = True
        stop()

    before = {number: signal.signal(number, interrupted) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
