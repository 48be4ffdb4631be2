"""The task `prompt` on the command line: what its calls come to is told first, and what cannot be is one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INNER = ("--verifier-option", "prompted-loops.model=gpt-4o")


def rsi(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-c", "import cli; cli.main()", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "RSI_STATE": str(folder / "state"), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def estimated(folder: Path, *words: str) -> dict[str, Any]:
    done = rsi(folder, "estimate", *words, "--model", "gpt-4o", "--experiments", "4", "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["estimates"]
    return dict(entry)


def test_an_estimate_counts_what_verifiers_ask_of_each_trial(tmp_path: Path) -> None:
    alone = estimated(tmp_path, "digits")
    judged = estimated(tmp_path, "digits", "--verifier", "judge", "--verifier-option", "judge.model=gpt-4o")
    prompted = estimated(tmp_path, "prompt", *INNER)
    more = estimated(tmp_path, "prompt", *INNER, "--trials", "20")
    assert [one["trial_calls"] for one in (alone, judged, prompted, more)] == [0, 1, 32, 32]
    assert [one["trials"] for one in (alone, judged, prompted, more)] == [5, 5, 5, 20]
    assert judged["calls"] == alone["calls"] + 5
    assert more["calls"] == prompted["calls"] + 15 * 32
    assert more["most_calls"] == prompted["most_calls"] + 15 * 32
    assert alone["cost_usd"] < judged["cost_usd"] < prompted["cost_usd"] < more["cost_usd"]
    assert all(one["cost_usd"] < one["most_cost_usd"] for one in (alone, judged, prompted, more))
    assert all(one["input_tokens"] + one["output_tokens"] < one["most_tokens"] for one in (judged, prompted))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("estimate", "prompt", "--model", "gpt-4o"), "asks one language model"),
        (("run", "prompt", "--proposer", "llm", "--model", "gpt-4o"), "asks one language model"),
        (("run", "digits", "--proposer", "mutate", "--source", "latest"), "--source goes with --proposer replay"),
        (("run", "digits", "--proposer", "llm", "--source", "latest", "--episodes", "a.npy"), "--episodes goes with"),
        (("evolve", "--task", "prompt"), "told to a language model by --source RUN"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = rsi(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    assert sentence in " ".join(done.stderr.split())
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
