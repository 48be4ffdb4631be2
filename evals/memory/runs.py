"""Runs of bytes that two bodies of data share, found by hashes of their differences.

A run is `RUN` bytes. Its hash is taken over the differences of neighbouring bytes, so that a constant added to every
byte (centring, a shift of the alphabet, digits as characters) changes nothing. Runs with few different bytes tell
nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsi.evidence import Array

RUN = 24
FEWEST_DIFFERENT = 8
"""Different bytes that a run must have to count: rows of blanks and blank pixels are everywhere."""
PART = 32 * 1024
"""Bytes that are looked at together; data up to this size is looked at whole."""
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
    if rows.shape[1] < RUN:
        return NONE
    flat = rows.reshape(-1)
    starts = np.arange(len(flat) - RUN + 1) % rows.shape[1]
    within = starts <= rows.shape[1] - RUN
    return np.unique(hashes(flat)[within & telling(flat)])


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


@dataclass(frozen=True)
class Known:
    """What is looked for: the hashes of its runs, and groups of eight differences, by which most data is ruled out."""

    runs: Hashes
    groups: Hashes

    def __bool__(self) -> bool:
        return len(self.runs) > 0


def known(rows: list[Bytes], wanted: Hashes) -> Known:
    """What to look for: these runs, which the rows hold."""
    groups = [_groups(np.diff(row)[start:]) for row in _stretches_with(rows, wanted) for start in range(8)]
    found = np.unique(np.concatenate(groups)) if groups else NONE
    return Known(wanted, found[found != 0])


def _stretches_with(arrays: list[Bytes], wanted: Hashes) -> Iterator[Bytes]:
    """The parts of rows that wanted runs are made of."""
    for rows in arrays:
        flat = rows.reshape(-1)
        for start, stop in _stretches(_among(hashes(flat), wanted)):
            yield flat[start : stop + RUN - 1]


def _among(own: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    """Which are among sorted ones."""
    if not len(wanted):
        return np.zeros(len(own), dtype=bool)
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)] == own)


def _stretches(hit: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, stop) of every stretch of hits."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hit.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _groups(steps: Bytes) -> Hashes:
    """Neighbouring eights of differences, side by side, each as one number."""
    return np.ascontiguousarray(steps[: len(steps) // 8 * 8]).view(np.uint64)


def found_in(data: Bytes, sought: Known) -> tuple[int, Hashes]:
    """(bytes of the longest stretch of `data` that is made of these runs, the runs met); forwards and backwards."""
    longest, met = 0, NONE
    if not sought or len(data) < RUN:
        return longest, met
    for stretch in (data, data[::-1]):
        for part in _worth_a_look(np.ascontiguousarray(stretch), sought):
            own = hashes(part)
            hit = _among(own, sought.runs)
            if hit.any():
                met = np.union1d(met, own[hit])
                longest = max(longest, max(stop - start for start, stop in _stretches(hit)) + RUN - 1)
    return longest, met


def _worth_a_look(data: Bytes, sought: Known) -> Iterator[Bytes]:
    """Of large data the parts around a known eight: every run of `RUN` bytes holds a whole one in line."""
    if len(data) <= PART:
        yield data
        return
    hits = np.flatnonzero(_among(_groups(np.diff(data)), sought.groups)) * 8
    for part in np.unique(hits // PART):
        yield data[max(0, part * PART - 512) : (part + 1) * PART + 512]
