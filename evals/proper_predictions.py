"""Each prediction is a function of its own input: whatever else is asked, in whatever order, however often.

Before a keep everything is asked again in two parts, shuffled, some of it twice, each part of a fresh process. A model
that reads other rows of a batch, normalises over them, counts or remembers calls, recognises a batch by its size or
its order, or draws at random, answers differently from what was sealed.

Proves that every scored prediction stays the same in two other companies. Does not prove that it follows from the past
alone (`causality`), nor that it is learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.asking import unasked
from evals.likelihood import CLIP_NATS, all_finite, log_softmax
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Rejected, Scored, Severity, Verdict, VerifierError

PARTS = ("company-1", "company-2")
TWICE = 8
"""Of the rows of a part, at most so many stand in it twice."""


class ProperPredictions:
    """Asks again in other company; the answers must not have changed.

    Args:
        tolerance: by how many nats a log-probability may change. Rounding of honest float32 models, for other batch
            sizes and kernels, stays below 0.00001.
    """

    name = "proper-predictions"
    grounded = True
    beside = True

    def __init__(self, tolerance: float = 0.001) -> None:
        self.tolerance = tolerance

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """Before a keep: one half of the rows, then the other."""
        part = next((name for name in PARTS if evidence.scores(name) is None), None)
        if evidence.purpose == "screen" or part is None or not (evidence.answered and evidence.answered[0].shape):
            return None
        if evidence.held_out is None:
            raise ValueError("a challenge is made from held-out data; pass it in the evidence")
        inputs = evidence.held_out.inputs
        rows = halves(evidence.answered[0].shape[0], secret.derive("company").generator())[PARTS.index(part)]
        return Challenge(
            name=part,
            inputs={name: array[rows] for name, array in inputs.items()},
            answer_shape=(len(rows), *evidence.answered[0].shape[1:]),
            context={"rows": rows},
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """`rows` (n,) and by how many nats the furthest log-probability of each has moved, `difference` (n,)."""
        rows = challenge.context["rows"].astype(np.int64)
        first = next(iter(sealed.values()))
        finite = all_finite(answer)
        moved = np.full(len(rows), np.inf) if not finite else differences(first, answer, rows)
        return {
            "rows": rows,
            "difference": np.minimum(moved, 2 * CLIP_NATS).astype(np.float32),
            "finite": np.array(finite, dtype=np.uint8),
        }

    def verify(self, evidence: Evidence) -> Verdict:
        """Rejected where a row's prediction moved; scored, without a measurement, where none did."""
        if evidence.purpose == "screen":
            return Scored(measurements=())
        nothing = unasked(evidence)
        if nothing is not None:
            return nothing
        worst, where, changed, asked = 0.0, "", 0, 0
        for part in PARTS:
            scores = evidence.scores(part)
            if scores is None:
                return VerifierError(message=f"The challenge {part!r} was not answered, so nothing can be said.")
            moved = scores["difference"].astype(np.float64)
            changed += int((moved > self.tolerance).sum())
            asked += len(moved)
            if moved.max(initial=0.0) >= worst:
                worst = float(moved.max(initial=0.0))
                where = f"{part}:{int(moved.argmax())}"
        if not changed:
            message = f"{asked} predictions held in other company; the largest change was {worst:.2g} nats"
            return Scored(measurements=(), findings=(_finding(Severity.INFO, "steady", message, where),))
        message = f"{changed} of {asked} predictions changed, by up to {worst:.3g} nats, when asked in other company"
        reason = "a prediction depends on what else is asked, or on chance; each must follow from its own input alone"
        return Rejected(reason=reason, findings=(_finding(Severity.CRITICAL, "company", message, where),))


def halves(count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every row in one of two parts, shuffled; a few rows of each stand in it twice, so that the parts differ in size.

    Only `random` is asked of the generator: its stream stays from version to version.
    """
    order = np.argsort(generator.random(count), kind="stable").astype(np.int64)
    cut = max(1, min(count - 1, round(count * (0.35 + 0.3 * float(generator.random(1)[0])))))
    parts = []
    for rows in (order[:cut], order[cut:]):
        extra = rows[: 1 + int(generator.random(1)[0] * min(TWICE, len(rows)))] if len(rows) else rows
        both = np.concatenate((rows, extra))
        parts.append(both[np.argsort(generator.random(len(both)), kind="stable")])
    return parts[0], parts[1]


def differences(sealed: Array, answer: Array, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest change of a log-probability in each row, (n,), in nats, none counted below the clip."""
    moved = np.zeros(len(rows))
    for at, row in enumerate(rows):  # a row at a time: a whole answer in float64 would be half a gigabyte
        before = np.maximum(log_softmax(sealed[row]), -CLIP_NATS)
        now = np.maximum(log_softmax(answer[at]), -CLIP_NATS)
        moved[at] = np.abs(before - now).max(initial=0.0)
    return moved


def _finding(severity: Severity, code: str, message: str, pointer: str) -> Finding:
    return Finding(severity=severity, code=code, message=message, pointer=pointer)
