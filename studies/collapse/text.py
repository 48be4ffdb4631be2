"""The real text of a study and its parts: what models are trained on, what the filter knows, what is held out.

The task `charlm` prepares it (documents go whole to one part, held-out text hardly repeats the rest). Its training text
is what models may be trained on. The filter counts that and the dev windows; the holdout is only measured on.
"""

from __future__ import annotations

import numpy as np
from pydantic import ConfigDict

from rsi.errors import UsageError
from rsi.evidence import Secret
from rsi.preparation import PreparedData, prepare, read_source
from rsi.protocols import Sandbox
from rsi.records import Record
from rsi.task import load_task
from studies.collapse.design import CONTEXT, ROW, Design
from studies.collapse.ngrams import Bytes, Numbers, grams

TASK = "charlm"
FEWEST_BYTES = 32_768
"""Of training text: with less, a generation would be trained on the same few windows again and again."""
RARE_SHARE = 0.002
RARE_EXPECTED = 4
"""A byte is rare that makes up less of real text than the first, but would stand so often in a text of the study."""


class RealText(Record):
    """Three parts that hardly repeat each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: bytes
    dev: bytes
    """Windows one after the other."""
    holdout: bytes
    window: int
    """Bytes of a window of dev and holdout."""

    def windows(self, part: bytes) -> Bytes:
        """A held-out part as rows of one window each."""
        return np.frombuffer(part, np.uint8).reshape(-1, self.window)

    def reference(self) -> tuple[Bytes, ...]:
        """What the filter counts: all but the holdout, in pieces that belong together."""
        return (np.frombuffer(self.training, np.uint8)[None], self.windows(self.dev))

    def questions(self, secret: Secret) -> tuple[Bytes, Bytes]:
        """Contexts (N, 4) of the holdout and the bytes (N,) after them, in a secret order.

        Cut so that no context holds what another one asks for: there is nothing to look ahead to.
        """
        windows = self.windows(self.holdout)
        many = windows.shape[1] // (CONTEXT + 1)
        pieces = windows[:, : many * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)
        pieces = pieces[secret.generator().permutation(len(pieces))]
        return np.ascontiguousarray(pieces[:, :CONTEXT]), np.ascontiguousarray(pieces[:, CONTEXT])

    def rows(self, count: int, secret: Secret) -> Bytes:
        """Passages of training text with the four bytes before them, (count, 8), from places drawn with replacement."""
        text = np.frombuffer(self.training, np.uint8)
        starts = secret.generator().integers(0, len(text) - ROW + 1, count)
        return np.asarray(text[starts[:, None] + np.arange(ROW)], dtype=np.uint8)

    def rare(self, size: int) -> Bytes:
        """The rare bytes, rarest first: see `RARE_SHARE`. `size` is how much text a model writes."""
        counts = np.bincount(np.frombuffer(self.training + self.dev + self.holdout, np.uint8), minlength=256)
        shares = counts / counts.sum()
        found = np.flatnonzero((shares < RARE_SHARE) & (shares * size >= RARE_EXPECTED))
        return found[np.argsort(shares[found], kind="stable")].astype(np.uint8)

    def quadruples(self) -> Numbers:
        """The different runs of four bytes in all of it, as sorted numbers."""
        parts = (*self.reference(), self.windows(self.holdout))
        return np.unique(np.concatenate([grams(part, 4).ravel() for part in parts]))


def real_text(sandbox: Sandbox, data: str) -> RealText:
    """The text as `charlm` prepares it, in the sandbox or from the cache.

    UsageError where it cannot be read, is no text, or is too short to study.
    """
    task = load_task(TASK)
    _, prepared, _ = prepare(task, sandbox, read_source(task, data), "collapse")
    training = _training(prepared)
    if len(training) < FEWEST_BYTES:
        raise UsageError(
            f"The text leaves {len(training)} bytes to train on once the held-out parts are taken; name one with "
            f"--data that leaves at least {FEWEST_BYTES}, about {FEWEST_BYTES * 10 // 7} bytes in all."
        )
    return RealText(
        training=training,
        dev=_windows(prepared, "dev").tobytes(),
        holdout=(held := _windows(prepared, "holdout")).tobytes(),
        window=held.shape[1],
    )


def require_fit(text: RealText, design: Design) -> None:
    """UsageError where a text has nothing rare of which a study of that size could show that it disappears."""
    if not len(text.rare(design.size)):
        raise UsageError(
            f"In {design.size} bytes of this text no byte is rare enough to be lost; name another text with --data, or "
            "set a larger --size."
        )


def _training(prepared: PreparedData) -> bytes:
    return b"".join(path.read_bytes() for _, path in sorted(prepared.training_files().items()))


def _windows(prepared: PreparedData, split: str) -> Bytes:
    part = prepared.held_out("dev" if split == "dev" else "holdout")
    return np.concatenate([part.inputs["windows"], part.targets["next"][:, -1:]], axis=1).astype(np.uint8)
