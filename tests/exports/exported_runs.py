"""What the tests of every format have in common: hostile text, and a run beside the records made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rsi.review.export.gather import Gathering
from rsi.review.export.records import Exported
from rsi.runs import ReadRun, read

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x00\x7f\x9b31m<script>alert(1)</script> \u202egnp\u2028 attachment://x {{7*7}} \U0001f480"
)

PATCHES_OF_TWO = (("VALUE = 1.0", "VALUE = 2.0", "closer"), ("VALUE = 2.0", "VALUE = 2.5", "closer still"))
"""Both kept."""


class Known(NamedTuple):
    """A run, and the records that every format is made from."""

    folder: Path
    run: ReadRun
    records: list[Exported]

    def of(self, record: type[Exported]) -> list[Any]:
        """The records of one kind."""
        return [line for line in self.records if isinstance(line, record)]


def known(folder: Path) -> Known:
    """Read a run."""
    return Known(folder, read(folder), list(Gathering(folder).lines()))
