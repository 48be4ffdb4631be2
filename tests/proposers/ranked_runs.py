"""Runs whose next move a program chooses: trials on the fake sandbox, the program in a real process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import rsi.proposers.evolved
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.execution import ExitKind, Job, Outcome, Watch
from rsi.runs import ReadRun
from rsi.testing.fake_sandbox import FakeSandbox, write_fake_task
from sandboxes.process import ProcessSandbox

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "loop"))
from composing import VERIFIER, go_on, run, said, shaped
from composing import configuration as composed

__all__ = ["VERIFIER", "answers", "configuration", "go_on", "program", "run", "said", "shaped"]

EVOLVED = f"{rsi.proposers.evolved.__file__}:Evolved"
CODE = "VALUE = 40.0\nWIDTH = 64\nprint(VALUE, WIDTH)\n"

UNIFORM = "def predict(artifact, inputs):\n    return inputs['options'][:, :, 7]\n"
RAISES = "def predict(artifact, inputs):\n    raise KeyError('secret words')\n"
HANGS = "def predict(artifact, inputs):\n    while True:\n        pass\n"
NEVER = "def predict(artifact, inputs):\n    return inputs['options'][:, :, 7] * float('nan')\n"
SHORT = "def predict(artifact, inputs):\n    return inputs['options'][:, :3, 7]\n"
INFINITE = "def predict(artifact, inputs):\n    return inputs['options'][:, :, 7] * 0 + float('inf')\n"
LEARNS = """\
import json, os, struct
from pathlib import Path

import numpy as np


def predict(artifact, inputs):
    weights = (artifact / "model.safetensors").read_bytes()
    favourite = struct.unpack("<f", weights[-4:])[0]
    return -np.abs(inputs["options"][:, :, 0] - favourite)


if __name__ == "__main__":
    episodes = np.load(Path(os.environ["RSI_DATA"]) / "episodes.npy")
    paid = episodes[episodes[:, :, 6] == 1]
    kind = float(paid[paid[:, 7].argmax(), 0]) if len(paid) else 0.0
    header = json.dumps({"kind": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    out = Path(os.environ["RSI_OUT"]) / "model.safetensors"
    out.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", kind))
"""
"""Prefers the kind of move that paid most in its episodes."""


class HalfReal(FakeSandbox):
    """Trials are the fake sandbox's; a proposer's program runs in a real process."""

    def __init__(self) -> None:
        super().__init__()
        self.real = ProcessSandbox()

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """By what the job is for."""
        program = "inputs/options.npy" in job.inputs or "code/proposer.py" in job.argv
        if not program:
            return super().run(job, watch)
        return self.real.run(job, watch)

    def close(self) -> None:
        """Both."""
        self.real.close()
        super().close()


class CutOff(HalfReal):
    """The user stops the run while its program works: once for each purpose that RSI_CUT_OFF names in that folder."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As ever, but for the first time."""
        outcome = super().run(job, watch)
        mark = Path(os.environ["RSI_CUT_OFF"]) / job.purpose
        if job.labels.get("trial", "").startswith("pro") and mark.exists():  # the program, or a proposal
            mark.unlink()
            cut = outcome.execution.model_copy(update={"kind": ExitKind.INTERRUPTED, "files": ()})
            return outcome.model_copy(update={"execution": cut, "outputs": {}})
        return outcome


def program(folder: Path, text: str) -> Path:
    """A folder with a program."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proposer.py").write_text(text)
    return folder


def configuration(folder: Path, source: Path, **changes: Any) -> RunConfiguration:
    """Of a run that `source` proposes for; `options` are the proposer's."""
    if not (folder / "task").exists():
        write_fake_task(folder / "task", value=40, verifier=VERIFIER)
        (folder / "task" / "train.py").write_text(CODE)
    values: dict[str, Any] = {
        "proposer": Component(name=EVOLVED, options={"source": str(source), **changes.pop("options", {})}),
        "sandbox": Component(name=f"{__file__}:HalfReal"),
        "budget": Budget(experiments=3),
    }
    return composed(folder, **(values | changes))


def answers(record: ReadRun) -> list[dict[str, Any]]:
    """The bodies of what the program answered, in order."""
    return [event.body for event in record.events if event.kind == "program.answered"]
