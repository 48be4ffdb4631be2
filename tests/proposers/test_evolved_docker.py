"""A program that chooses the moves of `digits`, in real containers: it sees its arrays and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from ranked_runs import EVOLVED, LEARNS, answers, program, run

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.review.replay import replay
from rsi.task import load_task

pytestmark = pytest.mark.docker

LOOKS_AROUND = LEARNS.replace(
    "def predict(artifact, inputs):\n",
    """def predict(artifact, inputs):
    import socket

    files = {str(path.relative_to(artifact.parent)) for path in artifact.parent.rglob("*") if path.is_file()}
    arrays = {f"inputs/{name}.npy" for name in ("options", "history", "situation")}
    if files != {"code/proposer.py", "artifact/model.safetensors", "request.json"} | arrays:
        raise LookupError("there is something else to see")
    if any("KEY" in name or "TOKEN" in name for name in os.environ):
        raise PermissionError("there is a secret to see")
    try:
        socket.create_connection(("192.0.2.1", 80), 1)
        raise ConnectionError("there is a network")
    except TimeoutError:
        raise ConnectionError("there is a network") from None
    except OSError:
        pass
""",
)


def test_a_program_learns_and_ranks_in_containers_that_hold_nothing_but_its_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-may-see-this")
    verifier = load_task("digits").spec.verifier
    source = program(tmp_path / "p", LOOKS_AROUND)
    config = RunConfiguration(
        task="digits",
        proposer=Component(name=EVOLVED, options={"source": str(source)}),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(name=verifier.name, options=verifier.options),
        budget=Budget(experiments=1),
        seed=4,
    )
    code, record = run(tmp_path, config)
    assert code == 0, record.state.paused
    assert [body["problem"] for body in answers(record)] == [""]
    assert record.state.program_learned is not None
    assert list(record.state.program_learned.artifact) == ["model.safetensors"]
    assert "the program preferred it" in record.state.experiments[1].proposed.rationale
    severities = {finding["severity"] for finding in answers(record)[0]["findings"]}
    assert severities & {"warning", "critical"}, "that it reached for the network was not noticed"
    found = replay(record.folder, trust_paths=True)
    assert found.ok, found.problems
