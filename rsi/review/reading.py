"""A run as reviewers read it: its summary, a row an experiment, findings, events, and one experiment at a time.

Every screen, page and export asks this and nothing else, so that they agree, and so that a run of a hundred thousand
events is read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from rsi import runs
from rsi.blobs import Blobs
from rsi.chain import Event, read_events
from rsi.errors import IntegrityError
from rsi.events import BODIES, RunStarted
from rsi.records import ExperimentStatus, Record, Severity
from rsi.redaction import Redactor
from rsi.review.experiment import find
from rsi.review.findings import RANK, Finder, Found
from rsi.review.log import experiment_of
from rsi.review.notes import Note
from rsi.review.notes import read as read_notes
from rsi.review.show import experiment_seconds
from rsi.review.staircase import Point, points
from rsi.review.standing import standings, tried
from rsi.review.summary import RunSummary, summarise
from rsi.review.wording import one_line
from rsi.runs import LEDGER, ReadRun
from rsi.state import RunState


class Line(Record):
    """One experiment as a row of a table; every text is harmless already."""

    experiment: int
    parent: int
    status: ExperimentStatus
    value: float | None
    """The objective's mean over its scored trials."""
    gain: float | None
    """Over its parent; positive is better."""
    seconds: float
    """Of wall time, of everything that ran for its own trials."""
    trials: int
    cost_usd: float
    tokens: int
    words: str
    """What it tried."""
    why: str
    """Why it became what it became."""
    standing: str
    """Certified, provisional, taken back; empty where nothing can be said."""
    findings: int
    """Of severity notice and above."""
    gravest: Severity | None


class Reading:
    """One run folder, opened for reading; nothing in it is changed, and it may be going on."""

    def __init__(self, run: ReadRun) -> None:
        """Use `read`."""
        self.folder = run.folder
        self.blobs = run.blobs
        self.run = run

    @property
    def started(self) -> RunStarted:
        """What was chosen when the run was started."""
        return self.run.state.run

    @cached_property
    def summary(self) -> RunSummary:
        """What the run came to."""
        return summarise(self.run)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every experiment, the baseline first."""
        state, notes = self.run.state, standings(self.run.state)
        own: dict[int | None, list[Found]] = {}
        for found in self._finder.found:
            if RANK[found.severity] >= RANK[Severity.NOTICE]:
                own.setdefault(found.experiment, []).append(found)
        rows = []
        for number, entry in state.experiments.items():
            provenance, seen = entry.proposed.provenance, own.get(number, [])
            rows.append(
                Line(
                    experiment=number,
                    parent=entry.proposed.parent,
                    status=entry.status,
                    value=state.mean(number),
                    gain=entry.closed.gain if entry.closed else None,
                    seconds=experiment_seconds(state, entry),
                    trials=len(entry.trials),
                    cost_usd=provenance.cost_usd,
                    tokens=provenance.input_tokens + provenance.output_tokens,
                    words=tried(entry.proposed, 300),
                    why=one_line(entry.closed.reason if entry.closed else ""),
                    standing=notes.get(number, ""),
                    findings=len(seen),
                    gravest=max((item.severity for item in seen), key=RANK.__getitem__, default=None),
                )
            )
        return tuple(rows)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The staircase."""
        return points(self.run.state)

    @cached_property
    def findings(self) -> tuple[Found, ...]:
        """What deserves a look, first things first; hostile text as it stands in the record."""
        return tuple(self._finder.ranked())

    def findings_of(self, experiment: int | None) -> list[Found]:
        """Every finding of one experiment (None: of the run as a whole), in the order of the events, none merged."""
        return [found for found in self._finder.found if found.experiment == experiment]

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Reviewers' words, oldest first; IntegrityError where their chain does not hold."""
        return read_notes(self.folder)

    def events(self, experiment: int | None = None) -> Iterator[Event]:
        """Every event in order, or an experiment's."""
        for event in self.run.events:
            if experiment is None or experiment_of(event, self.run) == experiment:
                yield event

    def excerpt(self, experiment: int) -> ReadRun:
        """The run, of which at least that experiment, its parent's lineage and its trials are read.

        UsageError where there is no such experiment.
        """
        find(self.run, experiment)
        return self.run

    @cached_property
    def _finder(self) -> Finder:
        finder = Finder()
        for event in self.run.events:
            body_type = BODIES.get(event.kind)
            finder.take(event, body_type.model_validate(event.body) if body_type else None)
        return finder


def read(folder: Path) -> Reading:
    """Open a run folder; IntegrityError where its chain does not hold."""
    return Reading(runs.read(folder))


def read_what_holds(folder: Path) -> tuple[Reading, str]:
    """Open a run folder as far as its record holds, and the sentence that says what does not; empty where all does.

    IntegrityError where not even its first event holds.
    """
    try:
        return read(folder), ""
    except IntegrityError as error:
        problem = str(error)
    events, state = [], RunState()
    try:
        for event in read_events(folder / LEDGER):
            state.apply(event)
            events.append(event)
    except IntegrityError as error:
        if not events:
            raise
        problem = f"{error} What is shown is what stands before."
    _ = state.run
    return Reading(ReadRun(folder, events, state, Blobs(folder / "blobs", Redactor.none()))), problem
