"""What a proposer says becomes an event: secrets redacted, texts bounded, the edit in a blob."""

from __future__ import annotations

from rsi.edits import Refusal
from rsi.events import ExperimentProposed
from rsi.recorder import Recorder
from rsi.records import Edit, Proposal, Provenance

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
    state = recorder.state
    first = state.experiments[experiment].proposed
    recorder.record(
        first.model_copy(
            update={
                "experiment": len(state.experiments),
                "parent": state.incumbent,
                "provenance": Provenance(proposer=first.provenance.proposer, parent=experiment),
                "edit": first.edit if isinstance(edit, Refusal) else recorder.keep_text(edit.model_dump_json()),
                "problem": edit.reason if isinstance(edit, Refusal) else "",
                "again": experiment,
            }
        )
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
