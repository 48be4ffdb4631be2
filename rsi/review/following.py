"""A run that is going on, read as it grows: each event once, checked against the chain, with what it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rsi import events as e
from rsi.chain import Event, Scan, make_event, open_to_read
from rsi.records import Record


class Follower:
    """Reads a ledger from its beginning on, as far as it goes by then, however often it is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        """Why nothing more is read: the first event that does not hold."""
        self.torn_bytes = 0
        """Of a line that its writer has not ended yet, or never will."""
        self._file: BinaryIO | None = None
        self._scan: Scan | None = None

    def news(self) -> Iterator[Event]:
        """The events since the last time; UsageError where there is no file. Nothing after a problem."""
        if self.problem:
            return
        if self._file is None:
            self._file = open_to_read(self.path)
        scan = Scan(self.path, self._file)
        if self._scan is not None:
            scan.at = self._scan.at
        if os.fstat(self._file.fileno()).st_size < scan.at.offset:
            self.problem = (
                f"{self.path} became shorter while it was read: what followed event {scan.at.events} is gone."
            )
            return
        self._file.seek(scan.at.offset)
        self._scan = scan
        for fields in scan:
            yield make_event(fields)
        self.problem = scan.problem.sentence if scan.problem else ""
        self.torn_bytes = len(scan.torn)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


class Belonging:
    """Which experiment each event belongs to, learnt from the events themselves, in order."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, object], int] = {}

    def take(self, event: Event, body: Record | None) -> int | None:
        """The experiment of the next event; None for one of the run as a whole."""
        match body:
            case e.TrialStarted():
                self._known["trial", body.trial] = body.experiment
            case e.MilestoneBegun():
                self._known["milestone", body.milestone] = body.candidate
            case e.AblationBegun():
                self._known["ablation", body.ablation] = body.base
            case e.CallReserved():
                self._known["reservation", body.reservation] = body.experiment
        number = named_in(event, body)
        if number is not None:
            return number
        for name in ("ablation", "milestone", "trial", "reservation"):
            value = event.body.get(name) if body is None else getattr(body, name, None)
            if isinstance(value, str | int) and (name, value) in self._known:
                return self._known[name, value]
        return None


def named_in(event: Event, body: Record | None) -> int | None:
    """The experiment that an event itself names.

    As it is folded: a record may write the number as a text, which is read as that number everywhere else.
    """
    number = event.body.get("experiment") if body is None else getattr(body, "experiment", None)
    return number if isinstance(number, int) else None
