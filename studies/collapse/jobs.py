"""The three jobs of a generation, each in a fresh place: train on text, answer about the holdout, write text.

The programs are this package's own, a folder a model (`program/`); what comes back is data all the same: weights are
looked at and never loaded, answers and text are bytes of a length that is known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsi import artifact
from rsi.errors import EngineLost, EnvironmentFault
from rsi.evidence import Array, Challenge
from rsi.execution import MIB, ExitKind, Job, Limits, Outcome, Shape
from rsi.prediction import MalformedAnswer, job_inputs, read_answer
from studies.collapse.design import CONTEXT, ROW, STREAM, Model
from studies.collapse.ngrams import Bytes
from tasks import charlm, digits

_LIMITS = Limits(
    wall_seconds=300, cpu_seconds=120, memory_bytes=2048 * MIB, disk_bytes=128 * MIB, artifact_bytes=64 * MIB
)
_TEXT = "text.bin"


class Stopped(Exception):
    """The job was ended because the user asked for it."""


class Program(NamedTuple):
    """What runs in the sandbox for one kind of model."""

    code: Mapping[str, str]
    """By file name: the model, `train.py`, `sample.py`, and what they stand on."""
    module: str
    """The one that offers `predict`."""
    rows: str
    """The file in which `train.py` looks for what it is trained on."""
    shape: Shape
    """Of all three jobs, so that a place made ahead suits whichever comes next."""


def program(model: Model) -> Program:
    """The program of that model. `charlm` is the task's own training code, under sizes that the study sets."""
    folder = Path(__file__).parent / "program" / model
    code = {path.name: _text(path) for path in sorted(folder.glob("*.py"))}
    if model == "charlm":
        code["charlm.py"] = _text(charlm() / "train.py")
        return Program(code, "gpt", "train.bin", Shape(limits=_LIMITS, imports=("torch", "safetensors.torch")))
    code["tensors.py"] = _text(digits() / "tensors.py")
    return Program(code, "table", "rows.bin", Shape(limits=_LIMITS, imports=("numpy",)))


def training(program: Program, rows: Bytes, seed: int, labels: Mapping[str, str]) -> Job:
    """Train on rows (N, 8); the seed is for a model that begins somewhere."""
    return Job(
        purpose="train",
        argv=("code/train.py",),
        inputs=_code(program) | {f"data/{program.rows}": rows.tobytes()},
        environment={"RSI_ROW": str(ROW), "RSI_SEED": str(seed)},
        shape=program.shape,
        labels=labels,
    )


def question(contexts: Bytes) -> Challenge:
    """What is asked of a model: logits of the byte after each context (N, 4)."""
    return Challenge(name="holdout", inputs={"contexts": contexts}, answer_shape=(len(contexts), 256))


def answering(program: Program, weights: Mapping[str, bytes], asked: Challenge, labels: Mapping[str, str]) -> Job:
    """Answer about held-out contexts; what follows them is not among the inputs."""
    inputs = job_inputs(dict(program.code), {}, weights, asked, module=program.module)
    return Job(purpose="predict", argv=("-m", "guest.predict"), inputs=inputs, shape=program.shape, labels=labels)


def writing(program: Program, weights: Mapping[str, bytes], streams: int, seed: int, labels: Mapping[str, str]) -> Job:
    """Write that many streams; sees nothing but the weights."""
    return Job(
        purpose="predict",
        argv=("code/sample.py",),
        inputs=_code(program) | {f"artifact/{name}": content for name, content in weights.items()},
        environment={"RSI_STREAMS": str(streams), "RSI_LENGTH": str(CONTEXT + STREAM), "RSI_SEED": str(seed)},
        shape=program.shape,
        labels=labels,
    )


def weights_of(outcome: Outcome) -> Mapping[str, bytes]:
    """What training left; EnvironmentFault where that is no weights."""
    _require_completed(outcome)
    wrong = artifact.problem(outcome.outputs)
    if wrong is not None:
        raise _broken(wrong)
    return outcome.outputs


def answer_of(outcome: Outcome, asked: Challenge) -> Array:
    """The raw answer; EnvironmentFault where it is not of the asked length."""
    _require_completed(outcome)
    try:
        return read_answer(outcome.outputs, asked)
    except MalformedAnswer as error:
        raise _broken(str(error)) from None


def text_of(outcome: Outcome, streams: int) -> Bytes:
    """The streams that were written, (streams, 4 + 256); EnvironmentFault where there are more or fewer bytes."""
    _require_completed(outcome)
    content = outcome.outputs.get(_TEXT, b"")
    if set(outcome.outputs) != {_TEXT} or len(content) != streams * (CONTEXT + STREAM):
        raise _broken(f"it left {len(content)} bytes of text")
    return np.frombuffer(content, np.uint8).reshape(streams, CONTEXT + STREAM)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _code(program: Program) -> dict[str, bytes | Path]:
    return {f"code/{name}": content.encode() for name, content in program.code.items()}


def _require_completed(outcome: Outcome) -> None:
    execution = outcome.execution
    if execution.kind is ExitKind.COMPLETED:
        return
    if execution.kind is ExitKind.INTERRUPTED:
        raise Stopped
    if execution.kind is ExitKind.LOST:
        raise EngineLost(f"The engine went away ({execution.detail}); start it, then give the same command again.")
    last = outcome.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise _broken(f"it ended as {execution.kind}" + "".join(f": {line[:200]}" for line in last))


def _broken(what: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"A job of the study did not do what it is there for ({what}); see that the machine has memory and disk to "
        "spare, then give the same command again."
    )
