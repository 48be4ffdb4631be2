from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from rsi.proposers.mutate import Mutate
from rsi.proposers.mutation.choice import components, learned, prior
from rsi.proposers.random import Random
from rsi.protocols import Exhausted, Proposer
from rsi.records import Brief, CodeFiles, ExperimentStatus, HistoryEntry, Proposal
from rsi.testing import proposer_conformance as conformance
from rsi.testing.fake_proposer import FakeProposer

TASKS = Path(__file__).parents[2] / "tasks"
SMALL = {"train.py": "VALUE = 8\nHEADS = 2\nprint(VALUE, HEADS)\n"}


def shipped(task: str) -> CodeFiles:
    return {"train.py": (TASKS / task / "train.py").read_text()}


@pytest.mark.parametrize("make", [Mutate, Random])
@pytest.mark.parametrize("task", ["charlm", "digits"])
def test_the_proposers_conform_on_the_shipped_tasks(make: type[Proposer], task: str) -> None:
    conformance.check_proposer(make, shipped(task))


@pytest.mark.parametrize("make", [Mutate, Random, FakeProposer])
def test_the_proposers_conform_on_a_few_constants(make: type[Proposer]) -> None:
    conformance.check_proposer(make, SMALL)


@pytest.mark.parametrize("make", [Mutate, Random])
def test_they_stop_when_every_move_and_pair_was_tried(make: type[Proposer]) -> None:
    # Six values for VALUE, four for HEADS, and the pairs of them that are drawn.
    assert 10 < conformance.check_exhaustion(make, SMALL) <= 10 + 6 * 4


def test_the_fake_proposer_stops_when_its_values_are_used_up() -> None:
    assert conformance.check_exhaustion(lambda: FakeProposer(values=5), SMALL) == 5


@pytest.mark.parametrize("make", [Mutate, Random])
def test_code_without_a_place_for_any_move_is_said_to_be_so(make: type[Proposer]) -> None:
    with pytest.raises(Exhausted, match="in capitals"):
        make().propose(conformance.brief_of({"train.py": "print(1)\n"}))


def run(proposer: Proposer, code: CodeFiles, count: int, seed: int, keeps: bool = True) -> list[Proposal]:
    """Successive experiments with gains drawn at random; each proposal is checked against all before it."""
    luck = random.Random(seed)
    brief = conformance.brief_of(code)
    history: list[HistoryEntry] = []
    proposals = []
    for experiment in range(1, count + 1):
        brief = brief.model_copy(
            update={"experiment": experiment, "seed": seed * 1000 + experiment, "history": tuple(history)}
        )
        proposal = proposer.propose(brief)
        checked = conformance.check_proposal(proposal, brief)
        gain = round(luck.gauss(-0.03, 0.05), 3)
        kept = keeps and gain > 0.02
        status = ExperimentStatus.KEPT if kept else ExperimentStatus.DISCARDED
        history.append(
            HistoryEntry(
                experiment=experiment, status=status, kind=proposal.kind, detail=proposal.detail,
                rationale=proposal.rationale, gain=gain,
            )
        )  # fmt: skip
        brief = brief.model_copy(
            update={"tried": brief.tried | {checked.tree_digest}, "code": checked.code if kept else brief.code}
        )
        proposals.append(proposal)
    return proposals


@pytest.mark.parametrize("task", ["charlm", "digits"])
@pytest.mark.long
def test_two_hundred_successive_proposals_are_new_applicable_and_valid(task: str) -> None:
    proposals = run(Mutate(), shipped(task), 200, seed=7)
    assert any(proposal.kind == "combined" for proposal in proposals)


@pytest.mark.parametrize("task", ["charlm", "digits"])
def test_so_are_fifty_of_the_control(task: str) -> None:
    run(Random(), shipped(task), 50, seed=7)


def test_a_run_in_which_nothing_pays_tries_many_kinds() -> None:
    assert len(Counter(p.kind for p in run(Mutate(), shipped("charlm"), 40, seed=3, keeps=False))) >= 12


def test_the_first_fourteen_proposals_hold_what_usually_pays() -> None:
    """With nothing kept, a faster learning rate and a schedule come within fourteen experiments, whatever the seed."""
    for seed in range(6):
        proposals = run(Mutate(), shipped("charlm"), 14, seed, keeps=False)
        parts = [
            part
            for p in proposals
            for part in components(
                HistoryEntry(experiment=1, status=ExperimentStatus.OPEN, kind=p.kind, detail=p.detail, rationale="x")
            )
        ]
        kinds = {part["kind"] for part in parts}
        assert any(part["kind"] == "learning_rate" and part["detail"]["direction"] == "up" for part in parts)
        assert kinds & {"schedule", "decay"}
        assert len(kinds) >= 6


# --- learning ---------------------------------------------------------------------------------------------------


def move(kind: str, name: str, old: float, new: float) -> dict[str, object]:
    direction = "up" if new > old else "down"
    return {"kind": kind, "path": "t.py", "detail": {"name": name, "from": old, "to": new, "direction": direction}}


def entry(done: dict[str, object], status: ExperimentStatus, gain: float | None = None) -> HistoryEntry:
    return HistoryEntry(experiment=1, status=status, kind=done["kind"], detail=done["detail"], rationale="x", gain=gain)  # type: ignore[arg-type]


def firsts(moves: list[dict[str, object]], history: list[HistoryEntry], draws: int = 200) -> Counter[float]:
    """How often each value is the first choice."""
    brief: Brief = conformance.brief_of(SMALL).model_copy(update={"history": tuple(history)})
    counts: Counter[float] = Counter()
    for seed in range(draws):
        counts[next(learned(moves, brief, random.Random(seed)))[0]["detail"]["to"]] += 1
    return counts


UP, DOWN = move("constant", "A", 1.0, 2.0), move("constant", "A", 1.0, 0.5)


def test_a_direction_that_paid_is_followed() -> None:
    before = firsts([UP, DOWN], [])
    after = firsts([UP, DOWN], [entry(move("constant", "A", 0.5, 1.0), ExperimentStatus.KEPT, 0.1)])
    assert 60 < before[2.0] < 140
    assert after[2.0] > 180


def test_a_gain_within_the_noise_says_little() -> None:
    done = move("constant", "A", 0.5, 1.0)
    sure = firsts([UP, DOWN], [entry(done, ExperimentStatus.KEPT, 0.1)])
    lucky = firsts([UP, DOWN], [entry(done, ExperimentStatus.KEPT, 0.005)])
    assert lucky[2.0] < sure[2.0]


def test_a_value_next_to_one_that_failed_is_avoided() -> None:
    near, far = move("constant", "A", 1.0, 2.2), move("constant", "A", 1.0, 0.45)
    counts = firsts([near, far], [entry(UP, ExperimentStatus.DISCARDED, -0.1)])
    assert counts[0.45] > 150


def test_a_kind_that_crashed_falls_behind() -> None:
    other = move("constant", "B", 4, 3)
    crashed = [entry(move("constant", "A", 1.0, 9.0), ExperimentStatus.CRASHED)] * 4
    assert firsts([UP, other], crashed)[3] > firsts([UP, other], [])[3]


def test_what_was_refused_or_undecided_says_nothing() -> None:
    none = [entry(UP, ExperimentStatus.REFUSED), entry(UP, ExperimentStatus.UNDECIDED)]
    assert firsts([UP, DOWN], none) == firsts([UP, DOWN], [])


def test_a_learning_rate_that_is_high_already_is_more_likely_to_fall() -> None:
    low, high = move("learning_rate", "LR", 1e-3, 3e-3), move("learning_rate", "LR", 1e-2, 3e-2)
    assert prior(low) > 0.4
    assert prior(high) < 0.2


def test_both_moves_of_a_combined_experiment_are_credited() -> None:
    both = HistoryEntry(
        experiment=1,
        status=ExperimentStatus.KEPT,
        kind="combined",
        detail={"1.kind": "width", "1.name": "W", "1.to": 2, "2.kind": "tying", "2.name": "h", "2.to": "tied"},
        rationale="x",
    )
    assert components(both) == [
        {"kind": "width", "detail": {"name": "W", "to": 2}},
        {"kind": "tying", "detail": {"name": "h", "to": "tied"}},
    ]
