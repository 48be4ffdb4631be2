"""What the verifiers cost: a demo's run with all of its task's verifiers against the same run with scoring alone.

Both runs have the same secret, so the same proposals, seeds and decisions, as long as no verifier rejects anything; the
JSON says whether they did. They alternate (alone, all, all, alone, …), so that a load that comes or goes meanwhile is
shared by both sides. Scoring alone is what measures, without anything beside it and without the layers within it.

Prints JSON; `overhead` is the share by which the wall time grows, 0.25 is the most it shall be.

    python benchmarks/verification.py [--experiments 8] [--rounds 2] [--task charlm]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from evals.redteam.team import alone
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.records import Rejected
from rsi.runs import ReadRun, read
from rsi.session import side_by_side, start
from rsi.task import load_task
from rsi.verification import chosen

TARGET = 0.25


def run(runs: Path, task: str, experiments: int, *, every: bool) -> ReadRun:
    """The demo's run: mutate, expected-gain, certified at its milestones."""
    spec = load_task(task).spec
    first, beside = chosen(spec)
    configuration = RunConfiguration(
        task=task,
        proposer=Component(name="mutate"),
        policy=Component(name="expected-gain"),
        sandbox=Component(name="docker"),
        verifier=first if every else alone(first),
        verifiers=beside if every else (),
        budget=Budget(experiments=experiments),
        parallel=side_by_side(spec.limits.train),
        certify=True,
        shared_seeds=True,
        seed=1,
    )
    with start(configuration, lambda sentence: print(sentence, file=sys.stderr), root=runs) as session:
        session.go()
        folder = session.run.folder
    return read(folder)


def account(found: ReadRun) -> dict[str, Any]:
    """Its wall time, what it went into, and what became of the experiments."""
    state = found.state
    trials = list(state.trials.values())
    judged = [judged for trial in trials for judged in (trial.screened, trial.checked) if judged is not None]
    executions = [execution for trial, execution in state.executions() if trial]
    return {
        "seconds": state.session_seconds(),
        "trials": len(trials),
        "outcomes": [state.experiments[number].status.value for number in sorted(state.experiments)],
        "rejected_by": dict(Counter(j.verdict.by for j in judged if isinstance(j.verdict, Rejected))),
        "executions": dict(Counter(execution.purpose for execution in executions)),
        "execution_seconds": sum(execution.usage.wall_seconds for execution in executions),
        "challenges": dict(Counter(answered.challenge for trial in trials for answered in trial.answered)),
        "verifying_seconds": sum(j.verifying_seconds for j in judged),
        "scoring_seconds": sum(answered.scoring_seconds for trial in trials for answered in trial.answered),
        "reading_seconds": sum(read.seconds for trial in trials for read in trial.inspected),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--task", default="charlm")
    asked = parser.parse_args()
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as scratch:
        # One run is thrown away: it prepares the data and warms the machine up.
        run(Path(scratch, "first"), asked.task, 0, every=True)
        for number in range(asked.rounds):
            for every in (False, True) if number % 2 == 0 else (True, False):
                rows[every].append(account(run(Path(scratch, "runs"), asked.task, asked.experiments, every=every)))
    without, with_all = (statistics.median(row["seconds"] for row in rows[every]) for every in (False, True))
    result = {
        "overhead": with_all / without - 1,
        "target": TARGET,
        "seconds_alone": without,
        "seconds_with_all": with_all,
        "same_outcomes": len({tuple(row["outcomes"]) for side in rows.values() for row in side}) == 1,
        "alone": rows[False],
        "with_all": rows[True],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
