"""Asks a person whether a proposal shall be trained: shows who says what and the diff, and waits for a line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

from rich.console import Console

from rsi.calls import Interrupted
from rsi.errors import EnvironmentFault
from rsi.events import ExperimentProposed
from rsi.review.highlight import print_highlighted
from rsi.review.wording import one_line, say
from rsi.sanitize import for_terminal

_POLL_SECONDS = 0.2
_READ_BYTES = 4096
_LONGEST_LINE = 1024 * 1024
_YES = frozenset({"y", "yes"})
_NO = frozenset({"", "n", "no"})


class Approval:
    """A `rsi.protocols.Approve` on a terminal or a pipe."""

    def __init__(self, console: Console, stopping: Callable[[], bool], answers: TextIO | None = None) -> None:
        self.console = console
        self.stopping = stopping
        self.answers = answers or sys.stdin
        self._unread = b""
        """Of what was read, the lines that nobody has asked for yet."""

    def __call__(self, proposed: ExperimentProposed, diff: str) -> tuple[bool, str]:
        """Yes, no, or a sentence that says why not, which the proposer is told."""
        say(self.console, f"Experiment {proposed.experiment}: {one_line(proposed.rationale, 1000)}", "bold")
        print_highlighted(for_terminal(diff), self.console)
        self.console.print("Train it? y, n, or why not: ", end="", markup=False)
        line = self._line()
        word = line.strip().lower()
        if word in _YES:
            return True, ""
        return False, "" if word in _NO else line.strip()

    def _line(self) -> str:
        """The next line; Interrupted where the user stops the run instead, EnvironmentFault where nobody is there."""
        # Not by `readline`: it reads ahead, and `select` knows nothing of what lies in its buffer.
        ended = False
        while b"\n" not in self._unread and not ended:
            ready = select.select([self.answers.fileno()], [], [], _POLL_SECONDS)[0]
            if self.stopping():
                raise Interrupted("interrupted by the user")
            if ready:
                data = os.read(self.answers.fileno(), _READ_BYTES)
                ended = not data
                self._unread += data
            if len(self._unread) > _LONGEST_LINE:
                raise EnvironmentFault("What answers whether to train it is no person: its line does not end.")
        if not self._unread:
            raise EnvironmentFault("Nobody answers whether to train it; `rsi resume` the run in a terminal.")
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace")
