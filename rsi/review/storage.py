"""What the events point at outside the ledger: blobs, references of `code.git`, heads anchored elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rsi import anchors
from rsi import events as e
from rsi.blobs import MissingBlob
from rsi.errors import IntegrityError, RsiError
from rsi.ledger import Event
from rsi.records import ExperimentStatus, Record
from rsi.review.once_read import OnceRead
from rsi.state import RunState
from rsi.workspace import Workspace


class Reference(NamedTuple):
    """One mention of a blob."""

    seq: int
    kind: str
    role: str
    """`answer` and `artifact` may be dropped; everything else is evidence."""
    trial: str = ""


class Wrong(NamedTuple):
    """Something that does not hold, at the event that says otherwise."""

    seq: int
    kind: str
    sentence: str


def mentioned(body: Record) -> Iterator[tuple[str, str]]:  # noqa: PLR0912 - one branch an event kind
    """(digest, role) of every blob that an event points at."""
    match body:
        case e.RunStarted():
            yield body.task, "task"
        case e.DataPrepared():
            yield from _beside_execution(body)
        case e.ExperimentProposed():
            provenance = body.provenance
            named = ((body.edit, "edit"), (provenance.prompt, "prompt"), (provenance.answer, "proposer's answer"))
            yield from ((digest, role) for digest, role in named if digest)
        case e.ExperimentCommitted():
            if body.diff:
                yield body.diff, "diff"
        case e.CallReserved():
            yield body.request, "prompt"
        case e.CallSettled():
            yield body.answer, "model's answer"
        case e.AdviceFrozen():
            yield body.text, "advice"
        case e.ProgramFrozen():
            yield body.code, "program"
            yield from ((digest, "program's weights") for digest in body.artifact.values())
            if body.episodes:
                yield body.episodes, "program's episodes"
        case e.ProgramLearned():
            yield from _beside_execution(body)
            yield from ((digest, "program's weights") for digest in body.artifact.values())
        case e.ProgramAnswered():
            yield from _beside_execution(body)
            if body.answer:
                yield body.answer, "program's answer"
        case e.TrialTrained():
            yield from _beside_execution(body)
            yield from ((digest, "artifact") for digest in body.artifact.values())
        case e.TrialControlled():
            yield from _beside_execution(body)
        case e.TrialInspected():
            yield from ((digest, "inspection's arrays") for digest in body.kept.values())
        case e.TrialAnswered():
            yield from _beside_execution(body)
            if body.answer:
                yield body.answer, "answer"
            yield from ((digest, "scores") for digest in body.scores.values())
        case e.RunResumed():
            if body.torn_tail:
                yield body.torn_tail, "torn tail"


def _beside_execution(
    body: e.DataPrepared | e.OfProgram | e.Executed,
) -> Iterator[tuple[str, str]]:
    attempts = None if isinstance(body, e.DataPrepared) else body.attempts
    kept = ((body.stdout, "stdout"), (body.stderr, "stderr"), (body.course, "course"), (attempts, "attempts"))
    return ((digest, role) for digest, role in kept if digest)


class BlobIndex:
    """Every mention of a blob so far, by digest, so that a drop can be judged and presence checked at the end."""

    def __init__(self) -> None:
        self.references: dict[str, tuple[Reference] | list[Reference]] = {}
        self.dropped: dict[str, int] = {}
        self.resumed_at: list[int] = []

    def add(self, event: Event, body: Record) -> None:
        """Take in one event's mentions."""
        trial = getattr(body, "trial", "")
        for digest, role in mentioned(body):
            reference = Reference(event.seq, sys.intern(event.kind), role, trial)
            known = self.references.get(digest)
            if known is None:
                self.references[digest] = (reference,)  # most are mentioned once, and there are very many
            elif isinstance(known, list):
                known.append(reference)
            else:
                self.references[digest] = [*known, reference]
        if isinstance(body, e.BlobsDropped):
            self.dropped.update(dict.fromkeys(body.digests, event.seq))
        elif isinstance(body, e.RunResumed):
            self.resumed_at.append(event.seq)

    def drop_problem(self, state: RunState, body: e.BlobsDropped) -> str:
        """Why a drop was not allowed: only answers and artifacts go, and none that is still of use."""
        for digest in body.digests:
            references = self.references.get(digest, ())
            if not references:
                return f"it drops {digest[:12]}, which nothing mentions"
            for reference in references:
                if reference.role not in {"answer", "artifact"}:
                    return f"it drops {digest[:12]}, the {reference.role} of event {reference.seq}: that is evidence"
                if _of_use(state, reference):
                    return f"it drops the {reference.role} of trial {reference.trial}, which is still of use"
        return ""

    def problems(self, blobs: OnceRead, whole: bool) -> tuple[list[Wrong], list[str], int]:
        """Blobs that are missing or altered, notes, and how many were hashed again.

        Where the `whole` ledger could not be read, a drop may be on record in what was not.
        """
        wrong: list[Wrong] = []
        checked, lost = 0, 0
        for digest, references in self.references.items():
            first = references[0]
            try:
                blobs.require(digest)
                checked += 1
            except MissingBlob as missing:
                roles = {reference.role for reference in references}
                if digest in self.dropped or (not whole and roles <= {"answer", "artifact"}):
                    continue
                # Answers alone are written without waiting for the disk: a crash of the machine may take them.
                if roles == {"answer"} and any(at > first.seq for at in self.resumed_at):
                    lost += 1
                    continue
                wrong.append(Wrong(first.seq, "blob", f"its {first.role} is not there: {missing}"))
            except (RsiError, OSError) as error:
                wrong.append(Wrong(first.seq, "blob", f"its {first.role} does not hold: {error}"))
        note = f"{lost} sealed answers are gone without a recorded drop, as after a crash of the machine."
        return wrong, [note] if lost else [], checked


def _of_use(state: RunState, reference: Reference) -> bool:
    trial = state.trials[reference.trial]
    experiment = state.experiments[trial.started.experiment]
    if trial.started.role != "measure":
        return not trial.over
    if experiment.closed is None:
        return True
    return reference.role == "artifact" and experiment.status is ExperimentStatus.KEPT


def reference_problems(
    workspace: Workspace, state: RunState, where: dict[str, int], last: Event, living: bool = False
) -> tuple[list[Wrong], list[str]]:
    """Where the references of `code.git` say something else than the record.

    Args:
        workspace: With the references.
        state: After the last event.
        where: Commit → the event that records it.
        last: The last event.
        living: Whether someone is writing the run, so that the branch may have moved since.
    """
    try:
        found = workspace.refs()
        kept = workspace.kept()
    except (IntegrityError, OSError) as error:
        return [Wrong(last.seq, "reference", str(error))], []
    wrong, notes = [], []
    for number, experiment in state.experiments.items():
        if experiment.committed is None:
            continue
        commit, name = experiment.committed.commit, f"refs/experiments/{number:04d}"
        if found.get(name) != commit:
            wrong.append(Wrong(where.get(commit, last.seq), "reference", f"{name} points at another commit"))
    closed = state.experiments[state.incumbent].closed if state.experiments else None
    expected = closed.commit if closed else None
    if kept != expected:
        sentence = f"the branch `kept` is at {kept or 'nothing'}, the record says {expected or 'nothing'}"
        if living or _may_lag(state, last, kept):
            notes.append(f"{sentence}: the run went on meanwhile, or a crash came between; `rsi resume` mends it.")
        else:
            wrong.append(Wrong(where.get(expected or "", last.seq), "reference", sentence))
    return wrong, notes


def _may_lag(state: RunState, last: Event, kept: str | None) -> bool:
    """Whether the branch is where the keep before left it, and nothing but a pause came after the last one.

    The move follows the event; a crash may come between, or a disk that has no room for it.
    """
    if last.kind == "experiment.closed":
        return last.body.get("experiment") == state.incumbent
    commits = [x.closed.commit for x in state.experiments.values() if x.closed and x.closed.commit]
    return last.kind == "run.paused" and kept == (commits[-2] if len(commits) > 1 else None)


def anchor_problem(run_id: str, hashes: Sequence[str]) -> tuple[Wrong | None, int]:
    """Where a head that was written down outside the run folder is not borne out, and how many were written down."""
    known = anchors.read(run_id)
    for anchor in known:
        if anchor.seq >= len(hashes):
            sentence = (
                f"the ledger ends with event {len(hashes) - 1}, but event {anchor.seq} was written down on this "
                f"machine at {anchor.time or 'an unknown time'}: its end was cut off"
            )
            return Wrong(len(hashes) - 1, "anchor", sentence), len(known)
        if hashes[anchor.seq] != anchor.hash:
            sentence = f"its hash is not the one that was written down on this machine ({anchor.hash[:12]}…)"
            return Wrong(anchor.seq, "anchor", sentence), len(known)
    return None, len(known)
