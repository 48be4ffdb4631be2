"""Does a loop that improves its own proposer get better at improving? Prints JSON, draws recursion.png.

    python benchmarks/recursion.py [--quick] [--out FOLDER] [--generations 3] [--experiments N] [--instances N]

1. `rsi evolve` from the shipped uniform program, without a key; with the same --out it goes on where it stopped.
2. The program of every generation then chooses the moves of loops over the same fresh held-out inner tasks: real
   trainings of families and difficulties that no loop before had, drawn from a key that nobody used before. Programs
   run in the sandbox; what they choose is trained, decided and certified here (`evals.inner`).
3. Beside them, on the same instances and budgets: `mutate`'s learning within a run, and Optuna's TPE, where the extra
   `rsi[optuna]` is installed (`recursion_references.py`).

generation.N.rate     mean certified gain per 100 units of compute; a unit is a training of the inner task's baseline
generation.N.ratio    that over generation 0's, with a 95% interval: paired bootstrap over instances, within families
references            the same of `mutate` and `tpe`
longer                the same in loops of twice the length, which no program was chosen by: what is left of the ratio
                      where everybody has more time (not in the quick form)
evolution             `rsi generations --json`

The quick form has small budgets: it shows that everything works, and seldom more. The target is a ratio of 1.5 at
generation 3 with the interval above 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import runpy
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from recursion_references import has_optuna, mutate, tpe

import tasks
from evals.inner import loops
from evals.inner.certifying import results
from evals.inner.families import FAMILIES, instances
from rsi.configuration import Component
from rsi.evidence import Challenge
from rsi.execution import MIB, ExitKind, Job, Limits, Shape
from rsi.generations.evolution import Evolution, Standing, open_folder, whole
from rsi.prediction import job_inputs, read_answer
from rsi.proposers.evolved_source import program_of
from rsi.protocols import Sandbox
from rsi.session import build

Floats = NDArray[np.float64]
RESAMPLES = 10_000
LIMITS = Limits(wall_seconds=300, cpu_seconds=240, memory_bytes=2048 * MIB, disk_bytes=256 * MIB)
TARGET = 1.5

# --- 1: the generations ---------------------------------------------------------------------------------------


def evolve(folder: Path, arguments: argparse.Namespace) -> Evolution:
    """Run the generations, or what is left of them; everything that is printed goes to standard error."""
    command = [sys.executable, "-m", "cli", "evolve"]
    if (folder / "evolution.toml").exists():
        command += ["--resume", str(folder)]
    else:
        command += ["--out", str(folder), "--generations", str(arguments.generations)]
        command += ["--experiments", str(arguments.experiments), "--patience", str(arguments.generations)]
        command += ["--sandbox", arguments.sandbox]
        command += ["--trials", str(arguments.trials)] if arguments.trials else []
        command += ["--unsafe-no-isolation"] if arguments.sandbox == "process" else []
    code = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    if code:
        sys.exit(code)
    return open_folder(folder)


# --- 2: every program on the same fresh instances -------------------------------------------------------------


class Ranked:
    """A program, asked in the sandbox before every round of all loops at once."""

    def __init__(self, sandbox: Sandbox, evolution: Evolution, standing: Standing) -> None:
        self.sandbox = sandbox
        task = evolution.task()
        self.code = whole(standing.code, task)
        if standing.run is not None:
            self.artifact = dict(program_of(standing.run).artifact)
        else:
            inputs = {f"code/{path}": text.encode() for path, text in self.code.items()}
            inputs |= {f"data/{name}": content for name, content in evolution.shipped().items()}
            environment = {"RSI_SEED": "0", "RSI_BUDGET": str(task.spec.train.budget)}
            self.artifact = self._run("train", ("code/proposer.py",), inputs, environment)

    def __call__(self, shown: dict[str, NDArray[np.float32]]) -> NDArray[Any]:
        """Question → preferences."""
        challenge = Challenge(name="round", inputs=dict(shown), answer_shape=shown["options"].shape[:2])
        inputs = job_inputs(self.code, {}, self.artifact, challenge, module="proposer")
        outputs = self._run("predict", ("-m", "guest.predict"), inputs)
        return read_answer(outputs, challenge)

    def _run(
        self,
        purpose: Literal["train", "predict"],
        argv: tuple[str, ...],
        inputs: dict[str, bytes],
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, bytes]:
        shape = Shape(limits=LIMITS)
        job = Job(purpose=purpose, argv=argv, inputs=inputs, environment=dict(environment or {}), shape=shape)
        outcome = self.sandbox.run(job)
        if outcome.execution.kind is not ExitKind.COMPLETED:
            sys.exit(f"A program ended as {outcome.execution.kind}: {outcome.stderr[-500:].decode('utf-8', 'replace')}")
        return dict(outcome.outputs)


def rate_of(plan: loops.Plan, slots: Floats, key: bytes, program: Callable[..., NDArray[Any]]) -> Floats:
    """Certified gain per 100 units of compute, by loop."""
    found = results(plan.budget, loops.run(plan, slots, key, program))
    return 100 * found.gain / found.compute


def held_out(count: int) -> Floats:
    """Slots of the task's own holdout, repeated until there are about so many."""
    prepare = runpy.run_path(str(tasks.proposer() / "prepare.py"), run_name="prepare")
    slots = [prepare["row_of"](slot) for slot, number in prepare["HOLDOUT"] for _ in range(number)]
    return np.array(slots * max(1, round(count / len(slots))), dtype=np.float64)


def told(rates: Floats, base: Floats, slots: Floats) -> dict[str, Any]:
    """The mean, and its ratio to the base's with a paired bootstrap interval; by family besides."""
    families = slots[:, 0].astype(int)
    groups = [np.flatnonzero(families == family) for family in np.unique(families)]
    draw = np.random.default_rng(0)
    ratios = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        at = np.concatenate([draw.choice(group, len(group)) for group in groups])
        ratios[number] = rates[at].mean() / max(base[at].mean(), 1e-9)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return {
        "rate": round(float(rates.mean()), 4),
        "ratio": round(float(rates.mean() / base.mean()), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "families": {FAMILIES[int(families[group[0]])]: round(float(rates[group].mean()), 4) for group in groups},
    }


def measure(evolution: Evolution, arguments: argparse.Namespace) -> dict[str, Any]:
    """All programs and references on the same instances."""
    history = evolution.history()
    standings = [history.first, *(generation.after for generation in history.generations)]
    # Drawn now: no loop that shaped a program can have seen these instances.
    key = hashlib.sha256(f"recursion {secrets.token_hex(16)}".encode()).digest()[:16]
    plan, slots = loops.Plan(), held_out(arguments.instances)
    twice = loops.Plan(2 * plan.rounds, plan.at_once, 2 * plan.budget)
    instances(slots, key)
    sandbox: Sandbox = build("sandboxes", Component(name=arguments.sandbox))
    try:
        programs = {one.program.sha256: Ranked(sandbox, evolution, one) for one in standings}
        found = compared(plan, slots, key, standings, programs)
        if not arguments.quick:
            found["longer"] = compared(twice, slots, key, standings, programs)
    finally:
        sandbox.close()
    last = found["generation"][-1]
    return {
        "instances": len(slots),
        "key": key.hex(),
        **found,
        "target": {"ratio": TARGET, "met": last["ratio"] >= TARGET and last["low"] > 1},
    }


def compared(
    plan: loops.Plan, slots: Floats, key: bytes, standings: Sequence[Standing], programs: Mapping[str, Ranked]
) -> dict[str, Any]:
    """The programs of all generations and the references in loops of this length."""
    rates = {sha256: rate_of(plan, slots, key, program) for sha256, program in programs.items()}
    base = rates[standings[0].program.sha256]
    told_tpe: dict[str, Any] | str = "left out: Optuna is not installed; `pip install 'rsi[optuna]'` brings it"
    if has_optuna():
        told_tpe = told(tpe(plan, slots, key), base, slots)
    return {
        "trainings": plan.budget,
        "generation": [
            {"generation": number, "program": one.program.label, **told(rates[one.program.sha256], base, slots)}
            for number, one in enumerate(standings)
        ],
        "references": {"mutate": told(mutate(plan, slots, key), base, slots), "tpe": told_tpe},
    }


# --- 3: what is told ------------------------------------------------------------------------------------------


def draw(found: dict[str, Any], path: Path) -> None:
    """Ratios over generation 0 with intervals, references beside them."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    names = [f"generation {one['generation']}\n{one['program']}" for one in found["generation"]]
    values = list(found["generation"])
    for name, one in found["references"].items():
        if isinstance(one, dict):
            names.append(name)
            values.append(one)
    for place, one in enumerate(values):
        bars = [[one["ratio"] - one["low"]], [one["high"] - one["ratio"]]]
        colour = "#0a3069" if place < len(found["generation"]) else "#8c959f"
        axes.errorbar([place], [one["ratio"]], yerr=bars, fmt="o", color=colour, capsize=4)
    axes.axhline(1.0, color="#8c959f", linewidth=0.8)
    axes.axhline(TARGET, color="#1a7f37", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("gain per unit of compute, over generation 0's")
    axes.set_title(f"{found['instances']} fresh held-out inner tasks, 95% intervals", loc="left", fontsize=10)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about five minutes on two idle cores")
    parser.add_argument("--out", type=Path, help="the evolution's folder; goes on with one that is there")
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--experiments", type=int, help="of each generation")
    parser.add_argument("--trials", type=int, help="of each generation; what the search leaves is for its test")
    parser.add_argument("--instances", type=int, help="fresh held-out inner tasks")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    arguments = parser.parse_args()
    arguments.experiments = arguments.experiments or (8 if arguments.quick else 30)
    arguments.trials = arguments.trials or (40 if arguments.quick else None)
    arguments.instances = arguments.instances or (96 if arguments.quick else 320)
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="rsi-evolution-")) / "evolution"
    began = time.monotonic()
    evolution = evolve(folder, arguments)
    evolved = time.monotonic()
    found = measure(evolution, arguments)
    command = [sys.executable, "-m", "cli", "generations", str(folder), "--json"]
    told_json = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    draw(found, folder / "recursion.png")
    found |= {
        "seconds": {"evolving": round(evolved - began), "measuring": round(time.monotonic() - evolved)},
        "quick": arguments.quick,
        "figure": str(folder / "recursion.png"),
        "evolution": json.loads(told_json),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
