"""The staircase of a run as text: every scored experiment a dot, the best so far a line that steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.wording import number
from rsi.state import RunState

_UNICODE = {"passed": "◆", "not shown": "◇", "kept": "●", "other": "·", "line": "─", "failed": "x", "rise": "│"}
_ASCII = {"passed": "C", "not shown": "F", "kept": "o", "other": ".", "line": "-", "failed": "x", "rise": "|"}


class Point(Record):
    """One experiment on the plot."""

    experiment: int
    value: float | None
    """None where nothing was scored."""
    status: ExperimentStatus
    best: float | None
    """What the incumbent measured once this experiment was over."""
    milestone: bool | None = None
    """Whether the milestone that tested its code passed; None where none did, or not yet."""


def points(state: RunState) -> tuple[Point, ...]:
    """Every closed experiment in order, the baseline first."""
    found: list[Point] = []
    tested = {m.begun.candidate: m.tested.passed for m in state.milestones if m.tested is not None}
    best = None
    for experiment, entry in state.experiments.items():
        if entry.closed is None:
            continue
        value = state.mean(experiment)
        if entry.status is ExperimentStatus.KEPT and value is not None:
            best = value
        milestone = tested.get(experiment)
        found.append(Point(experiment=experiment, value=value, status=entry.status, best=best, milestone=milestone))
    return tuple(found)


def visible_range(plotted: Sequence[Point], besides: Sequence[float] = ()) -> tuple[float, float] | None:
    """Lowest and highest value worth showing: the staircase and as much again; disasters lie on the edge.

    `besides` are further values that are to be seen.
    """
    steps = [point.best for point in plotted if point.best is not None]
    values = [point.value for point in plotted if point.value is not None]
    if not steps or not values:
        return None
    low, high = min(steps), max(steps)
    reach = (high - low) or max(abs(value - low) for value in values) or abs(low) * 0.01 or 1.0
    low, high = max(min(values), low - reach), min(max(values), high + reach)
    low, high = min((low, *besides)), max((high, *besides))
    return (low, high) if high > low else (low - reach / 2, high + reach / 2)


def draw(plotted: Sequence[Point], width: int, height: int, direction: Direction, unicode: bool) -> list[str]:
    """Rows of a plot of at most `width` columns, axis labels included; none where there is nothing to show."""
    shown = visible_range(plotted)
    if shown is None or width < 24:
        return []
    low, high = shown
    step = (high - low) / 4
    labels = number(high, step), number(low, step)
    margin = max(map(len, labels)) + 2
    columns = max(1, min(width - margin, max(len(plotted), 40)))
    signs = _UNICODE if unicode else _ASCII
    rows = [[" "] * columns for _ in range(height)]

    def place(value: float) -> int:
        share = (min(max(value, low), high) - low) / (high - low)
        return round((1 - share) * (height - 1))

    span = max(len(plotted) - 1, 1)
    where = [round(index * (columns - 1) / span) if span else 0 for index in range(len(plotted))]
    _draw_line(rows, plotted, where, place, signs)
    for point, column in zip(plotted, where, strict=True):
        if point.value is not None and math.isfinite(point.value):
            kept = point.status is ExperimentStatus.KEPT
            row = place(point.value)
            marked = rows[row][column] in {signs["passed"], signs["not shown"]}
            if (kept and not marked) or rows[row][column] in {" ", signs["line"], signs["rise"]}:
                rows[row][column] = signs[_sign(point)]
        elif rows[-1][column] == " ":
            rows[-1][column] = signs["failed"]
    names = {0: labels[0], height - 1: labels[1]}
    drawn = [f"{names.get(index, ''):>{margin - 2}} {signs['rise']}{''.join(row)}" for index, row in enumerate(rows)]
    good = "lower" if direction is Direction.MINIMIZE else "higher"
    axis = f"0 … {plotted[-1].experiment}" if unicode else f"0 .. {plotted[-1].experiment}"
    caption = f"{'':>{margin}}experiment {axis}, {good} is better{_legend(plotted, signs)}"
    return [row[:width].rstrip() for row in (*drawn, caption)]


def _sign(point: Point) -> str:
    if point.milestone is not None:
        return "passed" if point.milestone else "not shown"
    return "kept" if point.status is ExperimentStatus.KEPT else "other"


def _legend(plotted: Sequence[Point], signs: dict[str, str]) -> str:
    outcomes = {point.milestone for point in plotted}
    words = [f"{signs['passed']} certified"] if True in outcomes else []
    words += [f"{signs['not shown']} milestone failed"] if False in outcomes else []
    return "".join(f", {word}" for word in words)


def _draw_line(
    rows: list[list[str]],
    plotted: Sequence[Point],
    where: Sequence[int],
    place: Callable[[float], int],
    signs: dict[str, str],
) -> None:
    ends = [*where[1:], where[-1] + 1]
    before: int | None = None
    for point, column, end in zip(plotted, where, ends, strict=True):
        if point.best is None:
            continue
        row = place(point.best)
        if before is not None and before != row:
            for between in range(min(before, row) + 1, max(before, row)):
                rows[between][column] = signs["rise"]
        for cell in range(column, max(end, column + 1)):
            if cell < len(rows[0]):
                rows[row][cell] = signs["line"]
        before = row


def renderable(plotted: Sequence[Point], console: Console, direction: Direction, height: int = 8) -> Text:
    """The plot for that console: in its width, and in ASCII where it cannot show more."""
    unicode = not console.options.ascii_only and not console.legacy_windows
    rows = draw(plotted, min(console.width, 100), height, direction, unicode)
    return Text("\n".join(rows), no_wrap=True, overflow="crop")
