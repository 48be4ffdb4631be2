"""What stands beside a ledger and vouches for it, or is vouched for by it: notes, authenticated heads, kept anchors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import ValidationError

from rsi import events as e
from rsi import heads
from rsi.chain import Scan, open_to_read
from rsi.errors import EnvironmentFault, IntegrityError
from rsi.execution import ExitKind
from rsi.records import Record
from rsi.review import anchoring
from rsi.review.notes import KIND, NOTES, Note
from rsi.review.storage import Wrong
from rsi.review.wording import count
from rsi.state import RunState

_SAYS_NOTHING = {ExitKind.LOST, ExitKind.INTERRUPTED}


class Outside(NamedTuple):
    """What a reviewer brings along."""

    anchors: tuple[anchoring.Kept, ...] = ()
    signers: Path | None = None
    key: bytes | None = None

    @classmethod
    def of(cls, anchors: str, signers: Path | None, key_file: Path | None) -> Self:
        """From the command line; UsageError or EnvironmentFault for what is not what it should be."""
        kept = tuple(anchoring.load(anchors)) if anchors else ()
        return cls(kept, signers, heads.load_key(key_file) if key_file else None)


class Ledger(NamedTuple):
    """What is known of the events."""

    hashes: Sequence[str]
    """Of those that hold, in order."""
    state: RunState
    """The fold of those that could be folded."""
    whole: bool
    """Whether the chain holds to its end and all of it could be folded; else nothing is known of what follows."""


class Beside(NamedTuple):
    """What was found; `torn` and `notes` are sentences, the first ones about what a crash leaves."""

    wrong: list[Wrong]
    torn: list[str]
    notes: list[str]


def look(folder: Path, ledger: Ledger, outside: Outside) -> Beside:
    """Check all of it against the events of the ledger."""
    hashes, state = ledger.hashes, ledger.state
    found = Beside([], [], [])
    run = state.started.run if state.started else ""
    for part in (_notes, _heads):
        try:
            part(folder, ledger, outside, found)
        except (IntegrityError, EnvironmentFault, OSError) as error:
            found.wrong.append(Wrong(max(0, len(hashes) - 1), "note" if part is _notes else "head", str(error)))
    known = {
        one.head.events - 1: hashes[one.head.events - 1] for one in outside.anchors if one.head.events <= len(hashes)
    }
    for checked in anchoring.judged(outside.anchors, run, known, len(hashes), outside.signers):
        if checked.holds:
            found.notes.append(f"The anchor of {count(checked.events, 'event')} is {checked.sentence}.")
        elif ledger.whole or checked.events <= len(hashes):
            seq = max(0, min(checked.events, len(hashes)) - 1)
            found.wrong.append(Wrong(seq, "anchor", f"the anchor of {checked.events} events: {checked.sentence}"))
    return found


def _notes(folder: Path, ledger: Ledger, _outside: Outside, found: Beside) -> None:
    """The notes' own chain, and the head of the ledger that each of them names."""
    path, hashes = folder / NOTES, ledger.hashes
    if not path.is_symlink() and not path.exists():
        return
    with open_to_read(path) as file:
        scan = Scan(path, file)
        for fields in scan:
            words = _note_problem(fields["kind"], fields["body"], ledger)
            if words:
                at = fields["body"].get("events")
                seq = at - 1 if isinstance(at, int) and 0 < at <= len(hashes) else max(0, len(hashes) - 1)
                found.wrong.append(Wrong(seq, "note", f"{NOTES}, line {fields['seq'] + 1}: {words}"))
    if scan.problem is not None:
        number = scan.problem.line
        words = scan.problem.sentence.partition("): ")[2] or scan.problem.sentence
        found.wrong.append(Wrong(max(0, len(hashes) - 1), "note", f"{NOTES}, line {number}: {words}"))
    if scan.torn:
        found.torn.append(f"The last {len(scan.torn)} bytes of {NOTES} are an unfinished note: a crash, or a writer.")


def _note_problem(kind: str, body: object, ledger: Ledger) -> str:
    hashes = ledger.hashes
    try:
        note = Note.model_validate(body)
    except ValidationError:
        return "it is no note of this program"
    if kind != KIND:
        return "it is no note of this program"
    if note.events > len(hashes):
        before = f"its author had {count(note.events, 'event')} before them"
        cut = f"{before}, and the ledger ends with event {len(hashes) - 1}: its end was cut off"
        return cut if ledger.whole else ""
    if hashes[note.events - 1] != note.head:
        return f"event {note.events - 1} has another hash than its author saw: the record was written anew"
    known = not ledger.whole or note.experiment in ledger.state.experiments
    return "" if known else f"there is no experiment {note.experiment}"


def _heads(folder: Path, ledger: Ledger, outside: Outside, found: Beside) -> None:
    """Heads that are authenticated with a key: each of them, and whether they reach as far as they should."""
    hashes, state = ledger.hashes, ledger.state
    run, last, lines = state.started.run if state.started else "", -1, 0
    torn = heads.torn_bytes(folder)
    read = list(heads.read(folder))
    if torn and read:
        read.pop()
        found.torn.append(
            f"The last {torn} bytes of {heads.HEADS} are an unfinished head: a crash, or a writer at work."
        )
    for line in read:
        lines += 1
        wrong = _head_problem(line, run, ledger, outside.key)
        if isinstance(line, heads.Authenticated) and not wrong:
            last = max(last, line.seq)
        elif wrong:
            found.wrong.append(wrong)
    if outside.key is None:
        if lines:
            found.notes.append(f"{count(lines, 'head')} are authenticated with a key; --hmac-key-file checks them.")
        return
    if last < 0:
        found.wrong.append(Wrong(0, "head", f"no head in {heads.HEADS} is authenticated with this key"))
    elif last < len(hashes) - 1 and ledger.whole:
        words = f"The key vouches for the events up to {last} of {len(hashes) - 1}"
        if state.finished is not None:
            found.wrong.append(
                Wrong(len(hashes) - 1, "head", f"the run is finished, but {words[0].lower() + words[1:]}")
            )
        else:
            found.notes.append(f"{words}; for those after it nobody does.")
    elif ledger.whole:
        found.notes.append("The key vouches for every event.")


def _head_problem(line: heads.Authenticated | str, run: str, ledger: Ledger, key: bytes | None) -> Wrong | None:
    hashes = ledger.hashes
    end = max(0, len(hashes) - 1)
    if isinstance(line, str):
        return Wrong(end, "head", line)
    if key is not None and not heads.holds(key, run, line):
        return Wrong(min(line.seq, end), "head", f"the head of event {line.seq} is not authenticated with this key")
    if line.seq > end:
        if not ledger.whole:
            return None
        return Wrong(end, "head", f"event {line.seq} is on record as a head, and the ledger ends with event {end}")
    if hashes[line.seq] != line.hash:
        return Wrong(line.seq, "head", f"event {line.seq} has another hash than {heads.HEADS} says")
    return None


_RUN_HERE = e.Executed | e.OfProgram | e.DataPrepared
"""Events with an execution in the run's own sandbox."""


class ImageWatch:
    """Whether every execution ran in the image that the run says it ran in."""

    def __init__(self) -> None:
        self._named = False

    def problem(self, state: RunState, body: Record) -> str:
        """What is wrong with an event's execution, the state being that before it; empty where nothing is."""
        execution = getattr(body, "execution", None)
        if execution is None or state.started is None or not isinstance(body, _RUN_HERE):
            return ""
        wanted = (state.sandbox or state.started.sandbox).image_digest
        self._named = self._named or bool(execution.image)
        if execution.image and wanted and execution.image != wanted:
            return f"it ran in the image {execution.image[:80]}, and the run's image was {wanted[:80]}"
        if wanted and not execution.image and self._named and execution.kind not in _SAYS_NOTHING:
            return f"it names no image, and the run's image was {wanted[:80]}"
        return ""
