"""`progress.png`: every experiment a dot, the kept ones a staircase; drawn beside the run, never in its way."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rsi.durable import disk_faults
from rsi.errors import RsiError
from rsi.ledger import Event
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.results import write_results
from rsi.review.staircase import Point, points, visible_range
from rsi.review.wording import one_line
from rsi.state import RunState

SECONDS_BETWEEN = 60.0
"""At most one picture a minute: drawing one takes a second of a processor that the training may want."""
_COLOURS = {
    ExperimentStatus.KEPT: ("#1a7f37", "o", "kept"),
    ExperimentStatus.DISCARDED: ("#8c959f", "o", "discarded"),
    ExperimentStatus.REJECTED: ("#8250df", "s", "rejected"),
    ExperimentStatus.CRASHED: ("#cf222e", "x", "crashed"),
    ExperimentStatus.REFUSED: ("#bf8700", "x", "refused"),
    ExperimentStatus.UNDECIDED: ("#bf8700", "s", "undecided"),
    ExperimentStatus.REAPPLIED: ("#0969da", "o", "won, and tried again on a newer incumbent"),
}


class Picture(Record):
    """All that a picture is drawn from."""

    title: str
    metric: str
    direction: Direction
    plotted: tuple[Point, ...]


def write_progress(folder: Path, state: RunState) -> Path:
    """Draw the picture anew, whole or not at all; EnvironmentFault where it cannot be written."""
    return write_picture(folder, picture_of(state))


def picture_of(state: RunState) -> Picture:
    """What to draw; reads the state from the thread that folds it."""
    started = state.run
    ungrounded = "" if started.grounded else "  UNGROUNDED: the candidate's own word"
    return Picture(
        title=one_line(started.run, 80) + ungrounded,
        metric=one_line(started.objective.metric, 40),
        direction=started.objective.direction,
        plotted=points(state),
    )


def write_picture(folder: Path, picture: Picture) -> Path:
    """Draw to a file beside the run's others."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    # Names come from a task of anybody's; a dollar sign must not start matplotlib's formula language.
    _draw(figure.add_subplot(), picture)
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
    shown = visible_range(plotted)
    axes.set_title(picture.title, loc="left", fontsize=10, parse_math=False)
    axes.set_xlabel("experiment")
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
    axes.step([x for x, _ in steps], [y for _, y in steps], where="post", color="#1a7f37", linewidth=1.5)
    for status, (colour, marker, label) in _COLOURS.items():
        dots = [point for point in plotted if point.status is status]
        if dots:
            # What lies outside, or was never scored, is put on the edge, so that no experiment is left out.
            heights = [min(max(high if p.value is None else p.value, low), high) for p in dots]
            axes.scatter([p.experiment for p in dots], heights, c=colour, marker=marker, s=22, label=label, zorder=3)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper right")


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
        if event.kind != "experiment.closed":
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
