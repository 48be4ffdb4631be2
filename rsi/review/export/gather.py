"""Tells a run as a stream of export records: the run, then each experiment with all that belongs to it, then the rest.

Experiments are read one at a time, so that a run of any length streams through; nothing in the folder is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rsi import anchors
from rsi import events as e
from rsi.chain import Event
from rsi.errors import IntegrityError, RsiError
from rsi.review.export.calls import unproposed_calls
from rsi.review.export.contents import Contents
from rsi.review.export.one_experiment import Gatherer, preparation_of
from rsi.review.export.outcome import Outcome
from rsi.review.export.records import (
    EndLine,
    Exported,
    FindingLine,
    Integrity,
    MilestoneLine,
    NoteLine,
    RunLine,
)
from rsi.review.improvement import how_sure, sentences
from rsi.review.notes import Note
from rsi.review.reading import Reading, read
from rsi.task import Task


class Gathering:
    """One run, opened to be exported; `contents.problems` grows as its records are taken."""

    def __init__(self, folder: Path) -> None:
        """IntegrityError where the chain does not hold: what cannot be believed is not handed on."""
        self.reading: Reading = read(folder)
        self.contents = Contents(self.reading.blobs)
        self.counts: Counter[str] = Counter()
        self._overview = _Overview(self.reading)

    @property
    def name(self) -> str:
        """The run's id, as its record says it."""
        return self._overview.started.run

    @property
    def origin(self) -> str:
        """Hash of the run's first event: what it is known by again, however far it has come and wherever it lies."""
        return self._overview.origin

    def closed(self, number: int) -> str:
        """When an experiment was closed; empty while it is open."""
        return self._overview.closed.get(number, "")

    def run(self) -> RunLine:
        """The run as a whole."""
        self.counts["run"] = 1
        summary, started = self.reading.summary, self._overview.started
        return RunLine(
            run=self.name,
            going_on=summary.status == "running",
            summary=summary.model_copy(update={"folder": ""}),
            improvement=sentences(summary),
            sure=how_sure(summary),
            objective=started.objective,
            configuration=started.configuration,
            sandbox=started.sandbox,
            task_digest=started.task_digest,
            instruction=self._instruction(started),
            versions=started.versions,
            integrity=self._overview.integrity(self.name),
        )

    def experiment(self, number: int) -> Iterator[Exported]:
        """One experiment and all that belongs to it: calls, trials with their executions, decisions, findings."""
        yield from self._counted(Gatherer(self.reading, self.contents, self.name, number).lines())

    def rest(self) -> Iterator[Exported]:
        """What belongs to no experiment: preparation, findings of the run, milestones, reviewers' notes."""
        yield from self._counted(self._rest())

    def lines(self) -> Iterator[Exported]:
        """All of it, with the end."""
        yield self.run()
        for line in self.reading.lines:
            yield from self.experiment(line.experiment)
        yield from self.rest()
        yield self.end()

    def end(self) -> EndLine:
        """What an export holds and lacks, once everything was taken."""
        return EndLine(
            run=self.name,
            head=self.reading.summary.ledger_head,
            records=dict(sorted(self.counts.items())),
            problems=tuple(self.contents.problems),
            further_problems=self.contents.further,
        )

    def outcome(self, form: str, target: str, **more: Any) -> Outcome:
        """What became of it, once everything was taken."""
        summary = self.reading.summary
        return Outcome(
            format=form,
            target=target,
            run=self.name,
            head=summary.ledger_head,
            events=summary.events,
            going_on=summary.status == "running",
            records=dict(sorted(self.counts.items())),
            problems=self.problems(),
            **more,
        )

    def problems(self) -> tuple[str, ...]:
        """All that is missing or does not hold, by now."""
        more = (f"and {self.contents.further} further",) if self.contents.further else ()
        return (*self._overview.problems, *self.contents.problems, *more)

    def _counted(self, records: Iterable[Exported]) -> Iterator[Exported]:
        for record in records:
            self.counts[str(getattr(record, "record", ""))] += 1
            yield record

    def _rest(self) -> Iterator[Exported]:
        yield from preparation_of(self._overview.prepared, self.contents, self.name)
        yield from unproposed_calls(self._overview.calls, self.contents, self.name)
        for found in self.reading.findings_of(None):
            yield FindingLine(run=self.name, time=self._overview.times.get(found.seq, ""), finding=found)
        for milestone in self.reading.summary.milestones:
            yield MilestoneLine(run=self.name, milestone=milestone)
        for note in self._overview.notes:
            yield NoteLine(run=self.name, note=note)

    def _instruction(self, started: e.RunStarted) -> str:
        content = self.contents.content(started.task, "the frozen task")
        data = None if content is None else content.data()
        try:
            return "" if data is None else Task.model_validate_json(data).program
        except ValueError:
            self.contents.add("the frozen task: its blob is no task of this version")
            return ""


class _Overview:
    """What one pass over all events tells: how it began, and whether kept heads are borne out."""

    def __init__(self, reading: Reading) -> None:
        started: e.RunStarted | None = None
        self.prepared: tuple[Event, e.DataPrepared] | None = None
        self.calls: list[Event] = []
        """Of an experiment that is not proposed yet."""
        self.closed: dict[int, str] = {}
        self.times: dict[int, str] = {}
        """Of the events that findings of the run as a whole point at."""
        self.origin = ""
        self.problems: list[str] = []
        self._summary = reading.summary
        known, kept = len(reading.lines), {}
        pointed_at = {found.seq for found in reading.findings_of(None)}
        for event in reading.events():
            if event.kind == "run.started":
                started = e.RunStarted.model_validate(event.body)
                self.origin = event.hash
                kept = {anchor.seq: anchor for anchor in reversed(anchors.read(started.run))}
                self._anchors, self._borne_out = len(kept), set(kept)
            elif event.kind == "data.prepared":
                self.prepared = (event, e.DataPrepared.model_validate(event.body))
            elif event.kind == "experiment.closed":
                self.closed[int(event.body["experiment"])] = event.time
            elif event.kind.startswith("call.") and _experiment_of_call(event) >= known:
                self.calls.append(event)
            if event.seq in pointed_at:
                self.times[event.seq] = event.time
            if event.seq in kept and kept[event.seq].hash == event.hash:
                self._borne_out.discard(event.seq)
        if started is None:
            raise IntegrityError("The ledger holds no run.started event, so it is no run of this program.")
        self.started = started
        self._contradicted = min(self._beyond(), default=None)
        if self._contradicted is not None:
            self.problems.append(
                f"event {self._contradicted} is not the one this machine had written down: the record was cut short "
                "or written anew"
            )
        self.notes = self._notes(reading)

    def _beyond(self) -> set[int]:
        """Anchors that are not borne out; of a run that goes on, later ones than were read are no contradiction."""
        going_on, events = self._summary.status == "running", self._summary.events
        return {seq for seq in self._borne_out if seq < events or not going_on}

    def integrity(self, name: str) -> Integrity:
        """What the export says of the record's integrity."""
        head = self._summary.ledger_head
        return Integrity(
            head=head,
            events=self._summary.events,
            anchors=self._anchors,
            contradicted=self._contradicted,
            problems=tuple(self.problems),
            statement=(
                f"This is a copy for reading; the record is the run folder {name}. There, "
                f"`rsi verify {name} --head {head}` checks that it is whole, that it has this head, and that every "
                "verdict and decision follows from it."
            ),
        )

    def _notes(self, reading: Reading) -> tuple[Note, ...]:
        try:
            return reading.notes
        except RsiError as error:
            self.problems.append(f"the reviewers' notes are left out: {error}")
            return ()


def _experiment_of_call(event: Event) -> int:
    """The experiment of a call's event; -1 where it names none."""
    number = event.body.get("experiment", str(event.body.get("reservation", "")).split(".", maxsplit=1)[0])
    return int(number) if str(number).isdecimal() and str(number).isascii() else -1
