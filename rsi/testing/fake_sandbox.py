"""A sandbox that runs nothing: a deterministic stand-in which keeps the contract, for tests of the loop.

The code it "trains" is a text with a line `VALUE = <number>`; the nearer VALUE is to the target, the lower the loss
that `rsi.testing.fake_verifier` computes from its answers. Comments script what goes wrong:

    # fake: crash | oom | timeout | cpu | disk | output | forbidden | lost | interrupted    training ends so
    # fake: lost-once        the first training of each seed is lost
    # fake: lost-recheck     the second question about an artifact is lost, once
    # fake: crash-odd        training crashes under odd seeds
    # fake: crash-short      training crashes on less than the whole budget
    # fake: lost-short       the first training on less than the whole budget is lost
    # fake: no-noise         training ignores its seed
    # fake: hang             training goes on until it is interrupted or reaches its wall time
    # fake: predict-crash    training is fine, predicting crashes
    # fake: nan              the answers are no numbers
    # fake: connect          training tries to reach an address
    # fake: peek             the answers make use of what they should not look at: a better score, and caught
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np

from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import ExitKind, Job, Outcome, SandboxDescription, Shape, Watch
from rsi.prediction import decode_array, encode_array
from rsi.testing.fake_attempts import MARKER, line_of
from rsi.testing.fake_outcome import NAME, completed, ended, read, uniform

ENDINGS = {
    "crash": ExitKind.CRASHED,
    "oom": ExitKind.OUT_OF_MEMORY,
    "timeout": ExitKind.TIMED_OUT,
    "cpu": ExitKind.CPU_EXCEEDED,
    "disk": ExitKind.DISK_FULL,
    "output": ExitKind.OUTPUT_EXCEEDED,
    "forbidden": ExitKind.FORBIDDEN_OUTPUT,
    "lost": ExitKind.LOST,
    "interrupted": ExitKind.INTERRUPTED,
}

_VALUE = re.compile(r"^VALUE\s*=\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?:#.*)?$", re.MULTILINE)

BUDGET = 100
_TASK = """\
schema = 1
name = "fake"
title = "A number to be guessed"

[code]
editable = ["train.py"]

[data]
source = "file:data.txt"

[train]
budget = 100
unit = "steps"

[objective]
metric = "val_loss"
direction = "minimize"
noise = 0.01

[verifier]
name = {verifier}
"""


def write_fake_task(folder: Path, value: float = 1.0, verifier: str = "fake") -> Path:
    """A task folder whose code the fake sandbox understands.

    The verifier must be registered under its name; else give `path/to/fake_verifier.py:FakeVerifier`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "task.toml": _TASK.replace("{verifier}", json.dumps(verifier)),
        "train.py": f"VALUE = {value}\n",
        "prepare.py": "# The fake sandbox makes its own data.\n",
        "data.txt": "nothing\n",
        "program.md": "Guess the number.\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


class FakeSandbox:
    """Answers every job at once and the same way each time; only `lost-once` remembers anything.

    Args:
        target: the VALUE with the lowest loss.
        noise: standard deviation over seeds of what training makes of VALUE.
        points: how many points each held-out split has.
    """

    name = NAME
    isolates = True
    """Nothing is executed, so nothing gets out."""

    def __init__(self, target: float = 3.0, noise: float = 0.01, points: int = 32) -> None:
        self.target = target
        self.noise = noise
        self.points = points
        self._lost: set[str] = set()
        self._changed = threading.Condition()
        self._interrupts = 0
        self._closed = False

    def describe(self) -> SandboxDescription:
        """Its settings, which are all that its results depend on."""
        options = {"target": str(self.target), "noise": str(self.noise), "points": str(self.points)}
        digest = hashlib.sha256(json.dumps(options).encode()).hexdigest()
        return SandboxDescription(name=self.name, isolates=self.isolates, image_digest=digest, options=options)

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Nothing to make ready."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """The outcome that the job's code and seed call for; UsageError for a job that no sandbox could run."""
        if self._closed:
            raise EnvironmentFault("The sandbox was closed; make a new one.")
        inputs = read(job)
        code = "\n".join(inputs[path].decode("utf-8", "replace") for path in sorted(inputs) if _is_code(path))
        markers = set(MARKER.findall(code))
        match job.purpose:
            case "prepare":
                return completed(job, self._prepared(), b"")
            case "train":
                return self._train(job, inputs, markers, watch)
            case "predict":
                return self._predict(job, inputs, markers)

    def interrupt(self) -> None:
        """End the trainings that hang."""
        with self._changed:
            self._interrupts += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End what hangs and take no more jobs."""
        self._closed = True
        self.interrupt()

    # --- what each kind of job does -----------------------------------------------------------------------------

    def _prepared(self) -> dict[str, bytes]:
        files = {"train/data.txt": b"nothing\n", "manifest.json": b'{"fake":true}'}
        for split in ("dev", "holdout"):
            spread = [0.5 + uniform(split, index) for index in range(self.points)]
            points = np.array(spread, dtype="<f4")
            targets = (self.target * points).astype("<f4")
            # As in a language model, what is to be predicted lies among the inputs; looking at it is cheating.
            files[f"{split}/inputs/points.npy"] = encode_array(np.stack([points, targets], axis=1))
            files[f"{split}/targets/targets.npy"] = encode_array(targets)
        return files

    def _train(self, job: Job, inputs: dict[str, bytes], markers: set[str], watch: Watch | None) -> Outcome:
        seed = job.environment.get("RSI_SEED", "0")
        source = inputs[job.argv[0]].decode("utf-8", "replace")
        wrong = self._ending(job, source, markers)
        if wrong is not None:
            return ended(job, *wrong)
        value = _VALUE.search(source)
        if value is None:
            return ended(job, ExitKind.CRASHED, 1)
        noise = 0.0 if "no-noise" in markers else self.noise
        learned = float(value[1]) + noise * NormalDist().inv_cdf(uniform(seed, value[1]))
        printed = f"step 100/100 | loss {abs(learned - self.target):.6f}\n".encode()
        if watch is not None:
            watch("stdout", printed)
        return completed(job, {"model.safetensors": _safetensors(learned)}, printed)

    def _ending(self, job: Job, source: str, markers: set[str]) -> tuple[ExitKind, int] | None:
        """How a training ends that is not to complete, and at which line."""
        for marker, kind in ENDINGS.items():
            if marker in markers:
                return kind, line_of(source, marker)
        seed = job.environment.get("RSI_SEED", "0")
        short = int(job.environment.get("RSI_BUDGET", BUDGET)) < BUDGET
        if "crash-odd" in markers and int(seed) % 2:
            return ExitKind.CRASHED, line_of(source, "crash-odd")
        if "crash-short" in markers and short:
            return ExitKind.CRASHED, line_of(source, "crash-short")
        if "lost-short" in markers and short and self._first_time(f"short\x00{source}"):
            return ExitKind.LOST, 1
        if "lost-once" in markers and self._first_time(f"{seed}\x00{source}"):
            return ExitKind.LOST, 1
        return (self._hang(job.shape.limits.wall_seconds), 1) if "hang" in markers else None

    def _predict(self, job: Job, inputs: dict[str, bytes], markers: set[str]) -> Outcome:
        try:
            shape = tuple(json.loads(inputs["request.json"])["shape"])
            points = decode_array(inputs["inputs/points.npy"]).astype(np.float64).reshape(*shape, 2)
            learned = struct.unpack("<d", inputs["artifact/model.safetensors"][-8:])[0]
        except (LookupError, TypeError, ValueError, struct.error) as error:
            raise UsageError(f"This predict job is not one of the fake task's ({error}); use FakeVerifier.") from None
        if "predict-crash" in markers:
            return ended(job, ExitKind.CRASHED, 1)
        asked_before = "lost-recheck" in markers and not self._first_time(f"asked\x00{learned}")
        if asked_before and self._first_time(f"lost\x00{learned}"):
            return ended(job, ExitKind.LOST)
        answer = learned * points[..., 0]
        if "peek" in markers:
            answer = answer + 0.9 * (points[..., 1] - answer)
        if "nan" in markers:
            answer = np.full_like(answer, np.nan)
        return completed(job, {"answer.bin": answer.astype("<f4").tobytes()}, b"")

    def _first_time(self, what: str) -> bool:
        with self._changed:
            first = what not in self._lost
            self._lost.add(what)
            return first

    def _hang(self, seconds: float) -> ExitKind:
        with self._changed:
            before = self._interrupts
            interrupted = self._changed.wait_for(lambda: self._interrupts > before, timeout=seconds)
        return ExitKind.INTERRUPTED if interrupted else ExitKind.TIMED_OUT


# --- outcomes ---------------------------------------------------------------------------------------------------


def _is_code(path: str) -> bool:
    return path.startswith("code/") and path.endswith(".py")


def _safetensors(value: float) -> bytes:
    header = json.dumps({"value": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + struct.pack("<d", value)
