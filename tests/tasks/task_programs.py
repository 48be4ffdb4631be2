"""The tasks' own programs, run as a sandbox would run them but without one: plain processes with RSI_* set."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rsi.evidence import Array, Challenge, HeldOut
from rsi.prediction import decode_array, job_inputs, read_answer
from rsi.preparation import read_source
from rsi.task import Task

ROOT = Path(__file__).parents[2]


def run_program(argv: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RSI_")}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | variables
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def prepare(task: Task, source: Mapping[str, bytes], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a task's preparation on these source files; what it leaves lies in `folder/out`."""
    for name, content in source.items():
        (folder / "in" / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / "source" / name).write_bytes(content)
    (folder / "out").mkdir()
    script = str(task.folder / "prepare.py")
    return run_program([sys.executable, script], RSI_IN=str(folder / "in"), RSI_OUT=str(folder / "out"))


def prepared_data(task: Task, folder: Path) -> Path:
    """What a task's preparation makes of its own source; it must succeed."""
    done = prepare(task, read_source(task), folder)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def trained_weights(task: Task, prepared: Path, folder: Path) -> tuple[Path, str]:
    """Where a training that succeeds leaves its artifact, and what it prints."""
    done = train(task, prepared / "train", folder / "weights")
    assert done.returncode == 0, done.stderr
    return folder / "weights", done.stdout


def held_out(out: Path, split: str) -> HeldOut:
    def arrays(part: str) -> dict[str, Array]:
        return {path.stem: decode_array(path.read_bytes()) for path in sorted((out / split / part).glob("*.npy"))}

    return HeldOut(inputs=arrays("inputs"), targets=arrays("targets"))


def manifest(out: Path) -> dict[str, object]:
    found = json.loads((out / "manifest.json").read_text())
    assert isinstance(found, dict)
    return found


def train(task: Task, data: Path, folder: Path, seed: int = 0, budget: int | None = None):
    """Train in a process; the artifact lies in `folder`."""
    script = str(task.folder / task.spec.train.script)
    return run_program(
        [sys.executable, script],
        RSI_DATA=str(data),
        RSI_OUT=str(folder),
        RSI_SEED=str(seed),
        RSI_BUDGET=str(task.spec.train.budget if budget is None else budget),
    )


def predict(files: Mapping[str, bytes], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the guest's half of the protocol on these input files; its answer lies in `folder/out`."""
    for path, content in files.items():
        (folder / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / path).write_bytes(content)
    (folder / "out").mkdir()
    return run_program(
        [sys.executable, "-m", "guest.predict"],
        RSI_IN=str(folder / "in"),
        RSI_OUT=str(folder / "out"),
        PYTHONPATH=str(ROOT / "sandboxes"),
    )


def answer(task: Task, artifact: Path, challenge: Challenge, folder: Path) -> Array:
    """A trained model's answer to a challenge, through files on both sides."""
    weights = {path.name: path.read_bytes() for path in artifact.iterdir()}
    module = task.spec.train.script.removesuffix(".py")
    done = predict(job_inputs(task.code, task.protected, weights, challenge, module=module), folder)
    assert done.returncode == 0, done.stderr
    outputs = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    return np.asarray(read_answer(outputs, challenge))
