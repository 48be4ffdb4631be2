"""`generations.png`: what each generation gained on held-out tasks, with intervals, and what it cost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rsi.durable import disk_faults
from rsi.errors import RsiError
from rsi.generations.report import Report
from rsi.review.wording import one_line

_GAIN, _DEV, _COST, _FAILED = "#0a3069", "#8c959f", "#bf8700", "#cf222e"


def draw_beside(report: Report, path: Path, *, insists: bool = False) -> str:
    """Draw it; empty where there is nothing to draw, or nothing can be written and nobody insists."""
    if not report.generations:
        return ""
    try:
        with disk_faults(path):
            draw(report, path)
    except RsiError:
        if insists:
            raise
        return ""
    return str(path)


def draw(report: Report, path: Path) -> None:
    """Two panels: gain over program 0 with intervals, and seconds of compute a generation. Atomic.

    In a picture there is nothing to escape; names of units are parsed by nothing, because mathtext is off.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - a second, for a picture alone

    figure, (gains, costs) = plt.subplots(
        2, 1, figsize=(7.5, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    _draw_gains(gains, report)
    numbers = [told.outcome.generation for told in report.generations]
    inside = [told.outcome.cpu_seconds for told in report.generations]
    scoring = [told.outcome.scoring_seconds for told in report.generations]
    costs.bar(numbers, inside, color=_COST, width=0.5, label="CPU in sandboxes")
    costs.bar(numbers, scoring, bottom=inside, color=_DEV, width=0.5, label="scoring")
    costs.legend(loc="upper left", fontsize=8, frameon=False)
    for told in report.generations:
        costs.annotate(
            f"{told.outcome.trials} trials",
            (told.outcome.generation, told.outcome.cpu_seconds + told.outcome.scoring_seconds),
            ha="center",
            va="bottom",
            fontsize=8,
        )
    costs.margins(y=0.4)
    costs.set_ylabel("seconds")
    costs.set_xlabel("generation")
    costs.set_xticks([0, *numbers])
    # In its own folder, so that no link there leads the picture elsewhere.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        plt.close(figure)


def _draw_gains(axes: Any, report: Report) -> None:
    unit = one_line(report.generations[0].outcome.unit, 60)
    steps = [(0, 0.0)]
    axes.plot([0], [0.0], "o", color=_GAIN)
    believed = 0.0
    for told in report.generations:
        outcome, total = told.outcome, told.since_first
        value = total.estimate if total is not None else 0.0
        if outcome.promoted:
            if total is not None and total.low is not None and total.high is not None:
                below, above = value - total.low, total.high - value
                axes.errorbar([outcome.generation], [value], [[below], [above]], fmt="o", color=_GAIN, capsize=4)
            else:
                axes.plot([outcome.generation], [value], "o", color=_GAIN)
        elif outcome.promoted is False:
            axes.plot([outcome.generation], [value], "x", color=_FAILED)
        if outcome.dev_gain is not None and outcome.promoted is not None:
            axes.plot([outcome.generation], [believed + outcome.dev_gain], "_", color=_DEV, markersize=14)
            believed += outcome.dev_gain if outcome.promoted else 0.0
        steps.append((outcome.generation, value))
    axes.step(*zip(*steps, strict=True), where="post", color=_GAIN, alpha=0.4)
    axes.axhline(0.0, color=_DEV, linewidth=0.8)
    axes.plot([], [], "o", color=_GAIN, label="certified, on held-out tasks (95%)")
    axes.plot([], [], "x", color=_FAILED, label="not promoted")
    axes.plot([], [], "_", color=_DEV, markersize=14, label="as believed, on inner tasks")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    axes.set_ylabel(f"gain over proposer@0, {unit}", parse_math=False)
    axes.set_title(f"{len(report.generations)} generations; {report.standing.label} stands", loc="left", fontsize=10)
