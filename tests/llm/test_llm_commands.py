"""The command line for language models as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from model_server import ModelServer, Says, prompt_text

RSI = str(Path(sys.executable).with_name("rsi"))


def rsi(folder: Path, *arguments: str, key: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    if key:
        kept["OPENAI_API_KEY"] = key
    settings = {**kept, "RSI_STATE": str(folder / "state"), "COLUMNS": "120", **environment}
    return subprocess.run(
        [RSI, *arguments], capture_output=True, text=True, cwd=folder, env=settings, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give --model"),
        (["--model", "gpt-4oo"], 2, "did you mean 'gpt-4o'"),
        (["--model", "openai/gpt-4oo"], 2, "did you mean"),
        (["--model", "gpt-4o"], 3, "OPENAI_API_KEY"),
        (["--model", "gpt-4o", "--max-cost", "0"], 2, "--max-cost must be a number more than 0"),
        (["--model", "gpt-4o", "--max-cost", "nan"], 2, "--max-cost must be a number more than 0"),
        (["--model", "gpt-4o", "--max-tokens", "-5"], 2, "--max-tokens must be a number more than 0"),
        (["--model", "gpt-4o", "--max-calls", "0"], 2, "--max-calls must be a number more than 0"),
        (["--model", "gpt-4o", "--repairs", "-1"], 2, "--repairs"),
        (["--model", "a", "--api-base", "http://127.0.0.1:9/v1", "--max-tokens", "9999"], 3, "Nothing answers"),
        (["--model", "a", "--api-base", "127.0.0.1"], 2, "no address"),
        (["--model", "gpt-4o", "--sandbox", "process"], 2, "--unsafe-no-isolation"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_spent(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    sandbox = [] if "--sandbox" in arguments else ["--sandbox", "process", "--unsafe-no-isolation"]
    done = rsi(tmp_path, "run", "digits", "--proposer", "llm", *sandbox, *arguments)
    assert done.returncode == code, done.stderr
    assert words in " ".join(done.stderr.split())
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def suggest(body: dict[str, Any]) -> Says:
    line = "LEARNING_RATE = 0.05"
    if line not in prompt_text(body):
        return Says("ready")
    block = f"<<<<<<< SEARCH\n{line}\n=======\nLEARNING_RATE = 0.1\n>>>>>>> REPLACE\n"
    return Says(f"Kind: learning_rate\nWhy: it is low.\n\ntrain.py\n{block}")


def test_propose_prints_one_proposal_trains_nothing_and_replays(tmp_path: Path) -> None:
    with ModelServer(suggest) as server:
        base = ["--model", "a-model", "--api-base", f"{server.address}/v1", "--max-tokens", "100000"]
        done = rsi(tmp_path, "propose", "digits", *base)
    assert done.returncode == 0, done.stderr
    assert "+LEARNING_RATE = 0.1" in done.stdout
    assert "it is low." in done.stdout
    assert len(server.asked) == 1
    again = rsi(tmp_path, "replay", "latest", "--json")
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout)["proposals"] == 1
    shown = json.loads(rsi(tmp_path, "show", "latest", "--json").stdout)
    assert shown["calls"]["made"] == 1
    assert shown["train_seconds"] == 0
    assert rsi(tmp_path, "verify", "latest").returncode == 0
    refused = rsi(tmp_path, "resume", "latest", "--experiments", "3")
    assert (refused.returncode, "one proposal and no more" in refused.stderr) == (2, True)


def test_propose_with_a_refused_edit_says_why(tmp_path: Path) -> None:
    with ModelServer([Says("no idea")]) as server:
        base = ["--model", "a-model", "--api-base", f"{server.address}/v1", "--max-tokens", "100000", "--repairs", "0"]
        done = rsi(tmp_path, "propose", "digits", *base)
    assert done.returncode == 0, done.stderr
    assert "no_edit" in done.stdout


def test_estimate_tells_calls_tokens_cost_and_hours_without_a_key(tmp_path: Path) -> None:
    done = rsi(tmp_path, "estimate", "charlm", "--model", "gpt-4o", "--model", "a-local-one", "--json")
    assert done.returncode == 0, done.stderr
    priced, free = json.loads(done.stdout)["estimates"]
    assert priced["calls"] <= priced["most_calls"]
    assert 0 < priced["cost_usd"] < priced["most_cost_usd"]
    assert priced["input_tokens"] + priced["output_tokens"] < priced["most_tokens"]
    assert 0 < priced["hours"] < priced["most_hours"]
    assert free["cost_usd"] is None
    words = rsi(tmp_path, "estimate", "charlm", "--model", "gpt-4o").stdout
    assert "likely" in words
    assert "at most" in words


def test_a_run_from_the_command_line_marks_itself_and_tells_what_it_cost(tmp_path: Path) -> None:
    with ModelServer(suggest, key="sk-for-this-test-only-1") as server:
        arguments = ["--model", "gpt-4o", "--api-base", f"{server.address}/v1", "--max-cost", "1", "--experiments", "1"]
        unsafe = ["--sandbox", "process", "--unsafe-no-isolation", "--no-certify"]
        done = rsi(tmp_path, "run", "digits", "--proposer", "llm", *unsafe, *arguments, key="sk-for-this-test-only-1")
    assert done.returncode == 0, done.stderr
    shown = rsi(tmp_path, "show", "latest").stdout
    assert "NOT ISOLATED" in shown
    assert "$1.00 left" in shown or "$0.99 left" in shown
    frozen = (next((tmp_path / "runs").iterdir()) / "run.toml").read_text()
    assert "unsafe_no_isolation = true" in frozen
    assert "sk-for-this" not in frozen
    assert rsi(tmp_path, "log", "latest", "--kind", "call").stdout.count("answered (stop)") == 2
