"""What a proposer says becomes an event: secrets redacted, texts bounded, the edit in a blob."""

from __future__ import annotations

from rsi.edits import Refusal
from rsi.events import ExperimentProposed
from rsi.recorder import Recorder
from rsi.records import Edit, Proposal, Provenance
from rsi.state import RunState

LONGEST_TEXT = 2000
"""Characters of a rationale, or of what is wrong with a proposal."""

BASELINE = ExperimentProposed(
    experiment=0,
    parent=0,
    rationale="the task as it is",
    kind="baseline",
    provenance=Provenance(proposer="task"),
    edit=None,
)


def record_again(recorder: Recorder, experiment: int, edit: Edit | Refusal) -> None:
    """Record the edit of an earlier experiment as the next one: on the present incumbent, or why it cannot be there."""
    _record(recorder, again(recorder.state, experiment), edit, recorder.state.experiments[experiment].proposed.edit)


def record_removal(recorder: Recorder, edits: tuple[int, ...], edit: Edit | Refusal) -> None:
    """Record the incumbent without some kept edits as the next experiment."""
    _record(recorder, removal(recorder.state, edits), edit, recorder.state.experiments[edits[0]].proposed.edit)


def _record(recorder: Recorder, body: ExperimentProposed, edit: Edit | Refusal, unmade: str | None) -> None:
    """With the edit that was made; where none could be, with that and the one it would have been made of."""
    made = {
        "edit": unmade if isinstance(edit, Refusal) else recorder.keep_text(edit.model_dump_json()),
        "problem": edit.reason if isinstance(edit, Refusal) else "",
    }
    recorder.record(body.model_copy(update=made))


def record_null(recorder: Recorder, edit: Edit) -> None:
    """Record an edit that does nothing as the next experiment."""
    recorder.record(null(recorder.state, recorder.keep_text(edit.model_dump_json())))


def again(state: RunState, experiment: int) -> ExperimentProposed:
    """The words of an edit that is carried over, which are its own, before it is known what it comes to there."""
    first = state.experiments[experiment].proposed
    here = {
        "experiment": len(state.experiments),
        "parent": state.incumbent,
        "provenance": Provenance(proposer=first.provenance.proposer, parent=experiment),
        "edit": None,
        "problem": "",
        "again": experiment,
    }
    return first.model_copy(update=here)


def null(state: RunState, edit: str) -> ExperimentProposed:
    """The words of a null edit; whoever shows the history to a proposer leaves it out."""
    return ExperimentProposed(
        experiment=len(state.experiments),
        parent=state.incumbent,
        rationale="Nothing but further draws from the random stream: whether this is kept tells how often luck is",
        kind="null",
        provenance=Provenance(proposer="rsi"),
        edit=edit,
        null=True,
    )


def removal(state: RunState, edits: tuple[int, ...]) -> ExperimentProposed:
    """The words of a removal, before its edit is known."""
    last = state.ablations[-1].begun
    why = (
        f"milestone {last.milestone} failed, and"
        if last.milestone is not None
        else "the attribution at the end says that"
    )
    named = ", ".join(str(edit) for edit in edits)
    return ExperimentProposed(
        experiment=len(state.experiments),
        parent=state.incumbent,
        rationale=f"Without the edits of {named}: {why} they are worth nothing",
        kind="removal",
        provenance=Provenance(proposer="rsi"),
        edit=None,
        removes=edits,
    )


def record_proposal(recorder: Recorder, proposal: Proposal) -> None:
    """Record the next experiment, an edit of the incumbent."""
    state, redactor = recorder.state, recorder.redactor
    recorder.record(
        ExperimentProposed(
            experiment=len(state.experiments),
            parent=state.incumbent,
            rationale=redactor.text(proposal.rationale)[:LONGEST_TEXT],
            kind=proposal.kind,
            detail=proposal.detail,
            provenance=proposal.provenance,
            edit=recorder.keep_text(proposal.edit.model_dump_json()),
            problem=redactor.text(proposal.problem)[:LONGEST_TEXT],
        )
    )
