"""A study as a picture: a panel a measure, generations along it, a line an arm with its 95% band over seeds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.durable import disk_faults, write_whole
from studies.collapse.design import CONTROL, TOLD
from studies.collapse.findings import Findings
from studies.collapse.measures import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "collapse.png"
_COLOURS = ("#cf222e", "#1a7f37", "#bf8700", "#0969da", "#8250df", "#57606a")
_CONTROL = "#24292f"


def draw(found: Findings, path: Path) -> None:
    """Write the picture; the same findings give the same bytes. EnvironmentFault where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12.6, 6.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).ravel()
    for panel, measure in zip(panels, LABELS, strict=False):
        _panel(panel, found, measure)
    panels[-1].axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center", frameon=False, title="trained on")
    seeds = found.design.seeds
    band = f"bands: 95% intervals over {seeds} seeds" if seeds > 1 else "one seed, no interval"
    figure.suptitle(f"{TOLD[found.design.model]} trained on what its predecessor wrote; {band}", fontsize=11)
    image = io.BytesIO()
    figure.savefig(image, metadata={"Software": None})
    with disk_faults(path):
        write_whole(path, image.getvalue(), staging=path.parent)


def _frame(panel: Axes, heights: Sequence[float]) -> None:
    """Show all lines whole; a band that a few seeds make very wide is cut off, or it would flatten them."""
    low, high = min(heights), max(heights)
    margin = 0.25 * (high - low) or 0.1
    panel.set_ylim(low - margin, high + margin)


def _panel(panel: Axes, found: Findings, measure: str) -> None:
    colours = iter(_COLOURS)
    generations = list(range(found.last + 1))
    heights: list[float] = []
    for arm in found.design.arms:
        colour = _CONTROL if arm.name == CONTROL else next(colours, _COLOURS[-1])
        levels = [found.level(arm.name, generation, measure) for generation in generations]
        middle = [level.estimate for level in levels]
        heights += middle
        style = "--" if arm.name == CONTROL else "-"
        panel.plot(generations, middle, style, color=colour, label=arm.name, marker="o", markersize=3)
        low = [level.estimate if level.low is None else level.low for level in levels]
        high = [level.estimate if level.high is None else level.high for level in levels]
        panel.fill_between(generations, low, high, color=colour, alpha=0.15, linewidth=0)
    _frame(panel, heights)
    panel.set_title(LABELS[measure], fontsize=10)
    panel.set_xticks(generations)
    panel.set_xlabel("generation", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.2)
