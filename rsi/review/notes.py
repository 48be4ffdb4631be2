"""What reviewers said of a run's experiments: a hash-chained file beside the ledger, which may go on growing.

A note names the ledger's head at the moment it was written, so that what its author had before them is on record too.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from rsi.chain import ChainReport, check_chain, read_events
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.ledger import Ledger, Locked
from rsi.records import Record
from rsi.redaction import Redactor
from rsi.review.wording import one_line
from rsi.runs import LEDGER

NOTES = "notes.jsonl"
LOCK = "notes.lock"
KIND = "note.written"
SECONDS_TO_WAIT = 5.0
"""For another reviewer's note, which takes no time at all."""
LONGEST = 4000
"""Characters of a note."""

Mark = Literal["suspicious", "fine", ""]


class Note(Record):
    """A reviewer's word on an experiment; a later one does not take an earlier one back, both are shown."""

    experiment: int = Field(ge=0)
    text: str = Field(max_length=LONGEST)
    mark: Mark = ""
    author: str = Field(min_length=1, max_length=200)
    head: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the ledger, when this was written."""
    events: int = Field(ge=1)
    """In the ledger by then."""
    time: str = ""
    """UTC, ISO 8601; set when it is read."""


def write(folder: Path, note: Note) -> None:
    """Append a note; on disk when this returns.

    UsageError where another process writes and does not end; IntegrityError where the notes' chain does not hold;
    EnvironmentFault where the folder cannot be written.
    """
    path, redactor = folder / NOTES, Redactor.from_environment(os.environ)
    with _opened(path, redactor) as ledger:
        ledger.append(KIND, note.model_dump(mode="json", exclude={"time"}))


def _opened(path: Path, redactor: Redactor) -> Ledger:
    end = time.monotonic() + SECONDS_TO_WAIT
    while True:
        existed = os.path.lexists(path)
        try:
            return Ledger.open(path, redactor, LOCK) if existed else Ledger.create(path, redactor, LOCK)
        except Locked:
            if time.monotonic() > end:
                raise UsageError(f"Someone else is writing into {path}; write your note once they are done.") from None
        except UsageError:
            if existed or not os.path.lexists(path):
                raise  # else another reviewer was first to make the file
        time.sleep(0.02)


def write_on(folder: Path, experiment: int, text: str, mark: str = "", by: str = "") -> Note:
    """Write a note on an experiment of a run, which may be going on; what was written.

    UsageError for an experiment, a mark or a text that is none; IntegrityError where the run's chain does not hold;
    EnvironmentFault where the folder cannot be written.
    """
    known, last = set(), None
    for last in read_events(folder / LEDGER):
        number = last.body.get("experiment")
        if last.kind == "experiment.proposed" and isinstance(number, int | str):
            known.add(str(number))
    if last is None or str(experiment) not in known:
        raise UsageError(f"{folder.resolve().name} has no experiment {experiment}; it has 0 to {len(known) - 1}.")
    if mark not in {"suspicious", "fine", ""}:
        raise UsageError(f"--mark {one_line(mark, 40)!r} is neither suspicious nor fine.")
    if not text.strip() or len(text) > LONGEST:
        raise UsageError(
            f"A note has 1 to {LONGEST} characters, and this one {len(text)}; put what is longer elsewhere."
        )
    who = " ".join(by.split())[:200] or author()
    note = Note(experiment=experiment, text=text, mark=mark, author=who, head=last.hash, events=last.seq + 1)  # type: ignore[arg-type]
    try:
        write(folder, note)
    except EnvironmentFault as error:
        why = str(error).partition(";")[0]
        raise EnvironmentFault(
            f"{why}; notes lie in the run folder, so copy it to a place of your own and note there."
        ) from None
    return note


def read(folder: Path) -> tuple[Note, ...]:
    """Every note, oldest first; none where there is no such file. IntegrityError where the chain does not hold."""
    path = folder / NOTES
    if not os.path.lexists(path):
        return ()
    report = check_chain(path)
    if report.problem is not None:
        raise IntegrityError(report.problem.sentence)
    found = []
    for event in read_events(path):
        try:
            if event.kind == KIND:
                found.append(Note.model_validate({**event.body, "time": event.time}))
        except ValidationError:
            raise IntegrityError(f"{path}, line {event.seq + 1}: this is no note of this program.") from None
    return tuple(found)


def checked(folder: Path) -> ChainReport | None:
    """Whether the notes' chain holds; None where there are none."""
    return check_chain(folder / NOTES) if os.path.lexists(folder / NOTES) else None


def note_words(note: Note) -> str:
    """A note in a sentence; hostile text as it is."""
    mark = f" ({note.mark})" if note.mark else ""
    return f"{note.author} on experiment {note.experiment}{mark}, {note.time[:16].replace('T', ' ')}: {note.text}"


def marked(notes: Iterable[Note], experiment: int) -> Mark:
    """What reviewers say of an experiment at most: `suspicious` if one does, else `fine` if one does."""
    marks = {note.mark for note in notes if note.experiment == experiment}
    return "suspicious" if "suspicious" in marks else "fine" if "fine" in marks else ""


def author() -> str:
    """Who writes: RSI_AUTHOR, else the user's login name; UsageError where neither is known."""
    given = " ".join(os.environ.get("RSI_AUTHOR", "").split())
    if given:
        return given[:200]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise UsageError("Nobody knows who writes this note; say it with --author, or set RSI_AUTHOR.") from None
