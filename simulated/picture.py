"""A study as a picture: a panel a measure, seed noise along it, a line a policy with its interval."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.durable import disk_faults
from rsi.errors import EnvironmentFault, UsageError
from simulated.study import ORACLE, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "true_gain": "true gain of the final incumbent",
    "certified_gain": "certified gain",
    "reported_minus_true": "reported less true gain",
    "false_claims": "share of claims that are false",
    "null_kept": "share of kept edits that do nothing or harm",
    "attributed_of_true": "share of the true gain that listed edits carry",
    "attributed_idle": "share of listed edits that do not matter",
    "trials_per_decision": "trials a decision",
}
_COLOURS = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bf8700", "#57606a")


FORMATS = (".png", ".svg", ".pdf")


def require_drawable(path: Path) -> None:
    """UsageError or EnvironmentFault where no picture could be written there: told before hours of simulating."""
    if path.suffix not in FORMATS:
        raise UsageError(f"--picture {path} ends in no format that is drawn; end it in {', '.join(FORMATS)}.")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise EnvironmentFault(f"--picture {path} cannot be written; name a file in a folder that you may write to.")


def draw(results: Results, path: Path) -> None:
    """Write a picture in the format of the path's ending; EnvironmentFault where it cannot be written."""
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = [name for name in PANELS if any(name in row.measured for row in results.rows)]
    figure = Figure(figsize=(4.2 * min(3, len(shown)), 3.3 * -(-len(shown) // 3)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(-(-len(shown) // 3), min(3, len(shown)), squeeze=False).ravel()
    for panel, name in zip(axes, shown, strict=False):
        _panel(panel, results, name)
    for panel in axes[len(shown) :]:
        panel.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    study = results.study
    figure.suptitle(f"{study.runs} simulated runs of {study.trials} trials each, 95% intervals over runs", fontsize=10)
    dates = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with disk_faults(path), rc_context({"svg.hashsalt": "rsi"}):  # the same results, the same bytes
        figure.savefig(path, metadata=dates.get(path.suffix))


def _panel(panel: Axes, results: Results, name: str) -> None:
    colours = iter(_COLOURS)
    for component in results.study.policies:
        policy = component.name
        rows = [row for row in results.rows if row.policy == policy and name in row.measured]
        known = [(row.level, row.measured[name]) for row in rows]
        colour = "#24292f" if policy == ORACLE else next(colours, "#57606a")
        line = [(level, estimate.value) for level, estimate in known if estimate.value is not None]
        dashes = "--" if policy == ORACLE else "-"
        levels, values = [level for level, _ in line], [value for _, value in line]
        panel.plot(levels, values, marker="o", markersize=3, label=policy, color=colour, linestyle=dashes)
        for level, estimate in known:
            if estimate.low is not None and estimate.high is not None:
                panel.vlines(level, estimate.low, estimate.high, color=colour, alpha=0.4)
    panel.set_title(PANELS[name], fontsize=9)
    panel.set_xscale("log", base=2)
    panel.set_xticks(results.study.levels, [f"{level:g}" for level in results.study.levels])
    panel.set_xlabel("seed noise / mean helpful effect", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.2)
