"""`rsi report` of an evolution: its figure, its table and what changed, as one file that needs no network."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from rsi import __version__
from rsi.generations.evolution import open_folder
from rsi.generations.picture import draw
from rsi.generations.report import Report, report_of, verdict_of, with_bounds
from rsi.records import Record
from rsi.review.target import check, new_file
from rsi.review.web import pages
from rsi.review.web.code import diff_lines
from rsi.review.wording import one_line

LINES = 2000
"""Of a diff."""


class WrittenGenerations(Record):
    """A page that lies there."""

    path: str
    bytes: int
    generations: int
    complete: bool


def write_generations(folder: Path, target: Path, *, force: bool = False) -> WrittenGenerations:
    """Write the page of an evolution; raises what `write_report` raises."""
    check(target, force=force)
    report = report_of(folder, open_folder(folder).history())
    values = {
        "served": False,
        "policy": pages.policy(served=False),
        "version": __version__,
        "name": one_line(folder.resolve().name, 80),
        "report": report,
        "picture": _picture(report),
        "came_to": verdict_of,
        "bounds": with_bounds,
        "lines": lambda diff: diff_lines(diff, LINES),
    }
    text = pages.environment().get_template("generations.jinja").render(values).encode("utf-8", "replace")
    with new_file(target, force=force) as unfinished:
        unfinished.write_bytes(text)
    return WrittenGenerations(
        path=str(target), bytes=len(text), generations=len(report.generations), complete=report.complete
    )


def _picture(report: Report) -> str:
    """As an address that holds the picture itself; empty where there is nothing to draw."""
    if not report.generations:
        return ""
    with tempfile.TemporaryDirectory(prefix="rsi-picture-") as folder:
        path = Path(folder) / "generations.png"
        draw(report, path)
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
