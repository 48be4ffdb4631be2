"""How much of the processors' time goes into training while trials run side by side.

Runs `charlm` with as many trials at once as there are processors and reads the record: for each candidate's training,
when it ran and what CPU time its control group counted. The steady state lasts from the start of the first candidate's
training until fewer trainings are left than run at once; what a training that outlives it used is counted in
proportion. What is not training is importing PyTorch for the next places, predicting, scoring, and waiting.

Prints JSON; `share` is the CPU time of training over that of all processors used.

    python benchmarks/parallel.py [--experiments 8] [--parallel 2] [--tokens 450000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.runs import ReadRun, read
from rsi.session import start
from rsi.task import load_task


class Training(NamedTuple):
    """One candidate's training: seconds since the epoch, and CPU seconds."""

    began: float
    ended: float
    cpu_seconds: float
    warm_cpu_seconds: float


def run(runs: Path, experiments: int, parallel: int, tokens: int) -> ReadRun:
    """A run of the real loop: mutate, greedy, the docker sandbox."""
    spec = load_task("charlm").spec
    configuration = RunConfiguration(
        task="charlm",
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(name=spec.verifier.name, options=spec.verifier.options),
        budget=Budget(experiments=experiments),
        training_budget=tokens,
        parallel=parallel,
    )
    with start(configuration, lambda sentence: print(sentence, file=sys.stderr), root=runs) as session:
        session.go()
        folder = session.run.folder
    return read(folder)


def trainings(found: ReadRun) -> list[Training]:
    """All but the baseline's, which nothing can run beside; lost and failed ones too: they cost the same."""
    rows = []
    for event in found.events:
        if event.kind != "trial.trained":
            continue
        trial = found.state.trials[event.body["trial"]]
        if trial.started.experiment == 0 or trial.trained is None:
            continue
        execution = trial.trained.execution
        # The event is written once the files are on the host.
        ended = datetime.fromisoformat(event.time).timestamp() - execution.collect_seconds
        rows.append(
            Training(
                began=ended - execution.usage.wall_seconds,
                ended=ended,
                cpu_seconds=execution.usage.cpu_seconds or 0.0,
                warm_cpu_seconds=execution.setup_cpu_seconds or 0.0,
            )
        )
    return rows


def account(rows: list[Training], parallel: int) -> dict[str, float]:
    """Of the steady state."""
    if len(rows) <= parallel:
        raise SystemExit("there was no steady state; ask for more experiments")
    began = min(row.began for row in rows)
    ended = sorted(row.ended for row in rows)[-parallel]
    spent = 0.0
    for row in rows:
        within = max(0.0, min(row.ended, ended) - row.began) / (row.ended - row.began)
        spent += row.cpu_seconds * within
    return {
        "share": spent / (parallel * (ended - began)),
        "steady_seconds": ended - began,
        "training_cpu_seconds": spent,
        "trainings": len(rows),
        "training_wall_seconds_each": statistics.median(row.ended - row.began for row in rows),
        "training_cpu_seconds_each": statistics.median(row.cpu_seconds for row in rows),
        "warm_cpu_seconds_each_place": statistics.median(row.warm_cpu_seconds for row in rows),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=8)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=450_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = run(Path(scratch), asked.experiments, asked.parallel, asked.tokens)
        print(json.dumps(account(trainings(found), asked.parallel), indent=2))


if __name__ == "__main__":
    main()
