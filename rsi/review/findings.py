"""What in a run deserves a reviewer's look, gravest first, each pointing into the evidence: diff line, stream, event.

Read off the events one by one: what verifiers and scrutiny found, rejections, errors of verifiers, malformed answers,
torn ends, another image; and what reviewers marked as suspicious. Nothing is judged anew here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from rsi import events as e
from rsi.chain import Event
from rsi.records import ExperimentStatus, Finding, Record, Rejected, Severity, VerifierError
from rsi.review.following import named_in
from rsi.review.notes import Note

RANK = {severity: number for number, severity in enumerate(Severity)}

_DIFF = re.compile(r"diff:(\d{1,7}) \(([^()\n]{1,300}):(\d{1,7})\)")
_STREAM = re.compile(r"(stdout|stderr):(\d{1,12})")
_FILE = re.compile(r"([^:\n]{1,300}\.[A-Za-z0-9]{1,8}):(\d{1,7})")


class Place(Record):
    """Where in the evidence a finding points."""

    kind: Literal["diff", "stream", "code", "evidence", "event"]
    """A line of the experiment's diff; a line of a stream; a line of its code that the diff did not add; something
    else that the finding names in words; nothing but the event."""
    file: str = ""
    """The code's file, or `stdout` and `stderr`."""
    line: int = 0
    """From 1: of the code's file, or of the stream."""
    diff_line: int = 0
    """From 1, of the unified diff; 0 where it has no such line."""


class Found(Record):
    """One thing that deserves a look, with everything it takes to go there."""

    run: str
    seq: int
    """The event that says so, from 0; its line in the ledger is one more."""
    experiment: int | None
    """None for what belongs to the run as a whole."""
    trial: str = ""
    stage: str = ""
    """Where it was seen: `train`, `control half`, `predict windows`, `inspect`, `verdict`, `run`, `note`."""
    severity: Severity
    code: str
    message: str
    pointer: str = ""
    """As it is recorded; `place` says the same in parts."""
    place: Place
    kept: bool = False
    """Whether the experiment's code was kept: then it lives on in everything after it."""
    times: int = 1
    """How often the same was found in the run, this first one included; `also` names the other experiments."""
    also: tuple[int, ...] = ()


def place_of(pointer: str) -> Place:
    """A recorded pointer in parts."""
    if match := _DIFF.fullmatch(pointer):
        return Place(kind="diff", diff_line=int(match[1]), file=match[2], line=int(match[3]))
    if match := _STREAM.fullmatch(pointer):
        return Place(kind="stream", file=match[1], line=int(match[2]))
    if match := _FILE.fullmatch(pointer):
        return Place(kind="code", file=match[1], line=int(match[2]))
    return Place(kind="evidence" if pointer else "event")


class Finder:
    """Takes the events of one run in order and tells what they found, each thing once a trial."""

    def __init__(self) -> None:
        self._run = ""
        self._trials: dict[str, int] = {}
        self._seen: set[int] = set()
        """Hashes of what was found, since there is much of it in a long run."""
        self._kept: set[int | None] = set()

    def take(self, event: Event, body: Record | None) -> list[Found]:
        """What this event adds; the body validated, None where its kind is not known."""
        if isinstance(body, e.RunStarted):
            self._run = body.run
        elif isinstance(body, e.TrialStarted):
            self._trials[body.trial] = body.experiment
        elif isinstance(body, e.ExperimentClosed) and body.status is ExperimentStatus.KEPT:
            self._kept.add(body.experiment)
        return [] if body is None else [found for found in self._of(event, body) if self._first(found)]

    def ranked(self, found: Iterable[Found]) -> list[Found]:
        """What it told, given back: `ranked`, with what became of the experiments, which is known at the end."""
        return ranked(
            item.model_copy(update={"kept": True}) if item.experiment and item.experiment in self._kept else item
            for item in found
        )

    def _first(self, found: Found) -> bool:
        """Verdicts repeat what an inspection found: it counts where it was found first."""
        key = hash((found.trial or str(found.experiment), found.code, found.message, found.pointer))
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _of(self, event: Event, body: Record) -> Iterator[Found]:
        trial = str(getattr(body, "trial", ""))
        for stage, finding in _findings(body):
            yield self._found(event, body, trial, stage, finding)

    def _found(self, event: Event, body: Record, trial: str, stage: str, finding: Finding) -> Found:
        experiment = self._trials.get(trial)
        return Found(
            run=self._run,
            seq=event.seq,
            experiment=experiment if experiment is not None else named_in(event, body),
            trial=trial,
            stage=stage,
            severity=finding.severity,
            code=finding.code,
            message=finding.message,
            pointer=finding.pointer,
            place=place_of(finding.pointer),
        )


class _Same:
    """The same thing, found in several places of one run: the first of them, kept code first, and where else."""

    def __init__(self, first: Found) -> None:
        self.first = first
        self.times = 0
        self.experiments: set[int] = set()

    def add(self, found: Found) -> None:
        self.times += 1
        if found.experiment is not None:
            self.experiments.add(found.experiment)
        if found.kept and not self.first.kept:
            self.first = found

    def merged(self) -> Found:
        also = tuple(sorted(self.experiments - {self.first.experiment}))
        return self.first.model_copy(update={"times": self.times, "also": also})


def ranked(found: Iterable[Found]) -> list[Found]:
    """Of one or several runs: by severity, kept code first within one, then in order; the same thing of a run once."""
    groups: dict[tuple[str, str, str, str], _Same] = {}
    for item in found:
        groups.setdefault((item.run, item.severity.value, item.code, item.message), _Same(item)).add(item)
    return sorted((group.merged() for group in groups.values()), key=order)


def order(item: Found) -> tuple[int, bool, str, int]:
    """By what findings of one or several runs are sorted: the gravest first, kept code first among equals."""
    return -RANK[item.severity], not item.kept, item.run, item.seq


def of_notes(run: str, notes: Iterable[Note]) -> Iterator[Found]:
    """What reviewers marked as suspicious; it points at the last event that its author had before them."""
    for note in notes:
        if note.mark == "suspicious":
            yield Found(
                run=run,
                seq=note.events - 1,
                experiment=note.experiment,
                stage="note",
                severity=Severity.WARNING,
                code="note.suspicious",
                message=f"{note.author}: {note.text}",
                place=Place(kind="event"),
            )


def _findings(body: Record) -> Iterator[tuple[str, Finding]]:
    match body:
        case e.TrialTrained():
            yield from (("train", finding) for finding in body.findings)
        case e.TrialControlled():
            yield from ((f"control {body.challenge}", finding) for finding in body.findings)
        case e.TrialAnswered():
            yield from ((f"predict {body.challenge}", finding) for finding in body.findings)
            if body.malformed:
                yield f"predict {body.challenge}", _own(Severity.WARNING, "answer.malformed", body.malformed)
        case e.ProgramLearned() | e.ProgramAnswered():
            yield from (("program", finding) for finding in (*body.findings, *_useless(body)))
        case e.TrialInspected():
            yield from (("inspect", finding) for finding in body.inspection.findings)
        case e.TrialJudged():
            yield from (("verdict", finding) for finding in body.verdict.findings)
            if isinstance(body.verdict, Rejected):
                yield "verdict", _own(Severity.CRITICAL, "verdict.rejected", body.verdict.reason)
            elif isinstance(body.verdict, VerifierError):
                yield "verdict", _own(Severity.WARNING, "verdict.error", body.verdict.message)
        case e.RunResumed():
            if body.torn_tail:
                words = "a crash had left an unfinished event at the end of the ledger; it was set aside as a blob"
                yield "run", _own(Severity.NOTICE, "run.torn-tail", words)
            if body.other_image:
                words = "from here on trials ran in another image, by the user's word; scores may not compare"
                yield "run", _own(Severity.WARNING, "run.other-image", words)


def _useless(body: e.OfProgram) -> Iterator[Finding]:
    if isinstance(body, e.ProgramAnswered) and body.problem:
        yield _own(Severity.WARNING, "program.useless", f"{body.problem}; this answer chose no move")


def _own(severity: Severity, code: str, message: str) -> Finding:
    return Finding(severity=severity, code=code, message=message)
