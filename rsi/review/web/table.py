"""The table of experiments as compact values, which the page's script sorts, filters, searches and pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rsi.review.lines import Line

COLUMNS = (
    *("experiment", "status", "value", "gain", "seconds", "trials"),
    *("findings", "gravest", "words", "why", "standing"),
)


def rows(lines: Iterable[Line]) -> list[list[Any]]:
    """A list an experiment, in the order of COLUMNS."""
    return [row(line) for line in lines]


def row(line: Line) -> list[Any]:
    """One experiment; its words are cut as a row needs them."""
    return [
        line.experiment,
        "baseline" if line.experiment == 0 else line.status.value,
        line.value,
        line.gain,
        round(line.seconds, 1),
        line.trials,
        line.findings,
        line.gravest.value if line.gravest else "",
        line.words[:200],
        line.why[:120],
        line.standing[:80],
    ]
