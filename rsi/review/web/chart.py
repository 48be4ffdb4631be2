"""Where the lines and dots of the pictures lie: plain numbers, drawn as SVG by a template or by the page's script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rsi.course import Series
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.executions import short_size
from rsi.review.staircase import Point, visible_range
from rsi.review.summary import RunSummary
from rsi.review.wording import number

WIDTH, HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 16, 40
_MOST_SAMPLES = 240


class Dot(Record):
    """One experiment in the staircase."""

    experiment: int
    x: float
    y: float
    look: str
    """`kept`, `other`, `failed` (no score), and after it `passed` or `missed` where a milestone tested its code."""
    words: str


class Tick(Record):
    """A label on an axis."""

    at: float
    text: str


class Staircase(Record):
    """The staircase of a run, in a box of WIDTH by HEIGHT units."""

    line: str
    """An SVG path: what the incumbent measured."""
    dots: tuple[Dot, ...]
    values: tuple[Tick, ...]
    experiments: tuple[Tick, ...]
    caption: str


NOTHING_YET = Staircase(line="", dots=(), values=(), experiments=(), caption="Nothing has been scored yet")
"""What is drawn of a run that has only begun, so that there is something to draw in once it has come further."""


class Step(Record):
    """A run's staircase among others."""

    run: str
    line: str


def staircase(points: Sequence[Point], metric: str, direction: Direction) -> Staircase | None:
    """Every closed experiment as a dot, the incumbent as a line; None where nothing was scored."""
    shown = visible_range(points)
    if shown is None:
        return None
    low, high = shown
    margin = (high - low) * 0.06
    low, high = low - margin, high + margin
    span = max(1, points[-1].experiment)
    dots = tuple(
        _dot(point, _x(point.experiment, span), low, high, metric, (shown[1] - shown[0]) / 40) for point in points
    )
    return Staircase(
        line=_steps(points, span, low, high),
        dots=dots,
        values=_values(low, high),
        experiments=tuple(Tick(at=_x(n, span), text=str(n)) for n in _round_numbers(0, span, 8, whole=True)),
        caption=f"{metric} of every experiment; {'lower' if direction is Direction.MINIMIZE else 'higher'} is better",
    )


class Overlaid(Record):
    """The staircases of several runs on the same axes."""

    lines: tuple[Step, ...]
    values: tuple[Tick, ...]
    experiments: tuple[Tick, ...]


def overlaid(runs: Sequence[tuple[str, Sequence[Point]]]) -> Overlaid | None:
    """Of the same metric; None where none has a score."""
    ranges = [found for _, points in runs if (found := visible_range(points)) is not None]
    if not ranges:
        return None
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    margin = (high - low) * 0.06
    low, high = low - margin, high + margin
    span = max(1, *(points[-1].experiment for _, points in runs if points))
    lines = tuple(Step(run=run, line=_steps(points, span, low, high)) for run, points in runs)
    ticks = tuple(Tick(at=_x(n, span), text=str(n)) for n in _round_numbers(0, span, 8, whole=True))
    return Overlaid(lines=lines, values=_values(low, high), experiments=ticks)


def _values(low: float, high: float) -> tuple[Tick, ...]:
    rounded = _round_numbers(low, high, 5)
    step = abs(rounded[1] - rounded[0]) if len(rounded) > 1 else (high - low)
    return tuple(Tick(at=_y(value, low, high), text=number(value, step * 10)) for value in rounded)


def _x(experiment: float, span: int) -> float:
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (experiment + 0.5) / (span + 1), 1)


def _y(value: float, low: float, high: float) -> float:
    share = (min(max(value, low), high) - low) / (high - low)
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


def _dot(point: Point, x: float, low: float, high: float, metric: str, resolution: float) -> Dot:
    scored = point.value is not None and math.isfinite(point.value)
    look = "failed" if not scored else "kept" if point.status is ExperimentStatus.KEPT else "other"
    y = _y(point.value, low, high) if scored and point.value is not None else HEIGHT - _BOTTOM
    became = "baseline" if point.experiment == 0 else point.status.value
    words = f"experiment {point.experiment}, {became}"
    words += f": {metric} {number(point.value, resolution)}" if scored else ", no score"
    if point.milestone is not None:
        look += " passed" if point.milestone else " missed"
        words += ", certified" if point.milestone else ", its milestone failed"
    return Dot(experiment=point.experiment, x=x, y=y, look=look, words=words)


def _steps(points: Sequence[Point], span: int, low: float, high: float) -> str:
    path, before = "", None
    for point in points:
        if point.best is None:
            continue
        x, y = _x(point.experiment, span), _y(point.best, low, high)
        path += f"M{x} {y}" if before is None else f"H{x}V{y}" if y != before else ""
        before = y
    return f"{path}H{_x(span, span) + 4}" if path else ""


def _round_numbers(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """At most that many round numbers between two."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step)
    found = [step * index for index in range(first, first + most + 2) if step * index <= high]
    return [int(value) for value in found] if whole else found


# --- how far dev is ahead of the holdout ----------------------------------------------------------------------------


class GapRow(Record):
    """What was gained on dev and on the holdout at one moment; `…_at` are shares of the chart's width, 0 to 100."""

    when: str
    dev: float
    holdout: float
    gap: float
    dev_at: float
    holdout_at: float
    zero_at: float


def gap_rows(summary: RunSummary) -> tuple[GapRow, ...]:
    """Milestones that passed, then the looks at the holdout in between, as far as the Ladder tells."""
    seen = [(f"milestone {gap.milestone}", gap.dev_gain, gap.holdout_gain) for gap in summary.gap]
    seen += [(f"after {point.trials_spent} trials", point.dev_gain, point.holdout_gain) for point in summary.audits]
    values = [0.0, *(value for _, dev, holdout in seen for value in (dev, holdout) if math.isfinite(value))]
    low, high = min(values), max(values)
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return round(4 + 92 * (value - low) / width, 2)

    return tuple(
        GapRow(when=when, dev=dev, holdout=held, gap=dev - held, dev_at=at(dev), holdout_at=at(held), zero_at=at(0.0))
        for when, dev, held in seen[:200]
        if math.isfinite(dev) and math.isfinite(held)
    )


# --- what an execution used over time -------------------------------------------------------------------------------


class Curve(Record):
    """One resource over time, in a box of 240 by 56 units."""

    name: str
    line: str
    top: str
    """What its highest point stands for."""
    seconds: float


def curves(series: Series) -> tuple[Curve, ...]:
    """CPU as cores in use, the rest as it was seen; a resource that was not measured has no curve."""
    found = [_curve("CPU cores", series.seconds, _rates(series.seconds, series.cpu_seconds), lambda v: f"{v:.2g}")]
    counted = (
        ("memory", series.memory_bytes),
        ("processes", series.processes),
        ("read", series.read_bytes),
        ("written", series.written_bytes),
        ("files held", series.stored_bytes),
    )
    for name, column in counted:
        if column is not None:
            plain = name == "processes"
            found.append(_curve(name, series.seconds, column, (lambda v: f"{v:.0f}") if plain else _bytes))
    return tuple(curve for curve in found if curve is not None)


def _bytes(value: float) -> str:
    return short_size(round(value))


def _rates(seconds: Sequence[float], sums: Sequence[float | None]) -> list[float | None]:
    rates: list[float | None] = []
    then, before = 0.0, 0.0
    for now, value in zip(seconds, sums, strict=False):
        if value is None or not now > then:
            rates.append(None)
            continue
        rates.append(max(0.0, (value - before) / (now - then)))
        then, before = now, value
    return rates


def _curve(
    name: str, seconds: Sequence[float], column: Sequence[float | None], told: Callable[[float], str]
) -> Curve | None:
    points = [
        (second, value)
        for second, value in zip(seconds, column, strict=False)
        if value is not None and math.isfinite(value) and math.isfinite(second)
    ]
    if len(points) < 2:
        return None
    top, last = max(value for _, value in points), max(points[-1][0], 1e-9)
    # Of so many samples that they would lie on each other, the highest of each stretch is drawn.
    stretch = max(1, math.ceil(len(points) / _MOST_SAMPLES))
    drawn = [max(points[i : i + stretch], key=lambda point: point[1]) for i in range(0, len(points), stretch)]
    places = (f"{240 * second / last:.1f} {54 - 52 * (value / top if top else 0):.1f}" for second, value in drawn)
    return Curve(name=name, line="M" + "L".join(places), top=told(top), seconds=points[-1][0])
