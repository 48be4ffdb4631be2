"""The runs of a folder as `rsi view` offers them: found by name in a listing, read again only when they changed."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path

from rsi import runs
from rsi.errors import UsageError
from rsi.review.listing import Row, row
from rsi.review.liveness import is_being_written
from rsi.review.notes import NOTES
from rsi.review.otherwise import Judgement
from rsi.review.reading import Reading, read
from rsi.review.verify import VerifyReport, verify
from rsi.review.web.others import others

OPEN_AT_ONCE = 4
"""Runs that are kept as they were read."""

Stamp = tuple[object, ...]
"""What changes when a run does; equal for a run that stands still."""


class Opened:
    """A run as it was read."""

    def __init__(self, reading: Reading, stamp: Stamp) -> None:
        self.reading = reading
        self.stamp = stamp

    @cached_property
    def others(self) -> dict[int, tuple[Judgement, ...]]:
        """What other policies make of its experiments; asked once somebody looks at one."""
        return others(self.reading)


class Shelf:
    """The run folders below a folder, or one run folder itself; nothing in them is changed, locked or executed.

    Safe to be asked from several threads; one run is read at a time.
    """

    def __init__(self, folder: Path) -> None:
        """UsageError where there is no such folder."""
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; name one that holds runs, or a run.")
        self.folder = folder
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Stamp, Row]] = {}
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._verified: dict[str, tuple[Stamp, VerifyReport]] = {}

    def folders(self) -> dict[str, Path]:
        """Name → folder of every run there is now, oldest first; a name that a URL asks for is looked up here."""
        is_run = (self.folder / runs.LEDGER).is_file()
        found = [self.folder] if is_run else runs.list_runs(self.folder)
        named = ((path.resolve().name if is_run else path.name, path) for path in found)
        # A name need not be UTF-8; a URL's has to be.
        return {os.fsencode(name).decode("utf-8", "backslashreplace"): path for name, path in named}

    def rows(self) -> list[tuple[str, Row]]:
        """Name and row of every run, the newest first."""
        listed = []
        for name, folder in reversed(self.folders().items()):
            stamp = stamp_of(folder)
            with self._lock:
                known = self._rows.get(name)
                if known is None or known[0] != stamp:
                    known = self._rows[name] = stamp, row(folder)
            listed.append((name, known[1]))
        return listed

    def open(self, name: str) -> Opened | None:
        """That run as it stands now; None where there is none of the name. IntegrityError where nothing of it holds."""
        folder = self.folders().get(name)
        if folder is None:
            return None
        with self._lock:
            stamp, known = stamp_of(folder), self._opened.get(name)
            if known is None or known.stamp != stamp:
                known = Opened(read(folder, anyway=True), stamp)
                self._opened[name] = known
            self._opened.move_to_end(name)
            while len(self._opened) > OPEN_AT_ONCE:
                self._opened.popitem(last=False)
            return known

    def verified(self, name: str) -> VerifyReport | None:
        """What `rsi verify` says of that run now; no plug-in that the run names is loaded."""
        folder = self.folders().get(name)
        if folder is None:
            return None
        with self._lock:
            stamp, known = stamp_of(folder), self._verified.get(name)
            if known is None or known[0] != stamp:
                known = self._verified[name] = stamp, verify(folder, trust_paths=False)
            return known[1]


def stamp_of(folder: Path) -> Stamp:
    """Of the ledger, the notes, and of whether someone writes."""
    found: list[object] = [is_being_written(folder)]
    for name in (runs.LEDGER, NOTES):
        try:
            status = (folder / name).lstat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
