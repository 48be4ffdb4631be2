"""Optuna's TPE as a proposer: over the constants of the code, from the history alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="make test-exports has it")

from rsi.edits import CheckedEdit, check
from rsi.proposers.knobs import SPACE, configurations, space_of
from rsi.proposers.mutation import child
from rsi.proposers.optuna import Optuna, _results
from rsi.protocols import Exhausted
from rsi.records import CodeFiles, Direction, ExperimentStatus, HistoryEntry, Proposal
from rsi.testing import proposer_conformance as conformance

TASKS = Path(__file__).parents[2] / "tasks"
SMALL = {
    "train.py": 'RATE = 0.1\nWIDTH = 64\nHEADS = 4\nBIAS = True\nORDER = "a"\nORDERS = {"a": 1, "b": 2}\n'
    "print(RATE, WIDTH // HEADS, BIAS, ORDERS[ORDER])\n"
}


def shipped(task: str) -> CodeFiles:
    return {"train.py": (TASKS / task / "train.py").read_text()}


@pytest.mark.parametrize("code", [SMALL, shipped("digits")], ids=["small", "digits"])
def test_it_conforms(code: CodeFiles) -> None:
    conformance.check_proposer(Optuna, code)


def test_code_without_constants_is_said_to_be_so() -> None:
    with pytest.raises(Exhausted, match="in capitals"):
        Optuna().propose(conformance.brief_of({"train.py": "print(1)\n"}))


def test_it_stops_when_every_configuration_was_tried() -> None:
    switches = {"train.py": "ONE = True\nTWO = True\nprint(ONE, TWO)\n"}
    assert conformance.check_exhaustion(Optuna, switches) == 3


def test_a_proposal_sets_constants_of_the_incumbent_and_nothing_else() -> None:
    brief = conformance.brief_of(SMALL)
    proposal = Optuna().propose(brief)
    checked = check(proposal.edit, SMALL, ("train.py",), 1 << 16)
    assert isinstance(checked, CheckedEdit)
    assert checked.code["train.py"].splitlines()[-1] == SMALL["train.py"].splitlines()[-1]
    values: dict[str, object] = {}
    exec("\n".join(checked.code["train.py"].splitlines()[:5]), values)
    assert {name: values[name] for name in space_of(brief).knobs} == {
        name: value for name, value in proposal.detail.items() if name != SPACE
    }
    unchanged = [line for line in SMALL["train.py"].splitlines()[:5] if line in checked.code["train.py"]]
    changed = [name for name in space_of(brief).knobs if f"{name} =" in proposal.rationale]
    assert len(unchanged) + len(changed) == 5


def entry(
    number: int, proposal: Proposal, status: ExperimentStatus, value: float | None, **more: object
) -> HistoryEntry:
    return HistoryEntry.model_validate(
        {
            "experiment": number, "status": status, "kind": proposal.kind, "detail": proposal.detail,
            "rationale": proposal.rationale, "value": value, "gain": None if value is None else 1.0 - value,
        }
    )  # fmt: skip


def test_what_would_break_a_divisibility_is_not_proposed() -> None:
    brief = conformance.brief_of(SMALL)
    for seed in range(12):
        proposal = Optuna().propose(brief.model_copy(update={"seed": seed}))
        width, heads = proposal.detail["WIDTH"], proposal.detail["HEADS"]
        assert isinstance(width, int)
        assert isinstance(heads, int)
        assert width % heads == 0


def test_the_space_stays_what_it_was_when_the_incumbent_moves() -> None:
    brief = conformance.brief_of(SMALL)
    first = Optuna().propose(brief)
    checked = check(first.edit, SMALL, ("train.py",), 1 << 16)
    assert isinstance(checked, CheckedEdit)
    history = (entry(1, first, ExperimentStatus.KEPT, 0.5),)
    later = brief.model_copy(update={"code": checked.code, "history": history, "experiment": 2})
    assert space_of(later) == space_of(brief)
    assert space_of(brief.model_copy(update={"code": checked.code})) != space_of(brief)


def test_an_edit_that_was_carried_over_counts_with_the_configuration_that_it_had_there() -> None:
    brief = conformance.brief_of(SMALL)
    space = space_of(brief)
    start = {name: knob.start for name, knob in space.knobs.items()}
    told = {SPACE: space.model_dump_json(exclude_defaults=True)}
    common: dict[str, object] = {"kind": "configuration", "rationale": "r", "status": ExperimentStatus.KEPT}
    one = HistoryEntry.model_validate({"experiment": 1, "detail": {**start, **told, "RATE": 0.2}, **common})
    two = HistoryEntry.model_validate({"experiment": 2, "detail": {**start, **told, "BIAS": False}, **common})
    again = two.model_copy(update={"experiment": 3, "parent": 1, "repairs": 2})
    assert configurations([one, two, again], space)[3] == {**start, "RATE": 0.2, "BIAS": False}


@pytest.mark.parametrize(("direction", "before"), [(Direction.MINIMIZE, 0.75), (Direction.MAXIMIZE, 0.25)])
def test_the_tasks_own_configuration_is_told_with_what_it_measured(direction: Direction, before: float) -> None:
    brief = conformance.brief_of(SMALL)
    brief = brief.model_copy(update={"objective": brief.objective.model_copy(update={"direction": direction})})
    space = space_of(brief)
    start = {name: knob.start for name, knob in space.knobs.items()}
    assert _results(brief, space) == [(start, 1.0, "COMPLETE")]
    kept = entry(1, Optuna().propose(brief), ExperimentStatus.KEPT, 0.5).model_copy(update={"gain": 0.25})
    first, second = _results(brief.model_copy(update={"history": (kept,)}), space)
    assert first == (start, before, "COMPLETE")
    assert second[1:] == (0.5, "COMPLETE")


def test_what_lies_outside_the_range_is_not_told() -> None:
    brief = conformance.brief_of(SMALL)
    proposal = Optuna().propose(brief)
    far = proposal.model_copy(update={"detail": {**proposal.detail, "RATE": 1e9}})
    history = (entry(1, far, ExperimentStatus.DISCARDED, 0.5),)
    assert len(_results(brief.model_copy(update={"history": history}), space_of(brief))) == 1  # the task's own


def test_no_number_is_moved_by_more_than_a_factor_of_a_hundred() -> None:
    knob = space_of(conformance.brief_of({"train.py": "GRAD_CLIP = 1.0\nprint(GRAD_CLIP)\n"})).knobs["GRAD_CLIP"]
    assert (knob.low, knob.high, knob.log) == (0.01, 100.0, True)


def searched(
    measure: Callable[[Proposal], float | None],
    steps: int,
    startup: int = 10,
    direction: Direction = Direction.MINIMIZE,
) -> list[float | None]:
    """What each of so many proposals in a row measured; None where it crashed."""
    brief = conformance.brief_of(SMALL)
    brief = brief.model_copy(update={"objective": brief.objective.model_copy(update={"direction": direction})})
    history: tuple[HistoryEntry, ...] = ()
    values: list[float | None] = []
    for number in range(1, steps + 1):
        told = {"experiment": number, "seed": 77 + number, "history": history}
        proposal = Optuna(startup).propose(brief.model_copy(update=told))
        values.append(measure(proposal))
        status = ExperimentStatus.CRASHED if values[-1] is None else ExperimentStatus.DISCARDED
        history = (*history, entry(number, proposal, status, values[-1]))
    return values


def test_it_learns_from_the_history_what_lowers_the_objective() -> None:
    def bowl(proposal: Proposal) -> float:
        return math.log(float(proposal.detail["RATE"] or 0) / 0.02) ** 2 + 0.2 * bool(proposal.detail["BIAS"])

    learned, drawn = (sum(value or 0.0 for value in searched(bowl, 30, startup)[15:]) / 15 for startup in (10, 1000))
    assert learned < drawn / 2


def test_it_learns_what_raises_an_objective_that_is_to_be_high() -> None:
    def rate(proposal: Proposal) -> float:
        return math.log(float(proposal.detail["RATE"] or 0))

    high, low = (sum(value or 0.0 for value in searched(rate, 24, direction=d)[12:]) / 12 for d in reversed(Direction))
    assert high > low + 1


def test_it_learns_what_crashes() -> None:
    def cliff(proposal: Proposal) -> float | None:
        width = float(proposal.detail["WIDTH"] or 0)
        return None if width > 128 else -width / 128  # the wider the better, until it is too wide

    crashes = [value is None for value in searched(cliff, 40)]
    assert sum(crashes[:10]) >= 3
    assert sum(crashes[-15:]) <= 10  # 14, were what crashed not told


def test_constants_are_set_together_or_not_at_all_where_they_must_divide_each_other() -> None:
    def set_to(**values: object) -> dict[str, object] | None:
        return child.configured({"code": SMALL, "values": {"train.py": values}})

    assert set_to(WIDTH=36, HEADS=8) is None
    assert set_to(WIDTH=36) is not None
    made = set_to(WIDTH=72, HEADS=8, BIAS=False, ORDER="b", NOTHING=1)
    assert made is not None
    assert made["code"] == {
        "train.py": SMALL["train.py"]
        .replace("64", "72")
        .replace("= 4", "= 8")
        .replace("= True", "= False")
        .replace('ORDER = "a"', 'ORDER = "b"')
    }


def test_what_is_under_way_moves_it_elsewhere() -> None:
    brief = conformance.brief_of(SMALL)
    luck = random.Random(3)
    history: list[HistoryEntry] = []
    for number in range(1, 15):
        proposal = Optuna().propose(brief.model_copy(update={"seed": number, "history": tuple(history)}))
        history.append(entry(number, proposal, ExperimentStatus.DISCARDED, luck.random()))
    alone = brief.model_copy(update={"history": tuple(history), "experiment": 15, "seed": 99})
    first = Optuna().propose(alone)
    waiting = entry(15, first, ExperimentStatus.OPEN, None)
    second = Optuna().propose(alone.model_copy(update={"pending": (waiting,)}))
    assert second.detail != first.detail
