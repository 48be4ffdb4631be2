"""SIGKILL at every event of a run that a model drives: nothing that was answered is asked, or paid for, twice."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_runs import TOKENS, configuration, experiment_in, go_on, run, said, steps
from model_server import ModelServer, Says

from rsi.configuration import Budget, RunConfiguration
from rsi.ledger import Event
from rsi.proposers.llm.library import load_litellm
from rsi.review.replay import replay
from rsi.runs import list_runs
from rsi.session import start
from rsi.state import RunState


def needs_a_repair(body: dict[str, Any]) -> Says:
    """The first answer of each experiment is no edit."""
    asked = len(body["messages"])
    return Says("Let me think.") if experiment_in(body) and asked == 2 else steps(body)


def killed_at(folder: Path, config: RunConfiguration, event: int) -> None:
    """In a child process: run, and die by SIGKILL as soon as that event is durable."""
    child = os.fork()
    if child == 0:
        try:

            def die(recorded: Event, _state: RunState) -> None:
                if recorded.seq == event:
                    os.kill(os.getpid(), signal.SIGKILL)

            with start(config, said, root=folder / "runs") as session:
                session.go([die])
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run ended before the event at which it was to be killed"


@pytest.fixture
def memory_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one: SIGKILL does not ask what a disk holds, and many runs go quicker."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        monkeypatch.setenv("RSI_CACHE", f"{folder}/cache")
        monkeypatch.setenv("RSI_STATE", f"{folder}/state")
        yield Path(folder)


# One event of three is killed at in `make test`, the others in `make test-long`.
@pytest.mark.parametrize("share", [0, *(pytest.param(share, marks=pytest.mark.long) for share in (1, 2))])
def test_a_run_killed_at_any_event_pays_for_no_answer_twice(memory_folder: Path, share: int) -> None:
    load_litellm()  # once, in the parent: each child would take seconds for it
    budget = Budget(experiments=2, tokens=TOKENS)
    with ModelServer(needs_a_repair) as server:
        _, whole = run(memory_folder, configuration(memory_folder, server, budget=budget))
        once = Counter(str(body) for body in server.asked)
        expected = [x.proposed.rationale for x in whole.state.experiments.values()]
        for event in range(2 + share, len(whole.events) - 1, 3):
            shutil.rmtree(memory_folder / "runs")
            server.asked.clear()
            killed_at(memory_folder, configuration(memory_folder, server, budget=budget), event)
            (folder,) = list_runs(memory_folder / "runs")
            code, record = go_on(folder)
            assert code == 0
            assert [x.proposed.rationale for x in record.state.experiments.values()] == expected
            assert Counter(str(body) for body in server.asked) == once, f"killed at event {event}"
            # Killed between reservation and answer, the reservation stands, and one more is made.
            open_ones = [call for call in record.state.calls.values() if call.settled is None]
            assert len(open_ones) == (whole.events[event].kind == "call.reserved")
            assert replay(folder, trust_paths=True).ok
