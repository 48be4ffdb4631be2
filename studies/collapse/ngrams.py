"""What the trusted side knows of text: how probable each byte is after those before it, from counts of its own.

The estimate is interpolated absolute discounting (Ney, Essen and Kneser 1994), the same for real and for sampled text,
so that the ratio of the two compares like with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def grams(rows: Bytes, length: int) -> Numbers:
    """Every run of that many bytes in each row, as a number: (N, T) → (N, T − length + 1)."""
    width = rows.shape[-1] - length + 1
    found = np.zeros((*rows.shape[:-1], width), np.int64)
    for place in range(length):
        found = found * 256 + rows[..., place : place + width]
    return found


class _Level(NamedTuple):
    runs: Numbers
    counts: Numbers
    contexts: Numbers
    seen: Numbers
    """How often each context was followed by anything, and…"""
    kinds: Numbers
    """…by how many different bytes."""


class NgramTable:
    """Probabilities of bytes after the `order − 1` before them, counted in parts of text (N, T)."""

    def __init__(self, parts: Sequence[Bytes], order: int, discount: float) -> None:
        self.order = order
        self.discount = discount
        self._levels = [_level(_runs(parts, length)) for length in range(1, order + 1)]

    def log2(self, rows: Bytes) -> Floats:
        """Binary logarithm of the probability of each byte that has a whole context: (N, T) → (N, T − order + 1)."""
        runs = grams(rows, self.order)
        return np.log2(self._probability(runs.ravel())).reshape(runs.shape)

    def _probability(self, runs: Numbers) -> Floats:
        found = np.full(len(runs), 1 / 256)
        for length, level in enumerate(self._levels, start=1):
            run = runs % 256**length
            count = np.where(_holds(level.runs, run), level.counts[_place(level.runs, run)], 0)
            context = run // 256
            place, known = _place(level.contexts, context), _holds(level.contexts, context)
            seen, kinds = level.seen[place], level.kinds[place]
            backed = (np.maximum(count - self.discount, 0) + self.discount * kinds * found) / seen
            found = np.where(known, backed, found)
        return found


def _runs(parts: Sequence[Bytes], length: int) -> Numbers:
    return np.concatenate([grams(part, length).ravel() for part in parts])


def _level(runs: Numbers) -> _Level:
    found, counts = np.unique(runs, return_counts=True)
    contexts, first, kinds = np.unique(found // 256, return_index=True, return_counts=True)
    return _Level(found, counts, contexts, np.add.reduceat(counts, first), kinds)


def _place(known: Numbers, wanted: Numbers) -> Numbers:
    return np.minimum(np.searchsorted(known, wanted), len(known) - 1)


def _holds(known: Numbers, wanted: Numbers) -> NDArray[np.bool_]:
    return np.asarray(known[_place(known, wanted)] == wanted)
