"""What a generation leaves for the next to learn from: the inner loops of its trials on dev, never the holdout's.

A verifier that runs inner loops keeps of every round an array `past`, (loops, moves a round, len(PAST)), in the columns
of `rsi.proposers.ranking`; a loop's rounds in their order are an episode. Blobs come from a run folder and are checked
as hostile input is: shapes, finite numbers, outcomes that exist.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsi.blobs import Blobs
from rsi.errors import RsiError
from rsi.prediction import decode_array
from rsi.proposers.ranking import MOVE, OUTCOMES, PAST, Floats, padded
from rsi.state import RunState, TrialState

RECORD = "past"
LONGEST = 512
"""Rows of an episode."""
MOST = 4096
"""Episodes of one generation: the latest."""


def inner_episodes(state: RunState, blobs: Blobs) -> Floats:
    """The episodes of a run's inner loops, (E, H, len(PAST)) float32, oldest first; damaged trials give none."""
    parts = [part for trial in state.trials.values() for part in _of_trial(trial, blobs)]
    length = max((part.shape[1] for part in parts), default=1)
    found: list[Floats] = []
    for part in parts:
        for loop in part.tolist():
            rows = [row for row in loop if row[len(MOVE)] > 0]
            if rows:
                found.append(padded(rows, length, len(PAST)))
    return np.stack(found[-MOST:]) if found else np.zeros((0, 1, len(PAST)), dtype=np.float32)


def _of_trial(trial: TrialState, blobs: Blobs) -> Iterator[Floats]:
    """One array for a trial on dev that was scored, else none."""
    if trial.started.split != "dev" or trial.observation() is None:
        return
    rounds: list[Floats] = []
    for answered in trial.answered:
        digest = answered.scores.get(RECORD)
        if digest is None or answered.purpose != "screen":
            continue
        try:
            one = decode_array(blobs.get(digest))
        except (RsiError, ValueError):
            return
        if one.dtype.kind != "f":
            return
        with np.errstate(over="ignore"):  # what is too large is then infinite, and of no use
            rounds.append(one.astype(np.float32))
    if rounds and all(_usable(one, rounds[0]) for one in rounds):
        joined = np.concatenate(rounds, axis=1)
        if joined.shape[1] <= LONGEST:
            yield joined


def _usable(one: Floats, first: Floats) -> bool:
    if one.ndim != 3 or one.shape[2] != len(PAST) or one.shape[0] != first.shape[0]:
        return False
    outcomes = one[:, :, len(MOVE)]
    return bool(np.isfinite(one).all() and np.isin(outcomes, np.arange(len(OUTCOMES))).all())
