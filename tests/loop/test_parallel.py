"""Several experiments at once: decided in order, whoever ends first; a winner over an old parent is tried again."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import pytest
from composing import HERE, SCRIPTED, configuration, run

from rsi.configuration import Budget, Component
from rsi.execution import Limits
from rsi.records import ExperimentStatus
from rsi.review.replay import replay
from rsi.review.verify import verify
from rsi.runs import ReadRun
from rsi.session import side_by_side
from rsi.state import fold

UNEVEN = f"{HERE / 'scripted.py'}:Uneven"
PATCHING = f"{HERE / 'scripted.py'}:Patching"
CODE = "VALUE = 40\n\n\n# two\n\n\n# three\n"


def patched(folder: Path, script: str, **changes: object) -> tuple[int, ReadRun]:
    """A run over code with three places that can change apart from each other."""
    proposer = Component(name=PATCHING, options={"script": script})
    budget = Budget(experiments=len(script.split()))
    config = configuration(folder, "", proposer=proposer, budget=budget, **changes)
    (folder / "task" / "train.py").write_text(CODE)
    return run(folder, config)


def told(record: ReadRun) -> list[tuple[object, ...]]:
    """What was proposed, measured and decided, in the order of the experiments; no clock, no order of the trials."""
    rows: list[tuple[object, ...]] = []
    for number, x in record.state.experiments.items():
        assert x.closed is not None
        tree = x.committed.tree_digest if x.committed else None
        values = [(o.seed, o.measurements) for o in record.state.observations(number)]
        decisions = [d.decision for d in x.decisions]
        rows.append(
            (number, x.proposed.parent, x.proposed.again, tree, x.closed.status, x.closed.gain, values, decisions)
        )
    return rows


@pytest.mark.parametrize("parallel", [2, 3])
def test_who_ends_first_decides_nothing(tmp_path: Path, parallel: int) -> None:
    script = "30 50:crash 20 (( 25 12:lost-once 35 10"
    policy = Component(name=f"{HERE / 'scripted.py'}:Careful")
    records = []
    for salt in range(3):
        sandbox = Component(name=UNEVEN, options={"salt": salt})
        config = configuration(tmp_path, script, parallel=parallel, sandbox=sandbox, policy=policy, confirm=2)
        code, record = run(tmp_path, config)
        assert code == 0
        assert verify(record.folder, trust_paths=True).ok
        records.append(record)
    assert told(records[0]) == told(records[1]) == told(records[2])
    orders = {tuple(e.body["trial"] for e in record.events if e.kind == "trial.trained") for record in records}
    assert len(orders) > 1, "the trials never overtook each other, so nothing was shown"


def test_trials_do_run_side_by_side_and_never_more_than_asked(tmp_path: Path) -> None:
    sandbox = Component(name=UNEVEN)
    _, record = run(tmp_path, configuration(tmp_path, "30 29 28 27 26 25", parallel=2, sandbox=sandbox))
    most, state = 0, fold(())
    for event in record.events:
        state.apply(event)
        most = max(most, len(state.open_trials()))
    assert most == 2


def test_decisions_are_taken_in_the_order_of_the_experiments(tmp_path: Path) -> None:
    sandbox = Component(name=UNEVEN, options={"salt": 7})
    _, record = run(tmp_path, configuration(tmp_path, "30 29 28 27 26 25", parallel=3, sandbox=sandbox))
    decided = [e.body["experiment"] for e in record.events if e.kind == "policy.decided"]
    assert decided == sorted(decided)


def test_a_winner_over_an_old_parent_is_applied_to_the_new_one_and_measured_again(tmp_path: Path) -> None:
    # Side by side: VALUE = 30 wins; so does the peek, against the same parent, and once more on the new incumbent,
    # where the check before the keep catches it.
    code, record = patched(tmp_path, "value=30 two=fake:peek value=20", parallel=2)
    assert code == 0
    first, second = record.state.experiments[1], record.state.experiments[2]
    assert first.status is ExperimentStatus.KEPT
    assert second.proposed.parent == 0
    assert second.status is ExperimentStatus.REAPPLIED
    again = next(x for x in record.state.experiments.values() if x.proposed.again == 2)
    assert again.proposed.parent == 1
    assert again.proposed.rationale == second.proposed.rationale
    assert again.status is ExperimentStatus.REJECTED
    assert record.blobs.get(again.committed.diff).decode().count("\n+") == 2  # a header and the one line of the edit
    assert verify(record.folder, trust_paths=True).ok


def test_a_winner_that_touches_what_the_new_incumbent_changed_is_refused_in_words(tmp_path: Path) -> None:
    code, record = patched(tmp_path, "value=30 value=29 three=plain", parallel=2)
    assert code == 0
    assert record.state.experiments[2].status is ExperimentStatus.REAPPLIED
    again = next(x for x in record.state.experiments.values() if x.proposed.again == 2)
    assert again.status is ExperimentStatus.REFUSED
    assert "the same lines of train.py" in again.closed.reason
    assert verify(record.folder, trust_paths=True).ok


def test_what_is_carried_over_costs_no_proposal(tmp_path: Path) -> None:
    _, record = patched(tmp_path, "value=30 two=fake:no-noise three=x value=20", parallel=2)
    mine = [x for x in record.state.experiments.values() if x.proposed.again is None]
    assert len(mine) == 1 + 4


def test_what_the_loop_tried_by_itself_is_not_asked_of_the_proposer_when_replayed(tmp_path: Path) -> None:
    _, record = patched(tmp_path, "value=30 two=fake:peek value=20", parallel=2)
    assert any(x.proposed.again is not None for x in record.state.experiments.values())
    report = replay(record.folder, trust_paths=True)
    assert report.ok, report.problems
    assert report.proposals == 3


@pytest.mark.parametrize("field", ["again", "edit"])
def test_a_forged_carrying_over_is_found(tmp_path: Path, field: str) -> None:
    _, record = patched(tmp_path, "value=30 two=fake:peek value=20", parallel=2)
    ledger = record.folder / "ledger.jsonl"
    events = [json.loads(line) for line in ledger.read_text().splitlines()]
    carried = next(e["body"] for e in events if e["kind"] == "experiment.proposed" and e["body"]["again"] == 2)
    first = next(e["body"] for e in events if e["kind"] == "experiment.proposed" and e["body"]["experiment"] == 1)
    carried[field] = {"again": None, "edit": first["edit"]}[field]
    rehash(ledger, events)
    report = verify(record.folder, trust_paths=True)
    assert not report.ok
    kinds = {problem.kind for problem in report.problems}
    assert kinds & ({"order"} if field == "again" else {"commit"}), report.problems


def rehash(ledger: Path, events: list[dict[str, object]]) -> None:
    """As one who holds the folder can: the chain whole again."""
    previous, lines = "0" * 64, []
    for event in events:
        fields = {key: value for key, value in event.items() if key != "hash"} | {"previous": previous}
        canonical = partial(json.dumps, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        previous = hashlib.sha256(canonical(fields).encode()).hexdigest()
        lines.append(canonical(fields | {"hash": previous}) + "\n")
    ledger.write_text("".join(lines))


def test_the_width_follows_from_processors_and_memory() -> None:
    assert side_by_side(Limits(cpus=10_000)) == 1
    assert side_by_side(Limits(memory_bytes=2**50)) == 1
    assert 1 <= side_by_side(Limits(cpus=1)) <= 64


def test_one_trial_at_a_time_means_one_experiment_at_a_time(tmp_path: Path) -> None:
    _, record = run(
        tmp_path, configuration(tmp_path, "30 20 25", proposer=Component(name=SCRIPTED, options={"script": "30 20 25"}))
    )
    state = fold(())
    for event in record.events:
        state.apply(event)
        assert len(state.open_experiments()) <= 1
