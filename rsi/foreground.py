"""A session in the foreground: its screen, what Ctrl-C does, and what is said when it ends."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from rsi.output import console
from rsi.review.approval import Approval
from rsi.review.closing import closing
from rsi.review.progress import Charts
from rsi.review.reading import read
from rsi.review.screen import PlainLines, for_console
from rsi.session import Session


def go(session: Session) -> int:
    """Run a session to its end, watched; returns the exit code.

    The first Ctrl-C ends the trial under way and pauses, the second leaves at once.
    """
    terminal = console()
    presses: list[float] = []

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        presses.append(time.monotonic())
        if len(presses) > 1:
            os._exit(130)
        session.loop.stop()

    handled = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.signal(number, interrupted) for number in handled}
    try:
        # A question needs the terminal to itself.
        asks = session.run.recorder.state.run.configuration.approve
        with PlainLines(terminal) if asks else for_console(terminal) as screen, Charts(session.run.folder) as charts:
            approve = Approval(terminal, lambda: session.loop.stopping) if asks else None
            code = session.go([screen.listener, charts.listener], screen.watch, approve)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    session.run.close()
    closing(read(session.run.folder).summary, terminal)
    return code
