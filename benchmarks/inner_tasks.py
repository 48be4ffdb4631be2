"""What a strategy of the task `proposer` gains on its inner tasks over the uniform program, with an interval.

    python benchmarks/inner_tasks.py --split holdout --trials 4 'ORDER="by_arm"' 'ORDER="by_arm" AVOID_NEIGHBOURS=True'

Each word is a program: the shipped `proposer.py` with these names set otherwise, learned from the shipped episodes, or
from those of a file (`rsi.generations.gathering.inner_episodes` has those of a run). The loops are those of the
verifier `inner-loops`, on the task's own slots, without a sandbox: it is our own code. Programs meet the same
instances, so differences are paired by loop.
"""

from __future__ import annotations

import argparse
import ast
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from evals.inner import episodes, loops  # noqa: E402
from evals.inner.certifying import results  # noqa: E402
from rsi.prediction import decode_array  # noqa: E402

TASK = ROOT / "tasks" / "proposer"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "holdout"), default="dev")
    parser.add_argument("--trials", type=int, default=4, help="of 48 loops each")
    parser.add_argument("--episodes", type=Path, help="to learn from; without it the shipped ones")
    parser.add_argument("programs", nargs="+", help="NAME=VALUE, several of them parted by spaces")
    asked = parser.parse_args()
    slots = split(asked.split)
    content = asked.episodes.read_bytes() if asked.episodes else episodes.uniform()[episodes.FILE]
    past = np.array(decode_array(content), dtype=np.float32)
    uniform = rates(slots, past, "", asked.trials)
    print(f"{asked.split}: {uniform.size} loops; the uniform program {uniform.mean():.3f}")
    for program in asked.programs:
        began = time.process_time()
        gained = rates(slots, past, program, asked.trials) - uniform
        half = 1.96 * gained.std(ddof=1) / math.sqrt(gained.size)
        share = 1 + gained.mean() / uniform.mean()
        seconds = (time.process_time() - began) / asked.trials
        print(f"{program}: {gained.mean():+.3f} ± {half:.3f} (x {share:.2f}), {seconds:.1f} CPU s a trial")


def split(name: str) -> np.ndarray:
    """The task's slots."""
    prepare = module("prepare", TASK / "prepare.py")
    families = {"dev": prepare.DEV, "holdout": prepare.HOLDOUT}[name]
    return np.array([prepare.row_of(slot) for slot, count in families for _ in range(count)])


def rates(slots: np.ndarray, past: np.ndarray, settings: str, trials: int) -> np.ndarray:
    """Certified gain per 100 units of compute, (trials, T)."""
    with tempfile.TemporaryDirectory() as folder:
        program = written(Path(folder), settings)
        program.tensors.save(Path(folder) / "artifact" / "model.safetensors", program.learn(past))
        plan, found = loops.Plan(), []
        for trial in range(trials):
            key = trial.to_bytes(16, "big")
            rounds = loops.run(plan, slots, key, lambda shown: program.predict(Path(folder) / "artifact", shown))
            told = results(plan.budget, rounds)
            found.append(100 * told.gain / told.compute)
    return np.array(found)


def written(folder: Path, settings: str) -> ModuleType:
    """The shipped program with these names set otherwise, imported."""
    lines = (TASK / "proposer.py").read_text().splitlines(keepends=True)
    for name, _, value in (word.partition("=") for word in settings.split()):
        places = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
        if len(places) != 1:
            sys.exit(f"proposer.py sets no {name} at its top.")
        lines[places[0]] = f"{name} = {ast.literal_eval(value)!r}\n"
    (folder / "proposer.py").write_text("".join(lines))
    shutil.copy(TASK / "tensors.py", folder)
    sys.path.insert(0, str(folder))
    try:
        return module("proposer", folder / "proposer.py")
    finally:
        sys.path.remove(str(folder))


def module(name: str, path: Path) -> ModuleType:
    """A file of the task as a module of its own."""
    found = ModuleType(name)
    found.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), found.__dict__)  # noqa: S102 - our own task's file
    return found


if __name__ == "__main__":
    main()
