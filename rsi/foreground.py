"""A session in the foreground: its screen, what Ctrl-C does, and what is said when it ends."""

from __future__ import annotations

from rsi.interrupts import interruptible
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
    # A question needs the terminal to itself.
    asks = session.run.recorder.state.run.configuration.approve
    with (
        interruptible(session.loop.stop),
        PlainLines(terminal) if asks else for_console(terminal) as screen,
        Charts(session.run.folder) as charts,
    ):
        approve = Approval(terminal, lambda: session.loop.stopping) if asks else None
        code = session.go([screen.listener, charts.listener], screen.watch, approve)
    session.run.close()
    closing(read(session.run.folder).summary, terminal)
    return code
