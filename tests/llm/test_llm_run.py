"""A run that a language model drives, end to end, with every answer and fault a server can give."""

from __future__ import annotations

from pathlib import Path

from model_runs import configuration, kinds, run, steps
from model_server import ModelServer

from rsi.records import ExperimentStatus


def test_a_model_improves_a_task_and_every_call_is_on_record(tmp_path: Path) -> None:
    with ModelServer(steps) as server:
        code, record = run(tmp_path, configuration(tmp_path, server))
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 3
    assert kinds(record, "call") == ["call.reserved", "call.settled"] * 4  # the check and three proposals
    assert record.state.experiments[1].proposed.provenance.model == "openai/local-model"
