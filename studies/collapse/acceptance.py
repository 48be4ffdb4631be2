"""The grounded filter: which sampled passages are accepted, by real text that no model of the study is shown.

Each passage x has a weight w(x) = r(x) / q(x): how probable its bytes are after the four before it in real text (r) and
in what the model writes (q), both by n-gram tables that this trusted side counts itself. A passage is accepted with
probability min(1, w(x) / c): rejection sampling (von Neumann 1951) with a bound c, for which exactly the wanted number
is accepted on average. Where no weight passes the bound, what is accepted is distributed as q(x) w(x); with one passage
accepted of k offered nothing can become more than k times as frequent as the model writes it. A model that writes less
and less of something, or more and more, is so pulled back to how often it stands in real text.

The table of q is counted on other streams than those it judges: a passage must not be held common because it counted
itself. Systematic sampling (Madow, Annals of Mathematical Statistics 20, 1949) then accepts exactly the wanted number,
each passage with exactly its probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rsi.records import Record
from studies.collapse.design import CONTEXT, PIECE, Design
from studies.collapse.ngrams import Bytes, Floats, NgramTable, Numbers, grams

_HALVINGS = 100


class Acceptance(Record):
    """What the filter did to one generation's text."""

    offered: int
    accepted: int
    at_bound: float
    """The share of the offered passages that are accepted for certain: there real text asks for more than there is."""
    distance_offered: float
    distance_accepted: float
    """From real text: half the sum of the differences of byte pairs' shares (total variation), before and after."""


def passages(streams: Bytes) -> Bytes:
    """Streams (S, 4 + T) → every passage of theirs with the four bytes before it, (S · T / 4, 8), stream by stream."""
    places = np.arange(0, streams.shape[1] - CONTEXT, PIECE)[:, None] + np.arange(CONTEXT + PIECE)
    return streams[:, places].reshape(-1, CONTEXT + PIECE)


class Reference(NamedTuple):
    """Real text as the filter knows it."""

    table: NgramTable
    pairs: Floats
    """Shares of the 65,536 byte pairs."""


def reference_of(design: Design, parts: Sequence[Bytes]) -> Reference:
    """Count real text, given in pieces of rows that belong together."""
    table = NgramTable(parts, design.order, design.discount)
    return Reference(table, pair_shares(parts))


def accept(
    design: Design, streams: Bytes, reference: Reference, generator: np.random.Generator
) -> tuple[Bytes, Acceptance]:
    """Those passages of the streams that are accepted, (`design.passages`, 8), and what was done."""
    rows = passages(streams)
    chances = inclusion(log_weights(design, rows, len(streams), reference.table), design.passages)
    drawn = systematic(chances.chances, generator)
    found = Acceptance(
        offered=len(rows),
        accepted=len(drawn),
        at_bound=float(np.mean(chances.chances >= 1)),
        distance_offered=distance(rows, reference.pairs),
        distance_accepted=distance(rows[drawn], reference.pairs),
    )
    return rows[drawn], found


def log_weights(design: Design, rows: Bytes, streams: int, reference: NgramTable) -> Floats:
    """log2 r(x) − log2 q(x) of every passage, (N,); `rows` come stream by stream from so many streams."""
    skipped = CONTEXT - (design.order - 1)
    judged = rows[:, skipped:]
    half = len(rows) // streams * (streams // 2)
    tables = [NgramTable([part], design.order, design.discount) for part in (judged[:half], judged[half:])]
    written = np.concatenate([tables[1].log2(judged[:half]), tables[0].log2(judged[half:])])
    return np.asarray((reference.log2(judged) - written).sum(axis=1), dtype=np.float64)


class Inclusion(NamedTuple):
    """With what probability each passage is accepted, and the bound that makes their number right."""

    chances: Floats
    log2_bound: float


def inclusion(log2_weights: Floats, wanted: int) -> Inclusion:
    """min(1, w / c) with the one c for which these sum to `wanted`.

    ValueError where as many are wanted as there are, or more.
    """
    if not 0 < wanted < len(log2_weights):
        raise ValueError("fewer are accepted than are offered, and at least one")
    low = float(log2_weights.min()) - 1
    high = float(log2_weights.max()) + math.log2(len(log2_weights)) + 1
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.sum(2.0 ** np.minimum(log2_weights - middle, 0)) > wanted:
            low = middle
        else:
            high = middle
    return Inclusion(2.0 ** np.minimum(log2_weights - high, 0), high)


def systematic(chances: Floats, generator: np.random.Generator) -> Numbers:
    """Positions drawn so that each comes with its probability; their number is the sum of these, to the next whole."""
    order = generator.permutation(len(chances))
    sums = np.cumsum(chances[order])
    sums *= round(float(sums[-1])) / sums[-1]  # what rounding took from the last sum
    points = np.arange(round(float(sums[-1]))) + generator.random()
    return np.asarray(order[np.minimum(np.searchsorted(sums, points, side="right"), len(order) - 1)], dtype=np.int64)


def pair_shares(parts: Sequence[Bytes]) -> Floats:
    """How frequent each of the 65,536 pairs of bytes is, (65536,)."""
    counts = np.bincount(np.concatenate([grams(rows, 2).ravel() for rows in parts]), minlength=1 << 16)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def distance(rows: Bytes, real_pairs: Floats) -> float:
    """Total variation between the byte pairs of passages and of real text, between 0 and 1."""
    return float(np.abs(pair_shares([rows[:, CONTEXT - 1 :]]) - real_pairs).sum() / 2)
