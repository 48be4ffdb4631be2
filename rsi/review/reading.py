"""A run as reviewers read it: its summary, a row an experiment, findings, events, and one experiment at a time.

Every screen, page and export asks this and nothing else, so that they agree, and so that a run of a hundred thousand
events is read once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from rsi import runs
from rsi.chain import Event
from rsi.errors import IntegrityError, RsiError
from rsi.events import BODIES
from rsi.records import ExperimentStatus, Objective, Record, Severity
from rsi.review.experiment import find
from rsi.review.findings import RANK, Finder, Found, of_notes, order
from rsi.review.log import experiment_of
from rsi.review.notes import Mark, Note, marked
from rsi.review.notes import read as read_notes
from rsi.review.show import experiment_seconds
from rsi.review.staircase import Point, points
from rsi.review.standing import standings, tried
from rsi.review.summary import RunSummary, summarise
from rsi.review.wording import one_line
from rsi.runs import ReadRun


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
    notes: int = 0
    """Of reviewers."""
    marked: Mark = ""
    """What reviewers say of it at most: `suspicious`, `fine`, or neither."""


class Reading:
    """One run folder, opened for reading; nothing in it is changed, and it may be going on."""

    def __init__(self, run: ReadRun, problem: str = "") -> None:
        """Use `read`."""
        self.problem = problem
        """What is wrong behind the last event that is shown; empty where the whole ledger holds."""
        self.folder = run.folder
        self.blobs = run.blobs
        self.run = run

    @cached_property
    def summary(self) -> RunSummary:
        """What the run came to."""
        return summarise(self.run)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every experiment, the baseline first."""
        state, standing = self.run.state, standings(self.run.state)
        notes = () if self.notes_problem else self.notes
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
                    standing=standing.get(number, ""),
                    findings=len(seen),
                    gravest=max((item.severity for item in seen), key=RANK.__getitem__, default=None),
                    notes=sum(note.experiment == number for note in notes),
                    marked=marked(notes, number),
                )
            )
        return tuple(rows)

    @property
    def objective(self) -> Objective:
        """What the run improves, with the noise that its numbers have."""
        return self.run.state.run.objective

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The staircase."""
        return points(self.run.state)

    @cached_property
    def findings(self) -> tuple[Found, ...]:
        """What deserves a look, first things first; hostile text as it stands in the record."""
        noted = of_notes(self.run.state.run.run, () if self.notes_problem else self.notes)
        return tuple(sorted([*self._finder.ranked(), *noted], key=order))

    def findings_of(self, experiment: int | None) -> list[Found]:
        """Every finding of one experiment (None: of the run as a whole), in the order of the events, none merged."""
        return [found for found in self._finder.found if found.experiment == experiment]

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Reviewers' words, oldest first; IntegrityError where their chain does not hold."""
        return read_notes(self.folder)

    @cached_property
    def notes_problem(self) -> str:
        """Why the notes cannot be read; empty where they can, or where there are none."""
        try:
            _ = self.notes
        except RsiError as error:
            return str(error)
        return ""

    def events(
        self, experiment: int | None = None, *, kinds: Collection[str] = (), since: str = "", until: str = ""
    ) -> Iterator[Event]:
        """Every event in order, or those that fit.

        Args:
            experiment: Only what belongs to it.
            kinds: Only these, or what begins so (`trial` for `trial.started`); all where there are none.
            since: Not before that time; like `until` as a ledger writes it.
            until: Not after it.
        """
        for event in self.run.events:
            if (
                (not kinds or is_of(event.kind, kinds))
                and (not since or event.time >= since)
                and (not until or event.time <= until)
                and (experiment is None or experiment_of(event, self.run) == experiment)
            ):
                yield event

    def experiment_of(self, event: Event) -> int | None:
        """The experiment that an event belongs to, None for one of the run as a whole."""
        return experiment_of(event, self.run)

    @cached_property
    def severities(self) -> Mapping[int, Severity]:
        """The gravest that an event says, by its number; events that say nothing grave are not in it."""
        gravest: dict[int, Severity] = {}
        for found in self._finder.found:
            before = gravest.get(found.seq)
            if before is None or RANK[found.severity] > RANK[before]:
                gravest[found.seq] = found.severity
        return gravest

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


def is_of(event_kind: str, kinds: Collection[str]) -> bool:
    """Whether a kind is one of these, or begins with one of them and a point."""
    return any(event_kind == kind or event_kind.startswith(kind.rstrip(".") + ".") for kind in kinds)


def read(folder: Path, *, anyway: bool = False) -> Reading:
    """Open a run folder; IntegrityError where its chain does not hold.

    With `anyway`, what stands before the first event that does not hold is read then, and `problem` says what is
    wrong; IntegrityError only where not even the beginning holds.
    """
    try:
        return Reading(runs.read(folder))
    except IntegrityError:
        if not anyway:
            raise
    return Reading(*runs.read_what_holds(folder))


def reading_of(run: ReadRun) -> Reading:
    """The same of a run that was read whole already."""
    return Reading(run)
