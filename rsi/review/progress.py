"""`progress.png`: every experiment a dot, the kept ones a staircase, and below it how far dev is ahead of the holdout.

Drawn beside the run, never in its way.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rsi import audits
from rsi.durable import disk_faults
from rsi.errors import RsiError
from rsi.ledger import Event
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.claims import gaps_of, provisional_of
from rsi.review.improvement import headline
from rsi.review.results import write_results
from rsi.review.staircase import Point, points, visible_range
from rsi.review.wording import one_line
from rsi.state import RunState

SECONDS_BETWEEN = 60.0
"""At most one picture a minute: drawing one takes a second of a processor that the training may want."""
_CERTIFIED = "#0a3069"
_COLOURS = {
    ExperimentStatus.KEPT: ("#1a7f37", "o", "kept"),
    ExperimentStatus.DISCARDED: ("#8c959f", "o", "discarded"),
    ExperimentStatus.REJECTED: ("#8250df", "s", "rejected"),
    ExperimentStatus.CRASHED: ("#cf222e", "x", "crashed"),
    ExperimentStatus.REFUSED: ("#bf8700", "x", "refused"),
    ExperimentStatus.UNDECIDED: ("#bf8700", "s", "undecided"),
    ExperimentStatus.REAPPLIED: ("#0969da", "o", "won, and tried again on a newer incumbent"),
}


class Level(Record):
    """What was certified, on the scale of dev: the baseline's value moved by the gain on the holdout."""

    experiment: int
    value: float
    low: float | None
    high: float | None


class Ahead(Record):
    """How much more an experiment gained on dev than on the holdout, in the objective's units."""

    experiment: int
    gap: float
    low: float | None = None
    high: float | None = None
    """Of the gap, where a milestone measured the holdout's side with an interval."""


class GapPanel(Record):
    """What is known of the gap between dev and holdout."""

    audited: tuple[Ahead, ...]
    """As the Ladder released it."""
    milestones: tuple[Ahead, ...]
    limit: float
    """The run halts above it."""


class Picture(Record):
    """All that a picture is drawn from."""

    title: str
    headline: str
    """What is certified and what is provisional; empty for a run that tests nothing."""
    metric: str
    direction: Direction
    plotted: tuple[Point, ...]
    levels: tuple[Level, ...]
    certified: int | None
    """Until which experiment the staircase is drawn whole; None where nothing beyond it is provisional."""
    gap: GapPanel | None
    """None where nothing was audited."""


def picture_of(state: RunState) -> Picture:
    """What to draw; reads the state from the thread that folds it."""
    started = state.run
    ungrounded = "" if started.grounded else "  UNGROUNDED: the number rests on what the candidate writes or prints"
    return Picture(
        title=one_line(started.run, 80) + ungrounded,
        headline=one_line(headline(state), 160),
        metric=one_line(started.objective.metric, 40),
        direction=started.objective.direction,
        plotted=points(state),
        levels=tuple(_levels(state)),
        certified=state.certified if started.configuration.certify and provisional_of(state) is not None else None,
        gap=_gap_panel(state),
    )


def _gap_panel(state: RunState) -> GapPanel | None:
    audited = tuple(Ahead(experiment=number, gap=point.gap) for number, point in audits.by_experiment(state))
    if not audited:
        return None
    return GapPanel(audited=audited, milestones=tuple(_milestone_gaps(state)), limit=audits.plan(state).limit)


def _milestone_gaps(state: RunState) -> Iterator[Ahead]:
    for found in gaps_of(state):
        closed = state.milestones[found.milestone - 1].closed
        gain = closed.improvement if closed is not None else None
        bounds = (None, None) if gain is None else (gain.high, gain.low)
        low, high = (None if bound is None else found.dev_gain - bound for bound in bounds)
        yield Ahead(experiment=found.experiment, gap=found.gap, low=low, high=high)


def _levels(state: RunState) -> Iterator[Level]:
    baseline, sign = state.mean(0), -1.0 if state.run.objective.direction is Direction.MINIMIZE else 1.0
    for milestone in state.milestones:
        gain = milestone.closed.improvement if milestone.closed is not None else None
        if gain is not None and baseline is not None:
            bounds = [None if bound is None else baseline + sign * bound for bound in (gain.low, gain.high)]
            value = baseline + sign * gain.estimate
            yield Level(experiment=milestone.begun.candidate, value=value, low=bounds[0], high=bounds[1])


def write_picture(folder: Path, picture: Picture) -> Path:
    """Draw to a file beside the run's others."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4.5 if picture.gap is None else 6.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = [3] if picture.gap is None else [3, 1]
    axes, *below = figure.subplots(len(panels), sharex=True, height_ratios=panels, squeeze=False)[:, 0]
    _draw(axes, picture)
    if picture.gap is not None:
        _draw_gap(below[0], picture.gap)
    (below[0] if below else axes).set_xlabel("experiment")
    signs = axes.get_legend_handles_labels()
    if signs[0]:
        figure.legend(*signs, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    path, temporary = folder / "progress.png", folder / f".progress.png.{os.getpid()}"
    with disk_faults(path):
        temporary.unlink(missing_ok=True)
        try:
            figure.savefig(temporary, format="png")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)  # half a picture on a full disk
    return path


def _draw(axes: Any, picture: Picture) -> None:
    plotted = picture.plotted
    shown = visible_range(plotted, [y for x in picture.levels for y in (x.value, x.low, x.high) if y is not None])
    title = "\n".join(line for line in (picture.title, picture.headline) if line)
    # Names come from a task of anybody's; a dollar sign must not start matplotlib's formula language.
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    good = "lower" if picture.direction is Direction.MINIMIZE else "higher"
    axes.set_ylabel(f"{picture.metric} on dev ({good} is better)", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if shown is None:
        axes.text(0.5, 0.5, "nothing was scored yet", transform=axes.transAxes, ha="center")
        return
    low, high = shown
    margin = (high - low) * 0.08
    axes.set_ylim(low - margin, high + margin)
    steps = [(point.experiment, point.best) for point in plotted if point.best is not None]
    axes.axhline(steps[0][1], color="#57606a", linewidth=0.8, linestyle=":", label="baseline")
    _draw_staircase(axes, steps, picture.certified)
    for status, (colour, marker, label) in _COLOURS.items():
        dots = [point for point in plotted if point.status is status]
        if dots:
            # What lies outside, or was never scored, is put on the edge, so that no experiment is left out.
            heights = [min(max(high if p.value is None else p.value, low), high) for p in dots]
            axes.scatter([p.experiment for p in dots], heights, c=colour, marker=marker, s=22, label=label, zorder=3)
    _draw_levels(axes, picture)
    _draw_milestones(axes, picture)


def _draw_staircase(axes: Any, steps: list[tuple[int, float]], certified: int | None) -> None:
    """Whole as far as it is certified, dashed where it is provisional; whole in a run that tests nothing."""
    until = steps[-1][0] if certified is None else certified
    style: dict[str, Any] = {"where": "post", "color": _COLOURS[ExperimentStatus.KEPT][0]}
    whole = [step for step in steps if step[0] <= until]
    if whole:
        axes.step(*zip(*whole, strict=True), linewidth=1.5, **style)
    hoped = [step for step in steps if step[0] >= until]
    if len(hoped) > 1:
        label = {} if certified is None else {"label": "provisional"}
        axes.step(*zip(*hoped, strict=True), linewidth=1.2, linestyle="--", **label, **style)


def _draw_levels(axes: Any, picture: Picture) -> None:
    """A line from each certified experiment to the next one, with the interval around it."""
    if not picture.levels:
        return
    ends = [*(level.experiment for level in picture.levels[1:]), picture.plotted[-1].experiment + 0.5]
    for place, (level, end) in enumerate(zip(picture.levels, ends, strict=True)):
        reach = [level.experiment, max(end, level.experiment + 0.5)]
        label = {} if place else {"label": "certified: the baseline and the gain on the holdout"}
        axes.plot(reach, [level.value] * 2, color=_CERTIFIED, linewidth=2.0, **label)
        if level.low is not None and level.high is not None:
            axes.fill_between(reach, level.low, level.high, color=_CERTIFIED, alpha=0.15, linewidth=0)


def _draw_milestones(axes: Any, picture: Picture) -> None:
    """A star where a milestone passed, an empty one where it failed, on the experiment that it tested."""
    for passed, label in ((True, "milestone passed"), (False, "milestone failed")):
        marked = [p for p in picture.plotted if p.milestone is passed and p.value is not None]
        if marked:
            face = _CERTIFIED if passed else "white"
            xs, ys = [p.experiment for p in marked], [p.value for p in marked]
            edge = _CERTIFIED if passed else "#cf222e"
            axes.scatter(xs, ys, marker="*", s=170, facecolor=face, edgecolor=edge, label=label, zorder=4)


def _draw_gap(axes: Any, panel: GapPanel) -> None:
    """Above zero is what the search fitted to dev; past the line at the top the run halts."""
    audited = panel.audited
    axes.set_ylabel("gain on dev\nless on holdout", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.axhline(0.0, color="#57606a", linewidth=0.8, linestyle=":")
    axes.axhline(panel.limit, color="#cf222e", linewidth=1.0, linestyle="--", label="the run halts above")
    xs, ys = [point.experiment for point in audited], [point.gap for point in audited]
    axes.plot(
        xs, ys, color="#9a6700", marker="o", markersize=4, linewidth=1.2, label="audited, to a step of the Ladder"
    )
    for place, point in enumerate(panel.milestones):
        label = {} if place else {"label": "at a milestone"}
        if point.low is not None and point.high is not None:
            axes.vlines(point.experiment, point.low, point.high, color=_CERTIFIED, alpha=0.4, linewidth=4)
        axes.scatter(point.experiment, point.gap, marker="*", s=90, color=_CERTIFIED, zorder=4, **label)
    axes.legend(frameon=False, fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 0.98), borderaxespad=0)


class Charts:
    """Keeps `results.tsv` and `progress.png` up to date while a run goes; a failure of theirs never ends the run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state: RunState | None = None
        self._thread: threading.Thread | None = None
        self._drawn = time.monotonic()
        self._written = 0.0
        self._cost = 0.0
        self._problem = ""

    def listener(self, event: Event, state: RunState) -> None:
        """Take in one event (`rsi.recorder.Listener`)."""
        self._state = state
        if event.kind not in {"experiment.closed", "milestone.tested", "milestone.closed"}:
            return
        now = time.monotonic()
        # The table is written whole: in a run of thousands not after each, lest it take a fiftieth of the time.
        if now - self._written >= 50 * self._cost:
            self._attempt_results(state)
            self._cost, self._written = time.monotonic() - now, time.monotonic()
        idle = self._thread is None or not self._thread.is_alive()
        if idle and now - self._drawn >= SECONDS_BETWEEN:
            self._drawn = now
            self._thread = threading.Thread(target=self._attempt, args=(picture_of(state),), name="progress.png")
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._state is not None and self._state.started is not None:
            self._attempt_results(self._state)
            self._attempt(picture_of(self._state))
        if self._problem:
            print(f"results.tsv or progress.png could not be written: {self._problem}", file=sys.stderr)

    def _attempt_results(self, state: RunState) -> None:
        try:
            write_results(self.folder, state)
        except (OSError, RsiError) as error:
            self._problem = str(error)

    def _attempt(self, picture: Picture) -> None:
        try:
            write_picture(self.folder, picture)
        except Exception as error:  # a picture is worth no run; whatever the plotting library raises is told at the end
            self._problem = str(error)
