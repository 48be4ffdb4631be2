"""What a proposal costs in tokens, against sending everything and getting the whole file back.

For `charlm` with 50 experiments of history (edits of the `mutate` proposer, outcomes drawn), tokens by the cl100k
encoding. The plain way: the same rules and instructions, the whole file, every earlier diff and a line on each result
go in, the whole new file comes out. Prints JSON; run it from the repository: python benchmarks/prompt_cost.py
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import pairwise, takewhile
from statistics import mean

from rsi.briefing import first_brief
from rsi.edits import CheckedEdit, check, inspect_code, render_diff
from rsi.proposers.llm.library import load_litellm
from rsi.proposers.llm.prompt import build
from rsi.proposers.llm.settings import Settings
from rsi.proposers.mutate import Mutate
from rsi.records import Allowance, Brief, CodeFiles, ExperimentStatus, HistoryEntry, Proposal
from rsi.statistics import round_to_noise
from rsi.task import Task, load_task

TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 120\nRuntimeError: shapes do not fit'
KEPT, CRASHED = 0.15, 0.05
"""Shares of experiments, about those that autoresearch reports."""


def count(text: str) -> int:
    """Tokens."""
    return int(load_litellm().token_counter(model="gpt-4", text=text))


def history_of(task: Task, experiments: int, seed: int) -> list[Brief]:
    """The briefs of a run: the n-th has n - 1 experiments behind it."""
    generator = random.Random(seed)  # noqa: S311 - a made-up history, no secret
    noise = task.objective.noise
    baseline = inspect_code(task.code)
    assert isinstance(baseline, CheckedEdit)
    brief = first_brief(task, Allowance(experiments=experiments)).model_copy(
        update={"tried": frozenset({baseline.tree_digest}), "incumbent_value": 3.0}
    )
    briefs = [brief]
    proposer, parent = Mutate(), 0
    for number in range(1, experiments + 1):
        brief = brief.model_copy(update={"experiment": number, "seed": seed + number})
        proposal = proposer.propose(brief)
        checked = check(proposal.edit, brief.code, tuple(brief.code), brief.max_bytes)
        assert isinstance(checked, CheckedEdit)
        entry = outcome(number, parent, proposal, render_diff(brief.code, checked.code), generator, noise)
        changes: dict[str, object] = {"history": (*brief.history, entry), "tried": brief.tried | {checked.tree_digest}}
        if entry.status is ExperimentStatus.KEPT:
            parent = number
            changes |= {"code": checked.code, "incumbent_value": round((brief.incumbent_value or 0) - 0.02, 4)}
        brief = brief.model_copy(update={**changes, "experiment": number + 1})
        briefs.append(brief)
    return briefs


def outcome(
    number: int, parent: int, proposal: Proposal, diff: str, generator: random.Random, noise: float
) -> HistoryEntry:
    """What might have become of an edit."""
    draw = generator.random()
    kept, crashed = draw < KEPT, draw > 1 - CRASHED
    status = ExperimentStatus.KEPT if kept else ExperimentStatus.CRASHED if crashed else ExperimentStatus.DISCARDED
    gain = abs(generator.gauss(0, 2 * noise)) * (1 if kept else -1)
    return HistoryEntry(
        experiment=number,
        status=status,
        kind=proposal.kind,
        detail=proposal.detail,
        rationale=proposal.rationale,
        gain=None if crashed else round_to_noise(gain, noise),
        uncertainty=None if crashed else round_to_noise(noise * 2**0.5, noise),
        note="training crashed: RuntimeError at train.py:120" if crashed else "",
        printed=TRACEBACK if crashed else "",
        parent=parent,
        diff=diff,
    )


def ours(brief: Brief, settings: Settings) -> str:
    """The prompt, all of it."""
    return "".join(message.text for message in build(brief, settings))


def plain(brief: Brief) -> str:
    """The same rules, the whole file, every diff with a line on its result."""
    rules = build(brief, Settings.of("a-model", "", edit_format="whole-file"))[0].text
    results = (
        f"Experiment {entry.experiment}: {entry.rationale}. Result: {entry.status} {entry.gain}\n{entry.diff}"
        for entry in brief.history
    )
    return "\n\n".join([rules, *brief.code.values(), *results])


def answer(entry: HistoryEntry, before: CodeFiles) -> str:
    """An edit as search/replace blocks, as a model would write it: each hunk with a line of context."""
    lines = [f"Kind: {entry.kind}", f"Why: {entry.rationale}", ""]
    path = min(before)
    search: list[str] = []
    replace: list[str] = []
    context = ""

    def block() -> list[str]:
        made = [path, "<<<<<<< SEARCH", *search, "=======", *replace, ">>>>>>> REPLACE", ""]
        return made if search != replace else []

    for line in entry.diff.split("\n"):
        if line.startswith("--- a/"):
            path = line[6:]
        elif line.startswith(("@@", " ")) or not line:
            lines += block()
            search, replace, context = [], [], line[1:] if line.startswith(" ") else ""
        elif line.startswith("-"):
            search.append(line[1:])
        elif line.startswith("+") and not line.startswith("+++"):
            if not search and not replace:
                search, replace = [context], [context]
            replace.append(line[1:])
    return "\n".join(lines + block())


def shared(before: str, after: str) -> float:
    """The share of a prompt that stands, unchanged and in front, in the one before it."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
    return sum(1 for _ in same) / len(after)


def measure(experiments: int, seed: int) -> dict[str, float]:
    """The figures of one made-up run."""
    briefs = history_of(load_task("charlm"), experiments, seed)
    last = briefs[-1]
    prompts = [ours(brief, Settings.of("a-model", "")) for brief in briefs]
    shares = [shared(before, after) for before, after in pairwise(prompts)]
    return {
        "input": count(prompts[-1]),
        "plain_input": count(plain(last)),
        "output": mean(count(answer(entry, last.code)) for entry in last.history),
        "plain_output": count("".join(last.code.values())),
        "unchanged_prefix": mean(shares),
        "lowest_unchanged_prefix": min(shares),
    }


def report(experiments: int, seeds: int) -> dict[str, object]:
    """Means over several runs; the ratio of ours to the plain way in, out, and together."""
    runs = [measure(experiments, seed) for seed in range(1, seeds + 1)]
    told = {name: mean(run[name] for run in runs) for name in runs[0]}
    pairs = {
        "input": (told["input"], told["plain_input"]),
        "output": (told["output"], told["plain_output"]),
        "together": (told["input"] + told["output"], told["plain_input"] + told["plain_output"]),
    }
    return {
        "task": "charlm",
        "experiments": experiments,
        "runs": seeds,
        **{
            name: {"ours": round(ours), "plain": round(plain), "ratio": round(ours / plain, 3)}
            for name, (ours, plain) in pairs.items()
        },
        "unchanged_prefix": {
            "mean": round(told["unchanged_prefix"], 3),
            "lowest": round(min(run["lowest_unchanged_prefix"] for run in runs), 3),
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=50)
    parser.add_argument("--runs", type=int, default=4)
    arguments = parser.parse_args()
    print(json.dumps(report(arguments.experiments, arguments.runs), indent=2))
