"""A run as reviewers read it: its summary, a row an experiment, findings, events, and one experiment at a time.

Every screen, page and export asks this and nothing else, so that they agree. It is answered from an index
(`rsi.review.index`), so that a run of a hundred thousand events is read once, and never held whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rsi.blobs import Blobs
from rsi.chain import FIELDS, Event, make_event, open_to_read
from rsi.errors import IntegrityError, RsiError, UsageError
from rsi.events import RunStarted
from rsi.records import Objective, Severity
from rsi.redaction import Redactor
from rsi.review.findings import Found, of_notes, order
from rsi.review.index import meta, opened
from rsi.review.lines import Line
from rsi.review.liveness import is_being_written
from rsi.review.notes import Note, marked
from rsi.review.notes import read as read_notes
from rsi.review.staircase import Point
from rsi.review.summary import ENDED_WITHOUT_A_WORD, RunSummary
from rsi.review.wording import one_line
from rsi.runs import LEDGER, ReadRun
from rsi.state import RunState
from rsi.task import Task

_SEVERITIES = tuple(Severity)


class Entry(NamedTuple):
    """One event of a run, and what is known of it besides."""

    event: Event
    experiment: int | None
    """The one it belongs to, None for the run as a whole."""
    severity: Severity | None
    """The gravest of what it says."""
    words: str
    """What happened, as one harmless line."""


class Reading:
    """One run folder as it was when it was opened for reading; nothing in it is changed, and it may be going on."""

    def __init__(self, folder: Path) -> None:
        """Use `read`."""
        self.folder = folder
        self.blobs = Blobs(folder / "blobs", Redactor.none())
        self._index = opened(folder)
        self.problem = self._meta("problem")
        """What is wrong behind the last event that is shown; empty where the whole ledger holds."""
        self.torn_bytes = int(self._meta("torn_bytes"))
        """Length of an unfinished last line: a crash, or a writer at work."""

    @cached_property
    def summary(self) -> RunSummary:
        """What the run came to."""
        summary = RunSummary.model_validate_json(self._meta("summary"))
        changed: dict[str, object] = {"folder": one_line(str(self.folder), 1000)}
        # Whether someone writes it is of this moment, not of the ledger.
        if summary.status == "running" or summary.reason == ENDED_WITHOUT_A_WORD:
            gone = is_being_written(self.folder) is False
            changed |= {"status": "paused" if gone else "running", "reason": ENDED_WITHOUT_A_WORD if gone else ""}
        return summary.model_copy(update=changed)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every experiment, the baseline first."""
        rows = self._index.execute("SELECT record FROM lines ORDER BY experiment")
        lines = [Line.model_validate_json(record) for (record,) in rows]
        notes = () if self.notes_problem else self.notes
        for number in {note.experiment for note in notes if note.experiment < len(lines)}:
            told = sum(note.experiment == number for note in notes)
            lines[number] = lines[number].model_copy(update={"notes": told, "marked": marked(notes, number)})
        return tuple(lines)

    @cached_property
    def started(self) -> RunStarted:
        """What was chosen when the run was started."""
        return RunStarted.model_validate(next(self.events(kinds=["run.started"])).body)

    def task(self) -> Task:
        """The task as it was frozen at the start; IntegrityError where its blob is gone or altered."""
        return Task.model_validate_json(self.blobs.get(self.started.task))

    @property
    def objective(self) -> Objective:
        """What the run improves, with the noise that its numbers have."""
        return self.started.objective

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The staircase."""
        return tuple(Point.model_validate(point) for point in json.loads(self._meta("points")))

    @cached_property
    def findings(self) -> tuple[Found, ...]:
        """What deserves a look, first things first; hostile text as it stands in the record."""
        return self.findings_from(Severity.INFO)

    def findings_from(self, severity: Severity) -> tuple[Found, ...]:
        """The same, of that severity and above."""
        rank = _SEVERITIES.index(severity)
        query = "SELECT record FROM ranked WHERE severity >= ? ORDER BY place"
        found = [Found.model_validate_json(record) for (record,) in self._index.execute(query, (rank,))]
        noted = of_notes(self.summary.run, () if self.notes_problem else self.notes)
        more = [item for item in noted if _SEVERITIES.index(item.severity) >= rank]
        return tuple(sorted([*found, *more], key=order) if more else found)

    def findings_of(self, experiment: int | None) -> list[Found]:
        """Every finding of one experiment (None: of the run as a whole), in the order of the events, none merged."""
        query = "SELECT record FROM findings WHERE experiment IS ? ORDER BY place"
        return [Found.model_validate_json(record) for (record,) in self._index.execute(query, (experiment,))]

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
        found = self.entries(experiment, kinds=kinds, since=since, until=until)
        return (entry.event for entry in found)

    def entries(
        self,
        experiment: int | None = None,
        *,
        kinds: Collection[str] = (),
        since: str = "",
        until: str = "",
        severity: Severity | None = None,
        text: str = "",
    ) -> Iterator[Entry]:
        """The same, with what is known of each event besides.

        Args:
            experiment: As in `events`.
            kinds: As in `events`.
            since: As in `events`.
            until: As in `events`.
            severity: Only events that say something at least so grave.
            text: Events that cannot have it, neither in what they record nor in their words, may be left out.
        """
        wanted: list[str] = ["1"]
        values: list[object] = []
        if experiment is not None:
            wanted.append("experiment = ?")
            values.append(experiment)
        if kinds:
            known = [kind for (kind,) in self._index.execute("SELECT DISTINCT kind FROM events")]
            fitting = [kind for kind in known if is_of(kind, kinds)]
            wanted.append(f"kind IN ({', '.join('?' * len(fitting))})")
            values += fitting
        if severity is not None:
            wanted.append("severity >= ?")
            values.append(_SEVERITIES.index(severity))
        for time, sign in ((since, ">="), (until, "<=")):
            if time:
                wanted.append(f"time {sign} ?")
                values.append(time)
        where = " AND ".join(wanted)
        query = f"SELECT seq, at, length, experiment, severity, words FROM events WHERE {where} ORDER BY seq"  # noqa: S608
        may_hold = _may_hold(text)
        for event, number, rank, words in self._read(query, values, may_hold):
            yield Entry(event, number, None if rank is None else _SEVERITIES[rank], words)

    def experiment_of(self, event: Event) -> int | None:
        """The experiment that an event belongs to, None for one of the run as a whole."""
        row = self._index.execute("SELECT experiment FROM events WHERE seq = ?", (event.seq,)).fetchone()
        return row[0] if row else None

    def excerpt(self, experiment: int) -> ReadRun:
        """The run, of which that experiment and its parent are read, and what concerns them all.

        UsageError where there is no such experiment.
        """
        number = experiment if 0 <= experiment < 2**63 else -1  # SQLite takes no larger ones
        row = self._index.execute("SELECT record FROM lines WHERE experiment = ?", (number,)).fetchone()
        if row is None:
            (there,) = self._index.execute("SELECT count(*) FROM lines").fetchone()
            known = f"it has 0 to {there - 1}" if there else "it has none yet"
            raise UsageError(f"{self.summary.run} has no experiment {experiment}; {known}.")
        parent = Line.model_validate_json(row[0]).parent
        query = "SELECT seq, at, length FROM events WHERE frame = 1 OR experiment IN (?, ?) ORDER BY seq"
        state, events = RunState(whole=False), []
        for (event,) in self._read(query, [experiment, parent]):
            state.apply(event)
            events.append(event)
        return ReadRun(self.folder, events, state, self.blobs)

    def _meta(self, name: str) -> str:
        return meta(self._index, name)

    def _read(
        self, query: str, values: Sequence[object], may_hold: Callable[[bytes, str], bool] | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Events by their place in the ledger, whose every byte was hashed when this was opened, and what is beside it.

        The query gives number, place, length, whatever else, and with `may_hold` the event's words last.
        """
        with open_to_read(self.folder / LEDGER) as file:
            for seq, at, length, *more in self._index.execute(query, list(values)):
                if file.tell() != at:  # to seek drops what was read ahead
                    file.seek(at)
                line = file.read(length)
                if may_hold is not None and not may_hold(line, more[-1]):
                    continue
                event = _event_of(line, seq)
                if event is None:
                    raise IntegrityError(f"{self.folder / LEDGER} was changed while it was read; read it again.")
                yield event, *more


def _event_of(line: bytes, seq: int) -> Event | None:
    """What stands in a line that was checked when it was indexed; None where it is another one by now."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(fields, dict) and fields.keys() == FIELDS and fields["seq"] == seq
    return make_event(fields) if known else None


def _may_hold(text: str) -> Callable[[bytes, str], bool] | None:
    """Whether an event's line, or its words, can hold a text, upper and lower case alike; None where all can."""
    if not text or not text.isascii() or not text.isprintable() or set(text) & set('"\\'):
        return None
    wanted, as_bytes = text.lower(), text.lower().encode()

    def may_hold(line: bytes, words: str) -> bool:
        # Behind an escape may be a letter whose other case is one of these.
        return b"\\u" in line or as_bytes in line.lower() or wanted in words.lower()

    return may_hold


def require_experiment(readings: Sequence[Reading], experiment: int | None) -> None:
    """UsageError where an experiment is asked for that none of the runs has."""
    if experiment is None:
        return
    lasts = [reading.summary.experiments for reading in readings]
    if 0 <= experiment <= max(lasts, default=-1):
        return
    if len(readings) == 1:
        raise UsageError(f"{readings[0].summary.run} has no experiment {experiment}; it has 0 to {lasts[0]}.")
    raise UsageError(f"None of these runs has an experiment {experiment}; they have 0 to {max(lasts, default=0)}.")


def is_of(event_kind: str, kinds: Collection[str]) -> bool:
    """Whether a kind is one of these, or begins with one of them and a point."""
    return any(event_kind == kind or event_kind.startswith(kind.rstrip(".") + ".") for kind in kinds)


def read(folder: Path, *, anyway: bool = False) -> Reading:
    """Open a run folder; IntegrityError where its chain does not hold.

    With `anyway`, what stands before the first event that does not hold is read then, and `problem` says what is
    wrong; IntegrityError only where not even the beginning holds.
    """
    reading = Reading(folder)
    if reading.problem and not anyway:
        raise IntegrityError(f"{reading.problem} `rsi verify {folder}` says more.")
    return reading
