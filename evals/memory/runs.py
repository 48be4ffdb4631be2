"""Runs of bytes that two bodies of data share, found by hashes of their differences.

A run is `RUN` bytes. Its hash is taken over the differences of neighbouring bytes, so that a constant added to every
byte (centring, a shift of the alphabet, digits as characters) changes nothing. Runs with few different bytes tell
nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rsi.evidence import Array

RUN = 24
FEWEST_DIFFERENT = 8
"""Different bytes that a run must have to count: rows of blanks and blank pixels are everywhere."""
MOST_TRAINING_BYTES = 64 * 1024 * 1024

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
NONE = np.zeros(0, dtype=np.uint64)


def as_rows(array: Array) -> Bytes | None:
    """An array as rows of bytes, (N, T): whole numbers from 0 to 255 as they are; None for what is not such."""
    if array.size == 0 or array.dtype.kind not in "uifb":
        return None
    flat = np.atleast_1d(array)
    flat = flat.reshape(len(flat), -1) if flat.ndim > 1 else flat.reshape(1, -1)
    if flat.dtype != np.uint8:
        low, high = flat.min(), flat.max()
        if not (np.isfinite(low) and np.isfinite(high)) or low < -128 or high > 255 or high - low > 255:
            return None
        if flat.dtype.kind == "f" and not np.array_equal(flat, np.floor(flat)):
            return None
        flat = flat.astype(np.int64).astype(np.uint8)
    return np.ascontiguousarray(flat)


def hashes(data: Bytes) -> Hashes:
    """The hash of every run of one stretch of bytes, in order; empty where it is shorter than a run."""
    count = len(data) - RUN + 1
    if count <= 0:
        return NONE
    steps = np.diff(data.astype(np.uint8)).astype(np.uint64)
    state = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(RUN - 1):
            state *= _FACTOR
            state += steps[offset : offset + count] + np.uint64(1)
        state ^= state >> np.uint64(29)
    return state


def telling(data: Bytes) -> NDArray[np.bool_]:
    """Which of its runs have enough different bytes, in order."""
    if len(data) < RUN:
        return np.zeros(0, dtype=bool)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(data, RUN), axis=1)
    different = (np.diff(windows, axis=1) != 0).sum(axis=1) + 1
    return np.asarray(different >= FEWEST_DIFFERENT)


def of_rows(rows: Bytes) -> Hashes:
    """The telling runs within each row, every one once, sorted."""
    found = [hashes(row)[telling(row)] for row in rows if len(row) >= RUN]
    return np.unique(np.concatenate(found)) if found else NONE


def of_rows_of(arrays: Iterable[Bytes]) -> Hashes:
    """The telling runs of several arrays of rows, every one once, sorted."""
    found = [of_rows(rows) for rows in arrays]
    return np.unique(np.concatenate(found)) if found else NONE


def of_stretches(stretches: Iterable[Bytes]) -> Hashes:
    """All runs of longer data, every one once, sorted."""
    found = [hashes(stretch[:MOST_TRAINING_BYTES]) for stretch in stretches]
    return np.unique(np.concatenate(found)) if found else NONE


def share_known(runs: Hashes, known: Hashes) -> float:
    """Which share of the runs is among known ones."""
    return float(np.isin(runs, known, assume_unique=True).mean()) if len(runs) else 0.0


def without(runs: Hashes, known: Hashes) -> Hashes:
    """The runs that are not among known ones."""
    return np.setdiff1d(runs, known, assume_unique=True)


def found_in(data: Bytes, runs: Hashes) -> tuple[int, Hashes]:
    """(bytes of the longest stretch of `data` that is made of these runs, the runs met); forwards and backwards."""
    longest, met = 0, NONE
    if not len(runs):
        return longest, met
    for stretch in (data, data[::-1]):
        own = hashes(np.ascontiguousarray(stretch))
        if not len(own):
            continue
        places = np.minimum(np.searchsorted(runs, own), len(runs) - 1)
        hit = runs[places] == own
        if hit.any():
            met = np.union1d(met, own[hit])
            edges = np.flatnonzero(np.diff(np.concatenate(([0], hit.astype(np.int8), [0]))))
            longest = max(longest, int((edges[1::2] - edges[::2]).max()) + RUN - 1)
    return longest, met
