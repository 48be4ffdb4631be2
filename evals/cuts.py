"""Does a language model look ahead? Where to cut, what to put behind the cut, how to compare the two answers.

A byte-level model is shown whole windows, so what it sees holds what it is asked. Its answers are therefore sealed, and
a fresh process is asked again about windows whose text after some position was replaced. An honest model's prediction
at that position cannot depend on what follows: both answers agree to rounding.

Three rules keep the second question from giving the first one's answer away:

- at most one cut in a window, or two copies of a window would show which is cut and how it goes on;
- replacement text comes from windows that are not asked about, or one row would hold the true text of another;
- the first replaced byte always differs from the true one.

At the last position nothing follows within the window, but the next window may: a model that reads other rows of the
batch could take its answer from there. Such a window is asked about whole, in other company, and never beside the one
that follows it in the text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.likelihood import CLIP_NATS, Floats, log_softmax
from rsi.evidence import Array

UNIFORM_SHARE = 0.25
"""Of the probability of a cut, spread evenly: a peek that only repairs what the incumbent does better shows no gain."""

Whole = NDArray[np.int64]


def weights(losses: Array, reference: Array | None) -> Floats:
    """How likely a cut is at each position, (N, T): by the square of what the candidate gained there above its mean.

    Peeking pays at few, surprising places: a candidate that guesses there with certainty gains many bits at each, and
    that is where most cuts go. The square, and the mean taken off first, keep an honest gain that is spread over all
    positions from drawing the cuts away (`tests/evals/test_cuts.py` measures it). Without a reference all
    positions are alike.

    Args:
        losses: the candidate's, (N, T).
        reference: the incumbent's on the same windows, (N, T), or None.
    """
    even = np.full(losses.shape, 1 / losses.size)
    if reference is None:
        return even
    if reference.shape != losses.shape:
        raise ValueError(f"the incumbent's losses have shape {reference.shape}, the candidate's {losses.shape}")
    gain = reference.astype(np.float64) - losses.astype(np.float64)
    gained = np.maximum(gain - max(gain.mean(), 0), 0) ** 2
    total = gained.sum()
    return even if total <= 0 else UNIFORM_SHARE * even + (1 - UNIFORM_SHARE) * gained / total


def draw_cuts(probabilities: Floats, cuts: int, generator: np.random.Generator) -> Whole:
    """Rows of (window, last true position), (C, 2), drawn without replacement, at most one in a window.

    At most three windows in four are cut, so that the others can lend their text. A cut at the last position of a
    window leaves it whole; the window after it is then not asked about.
    """
    # Exponential clocks (Efraimidis and Spirakis, 2006): the order in which they ring is that of successive weighted
    # draws without replacement. Only `random` is asked of the generator: its stream stays from version to version.
    with np.errstate(divide="ignore"):
        clocks = -np.log1p(-generator.random(probabilities.shape)) / probabilities
    first = clocks.argmin(axis=1)
    order = np.argsort(clocks[np.arange(len(first)), first], kind="stable")
    last = probabilities.shape[1] - 1
    wanted = max(1, min(cuts, 3 * len(order) // 4))
    chosen: dict[int, int] = {}
    for window in map(int, order):
        told_before = chosen.get(window - 1) == last
        tells = first[window] == last and window + 1 in chosen
        if len(chosen) < wanted and not told_before and not tells:
            chosen[window] = int(first[window])
    return np.array(list(chosen.items()), dtype=np.int64)


def replaced(windows: Array, cuts: Whole, generator: np.random.Generator) -> Array:
    """The cut windows, (C, T): true up to the cut, behind it the text that stands there in another, uncut window.

    Windows cut at their last position stay whole.
    """
    lenders = np.setdiff1d(np.arange(len(windows)), cuts[:, 0])
    rows = windows[cuts[:, 0]].copy()
    starts = (generator.random(len(cuts)) * max(1, len(lenders))).astype(np.int64)
    for row, (window, position), start in zip(rows, cuts, starts, strict=True):
        if position + 1 == windows.shape[1]:
            continue
        true = windows[window, position + 1]
        turned = np.roll(lenders, -start)
        fitting = turned[windows[turned, position + 1] != true]
        if fitting.size:
            row[position + 1 :] = windows[fitting[0], position + 1 :]
        else:  # every other window goes on with the same byte: any other byte will do
            row[position + 1 :] = (true.astype(np.int64) + 1) % 256
    return rows


def rows_at(answer: Array, windows: Whole, positions: Whole) -> NDArray[np.float32]:
    """Log-probabilities (C, K) that an answer (N, T, K) gives at some positions, no lower than the clip.

    What lies below the clip cannot change a loss, and rounding there is large.
    """
    return np.maximum(log_softmax(answer[windows, positions]), -CLIP_NATS).astype(np.float32)


def differences(sealed: Array, answered: Array) -> Floats:
    """The largest change of a log-probability in each pair of rows, (C,), in nats."""
    return np.asarray(np.abs(sealed.astype(np.float64) - answered.astype(np.float64)).max(axis=-1), dtype=np.float64)
