"""A study as a table that a person reads: a row an arm, its last generation, each mean with its interval."""

from __future__ import annotations

from rich.table import Table

from rsi.statistics import Interval
from studies.collapse.findings import DIGITS, Findings
from studies.collapse.measures import LABELS

HEADINGS = {
    "bits_per_byte": "holdout bits/byte",
    "entropy": "entropy",
    "distinct": "distinct runs",
    "reached": "real runs",
    "rare": "rare bytes",
}


def table(found: Findings) -> Table:
    """The first generation, common to all arms, then the last of each; 95% intervals over seeds, each for itself."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("arm", no_wrap=True)
    shown.add_column("generation", justify="right")
    for measure in LABELS:
        shown.add_column(HEADINGS[measure], justify="right")
    rows = [("all", 0), *((arm.name, found.last) for arm in found.design.arms if found.last > 0)]
    for name, generation in rows if found.last >= 0 else ():
        cells = (_cell(found.level(name, generation, measure), DIGITS[measure]) for measure in LABELS)
        shown.add_row(name, f"{generation}", *cells)
    return shown


def _cell(level: Interval, digits: int) -> str:
    if level.low is None or level.high is None:
        return f"{level.estimate:.{digits}f}"
    return f"{level.estimate:.{digits}f} ± {level.high - level.estimate:.{digits}f}"
