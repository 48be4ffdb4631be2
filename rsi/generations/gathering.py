"""What the inner loops of a run leave to learn from: those of its trials on dev, never the holdout's.

A verifier that runs inner loops keeps of every round an array `past`, (loops, moves a round, len(PAST)), in the columns
of `rsi.proposers.ranking`; a loop's rounds in their order are an episode. Blobs come from a run folder and are checked
as hostile input is: shapes, finite numbers, outcomes that exist.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsi.blobs import Blobs
from rsi.errors import RsiError
from rsi.evidence import Array
from rsi.prediction import decode_array
from rsi.proposers.experience import LONGEST
from rsi.proposers.ranking import OUTCOMES, PAST, Floats, episodes_of
from rsi.state import RunState, TrialState

RECORD = "past"
MOST = 4096
"""Episodes of one run: the latest; no trial has more loops than that."""
LARGEST = 1 << 24
"""Bytes of one round's rows."""
_OUTCOME = PAST.index("outcome")


def inner_episodes(state: RunState, blobs: Blobs) -> Floats:
    """The episodes of a run's inner loops, (E, H, len(PAST)) float32, oldest first; damaged trials give none."""
    parts: list[Floats] = []
    for trial in reversed(state.trials.values()):
        if sum(map(len, parts)) >= MOST:
            break
        parts += _of_trial(trial, blobs)
    length = max((part.shape[1] for part in parts), default=1)
    padded = [np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))) for part in reversed(parts)]
    return np.concatenate([np.zeros((0, length, len(PAST)), dtype=np.float32), *padded])[-MOST:]


def _of_trial(trial: TrialState, blobs: Blobs) -> Iterator[Floats]:
    """One array for a trial on dev that was scored, without the loops that moved nothing; else none."""
    if trial.started.split != "dev" or trial.observation() is None:
        return
    rounds: list[Array] = []
    for answered in trial.answered:
        digest = answered.scores.get(RECORD)
        if digest is None or answered.purpose != "screen":
            continue
        try:
            one = decode_array(blobs.get(digest)) if blobs.length(digest) <= LARGEST else np.zeros(0)
        except (RsiError, ValueError):
            return
        rounds.append(one)
        if not _usable(one, rounds[0]) or sum(past.shape[1] for past in rounds) > LONGEST:
            return
    if rounds:
        found = episodes_of(rounds)
        yield found[(found[:, :, _OUTCOME] > 0).any(axis=1)]


def _usable(one: Array, first: Array) -> bool:
    """Whether it is a round's rows: finite, of outcomes that there are, of as many loops as the first."""
    if one.ndim != 3 or one.dtype != np.dtype("<f4") or one.shape[::2] != (first.shape[0], len(PAST)):
        return False
    if not (1 <= one.shape[0] <= MOST and 1 <= one.shape[1] <= LONGEST):  # without numbers it may say any length
        return False
    return bool(np.isfinite(one).all() and np.isin(one[:, :, _OUTCOME], np.arange(len(OUTCOMES))).all())
