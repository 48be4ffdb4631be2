"""The figure of a comparison: each arm's loops and their mean, and below each difference with its interval."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.compare.differences import scaled
from rsi.compare.report import Report
from rsi.compare.words import GAINS, label, labels
from rsi.durable import disk_faults, write_whole
from rsi.sanitize import for_terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS, _MEAN, _UNGROUNDED = "#57606a", "#0969da", "#cf222e"


def draw(report: Report, path: Path) -> None:
    """Write it as PNG; EnvironmentFault where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    found = report.compared
    rows = [count for count in (len(found.arms), len(found.differences)) if count]
    figure = Figure(figsize=(8, 1.8 + 0.45 * sum(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    arms, *differences = figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0]
    _draw_arms(arms, report)
    for axes in differences:
        _draw_differences(axes, report)
    image = io.BytesIO()
    figure.savefig(image, metadata={"Software": None})
    with disk_faults(path):
        write_whole(path, image.getvalue(), staging=path.parent)


def _draw_arms(axes: Axes, report: Report) -> None:
    found, (scales, _, _) = report.compared, scaled(report.loops)
    for place, arm in enumerate(found.arms):
        loops = [loop for loop in report.loops if loop.arms[arm.factor] == arm.arm and loop.status == "finished"]
        gains = [(loop.truth if found.basis == "grounded" else loop.gain, loop.task) for loop in loops]
        shown = [gain / scales.get(task, 1.0) for gain, task in gains if gain is not None]
        axes.plot(shown, [place] * len(shown), "o", markersize=4, color=_POINTS, alpha=0.5)
        mean, colour = arm.means["gain"], _MEAN if arm.grounded else _UNGROUNDED
        if found.basis == "grounded" and arm.claimed is not None:
            axes.plot(arm.claimed, place, "D", markersize=7, markerfacecolor="none", color=colour)
        if mean is not None:
            axes.plot(mean, place, "D", markersize=7, color=colour)
    names = [_plain(label(arm.arm, grounded=arm.grounded)) for arm in found.arms]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color="#d0d7de", zorder=0)
    claims = "; hollow: what they claim" if found.basis == "grounded" else ""
    axes.set_title(_plain(f"{GAINS[found.basis]} of each loop and mean, {found.unit}{claims}"), fontsize=9)
    axes.tick_params(labelsize=8)


def _draw_differences(axes: Axes, report: Report) -> None:
    found = report.compared
    for place, difference in enumerate(found.differences):
        gain = difference.gain
        if gain is None or not difference.grounded:
            continue
        axes.plot(gain.estimate, place, "s", markersize=6, color=_MEAN)
        if gain.low is not None and gain.high is not None:
            axes.hlines(place, gain.low, gain.high, color=_MEAN, linewidth=2)
    names = [_plain(" - ".join(labels(difference, found))) for difference in found.differences]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color="#24292f", linewidth=1)
    percent = f"{found.confidence * 100:g}%"
    corrected = f", corrected for {found.comparisons} comparisons" if found.comparisons > 1 else ""
    axes.set_title(_plain(f"paired difference with {percent} interval{corrected}, {found.unit}"), fontsize=9)
    axes.tick_params(labelsize=8)


def _plain(text: str) -> str:
    """Text of which nothing is a formula to the plotting library."""
    return for_terminal(text).replace("$", r"\$")
