"""SIGKILL at every event of a run: what follows is what would have followed, and nothing is decided twice."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from composing import HERE, configuration, go_on, run, said

from rsi.configuration import Budget, Component
from rsi.ledger import Event
from rsi.records import ExperimentStatus
from rsi.review.verify import verify
from rsi.runs import ReadRun, list_runs
from rsi.session import start
from rsi.state import RunState

SCRIPT = "30 50:crash 20:peek (( 25:lost-once"
BESIDE = Component(name=f"{HERE / 'scripted.py'}:Beside")


@pytest.fixture
def memory_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one: SIGKILL does not ask what a disk holds, and a hundred runs go quicker."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        monkeypatch.setenv("RSI_CACHE", f"{folder}/cache")
        monkeypatch.setenv("RSI_STATE", f"{folder}/state")
        yield Path(folder)


def told(record: ReadRun) -> list[tuple[object, ...]]:
    """Everything a run decided, without what clocks and interruptions add."""
    state = record.state
    rows: list[tuple[object, ...]] = []
    for number, x in state.experiments.items():
        closed, committed = x.closed, x.committed
        assert closed is not None
        tree = committed.tree_digest if committed else None
        values = [o.measurements for o in state.observations(number)]
        seeds = [o.seed for o in state.observations(number)]
        decisions = [d.decision for d in x.decisions]
        ending = (closed.status, closed.gain, closed.reason)
        rows.append((number, x.proposed.rationale, tree, ending, values, seeds, decisions))
    confirmation = state.confirmation
    assert confirmation is not None
    rows.append((confirmation.baseline_values, confirmation.best_values, confirmation.improvement))
    return rows


def killed_at(folder: Path, event: int, script: str = SCRIPT, **changes: object) -> None:
    """In a child process: run, and die by SIGKILL as soon as that event is durable."""
    child = os.fork()
    if child == 0:
        try:

            def die(recorded: Event, _state: RunState) -> None:
                if recorded.seq == event:
                    os.kill(os.getpid(), signal.SIGKILL)

            run(folder, configuration(folder, script, confirm=2, **changes), [die])
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run ended before the event at which it was to be killed"


# One event of four is killed at in `make test`, the others in `make test-long`.
@pytest.mark.parametrize("share", [0, *(pytest.param(share, marks=pytest.mark.long) for share in (1, 2, 3))])
def test_a_run_killed_at_any_event_goes_on_as_if_it_had_not_been(memory_folder: Path, share: int) -> None:
    code, whole = run(memory_folder, configuration(memory_folder, SCRIPT, confirm=2))
    assert code == 0
    expected = told(whole)
    # The first two events are written before the loop has listeners.
    for event in range(2 + share, len(whole.events) - 1, 4):
        shutil.rmtree(memory_folder / "runs")
        killed_at(memory_folder, event)
        (folder,) = list_runs(memory_folder / "runs")
        code, record = go_on(folder)
        assert code == 0, (event, record.state.paused)
        assert told(record) == expected, f"killed at event {event}"
        trained = [t for t in record.state.trials.values() if t.trained is not None and t.failed is None]
        lost = [t for t in record.state.trials.values() if t.failed is not None and t.failed.stage == "train"]
        assert len(trained) + len(lost) == len(record.state.trials), f"a trial was left behind at event {event}"
        trainings = [x.body["trial"] for x in record.events if x.kind == "trial.trained"]
        assert len(trainings) == len(set(trainings)), f"a trial was trained twice after event {event}"
        keys = [(x.body["experiment"], str(x.body["comparison"])) for x in record.events if x.kind == "policy.decided"]
        assert len(keys) == len(set(keys)), f"a decision was repeated after event {event}"
        report = verify(folder, trust_paths=True)
        assert report.ok, (event, report.problems)


@pytest.mark.parametrize("policy", [pytest.param("greedy", marks=pytest.mark.long), "expected-gain"])
def test_so_does_one_with_trials_side_by_side(memory_folder: Path, policy: str) -> None:
    changes: dict[str, object] = {"parallel": 2, "shared_seeds": True, "policy": Component(name=policy)}
    code, whole = run(memory_folder, configuration(memory_folder, SCRIPT, confirm=2, **changes))
    assert code == 0
    expected = told(whole)
    for event in range(3, len(whole.events) - 4, 8):
        shutil.rmtree(memory_folder / "runs")
        killed_at(memory_folder, event, **changes)
        (folder,) = list_runs(memory_folder / "runs")
        code, record = go_on(folder)
        assert code == 0, (event, record.state.paused)
        assert told(record) == expected, f"killed at event {event}"
        report = verify(folder, trust_paths=True)
        assert report.ok, (event, report.problems)


def test_a_run_killed_before_its_loop_begins_can_be_resumed(memory_folder: Path) -> None:
    child = os.fork()
    if child == 0:
        start(configuration(memory_folder, SCRIPT, confirm=2), said, root=memory_folder / "runs")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (folder,) = list_runs(memory_folder / "runs")
    code, record = go_on(folder)
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 2


def test_a_torn_last_line_is_set_aside_and_said(memory_folder: Path) -> None:
    _, record = run(memory_folder, configuration(memory_folder, "30 20"))
    ledger = record.folder / "ledger.jsonl"
    unfinished = ledger.read_bytes().splitlines(keepends=True)[-1][:-40]
    with ledger.open("ab") as file:
        file.write(unfinished)
    code, again = go_on(record.folder, Budget(experiments=2))
    assert code == 0
    resumed = next(e for e in again.events if e.kind == "run.resumed")
    torn = again.blobs.get(resumed.body["torn_tail"])
    assert torn == unfinished
    assert verify(record.folder, trust_paths=True).ok


def test_so_does_one_in_which_verifiers_read_and_have_controls_trained(memory_folder: Path) -> None:
    """A control's weights are not kept: killed before they were asked, it is trained again, and nothing else is."""
    changes: dict[str, object] = {"verifiers": (BESIDE,)}
    script = "30 50:crash 20:peek 25:lost-short"
    code, whole = run(memory_folder, configuration(memory_folder, script, confirm=2, **changes))
    assert code == 0
    expected = told(whole)
    kinds = {"trial.inspected", "trial.controlled", "trial.answered", "trial.judged"}
    checks = [x for x in whole.events if x.kind in kinds and x.body["purpose"] == "keep"]
    moments = {(x.kind, x.body.get("challenge")): x.seq for x in checks}
    assert {kind for kind, _ in moments} >= kinds - {"trial.inspected"}
    for event in moments.values():
        shutil.rmtree(memory_folder / "runs")
        killed_at(memory_folder, event, script, **changes)
        (folder,) = list_runs(memory_folder / "runs")
        code, record = go_on(folder)
        assert code == 0, (event, record.state.paused)
        assert told(record) == expected, f"killed at event {event}"
        for trial in record.state.trials.values():
            judged_on_dev = trial.started.split == "dev" and trial.screened is not None
            assert len(trial.inspected) == judged_on_dev, event
            assert len(trial.controlled) <= 2, event
        report = verify(folder, trust_paths=True)
        assert report.ok, (event, report.problems)
