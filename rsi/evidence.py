"""What a verifier sees and what it asks for: evidence, challenges, secrets.

A verifier is pure: it holds no sandbox. The loop asks it for challenges until there is none, runs each in a fresh
place, seals the raw answer in the ledger, and lets the verifier reduce it to scores. Scores are small, kept for
good, and enough to derive every later challenge and the verdict again without a sandbox and without held-out data.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat

from rsi.course import Course
from rsi.execution import Execution
from rsi.records import CodeFiles, Finding, Record

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
"""Name → array. As scores they are kept as `.npy` blobs."""

Split = Literal["dev", "holdout"]
Purpose = Literal["screen", "keep"]
"""What hangs on the verdict: `screen` is enough to measure; `keep` adds the checks needed before a keep."""


class ArrayRecord(Record):
    """A record that holds arrays: never in the ledger itself, only its parts' digests are."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Secret(Record):
    """A key that no candidate, proposer or sandbox sees; everything drawn at random is drawn from one."""

    key: str
    """64 hexadecimal digits."""

    def derive(self, *labels: str | int) -> Secret:
        """The secret for one use: HMAC-SHA256 of the labels under this key."""
        message = "\x00".join(str(label) for label in labels).encode()
        return Secret(key=hmac.new(bytes.fromhex(self.key), message, hashlib.sha256).hexdigest())

    def seed(self) -> int:
        """A seed below 2**31, as every library takes one."""
        return int(self.key[:15], 16) % 2**31

    def generator(self) -> np.random.Generator:
        """NumPy's PCG64, seeded with the whole key."""
        return np.random.Generator(np.random.PCG64(int(self.key, 16)))


class HeldOut(ArrayRecord):
    """One held-out split: what B may see, and what only C may. Present while scoring, absent when re-deriving."""

    inputs: dict[str, Array]
    targets: dict[str, Array]


class Control(Record):
    """A further training of the trial's code, otherwise than the trial's own: what training is worth shows beside it.

    Its artifact answers the challenge in place of the trial's. As in a clinical trial, the code is not told: seed and
    budget look like any other.
    """

    seed: int = Field(ge=0, lt=2**31)
    share: float = Field(gt=0, le=1)
    """Of the trial's budget."""


class Challenge(ArrayRecord):
    """Inputs that a fresh B must answer with one array."""

    name: str
    inputs: dict[str, Array]
    """Sent to B as `.npy` files of these names."""
    answer_shape: tuple[int, ...]
    answer_dtype: Literal["float32"] = "float32"
    context: dict[str, Array] = {}
    """What scoring the answer needs and B must not see."""
    control: Control | None = None
    """Train so first, and ask of what that leaves; None: ask of the trial's own artifact.

    With no inputs nothing is asked: that, and what, the control left is the answer.
    """

    def digest(self) -> str:
        """sha256 over names, dtypes, shapes and bytes of the inputs and the context, and the answer's shape."""
        control = self.control.model_dump_json() if self.control else ""
        state = hashlib.sha256(f"{self.name}{self.answer_shape}{self.answer_dtype}{control}".encode())
        for group in (self.inputs, self.context):
            for name in sorted(group):
                array = np.ascontiguousarray(group[name])
                state.update(f"\x00{name}:{array.dtype.str}:{array.shape}:".encode())
                state.update(array.tobytes())
        return state.hexdigest()


class Answered(ArrayRecord):
    """One challenge and what is kept of its sealed answer."""

    challenge: str
    scores: dict[str, Array]
    shape: tuple[int, ...] = ()
    """Of the raw answer; empty where there was none, and in records of earlier versions."""
    control: Execution | None = None
    """The training of the challenge's control, where it had one."""
    control_artifact: dict[str, str] = {}
    """Path → sha256 of what that left."""


class Material(ArrayRecord):
    """What lies there once training is over: for a verifier that reads instead of asking."""

    experiment: int = 0
    trial: str = ""
    """Which one it is; for asking language models about it under that name, nothing else."""
    code: CodeFiles
    """Editable files as they were trained. Hostile: parse them in `rsi.confined` only."""
    parent: CodeFiles | None
    """The code that was edited; None for the baseline."""
    protected: CodeFiles
    """As the run froze them."""
    diff: str
    """From parent to code, as it is recorded; findings point into it with `rsi.scrutiny.added_lines`."""
    artifact: dict[str, bytes]
    parent_artifact: dict[str, bytes] | None = None
    """Of the parent's first scored trial, where it is still there."""
    training: Execution
    training_stdout: bytes = b""
    """The candidate's own word. Grounded verifiers do not read it."""
    course: Course | None = None
    """Of the training, seen from outside: files before and after; None where nobody looked."""
    training_data: dict[str, Path]
    """What A was given: path below the data folder → file."""
    held_out: HeldOut | None
    """Of `split`; None where nothing is held out, and where an inspection is derived again."""
    split: Split = "dev"
    """On which the trial is scored."""
    secret: Secret | None = None
    """What the trial's challenges are drawn from: for whoever asks questions of its own while it reads."""
    recorded: dict[str, Array] | None = None
    """Where an inspection is derived again: the arrays that were kept of it. None where it is made now."""


class Inspection(Record):
    """What a verifier found by reading. Recorded, and part of the evidence for its verdict."""

    findings: tuple[Finding, ...] = ()
    rejects: str = ""
    """In a sentence why the trial must not count; empty where nothing speaks against it."""
    measured: dict[str, FiniteFloat] = {}
    """Numbers on which the verdict or a reader may rest."""


class Inspected(ArrayRecord):
    """An inspection that rests on arrays: they are kept for good, as scores are, and it derives again from them."""

    inspection: Inspection
    kept: dict[str, Array]


class Evidence(ArrayRecord):
    """All that is known of one trial."""

    trial: str = ""
    """Its name; for drawing from the secret what is to be this trial's alone, nothing else."""
    split: Split
    purpose: Purpose
    training: Execution
    training_stdout: bytes = b""
    """The candidate's own word. Grounded verifiers do not read it."""
    answered: tuple[Answered, ...] = ()
    """In the order in which the challenges were asked."""
    inspected: dict[str, Inspection] = {}
    """Verifier's name → what it found by reading."""
    artifact: dict[str, str] = {}
    """Path → sha256 of what training left."""
    reference_training: Execution | None = None
    """The training of the incumbent's first scored trial; None for the baseline."""
    other_artifacts: tuple[dict[str, str], ...] = ()
    """Before a keep: what the experiment's other trials left, which trained the same code under other seeds."""
    gains: tuple[float, ...] = ()
    """What earlier experiments of the run gained over their parents, in the objective's units, in their order."""
    reference: dict[str, Array] | None = None
    """Scores of the incumbent's first challenge on the same split, None for the baseline."""
    held_out: HeldOut | None = None
    """For `challenge` and `score` alone; `verify` must not need it."""

    def scores(self, challenge: str) -> dict[str, Array] | None:
        """The scores of that challenge, None where it was not asked (yet)."""
        for answered in self.answered:
            if answered.challenge == challenge:
                return answered.scores
        return None
