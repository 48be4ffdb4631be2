"""From raw logits to clipped losses: what every grounded verifier here computes the same way, in float64 NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rsi.evidence import Array

VOCABULARY = 256
"""Of a model of bytes."""
CLIP_BITS = 16.0
"""The most that one prediction can cost. Without a bound a single loss of full precision could carry a label, or many,
out to whoever sees the mean, and one infinite loss would make a mean useless. Twice the cost of a uniform guess among
256 leaves every honest model far below it; what betting everything on one answer could gain from the bound is less
than 0.001 bits a prediction."""
CLIP_NATS = CLIP_BITS * math.log(2)

PIECE_NUMBERS = 1 << 16
"""Logits that are worked on at once: half a megabyte in float64."""

Floats = NDArray[np.float64]


def log_softmax(logits: Array) -> Floats:
    """Logits (..., K) → natural log-probabilities (..., K); rows must be finite."""
    values = logits.astype(np.float64)
    shifted = values - values.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def clipped_losses(logits: Array, targets: Array) -> Floats:
    """Negative log-probability of each target in nats, (...,), from logits (..., K) and whole-number targets (...,).

    A few rows at a time, so that what is computed on the way (twice the size of the logits, several times over) stays
    in the processor's cache instead of going through memory.
    """
    rows, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).astype(np.int64)
    losses = np.empty(len(rows), dtype=np.float64)
    size = max(1, PIECE_NUMBERS // max(1, rows.shape[1]))
    for start in range(0, len(rows), size):
        piece = slice(start, start + size)
        log_probabilities = log_softmax(rows[piece])
        losses[piece] = -np.take_along_axis(log_probabilities, wanted[piece, None], axis=-1)[:, 0]
    return np.minimum(losses, CLIP_NATS).reshape(targets.shape)


def all_finite(answer: Array) -> bool:
    """Whether no number of an answer is NaN or infinite."""
    return bool(np.isfinite(answer).all())


def standard_error(values: Floats) -> float | None:
    """Of the mean of independent values (N,); None where one value says nothing of their spread."""
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else None
