"""Check that a run's record is whole, and that every commit, verdict and decision follows from what came before it.

The first event that does not hold is named. Nothing in the run folder is executed or changed, no git program runs,
links are refused; of a run that is still going on, the events up to now are checked.
"""

from __future__ import annotations

import gc
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from rsi import events as e
from rsi.blobs import Blobs
from rsi.durable import read_regular
from rsi.errors import IntegrityError, RsiError
from rsi.ledger import GENESIS, Event, read_events
from rsi.records import Record, Versioned
from rsi.redaction import Redactor
from rsi.review.beside import ImageWatch, Ledger, Outside, look
from rsi.review.lean import Lean
from rsi.review.liveness import is_being_written
from rsi.review.once_read import OnceRead
from rsi.review.rederive import Rederivation
from rsi.review.sequence import contradiction
from rsi.review.storage import BlobIndex, Wrong, anchor_problem, reference_problems
from rsi.review.wording import count, marks, one_line, say
from rsi.runs import LEDGER
from rsi.state import RunState
from rsi.workspace import Workspace

MOST_PROBLEMS = 100
"""Listed in full; a record altered early goes wrong everywhere after."""
_LONGEST_TOML = 1024 * 1024


class VerifyProblem(Record):
    """Something that does not hold."""

    seq: int
    """The event, from 0."""
    line: int
    """Its line in the ledger, from 1."""
    kind: str
    """`chain`, `order`, `blob`, `commit`, `diff`, `verdict`, `decision`, `closing`, `confirmation`, `drop`, `image`,
    `note`, `head`, `anchor`, …"""
    event: str
    """The event's kind, empty where it could not be read."""
    sentence: str


class Counts(Record):
    """How much was derived again or read whole."""

    blobs: int = 0
    commits: int = 0
    verdicts: int = 0
    decisions: int = 0
    findings: int = 0
    """Of what was attempted in sandboxes."""
    refusals: int = 0
    confirmations: int = 0
    milestones: int = 0
    ablations: int = 0
    inspections: int = 0
    """Of code alone, by verifiers that read it."""
    dropped: int = 0
    """Blobs whose absence is on record."""
    anchors: int = 0
    """Heads written down on this machine, outside the run folder, that the ledger bears out."""


class VerifyReport(Versioned):
    """What `rsi verify` found; `problems` in the order of the events, so that the first is where it began."""

    run: str
    ok: bool
    events: int
    head: str
    torn_bytes: int
    torn: tuple[str, ...] = ()
    """What a crash left unfinished, a sentence each: no alteration, and no problem."""
    verdicts_derived: bool
    """False for the fast path, which takes verdicts as recorded."""
    counts: Counts
    problems: tuple[VerifyProblem, ...]
    notes: tuple[str, ...]


def verify(
    folder: Path, verdicts: bool = True, trust_paths: bool = False, head: str = "", outside: Outside | None = None
) -> VerifyReport:
    """Check a run folder.

    Args:
        folder: Of the run.
        verdicts: Derive commits and verdicts again too; without, chain, order, blobs, references and decisions.
        trust_paths: Load verifiers and policies that the run names by a file's path. That runs the file.
        head: A head hash kept elsewhere, or its beginning; some event must have it.
        outside: What else a reviewer has that vouches for the run.

    Raises UsageError where there is no ledger; everything else that is wrong is in the report.
    """
    reader = read_events(folder / LEDGER)
    with _without_collecting():
        examination = _Examination(folder, verdicts, trust_paths)
        examination.run(reader)
        examination.outside(brought=bool(head or (outside and outside.anchors)))
        examination.beside(outside or Outside())
    if head and not any(known.startswith(head.lower()) for known in examination.hashes):
        sentence = f"no event has the head {one_line(head, 64)} that was kept elsewhere"
        examination.wrong.append(Wrong(max(0, len(examination.hashes) - 1), "anchor", sentence))
    if reader.torn_bytes:
        examination.torn.append(
            f"The last {reader.torn_bytes} bytes are an unfinished event: a crash, or a writer at work."
        )
    return _report(examination, reader.torn_bytes)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Records hold no cycles; looking for some among a million of them would double the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Examination:
    """One pass over the events: order, fold, blobs, and everything that can be derived again."""

    def __init__(self, folder: Path, verdicts: bool, trust_paths: bool) -> None:
        self.folder = folder
        self.verdicts = verdicts
        self.trust_paths = trust_paths
        self.state = RunState()
        self.blobs = OnceRead(Blobs(folder / "blobs", Redactor.none()))
        self.lean = Lean()
        self.index = BlobIndex()
        self.wrong: list[Wrong] = []
        self.notes: list[str] = []
        self.torn: list[str] = []
        self.images = ImageWatch()
        self.last: Event | None = None
        """Of those that could be folded."""
        self.hashes: list[str] = []
        self.kinds: list[str] = []
        self.whole = True
        """Whether the chain held and every event could be folded."""
        self.blobs_read = self.anchors = 0
        self.workspace: Workspace | None = None
        self.derive: Rederivation | None = None

    def run(self, events: Iterable[Event]) -> None:
        """Go through the events in order.

        After one that cannot be folded nothing more has a meaning, and only the chain is followed to its end.
        """
        try:
            self.workspace = Workspace.open(self.folder)
            self.derive = Rederivation(self.blobs, self.workspace, verdicts=self.verdicts, trust_paths=self.trust_paths)
        except RsiError as error:
            self.wrong.append(Wrong(0, "commit", str(error)))
        try:
            self._follow(events)
            if self.derive is not None:
                self.wrong.extend(self.derive.settled_by_now(0))
        finally:  # Ctrl-C must not wait for hundreds of derivations that nobody wants any more
            if self.derive is not None:
                self.derive.close()

    def _follow(self, events: Iterable[Event]) -> None:
        try:
            for event in events:
                self.hashes.append(event.hash)
                self.kinds.append(sys.intern(event.kind))
                if self.whole and self._step(event):
                    self.last = event
                else:
                    self.whole = False
        except IntegrityError as error:
            self.wrong.append(Wrong(len(self.hashes), "chain", str(error)))
            self.whole = False

    def _step(self, event: Event) -> bool:
        try:
            body = self.state.validated(event)
            self.lean.share(body)
            self._examine(event, body)
            self.state.fold(body, event)
        except Exception as error:  # a hostile body makes any of our code fail; that it does is the finding
            if not self.wrong or self.wrong[-1].seq != event.seq:
                self.wrong.append(Wrong(event.seq, "order", self._words(event, error)))
            return False
        return True

    def _words(self, event: Event, error: Exception) -> str:
        if isinstance(error, RsiError):
            return str(error)
        try:
            self.state.apply(event)
        except RsiError as named:  # the fold's own sentence, which names the field that is wrong
            return str(named)
        except Exception as other:
            return f"it cannot be: {type(other).__name__}: {other}"
        return f"it cannot be: {type(error).__name__}: {error}"

    def _examine(self, event: Event, body: Record) -> None:
        self.index.add(event, body)
        out_of_order = contradiction(self.state, body)
        if out_of_order:
            self.wrong.append(Wrong(event.seq, "order", out_of_order))
        elsewhere = self.images.problem(self.state, body)
        if elsewhere:
            self.wrong.append(Wrong(event.seq, "image", elsewhere))
        if isinstance(body, e.RunResumed) and body.torn_tail:
            self.torn.append(f"Before event {event.seq} a crash had left an unfinished event; it was set aside.")
        if isinstance(body, e.BlobsDropped):
            problem = self.index.drop_problem(self.state, body)
            if problem:
                self.wrong.append(Wrong(event.seq, "drop", problem))
        # What cannot stand here cannot be derived from what stands before it either: one problem, said once.
        if self.derive is not None and not out_of_order:
            self.wrong.extend(self.derive.problems(self.state, event, body))
            self.wrong.extend(self.derive.settled_by_now())

    def outside(self, *, brought: bool) -> None:
        """What lies outside the ledger: blobs, references, `run.toml`, heads anchored elsewhere.

        `brought` where the reviewer has a head to compare: then nobody need be told to look for one.
        Where not the whole ledger could be read, what its last events said of these is not known.
        """
        wrong, torn, self.blobs_read = self.index.problems(self.blobs, self.whole)
        self.wrong.extend(wrong)
        self.torn.extend(torn)
        if not self.hashes:
            self.wrong.append(Wrong(0, "order", "the ledger holds no run.started event, so it is no run"))
        if self.last is None or self.state.started is None:
            return
        if self.workspace is not None and self.derive is not None and self.whole:
            commits = self.derive.commits
            living = is_being_written(self.folder) is True
            wrong, torn = reference_problems(self.workspace, self.state, commits, self.last, living)
            self.wrong.extend(wrong)
            self.torn.extend(torn)
        if self.whole:
            broken, self.anchors = anchor_problem(self.state.started.run, self.hashes)
            if broken is not None:
                self.wrong.append(broken)
        self.notes.extend(self._remarks(brought=brought))

    def beside(self, outside: Outside) -> None:
        """Notes, authenticated heads and anchors; where the chain does not hold, its end is not what they end at."""
        found = look(self.folder, Ledger(self.hashes, self.state, self.whole), outside)
        self.wrong.extend(found.wrong)
        self.torn.extend(found.torn)
        self.notes.extend(found.notes)

    def _remarks(self, *, brought: bool) -> Iterator[str]:
        started = self.state.run
        yield from marks(started.grounded, started.sandbox.isolates)
        for seq, digest in self.state.other_images:
            yield (
                f"From event {seq} on the user had trials run in another image ({one_line(digest, 80)}), whose scores "
                "may not compare with those before."
            )
        if not self.anchors and not brought:
            yield (
                "No head of this run was written down on this machine, so neither a cut-off end nor a record written "
                "anew as a whole would show; bring a line of `rsi anchor` that was kept elsewhere, with --anchor."
            )
        if self.folder.resolve().name != started.run:
            yield f"The folder is called {self.folder.resolve().name}, the run {started.run}."
        if self.derive is not None:
            yield from self.derive.notes
        try:
            frozen = tomllib.loads(read_regular(self.folder / "run.toml", _LONGEST_TOML).decode())
        except (OSError, ValueError, RsiError, RecursionError):
            yield "run.toml cannot be read; the ledger holds the same."
            return
        # Fields that a later version added are set by neither.
        said = started.model_dump(mode="json", exclude_none=True, exclude_unset=True, exclude={"randomness"})
        if frozen != said:
            yield "run.toml says something else than the ledger, which is what counts."

    def counts(self) -> Counts:
        """How much was derived again or read whole."""
        derived = dict(self.derive.counts) if self.derive is not None else {}
        return Counts(blobs=self.blobs_read, dropped=len(self.index.dropped), anchors=self.anchors, **derived)


def _report(examination: _Examination, torn_bytes: int) -> VerifyReport:
    started, notes, kinds = examination.state.started, examination.notes, examination.kinds
    wrong = sorted(examination.wrong, key=lambda item: item.seq)
    problems = tuple(
        VerifyProblem(
            seq=item.seq,
            line=item.seq + 1,
            kind=item.kind,
            event=one_line(kinds[item.seq], 60) if 0 <= item.seq < len(kinds) else "",
            sentence=one_line(item.sentence, 600),
        )
        for item in wrong[:MOST_PROBLEMS]
    )
    if len(wrong) > MOST_PROBLEMS:
        notes = [*notes, f"{len(wrong) - MOST_PROBLEMS} further problems are not listed."]
    return VerifyReport(
        run=one_line(started.run) if started else "",
        ok=not wrong,
        events=len(kinds),
        head=examination.hashes[-1] if kinds else GENESIS,
        torn_bytes=torn_bytes,
        torn=tuple(one_line(words, 400) for words in examination.torn),
        verdicts_derived=examination.verdicts,
        counts=examination.counts(),
        problems=problems,
        notes=tuple(one_line(note, 400) for note in notes),
    )


def render(report: VerifyReport, console: Console) -> None:
    """Tell a person what was found: the first event that does not hold, or what was checked."""
    if report.ok:
        say(console, f"{report.run or 'The run'} holds: {count(report.events, 'event')} in one chain.", "bold green")
        say(console, f"  {_checked(report)}.")
    else:
        first = report.problems[0]
        name = f"event {first.seq} ({first.event})" if first.event else f"event {first.seq}"
        say(console, f"{report.run or 'The run'} does not hold: {name}, line {first.line}.", "bold red")
        for problem in report.problems[:10]:
            say(console, f"  event {problem.seq} [{problem.kind}] {problem.sentence}", "red")
        if len(report.problems) > 10:
            say(console, f"  and {count(len(report.problems) - 10, 'further problem')}; --json lists them.")
    for words in report.torn:
        say(console, f"  torn, not altered: {words}", "yellow")
    for note in report.notes:
        say(console, f"  note: {note}", "yellow" if note.isupper() else "dim")
    say(console, f"  head {report.head}")


def _checked(report: VerifyReport) -> str:
    counts = report.counts
    parts = [
        count(counts.blobs, "blob") + " hashed again",
        count(counts.commits, "commit") + (" made again" if report.verdicts_derived else " read"),
        count(counts.verdicts, "verdict") + " derived again"
        if report.verdicts_derived
        else "verdicts taken as recorded",
        count(counts.decisions, "decision") + " derived again",
        count(counts.anchors, "head") + " borne out",
    ]
    return ", ".join(parts)
