"""The task `prompt` on the command line: what its calls come to is told first, and what cannot be is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rsi.configuration import Component
from rsi.proposers.llm.estimate import Estimate, estimate
from rsi.proposers.llm.settings import Settings
from rsi.session import build, questions
from rsi.task import load_task

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


def estimated(task: str, *parts: Component, trials: int | None = None) -> Estimate:
    loaded = load_task(task)
    asked = questions([build("verifiers", part) for part in parts], loaded)
    (entry,) = estimate(loaded, Settings.of("gpt-4o", ""), 4, (), asked, trials)
    return entry


def test_an_estimate_counts_what_verifiers_ask_of_each_trial() -> None:
    judge = Component(name="judge", options={"metric": "val_nll", "model": "gpt-4o"})
    inner = Component(name="prompted-loops", options={"model": "gpt-4o"})
    alone, judged = estimated("digits"), estimated("digits", judge)
    prompted, more = estimated("prompt", inner), estimated("prompt", inner, trials=20)
    assert [one.trial_calls for one in (alone, judged, prompted, more)] == [0, 1, 32, 32]
    assert [one.trials for one in (alone, judged, prompted, more)] == [5, 5, 5, 20]
    assert judged.calls == alone.calls + 5
    assert more.calls == prompted.calls + 15 * 32
    assert more.most_calls == prompted.most_calls + 15 * 32
    costs = [one.cost_usd for one in (alone, judged, prompted, more)]
    assert costs == sorted(cost for cost in costs if cost is not None)
    assert len(set(costs)) == 4
    for one in (alone, judged, prompted, more):
        assert one.cost_usd is not None
        assert one.most_cost_usd is not None
        assert one.cost_usd < one.most_cost_usd
        assert one.input_tokens + one.output_tokens < one.most_tokens


def test_a_price_that_is_not_known_leaves_the_dollars_open() -> None:
    local = Component(name="prompted-loops", options={"model": "a-local-one"})
    assert estimated("prompt", local).cost_usd is None
    other = Component(name="prompted-loops", options={"model": "gpt-4o-mini"})
    # Another model than the proposer's is asked for a word of its own at the start.
    same = Component(name="prompted-loops", options={"model": "gpt-4o"})
    assert estimated("prompt", other).calls == estimated("prompt", same).calls + 1


def test_the_command_tells_it(tmp_path: Path) -> None:
    done = rsi(tmp_path, "estimate", "prompt", "--model", "gpt-4o", *INNER, "--trials", "20")
    assert done.returncode == 0, done.stderr
    assert "up to 32 calls a trial, counted here for 20 trials" in " ".join(done.stdout.split())


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
