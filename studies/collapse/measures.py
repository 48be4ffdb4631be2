"""What is measured of each generation, all of it by the trusted side: from text it wrote and answers it gave."""

from __future__ import annotations

import math

import numpy as np
from pydantic import ConfigDict, FiniteFloat

from evals.likelihood import CLIP_BITS, all_finite, clipped_losses
from rsi.evidence import Array
from rsi.records import Record
from studies.collapse.ngrams import Bytes, Floats, Numbers, grams


class Measures(Record):
    """Of one generation of one arm under one seed."""

    bits_per_byte: FiniteFloat
    """Mean clipped loss on held-out real text."""
    entropy: FiniteFloat
    """Of runs of three bytes in the text it writes, in bits, as counted (a plug-in estimate, biased alike in arms)."""
    distinct: int
    """Different runs of four bytes in the text it writes."""
    reached: FiniteFloat
    """The share of the different runs of four bytes of real text that stand in the text it writes."""
    rare: FiniteFloat
    """The share of the rare bytes of real text that it writes at all."""


class Yardstick(Record):
    """What texts are measured against: facts of real text, and of how much text is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    size: int
    """Bytes of each text that are looked at."""
    rare: Bytes
    quadruples: Numbers
    """Sorted numbers of the runs of four bytes of real text."""


LABELS = {
    "bits_per_byte": "holdout bits per byte",
    "entropy": "entropy of byte triples, bits",
    "distinct": "distinct runs of 4 bytes",
    "reached": "runs of 4 bytes of real text still written",
    "rare": "rare bytes still written",
}
"""A measure's name → how it is told, in the order of tables and figures."""


def measure(yardstick: Yardstick, streams: Bytes, losses: Floats) -> Measures:
    """Of streams (S, T), of which the first bytes are looked at stream by stream, and losses in bits (N,)."""
    looked_at = streams[: -(-yardstick.size // streams.shape[1])]
    written = np.unique(grams(looked_at, 4))
    return Measures(
        bits_per_byte=float(losses.mean()),
        entropy=entropy(grams(looked_at, 3).ravel()),
        distinct=len(written),
        reached=float(np.isin(yardstick.quadruples, written, assume_unique=True).mean()),
        rare=float(np.isin(yardstick.rare, looked_at).mean()),
    )


def entropy(values: Numbers) -> float:
    """Of the shares of different values (N,), in bits."""
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def losses_of(answer: Array, targets: Bytes) -> Floats:
    """Bits that each target costs under raw logits (N, 256), at most 16; all of them where a number is not finite."""
    if not all_finite(answer):
        return np.full(targets.shape, CLIP_BITS)
    return clipped_losses(answer, targets) / math.log(2)
