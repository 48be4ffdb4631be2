"""`rsi show` of an experiment that a language model proposed: every attempt, prompts and answers, hostile or gone."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from model_runs import MODEL, configuration, edit, experiment_in, run, steps, value_in
from model_server import Fails, ModelServer, Says
from rich.console import Console

from rsi.configuration import Budget
from rsi.review.experiment import experiment_json, show_experiment
from rsi.runs import ReadRun

EVIL = "\x1b]0;owned\x07\x1b[2J[bold]loud[/]\u202e <script>alert(1)</script>"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    """Two experiments; the first is answered at the second attempt, by a model that says evil things."""
    failed: list[int] = []

    def script(body: dict[str, Any]) -> Any:
        if experiment_in(body) == 1 and not failed:
            failed.append(1)
            return Fails(500)
        return Says(edit(39, value_in(body), EVIL)) if experiment_in(body) == 1 else steps(body)

    folder = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patch, ModelServer(script) as server:
        patch.setenv("RSI_STATE", str(folder / "state"))
        patch.setenv("RSI_CACHE", str(folder / "cache"))
        code, made = run(folder, configuration(folder, server, budget=Budget(experiments=2, tokens=10_000_000)))
    assert code == 0
    return made


def shown(record: ReadRun, experiment: int, *, prompt: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False, emoji=False)
    show_experiment(record, experiment, console, prompt=prompt)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_attempt_is_told_with_its_sizes_and_how_to_see_more(record: ReadRun) -> None:
    text = shown(record, 1)
    assert f"call 1, attempt 1, to propose: {MODEL}, failed (" in text
    assert f"call 1, attempt 2, to propose: {MODEL}, answered (stop)" in text
    assert "KiB, answer " in text
    assert f"rsi show {record.state.run.run} 1 --prompt" in text
    assert "Propose experiment 1." not in text
    assert "attempt 2" not in shown(record, 2)


def test_prompts_and_answers_are_shown_in_full_and_as_text(record: ReadRun) -> None:
    text = shown(record, 1, prompt=True)
    assert "Propose experiment 1." in text
    assert "| VALUE = 39" in text
    assert "[bold]loud[/]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_json_has_every_attempt_and_the_texts_where_they_are_asked_for(record: ReadRun) -> None:
    first, second = json.loads(json.dumps(experiment_json(record, 1)))["calls"]
    assert (first["became"], second["became"]) == ("failed", "answered")
    assert "messages" not in second
    second = experiment_json(record, 1, prompt=True)["calls"][1]
    assert any("Propose experiment 1." in message["text"] for message in second["messages"])
    assert "VALUE = 39" in second["answer_text"]
    assert "\x1b" not in json.dumps(second)


def test_what_is_gone_or_altered_is_said_and_the_rest_is_shown(record: ReadRun) -> None:
    call = next(c for c in record.state.calls.values() if c.reserved.experiment == 2)
    assert call.settled is not None
    request, answer = (
        record.folder / "blobs" / digest[:2] / digest[2:] for digest in (call.reserved.request, call.settled.answer)
    )
    kept = request.read_bytes(), answer.read_bytes()
    try:
        request.unlink()
        answer.write_bytes(b"{}")
        text = shown(record, 2, prompt=True)
        assert "the prompt is not to be had" in text
        assert "the answer is not to be had" in text
        assert "became     kept" in text
        assert isinstance(experiment_json(record, 2, prompt=True)["calls"][0]["messages"], str)
        assert "prompt missing" in shown(record, 2)
    finally:
        request.write_bytes(kept[0])
        answer.write_bytes(kept[1])


def test_the_check_at_the_start_belongs_to_the_baseline(record: ReadRun) -> None:
    assert "call 1, attempt 1, to check" in shown(record, 0)
