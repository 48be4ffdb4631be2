"""Twenty experiments on `digits` in real Docker, driven by a model over HTTP, faults and bad answers sprinkled in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from model_runs import TOKENS, experiment_in, kinds, run
from model_server import Drops, Fails, Garbles, ModelServer, Reply, Says

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.records import ExperimentStatus
from rsi.review.replay import replay
from rsi.review.verify import verify
from rsi.task import load_task

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

IDEAS: list[tuple[str, str, str]] = [
    ("learning_rate", "LEARNING_RATE = 0.05", "LEARNING_RATE = 0.2"),
    ("optimizer", 'OPTIMIZER = "sgd"', 'OPTIMIZER = "momentum"'),
    ("width", "WIDTH = 24", "WIDTH = 64"),
    ("schedule", 'SCHEDULE = "constant"', 'SCHEDULE = "cosine"'),
    ("activation", 'ACTIVATION = "tanh"', 'ACTIVATION = "relu"'),
    ("initialization", 'INITIALIZATION = "lecun"', 'INITIALIZATION = "he"'),
    ("smoothing", "LABEL_SMOOTHING = 0.0", "LABEL_SMOOTHING = 0.05"),
    ("dropout", "DROPOUT = 0.0", "DROPOUT = 0.1"),
    ("crash", "def softmax(logits):", "def softmax(logits):\n    raise KeyError(0)\n"),
    ("noise", "PIXEL_NOISE = 0.0", "PIXEL_NOISE = 0.05"),
    ("decay", "WEIGHT_DECAY = 0.0", "WEIGHT_DECAY = 0.0005"),
    ("warmup", "WARMUP = 0.0", "WARMUP = 0.1"),
    ("clipping", "CLIP_NORM = 100.0", "CLIP_NORM = 1.0"),
    ("batch", "BATCH_SIZE = 32", "BATCH_SIZE = 16"),
    ("layers", "LAYERS = 1", "LAYERS = 2"),
    ("momentum", "MOMENTUM = 0.9", "MOMENTUM = 0.95"),
    ("beta2", "BETA2 = 0.99", "BETA2 = 0.999"),
    ("width again", "WIDTH = ", "WIDTH = 3 + "),
    ("tiny", "CLASSES = 10", "CLASSES = 5 + 5"),
    ("slope", "0.1 * x", "0.05 * x"),
]
FAULTS: dict[int, list[Reply]] = {
    2: [Fails(429, "slow down", headers={"Retry-After": "0"})],
    4: [Drops(), Fails(500)],
    6: [Says("")],
    7: [Says("I cannot do that.")],
    9: [Garbles()],
    11: [Says("half an edit <<<<<<< SEARCH", finish="length"), Fails(503)],
    13: [Drops(after_headers=True)],
    16: [Says("Only words.")],
}


class Researcher:
    """Walks through its ideas; an idea whose lines are not there any more is answered with an edit that fails."""

    def __init__(self) -> None:
        self.faults = {number: list(faults) for number, faults in FAULTS.items()}

    def __call__(self, body: dict[str, Any]) -> Reply:
        number = experiment_in(body)
        if number == 0:
            return Says("ready")
        if self.faults.get(number):
            return self.faults[number].pop(0)
        kind, old, new = IDEAS[number - 1]
        old, new = self._whole_line(body, old, new)
        return Says(
            f"Kind: {kind}\nWhy: {kind} is worth a try.\n\ntrain.py\n```python\n"
            f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"
        )

    def _whole_line(self, body: dict[str, Any], old: str, new: str) -> tuple[str, str]:
        """Search/replace works on whole lines: the first in the shown code that holds the text."""
        code = body["messages"][1]["content"]
        line = next((line for line in code.split("\n") if old in line), old)
        return line, line.replace(old, new)


def configuration(server: ModelServer, experiments: int) -> RunConfiguration:
    verifier = load_task("digits").spec.verifier
    options = {"model": "openai/a-model", "api_base": f"{server.address}/v1", "retry_seconds": 0.01}
    return RunConfiguration(
        task="digits",
        proposer=Component(name="llm", options=options),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(name=verifier.name, options=verifier.options),
        budget=Budget(experiments=experiments, tokens=TOKENS),
        seed=4,
    )


@pytest.mark.long
def test_twenty_experiments_on_digits_end_with_an_improvement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    with ModelServer(Researcher()) as server:
        code, record = run(tmp_path, configuration(server, 20))
    state = record.state
    assert code == 0
    assert len(state.experiments) == 21
    baseline, best = state.mean(0), state.mean(state.incumbent)
    assert baseline is not None
    assert best is not None
    assert best < baseline - 0.05
    assert state.count(ExperimentStatus.KEPT) >= 3
    assert state.count(ExperimentStatus.CRASHED) == 1
    assert len(kinds(record, "call.failed")) == sum(
        not isinstance(fault, Says) for faults in FAULTS.values() for fault in faults
    )
    assert state.run.sandbox.isolates
    report = verify(record.folder)
    assert report.ok, report.problems
    again = replay(record.folder)
    assert again.ok, again.problems
    assert again.proposals == 20
    command = ["docker", "ps", "-aq", "--filter", f"label=rsi.run={state.run.run}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
