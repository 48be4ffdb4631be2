"""Derive a whole run again from its record: every proposal too, with no key, no network, no engine and no clock.

A proposal is a pure function of the brief and of the recorded answers; so it is built again by its name, given
the brief that the state of that moment gives, answers from the record. Verdicts, decisions and the rest are
derived by `rsi.review.verify`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from rsi import briefing
from rsi import events as e
from rsi.blobs import Blobs
from rsi.calls import BudgetSpent, RecordedCalls
from rsi.ledger import Event, check_chain, read_events
from rsi.plugins import load
from rsi.programs.recorded import RecordedProgram
from rsi.protocols import AsksModels, AsksProgram, Exhausted, Proposer
from rsi.records import Proposal, Versioned
from rsi.redaction import Redactor
from rsi.review.secrets_aside import same_but_for_secrets
from rsi.review.verify import VerifyProblem, VerifyReport, verify
from rsi.review.wording import count, one_line, say
from rsi.runs import LEDGER, frozen_task
from rsi.state import RunState
from rsi.task import Task
from rsi.workspace import Workspace


class ReplayReport(Versioned):
    """What `rsi replay` found; `problems` in the order of the events, so that the first is where it differs."""

    run: str
    ok: bool
    proposals: int
    """Derived again."""
    calls: int
    """Answers that were read from the record for that."""
    verdicts: int
    decisions: int
    problems: tuple[VerifyProblem, ...]
    notes: tuple[str, ...]


def replay(folder: Path, trust_paths: bool = False) -> ReplayReport:
    """Derive a run again.

    Args:
        folder: Of the run.
        trust_paths: Load proposers, verifiers and policies that the run names by a file's path. That runs the file.
    """
    checked = verify(folder, verdicts=True, trust_paths=trust_paths)
    again = _Again(folder, trust_paths)
    problems = [*checked.problems]
    if check_chain(folder / LEDGER).problem is None:
        problems += again.problems()
    problems.sort(key=lambda problem: problem.seq)
    return ReplayReport(
        run=checked.run,
        ok=not problems,
        proposals=again.proposals,
        calls=again.calls,
        verdicts=checked.counts.verdicts,
        decisions=checked.counts.decisions,
        problems=tuple(problems),
        notes=(*again.notes, *_notes(checked)),
    )


def _notes(checked: VerifyReport) -> tuple[str, ...]:
    return tuple(note for note in checked.notes if "head" not in note.lower())


class _Again:
    """One pass over the events, asking the proposer wherever it was asked."""

    def __init__(self, folder: Path, trust_paths: bool) -> None:
        self.folder = folder
        self.trust_paths = trust_paths
        self.blobs = Blobs(folder / "blobs", Redactor.none())
        self.state = RunState()
        self.proposals = self.calls = 0
        self.notes: list[str] = []
        self._proposer: Proposer | None = None
        self._task: Task | None = None

    def problems(self) -> Iterator[VerifyProblem]:
        """Every proposal that does not derive again; the events after an unreadable one are left out."""
        for event in read_events(self.folder / LEDGER):
            try:
                if event.kind == "experiment.proposed" and event.body.get("experiment"):
                    yield from self._proposed(event, e.ExperimentProposed.model_validate(event.body))
                self.state.apply(event)
                if event.kind == "run.started":
                    self._build()
            except Exception as error:  # a hostile record makes any of our code fail; that it does is the finding
                yield _problem(event, "underivable", str(error) or type(error).__name__)
                return

    def _build(self) -> None:
        component = self.state.run.configuration.proposer
        self._task = frozen_task(self.blobs, self.state)
        if ".py:" in component.name and not self.trust_paths:
            self.notes.append(
                f"The proposer {component.name!r} is a program outside this distribution, which is not loaded unasked; "
                "its proposals are taken as recorded."
            )
            return
        if component.name == "replay":
            self.notes.append("The proposals were replayed from elsewhere, and are taken as recorded.")
            return
        proposer: Proposer = load("proposers", component.name)(**component.options)
        if isinstance(proposer, AsksModels):
            proposer.attach(RecordedCalls(self.state, self.blobs.get))
        elif isinstance(proposer, AsksProgram):
            proposer.attach(RecordedProgram(self.state, self.blobs.get))
        self._proposer = proposer

    def _proposed(self, event: Event, body: e.ExperimentProposed) -> Iterator[VerifyProblem]:
        if self._proposer is None or self._task is None:
            return
        if body.again is not None or body.removes or body.null:
            return  # the loop's own, which nobody was asked for; `verify` derives them
        workspace = Workspace.open(self.folder)
        brief = briefing.brief(
            self.state, self._task, self.blobs.get, workspace.read(self.state.commit_of(self.state.incumbent))
        )
        try:
            proposal = self._proposer.propose(brief)
        except (Exhausted, BudgetSpent) as end:
            yield _problem(event, "proposal", f"the proposer has nothing to propose here: {end}")
            return
        except Exception as error:  # a hostile record makes any of our code fail; that it does is the finding
            yield _problem(event, "proposal", str(error) or type(error).__name__)
            return
        self.proposals += 1
        self.calls += sum(
            1 for call in self.state.calls.values() if call.reserved.experiment == body.experiment and call.settled
        )
        self.calls += any(answer.answer for answer in self.state.program_answers.get(body.experiment, ()))
        for sentence in self._differences(proposal, body):
            yield _problem(event, "proposal", sentence)

    def _differences(self, proposal: Proposal, body: e.ExperimentProposed) -> Iterator[str]:
        recorded = self.blobs.get(body.edit).decode() if body.edit else ""
        derived = {
            "edit": (proposal.edit.model_dump_json(), recorded),
            "rationale": (proposal.rationale[:2000], body.rationale),
            "kind": (proposal.kind, body.kind),
            "detail": (proposal.detail, body.detail),
            "provenance": (proposal.provenance, body.provenance),
            "problem": (proposal.problem[:2000], body.problem),
        }
        for field, (now, then) in derived.items():
            if not same_but_for_secrets(now, then):
                yield f"the {field} of experiment {body.experiment} derives as {now!s:.200}, it says {then!s:.200}"


def _problem(event: Event, kind: str, sentence: str) -> VerifyProblem:
    return VerifyProblem(
        seq=event.seq, line=event.seq + 1, kind=kind, event=one_line(event.kind, 60), sentence=one_line(sentence, 600)
    )


def render(report: ReplayReport, console: Console) -> None:
    """Tell a person whether the run derives again, and if not, where it first differs."""
    if report.ok:
        say(console, f"{report.run} derives again from its record.", "bold green")
        parts = [
            f"{count(report.proposals, 'proposal')} from {count(report.calls, 'recorded answer')}",
            count(report.verdicts, "verdict"),
            count(report.decisions, "decision"),
        ]
        say(console, f"  {', '.join(parts)}.")
    else:
        first = report.problems[0]
        say(console, f"{report.run or 'The run'} differs at event {first.seq} ({first.event}).", "bold red")
        for problem in report.problems[:10]:
            say(console, f"  event {problem.seq} [{problem.kind}] {problem.sentence}", "red")
    for note in report.notes:
        say(console, f"  note: {note}", "dim")
