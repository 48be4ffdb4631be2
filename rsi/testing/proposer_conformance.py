r"""What every proposer must hold, as plain functions: call them from any test framework with your own proposer.

    def test_my_proposer_conforms() -> None:
        check_proposer(lambda: MyProposer(), {"train.py": "VALUE = 1\nprint(VALUE)\n"})

Each raises AssertionError with a sentence. `check_proposer` calls all but `check_exhaustion`, which is for a proposer
and code small enough that it can be asked until nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable

from rsi.edits import CheckedEdit, check, inspect_code
from rsi.protocols import Exhausted, Proposer
from rsi.records import Brief, CodeFiles, ExperimentStatus, HistoryEntry, Objective, Proposal

MAX_BYTES = 1 << 18

Make = Callable[[], Proposer]


def brief_of(code: CodeFiles, *, experiment: int = 1, seed: int = 1, tried: frozenset[str] = frozenset()) -> Brief:
    """A brief as the loop makes one: the code's own digest is among those tried."""
    own = inspect_code(code)
    assert isinstance(own, CheckedEdit), f"the code to propose on is not valid: {own.reason}"
    return Brief(
        task="conformance",
        program="Make it better.",
        code=code,
        objective=Objective(metric="loss"),
        incumbent_value=1.0,
        tried=tried | {own.tree_digest},
        experiment=experiment,
        turn=experiment,
        seed=seed,
    )


def check_proposer(make: Make, code: CodeFiles, *, rounds: int = 5) -> None:
    """Everything but exhaustion."""
    check_name(make)
    check_same_brief_same_proposal(make, code)
    check_successive_proposals(make, code, rounds=rounds)
    check_nothing_is_changed(make, code)


def check_name(make: Make) -> None:
    """It is a Proposer, and says its name."""
    proposer = make()
    assert isinstance(proposer, Proposer), "the object has no `name` or no `propose`"
    assert proposer.name, "the name is empty"
    assert proposer.name.isprintable(), "the name holds characters that cannot be shown"


def check_same_brief_same_proposal(make: Make, code: CodeFiles) -> None:
    """The same brief gives the same proposal: twice from one object, and from a new one, as after a resume."""
    brief = brief_of(code)
    proposer = make()
    first = proposer.propose(brief)
    assert proposer.propose(brief) == first, "the second proposal for the same brief differs"
    assert make().propose(brief) == first, "a new object's proposal for the same brief differs"


def check_successive_proposals(make: Make, code: CodeFiles, *, rounds: int) -> None:
    """Proposal after proposal applies, is new, and is explained; what was tried is not proposed again."""
    proposer = make()
    brief = brief_of(code)
    history: tuple[HistoryEntry, ...] = ()
    for experiment in range(1, rounds + 1):
        brief = brief.model_copy(update={"experiment": experiment, "seed": 1000 + experiment, "history": history})
        try:
            proposal = proposer.propose(brief)
        except Exhausted:
            return
        checked = check_proposal(proposal, brief)
        entry = HistoryEntry(
            experiment=experiment,
            status=ExperimentStatus.DISCARDED,
            kind=proposal.kind,
            detail=proposal.detail,
            rationale=proposal.rationale,
            gain=-0.1,
        )
        history = (*history, entry)
        brief = brief.model_copy(update={"tried": brief.tried | {checked.tree_digest}})


def check_proposal(proposal: Proposal, brief: Brief) -> CheckedEdit:
    """One proposal for one brief; gives the code that it makes."""
    checked = check(proposal.edit, brief.code, tuple(brief.code), MAX_BYTES)
    assert isinstance(checked, CheckedEdit), f"the edit was refused: {checked.reason}"
    assert checked.tree_digest not in brief.tried, "the code was tried before"
    assert proposal.rationale.strip(), "the rationale is empty"
    assert proposal.rationale.isprintable(), "the rationale holds characters that cannot be shown on one line"
    assert proposal.kind, "the kind is empty"
    assert proposal.provenance.proposer, "the provenance names no proposer"
    assert Proposal.model_validate_json(proposal.model_dump_json()) == proposal, "it does not survive the ledger"
    return checked


def check_nothing_is_changed(make: Make, code: CodeFiles) -> None:
    """A proposer changes nothing that it was given."""
    brief = brief_of(code)
    before = brief.model_copy(deep=True)
    make().propose(brief)
    assert brief == before, "the brief was changed in place"


def check_exhaustion(make: Make, code: CodeFiles, *, at_most: int = 500) -> int:
    """Asked again and again on the same code, it raises Exhausted in the end; gives the number of proposals."""
    proposer = make()
    brief = brief_of(code)
    for count in range(at_most):
        brief = brief.model_copy(update={"experiment": count + 1, "seed": count})
        try:
            checked = check_proposal(proposer.propose(brief), brief)
        except Exhausted as end:
            if not str(end):
                raise AssertionError("Exhausted gives no reason") from end
            return count
        brief = brief.model_copy(update={"tried": brief.tried | {checked.tree_digest}})
    raise AssertionError(f"still proposing after {at_most} proposals on the same code")
