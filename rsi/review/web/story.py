"""One experiment as its page tells it: everything that the record holds of it, cut to a size, in the page's order."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from rsi import events as e
from rsi.attempts import Attempt, Coverage, Grade
from rsi.calls.request import Answer, Request
from rsi.errors import IntegrityError
from rsi.records import Record, Severity
from rsi.review.executions import Kept, course_of, executions_of
from rsi.review.experiment import claiming, diff_text
from rsi.review.findings import RANK, Found, ranked
from rsi.review.lines import Line
from rsi.review.log import describe
from rsi.review.notes import Note
from rsi.review.reading import Reading
from rsi.review.standing import by_itself
from rsi.review.web import links
from rsi.review.web.chart import Curve, curves
from rsi.review.web.code import DiffLine, Left, diff_lines
from rsi.review.web.printed import Printed, printed
from rsi.runs import ReadRun
from rsi.state import ExperimentState, TrialState

_LONGEST_TEXT = 8 * 1024 * 1024
"""Bytes of a prompt or an answer that are read."""


class Room(Record):
    """How much of an experiment is shown; what is left out is counted and said."""

    diff_lines: int
    stream_lines: int
    """Of each execution, both streams together."""
    text: int
    """Characters of a prompt or an answer."""
    events: int
    """0 for none but those that a finding points to."""
    attempts: int
    """Of each grade and execution."""


SERVED = Room(diff_lines=5000, stream_lines=4000, text=200_000, events=2000, attempts=1000)
IN_A_FILE = Room(diff_lines=600, stream_lines=400, text=40_000, events=300, attempts=100)
BRIEFLY = Room(diff_lines=200, stream_lines=60, text=8_000, events=0, attempts=30)


class Spoken(Record):
    """A prompt or an answer."""

    title: str
    text: str


class Seen(Record):
    """What one grade saw of an execution."""

    grade: Grade
    coverage: Coverage | None
    attempts: tuple[Attempt, ...]
    left: int


class Ran(Record):
    """One execution with its resources over time, what it printed and what it attempted."""

    anchor: str
    stage: str
    kept: Kept
    curves: tuple[Curve, ...]
    printed: Printed
    seen: tuple[Seen, ...]


class Arm(Record):
    """A measurement of one decision, the candidate's against the incumbent's."""

    metric: str
    candidate: tuple[float, ...]
    incumbent: tuple[float, ...]


class Decided(Record):
    """A decision with what it rests on."""

    body: e.PolicyDecided
    measured: tuple[Arm, ...]


class Happened(Record):
    """An event in words."""

    anchor: str
    seq: int
    time: str
    kind: str
    words: str


class Story(Record):
    """One experiment whole."""

    line: Line
    state: ExperimentState
    by_itself: str
    diff: tuple[DiffLine | Left, ...] | None
    """None where it changed nothing that is on record."""
    marked: dict[int, tuple[Found, ...]]
    """Diff line → what was found there, the same in several trials once."""
    spoken: tuple[Spoken, ...]
    trials: tuple[TrialState, ...]
    decisions: tuple[Decided, ...]
    ran: tuple[Ran, ...]
    grave: tuple[Found, ...]
    """Findings of severity notice and above, gravest first, the same in several trials once."""
    passing: tuple[Found, ...]
    """The others."""
    notes: tuple[Note, ...]
    events: tuple[Happened, ...]
    events_left: int

    model_config = {"arbitrary_types_allowed": True, "frozen": True}


def story(reading: Reading, line: Line, notes: tuple[Note, ...], room: Room) -> Story:
    """Gather it; what the record names and has lost is told as a sentence in its place."""
    number = line.experiment
    run = reading.excerpt(number)
    entry, found = run.state.experiments[number], tuple(reading.findings_of(number))
    names = (*entry.trials, *claiming(run, number))
    text = diff_text(run, entry)
    marked: dict[int, tuple[Found, ...]] = {}
    for item in found:
        if item.place.diff_line:
            marked[item.place.diff_line] = (*marked.get(item.place.diff_line, ()), item)
    wanted = {item.seq for item in found if links.where(item) == links.event_anchor(number, item.seq)}
    wanted = {item.seq for item in found if _is_grave(item)} & wanted if not room.events else wanted
    happened, left = _events(reading, number, room.events, wanted)
    return Story(
        line=line,
        state=entry,
        by_itself=by_itself(entry.proposed),
        diff=None if text is None else tuple(diff_lines(text, room.diff_lines, marked)),
        marked={place: tuple(ranked(items)) for place, items in marked.items()},
        spoken=tuple(_spoken(run, entry)),
        trials=tuple(run.state.trials[name] for name in names),
        decisions=tuple(Decided(body=body, measured=tuple(_measured(body))) for body in entry.decisions),
        ran=tuple(_ran(run, number, names, found, room)),
        grave=tuple(ranked(x for x in found if _is_grave(x))),
        passing=tuple(ranked(x for x in found if not _is_grave(x))),
        notes=tuple(note for note in notes if note.experiment == number),
        events=happened,
        events_left=left,
    )


def _is_grave(found: Found) -> bool:
    return RANK[found.severity] >= RANK[Severity.NOTICE]


def _events(reading: Reading, number: int, most: int, wanted: set[int]) -> tuple[tuple[Happened, ...], int]:
    if not most and not wanted:
        return (), 0  # nothing is looked for, so that a run of ten thousand is not gone through for each of them
    shown, left = [], 0
    for place, event in enumerate(reading.events(number)):
        if place >= most and event.seq not in wanted:
            left += 1
            continue
        anchor = links.event_anchor(number, event.seq)
        words = describe(event)[:2000]
        shown.append(Happened(anchor=anchor, seq=event.seq, time=event.time, kind=event.kind, words=words))
    return tuple(shown), left


def _spoken(run: ReadRun, entry: ExperimentState) -> Iterator[Spoken]:
    """Every question to a model and its answer; of a proposer that keeps no calls, what it says it asked and got."""
    number, provenance, any_call = entry.proposed.experiment, entry.proposed.provenance, False
    for call in run.state.calls.values():
        if call.reserved.experiment != number:
            continue
        any_call = True
        title = f"call {call.reserved.reservation} to {call.reserved.purpose}, {call.reserved.model}"
        yield Spoken(title=f"Prompt, {title}", text=_request(_text(run, call.reserved.request)))
        if call.settled is not None:
            yield Spoken(title=f"Answer, {title}", text=_answer(_text(run, call.settled.answer)))
        elif call.failed is not None:
            yield Spoken(title=f"No answer, {title}", text=call.failed.reason)
    if any_call:
        return
    for title, digest in (("Prompt", provenance.prompt), ("Answer", provenance.answer)):
        if digest is not None:
            yield Spoken(title=title, text=_text(run, digest))


def _text(run: ReadRun, digest: str) -> str:
    try:
        return run.blobs.get(digest)[:_LONGEST_TEXT].decode("utf-8", "replace")
    except IntegrityError as error:
        return f"(not to be had: {error})"


def _request(text: str) -> str:
    """The messages of a request; the text as it is where it is none (cut off, or not to be had)."""
    try:
        return "\n\n".join(f"[{m.role}]\n{m.text}" for m in Request.model_validate_json(text).messages)
    except (ValidationError, ValueError, AttributeError):
        return text


def _answer(text: str) -> str:
    try:
        return Answer.model_validate_json(text).text
    except (ValidationError, ValueError):
        return text


def _measured(body: e.PolicyDecided) -> Iterator[Arm]:
    candidate, incumbent = body.comparison.candidate.observations, body.comparison.incumbent.observations
    names = dict.fromkeys(name for seen in (*candidate, *incumbent) for name in seen.measurements)
    for name in [body.comparison.objective.metric, *(n for n in names if n != body.comparison.objective.metric)][:100]:
        yield Arm(
            metric=name,
            candidate=tuple(seen.measurements[name] for seen in candidate if name in seen.measurements),
            incumbent=tuple(seen.measurements[name] for seen in incumbent if name in seen.measurements),
        )


def _ran(run: ReadRun, number: int, names: tuple[str, ...], found: tuple[Found, ...], room: Room) -> Iterator[Ran]:
    taken: set[str] = set()
    for kept, body in _executions(run, names):
        stage = _stage(kept, body)
        anchor = links.execution_anchor(number, kept.trial, stage)
        while anchor in taken:
            anchor += "-again"
        taken.add(anchor)
        wanted = {
            (item.place.file, item.place.line)
            for item in found
            if item.place.kind == "stream" and item.trial == kept.trial and item.stage in {stage, "verdict", "inspect"}
        }
        course = course_of(run, kept.course)
        series = course.series if course else None
        yield Ran(
            anchor=anchor,
            stage=stage,
            kept=kept,
            curves=curves(series) if series else (),
            printed=printed(run, kept, room.stream_lines, wanted),
            seen=tuple(_seen(kept, room.attempts)),
        )


def _executions(run: ReadRun, names: tuple[str, ...]) -> Iterator[tuple[Kept, e.Executed]]:
    bodies = (body for name in names for body in run.state.trials[name].runs())
    yield from zip(executions_of(run, names), bodies, strict=True)


def _stage(kept: Kept, body: e.Executed) -> str:
    """As findings name it."""
    if kept.challenge is None:
        return "train"
    return f"{'control' if isinstance(body, e.TrialControlled) else 'predict'} {kept.challenge}"


def _seen(kept: Kept, most: int) -> Iterator[Seen]:
    """Each grade apart; never added up."""
    execution = kept.execution
    for grade in Grade:
        coverage = next((cover for cover in execution.coverage if cover.grade is grade), None)
        attempts = tuple(attempt for attempt in execution.attempts if attempt.grade is grade)
        if coverage is not None or attempts:
            left = len(attempts[most:]) + (coverage.left_out if coverage else 0)
            yield Seen(grade=grade, coverage=coverage, attempts=attempts[:most], left=left)
