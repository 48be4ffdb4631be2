"""`rsi report`: a run as one file that needs no network, written piece by piece, the same bytes for the same run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from jinja2 import Environment
from markupsafe import Markup

from rsi import __version__
from rsi.records import ExperimentStatus, Record, Severity
from rsi.review.findings import RANK
from rsi.review.lines import Line
from rsi.review.reading import Reading, read
from rsi.review.target import check, new_file
from rsi.review.verify import verify
from rsi.review.web import links, pages
from rsi.review.web.integrity import Standing, broken_off, complaints, standing
from rsi.review.web.others import others
from rsi.review.web.overview import notes_of, overview
from rsi.review.web.story import BRIEFLY, IN_A_FILE, Room, story
from rsi.review.web.table import row

LARGEST = 16 * 1024 * 1024
"""Bytes that the details of experiments may take; the table and the staircase hold every experiment besides."""
MOST_FINDINGS = 500
FULLY_UP_TO = 200
"""Experiments of a run of which each is told at length."""


class Written(Record):
    """A report that lies there."""

    path: str
    bytes: int
    experiments: int
    told: int
    """In full; of the others the table has a row and their place says the command."""
    record: Standing
    """Whether the record that it was made from holds."""


def write_report(folder: Path, target: Path, *, force: bool = False, largest: int = LARGEST) -> Written:
    """Write the report of a run.

    UsageError where the target exists and may not be replaced, or is no file; IntegrityError where not even the run's
    first event holds; EnvironmentFault where the target cannot be written. Nothing half-written stays.
    """
    check(target, force=force)
    reading = read(folder, anyway=True)
    with new_file(target, force=force) as unfinished:
        with unfinished.open("xb") as file:
            told, record = _write(reading, file, largest)
        length = unfinished.stat().st_size
    return Written(path=str(target), bytes=length, experiments=len(reading.lines), told=told, record=record)


def _write(reading: Reading, file: IO[bytes], largest: int) -> tuple[int, Standing]:
    environment, own = pages.environment(), links.ReportLinks()
    report = verify(reading.folder, trust_paths=False)
    problem = reading.problem
    problems = broken_off(reading) or complaints(report)
    values = overview(reading, own, problems)
    found = reading.findings
    with tempfile.TemporaryFile() as spool:
        details = _Details(environment, reading, {**values, "others": others(reading)}, spool)
        details.tell(largest)
        values |= {
            "served": False,
            "policy": pages.policy(served=False),
            "version": __version__,
            "report": report,
            "standing": standing(report),
            "found": found[:MOST_FINDINGS],
            "found_left": max(0, len(found) - MOST_FINDINGS),
            "anchor_of": links.where,
            "sections": details.sections(),
            "table": (row(line) for line in reading.lines),
            "page": page_data(values, own, report=True),
        }
        for piece in _pieces(environment.get_template("report.jinja").generate(values)):
            file.write(piece)
        return len(details.places), "broken" if problem else standing(report)


def page_data(values: dict[str, Any], own: links.Links, **more: Any) -> dict[str, Any]:
    """What the page's script is given beside the rows."""
    chart = values["chart"]
    return {
        "experiments": own.experiments,
        "places": values["places"],
        "chart": chart and chart.model_dump(mode="json"),
        **more,
    }


def _pieces(generated: Iterable[str]) -> Iterator[bytes]:
    """In encoded blocks: a template comes in many thousand small parts."""
    waiting: list[str] = []
    held = 0
    for piece in generated:
        waiting.append(piece)
        held += len(piece)
        if held > 1 << 18:
            yield "".join(waiting).encode("utf-8", "replace")
            waiting, held = [], 0
    yield "".join(waiting).encode("utf-8", "replace")


class _Details:
    """The pages of single experiments, made in the order of what matters and put down in the order of their numbers."""

    def __init__(self, environment: Environment, reading: Reading, values: dict[str, Any], spool: IO[bytes]) -> None:
        self._template = environment.get_template("experiment.jinja")
        self._stub = environment.get_template("stub.jinja")
        self._reading = reading
        self._values = values
        self._spool = spool
        self.places: dict[int, tuple[int, int]] = {}
        """Experiment → where in the spool, and how many bytes."""

    def tell(self, largest: int) -> None:
        """Make as many as fit: kept and flagged ones first, then the newest."""
        lines = self._reading.lines
        room = IN_A_FILE if len(lines) <= FULLY_UP_TO else BRIEFLY
        spent = 0
        for line in sorted(lines, key=_order):
            page = self._page(line, room)
            if spent + len(page) > largest:
                break
            self._spool.write(page)
            self.places[line.experiment] = spent, len(page)
            spent += len(page)

    def sections(self) -> Iterator[Markup]:
        """Every experiment's section in order; of one that was left out, a few words and the command."""
        for line in self._reading.lines:
            place = self.places.get(line.experiment)
            if place is None:
                yield Markup(self._left_out(line))  # noqa: S704 - a template's
                continue
            self._spool.seek(place[0])
            yield Markup(self._spool.read(place[1]).decode())  # noqa: S704 - likewise

    def _page(self, line: Line, room: Room) -> bytes:
        try:
            told = story(self._reading, line, notes_of(self._reading)[0], room)
            values = {**self._values, "story": told, "room": room, "anchor_of": links.where}
            return self._template.render(values).encode("utf-8", "replace")
        except Exception as error:  # a run from elsewhere may hold anything; the other experiments must still be told
            return self._left_out(line, f"{type(error).__name__}: {error}").encode("utf-8", "replace")

    def _left_out(self, line: Line, problem: str = "") -> str:
        return self._stub.render({"line": line, "name": self._values["name"], "problem": problem})


def _order(line: Line) -> tuple[int, int]:
    grave = line.gravest is not None and RANK[line.gravest] >= RANK[Severity.WARNING]
    first = line.experiment == 0 or line.status is ExperimentStatus.KEPT
    return (0 if first else 1 if grave else 2), -line.experiment
