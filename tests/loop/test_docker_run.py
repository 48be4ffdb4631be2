"""The loop on real Docker: it improves `digits`, survives SIGKILL at each kind of event, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from composing import go_on, run, said

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.ledger import Event
from rsi.records import ExperimentStatus
from rsi.review.verify import verify
from rsi.runs import list_runs, read
from rsi.session import resume, start
from rsi.state import RunState
from rsi.task import load_task
from sandboxes.docker import owner

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))


def digits(experiments: int, confirm: int) -> RunConfiguration:
    verifier = load_task("digits").spec.verifier
    return RunConfiguration(
        task="digits",
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(name=verifier.name, options=verifier.options),
        budget=Budget(experiments=experiments),
        confirm=confirm,
        parallel=2,
        seed=4,
    )


def left_over() -> list[str]:
    """Containers and volumes of this process, and of processes that are dead."""
    shown = []
    for kind in ("ps -a", "volume ls"):
        form = '{{.Label "rsi.owner"}}'
        command = ["docker", *kind.split(), "--filter", "label=rsi.owner", "--format", form]
        shown += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [found for found in shown if found == owner.this_process() or not owner.is_alive(found)]


def test_a_run_on_docker_improves_the_code_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code, record = run(tmp_path, digits(6, 3))
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) >= 1
    assert record.state.confirmation.improvement.low > 0
    assert record.state.run.sandbox.isolates
    assert record.state.run.sandbox.image_digest.startswith("sha256:")
    report = verify(record.folder)
    assert report.ok, report.problems
    # Honest code attempts nothing that a reviewer need look at.
    assert [trial.findings() for trial in record.state.trials.values() if trial.findings()] == []
    assert left_over() == []


def killed_at_first(folder: Path, kind: str, where: Path | None) -> bool:
    """In a child: start or resume, die when the first event of that kind is durable; False where the run ended."""
    child = os.fork()
    if child == 0:
        try:
            session = start(digits(4, 1), said, root=folder) if where is None else resume(where, said)

            def die(event: Event, _state: RunState) -> None:
                if event.kind == kind:
                    os.kill(os.getpid(), signal.SIGKILL)

            session.go([die])
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.long
def test_a_run_on_docker_survives_being_killed_at_each_kind_of_event(tmp_path: Path) -> None:
    kinds = [
        "experiment.proposed",
        "experiment.committed",
        "trial.started",
        "trial.trained",
        "trial.answered",
        "trial.judged",
        "policy.decided",
        "experiment.closed",
        "blobs.dropped",
        "confirmation.finished",
    ]
    where = None
    killed = []
    for kind in kinds:
        if killed_at_first(tmp_path, kind, where):
            killed.append(kind)
        (where,) = list_runs(tmp_path)
        if read(where).state.finished is not None:
            break
    assert killed == kinds
    assert where is not None
    code, record = go_on(where)
    assert code == 0
    assert record.state.proposals == 4
    trained = sum(1 for t in record.state.trials.values() if t.trained is not None)
    assert trained == len(record.state.trials)
    report = verify(where)
    assert report.ok, report.problems
    assert left_over() == []
