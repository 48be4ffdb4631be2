"""What the loop costs over bare training: a bare `docker run` of the same script and the loop's trials, in one run.

Overhead is wall time less training, which is what the script itself says its main block took, imports not counted.

- Bare: `docker run --rm` from its start to its end: making the container, starting Python, the script's imports, its
  end, removing the container. The artifact goes to a mounted folder, so it costs nothing to fetch.
- Loop: from the end of one experiment to the end of the next: proposing, checking and committing the edit, taking a
  place, putting the inputs, the program's start and end, killing, fetching and hashing the artifact, the same again for
  the place that predicts and its answer (tens of megabytes), every event on disk, deciding, tables. Less the computing
  of predictions (the program's wall time in B) and of scores, which are shown beside it.

Places are warmed up while another trains, so their imports cost no wall time but processor time: `warm_cpu_seconds`,
by experiment, from the control groups of the places it used. Prints JSON with both medians and their ratio.

    python benchmarks/overhead.py [--experiments 4] [--tokens 200000]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sandboxes.image
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.preparation import prepare, read_source
from rsi.runs import ReadRun, read
from rsi.session import build, start
from rsi.state import seconds_between
from rsi.task import Task, load_task

GUARD = '\nif __name__ == "__main__":\n'
BARE_RUNS = 2
"""Before the loop, and again after it, so that a load that comes or goes meanwhile is shared by both sides."""
TIMED = """
if __name__ == "__main__":
    import time as _time

    _began = _time.monotonic()
{body}
    print("training_seconds", _time.monotonic() - _began, flush=True)
"""


def timed_task(folder: Path) -> Task:
    """A copy of charlm whose script tells how long it trained."""
    task = load_task("charlm")
    for file in task.folder.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    script = folder / "train.py"
    code, _, body = script.read_text().partition(GUARD)
    script.write_text(code + TIMED.format(body=body.rstrip()))
    return load_task(str(folder))


def training_seconds(stdout: bytes) -> float:
    """What the script says its training took."""
    found = re.findall(rb"training_seconds ([0-9.]+)", stdout)
    if not found:
        raise SystemExit("the script did not say how long it trained; see its output in the run folder")
    return float(found[-1])


def bare(image: str, folder: Path, data: Path, tokens: int) -> dict[str, float]:
    """One `docker run --rm` of the script with the limits of a trial, nothing else."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    command = [
        "docker", "run", "--rm", "--network", "none", "--cpus", "1", "--memory", "2g",
        "-v", f"{folder}:/code:ro", "-v", f"{data}:/data:ro", "-v", f"{out}:/out",
        "-e", "RSI_DATA=/data", "-e", "RSI_OUT=/out", "-e", "RSI_SEED=1", "-e", f"RSI_BUDGET={tokens}",
        "-e", "OMP_NUM_THREADS=1", image, "python3", "/code/train.py",
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, check=True)
    wall = time.monotonic() - began
    return {"wall": wall, "training": training_seconds(done.stdout), "overhead": wall - training_seconds(done.stdout)}


def loop(task: Path, runs: Path, experiments: int, tokens: int) -> ReadRun:
    """A run of the real loop: mutate, greedy, the docker sandbox."""
    spec = load_task(str(task)).spec
    configuration = RunConfiguration(
        task=str(task),
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(name=spec.verifier.name, options=spec.verifier.options),
        budget=Budget(experiments=experiments),
        training_budget=tokens,
    )
    with start(configuration, lambda sentence: print(sentence, file=sys.stderr), root=runs) as session:
        session.go()
        folder = session.run.folder
    return read(folder)


def account(run: ReadRun) -> list[dict[str, float]]:
    """Every experiment that was scored: its wall time and what it went into. The first, cold one is the baseline."""
    rows = []
    ended = run.state.first_time
    closing = {e.body["experiment"]: e.time for e in run.events if e.kind == "experiment.closed"}
    for number, experiment in run.state.experiments.items():
        began, ended = ended, closing.get(number, run.state.last_time)
        trials = [run.state.trials[name] for name in experiment.trials]
        if not trials or any(trial.trained is None or trial.screened is None for trial in trials):
            continue
        training = sum(training_seconds(run.blobs.get(t.trained.stdout)) for t in trials if t.trained)
        predicting = sum(a.execution.usage.wall_seconds for t in trials for a in t.answered)
        scoring = sum(a.scoring_seconds for t in trials for a in t.answered)
        scoring += sum(j.verifying_seconds for t in trials for j in (t.screened, t.checked) if j)
        executions = [t.trained.execution for t in trials if t.trained]
        script = sum(e.usage.wall_seconds for e in executions) - training
        executions += [a.execution for t in trials for a in t.answered]
        placing, ending = sum(e.setup_seconds for e in executions), sum(e.collect_seconds for e in executions)
        wall = seconds_between(began, ended)
        rows.append(
            {
                "experiment": number,
                "wall": wall,
                "training": training,
                "predicting": predicting,
                "scoring": scoring,
                "answers": sum(len(t.answered) for t in trials),
                "overhead": wall - training - predicting - scoring,
                "of_which_taking_a_place": placing,
                "of_which_starting_and_leaving_the_script": script,
                "of_which_ending_and_collecting": ending,
                "of_which_the_rest": wall - training - predicting - scoring - placing - script - ending,
                "warm_cpu_seconds": sum(e.setup_cpu_seconds or 0.0 for e in executions),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=200_000)
    asked = parser.parse_args()
    os.environ.setdefault("DOCKER_CLI_HINTS", "false")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "task")
        folder.mkdir()
        task = timed_task(folder)
        sandbox = build("sandboxes", Component(name="docker"))
        try:
            _, prepared, _ = prepare(task, sandbox, read_source(task), "benchmark")
        finally:
            sandbox.close()
        image, data = sandboxes.image.wanted_tag(), prepared.folder / "train"
        bares = [bare(image, folder, data, asked.tokens) for _ in range(BARE_RUNS)]
        rows = account(loop(folder, Path(scratch, "runs"), asked.experiments, asked.tokens))
        bares += [bare(image, folder, data, asked.tokens) for _ in range(BARE_RUNS)]
    warm = [row for row in rows if row["experiment"] > 0]
    result: dict[str, Any] = {
        "bare_overhead_seconds": statistics.median(row["overhead"] for row in bares),
        "loop_overhead_seconds": statistics.median(row["overhead"] for row in warm),
        "predicting_seconds": statistics.median(row["predicting"] for row in warm),
        "scoring_seconds": statistics.median(row["scoring"] for row in warm),
        "warm_cpu_seconds": statistics.median(row["warm_cpu_seconds"] for row in warm),
        "bare": bares,
        "loop": rows,
        "seconds": time.monotonic() - began,
    }
    result = {"ratio": result["loop_overhead_seconds"] / result["bare_overhead_seconds"], **result}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
