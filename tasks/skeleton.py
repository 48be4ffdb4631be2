"""`rsi task new`: a small task that works as it is, to be changed line by line into one's own.

It is logistic regression in NumPy on a file of points; every file says what it is for.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from rsi.errors import UsageError
from tasks import digits

TASK = """schema = 1
name = "{name}"
title = "{name}: which side of a curve a point is on"

[code]
editable = ["train.py"]        # what a proposal may change
protected = ["tensors.py"]     # read-only beside it

[data]
source = "file:points.csv"     # or python:package/file, for a file of an installed package
prepare = "prepare.py"         # runs once, in a sandbox, before the first proposal

[train]
script = "train.py"
budget = 20000                 # told to the code as RSI_BUDGET
unit = "samples"

[objective]
metric = "val_nll"
direction = "minimize"
noise = 0.01                   # standard deviation over seeds, roughly

[verifier]
name = "classification"        # measures val_nll and accuracy, out of the code's reach

[verifier.options]
classes = 2

[limits.train]                 # enforced from outside; reaching one rejects the trial
wall_seconds = 30.0
cpu_seconds = 30.0
memory_bytes = 536870912

[limits.predict]
wall_seconds = 30.0
cpu_seconds = 30.0
memory_bytes = 536870912
"""

PROGRAM = """# Research instructions for {name}

Lower val_nll, the negative log-likelihood of held-out points. Prefer small, readable changes to train.py.
"""

PREPARE = '''"""Split the points into train, dev and holdout by a fixed hash; dev and holdout have the same shapes."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

HELD_OUT = 100

source = Path(os.environ["RSI_IN"], "source", "points.csv")
out = Path(os.environ["RSI_OUT"])
lines = sorted(set(source.read_text().split()), key=lambda line: hashlib.sha256(line.encode()).digest())
points = np.array([[float(cell) for cell in line.split(",")] for line in lines])
parts = {"dev": points[:HELD_OUT], "holdout": points[HELD_OUT : 2 * HELD_OUT]}
for name, part in parts.items():
    for kind in ("inputs", "targets"):
        (out / name / kind).mkdir(parents=True)
    np.save(out / name / "inputs" / "points.npy", part[:, :2].astype(np.float32))
    np.save(out / name / "targets" / "labels.npy", part[:, 2].astype(np.int64))
(out / "train").mkdir()
np.save(out / "train" / "points.npy", points[2 * HELD_OUT :])
(out / "manifest.json").write_text(json.dumps({"points": len(points)}))
'''

TRAIN = '''"""Logistic regression on two coordinates: the harness sets RSI_DATA, RSI_OUT, RSI_SEED, RSI_BUDGET."""

import os
from pathlib import Path

import numpy as np

import tensors

LEARNING_RATE = 0.05
WEIGHT_DECAY = 0.0
BATCH_SIZE = 20


def features(points):
    return np.column_stack([np.ones(len(points)), points])


def predict(artifact, inputs):
    """Logits of shape (N, 2), from the artifact alone; the harness calls this in a place of its own."""
    weights = tensors.load(Path(artifact) / "model.safetensors")["weights"]
    return (features(inputs["points"]) @ weights).astype(np.float32)


def main():
    data = np.load(Path(os.environ["RSI_DATA"], "points.npy"))
    x, labels = features(data[:, :2]), data[:, 2].astype(int)
    random = np.random.default_rng(int(os.environ["RSI_SEED"]))
    weights = random.normal(0.0, 0.01, (x.shape[1], 2))
    for step in range(int(os.environ["RSI_BUDGET"]) // BATCH_SIZE):
        rows = random.integers(0, len(x), BATCH_SIZE)
        logits = x[rows] @ weights
        probabilities = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        if step % 200 == 0:
            print("step", step, "loss", -np.log(probabilities[np.arange(BATCH_SIZE), labels[rows]]).mean())
        probabilities[np.arange(BATCH_SIZE), labels[rows]] -= 1.0
        gradient = x[rows].T @ probabilities / BATCH_SIZE
        weights -= LEARNING_RATE * (gradient + WEIGHT_DECAY * weights)
    tensors.save(Path(os.environ["RSI_OUT"]) / "model.safetensors", {"weights": weights.astype(np.float32)})


if __name__ == "__main__":
    main()
'''


def make(name: str, folder: Path) -> Path:
    """Write the skeleton into `folder/name`; UsageError for a bad name or a folder that exists."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise UsageError(f"{name!r} is no task name; use a lower-case letter, then letters, digits, - and _.")
    target = folder / name
    if target.exists():
        raise UsageError(f"{target} exists already; choose another name or --folder.")
    target.mkdir(parents=True)
    tensors = (digits() / "tensors.py").read_text(encoding="utf-8")
    files = {
        "task.toml": TASK.format(name=name),
        "program.md": PROGRAM.format(name=name),
        "prepare.py": PREPARE,
        "train.py": TRAIN,
        "tensors.py": tensors,
        "points.csv": _points(),
    }
    for file, text in files.items():
        (target / file).write_text(text, encoding="utf-8")
    return target


def _points(count: int = 600) -> str:
    """Points of the unit square, labelled by the side of a curve they are on, one in ten wrongly."""
    draw = random.Random(0)  # noqa: S311 - example data
    lines = []
    for _ in range(count):
        x, y = draw.uniform(-1, 1), draw.uniform(-1, 1)
        label = int((y > x**3 + 0.3 * x) != (draw.random() < 0.1))
        lines.append(f"{x:.5f},{y:.5f},{label}")
    return "\n".join(lines) + "\n"
