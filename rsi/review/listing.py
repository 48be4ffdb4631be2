"""`rsi list`: one row a run; a folder whose record does not hold is a row that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi import runs
from rsi.errors import RsiError
from rsi.records import Record
from rsi.review import notes
from rsi.review.improvement import figures, how_sure
from rsi.review.reading import read
from rsi.review.wording import number, one_line, say
from rsi.statistics import Interval


class Row(Record):
    """One run folder."""

    run: str
    folder: str
    status: str
    """`running`, `paused`, `finished`, or `broken`."""
    problem: str = ""
    """Why it is broken."""
    task: str = ""
    metric: str = ""
    experiments: int = 0
    kept: int = 0
    baseline: float | None = None
    best: float | None = None
    certified: Interval | None = None
    """The certified improvement over the baseline."""
    provisional: float | None = None
    """What the incumbent is ahead of the certified code by on dev, untested."""
    sure: str = ""
    grounded: bool = True
    isolated: bool = True
    started: str = ""
    notes: int = 0
    """Of reviewers."""
    suspicious: int = 0
    """Experiments that a reviewer marked so."""
    notes_problem: str = ""
    """Why the notes cannot be read."""


def list_runs(folder: Path) -> list[Row]:
    """Every run below a folder, oldest first."""
    return [row(found) for found in runs.list_runs(folder)]


def row(folder: Path) -> Row:
    """One run folder as a row; one that cannot be read is `broken`, whatever is wrong with it."""
    name, where = one_line(folder.name), one_line(str(folder), 1000)
    try:
        summary = read(folder).summary
    except RsiError as error:
        return Row(run=name, folder=where, status="broken", problem=one_line(str(error), 300))
    except Exception as error:  # a folder from elsewhere may hold anything; the others must still be listed
        return Row(run=name, folder=where, status="broken", problem=one_line(f"{type(error).__name__}: {error}", 300))
    return Row(
        run=name,
        folder=where,
        status=summary.status,
        task=summary.task,
        metric=summary.baseline.metric,
        experiments=summary.experiments,
        kept=summary.kept,
        baseline=summary.baseline.value,
        best=summary.best.value,
        certified=summary.certified.improvement if summary.certified else None,
        provisional=summary.provisional.gain if summary.provisional else None,
        sure=how_sure(summary),
        grounded=summary.grounded,
        isolated=summary.isolated,
        started=summary.started,
        **_noted(folder),
    )


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted = notes.read(folder)
    except (RsiError, OSError) as error:
        return {"notes_problem": one_line(str(error), 300)}
    return {"notes": len(noted), "suspicious": len({note.experiment for note in noted if note.mark == "suspicious"})}


def render(rows: list[Row], console: Console) -> None:
    """The rows as a table."""
    if not rows:
        say(console, "There are no runs here; `rsi run charlm` starts one.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("run", "status", "kept", "certified", "provisional"):
        table.add_column(header, no_wrap=True, overflow="fold")
    table.add_column("how sure", min_width=len("UNGROUNDED,"))
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _cells(row: Row) -> list[Text]:
    if row.status == "broken":
        words = Text(row.problem, style="red")
        return [Text(row.run), Text("broken", style="bold red"), *(Text("") for _ in range(3)), words]
    marked = [word for word, wrong in (("UNGROUNDED", not row.grounded), ("NOT ISOLATED", not row.isolated)) if wrong]
    sure = Text(row.sure)
    if marked:
        sure.append(" " + ", ".join(marked), style="bold red")
    if row.suspicious:
        sure.append(f" {row.suspicious} suspicious", style="yellow")
    if row.notes_problem:
        sure.append(" NOTES ALTERED", style="bold red")
    kept = Text(f"{row.kept} of {row.experiments}")
    return [Text(row.run), Text(row.status), kept, Text(_gained(row.certified)), Text(_hoped(row.provisional)), sure]


def _gained(improvement: Interval | None) -> str:
    if improvement is None or improvement.low is None or improvement.high is None:
        return "-"
    size, low, high = figures(improvement)
    return f"{'-' if improvement.estimate < 0 else '+'}{size} ({low} to {high})"


def _hoped(gain: float | None) -> str:
    return "-" if gain is None else f"{'-' if gain < 0 else '+'}{number(abs(gain))}"
