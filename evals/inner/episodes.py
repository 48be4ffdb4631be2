"""Episodes: past inner loops as an array to learn from, as a file, and out of the record of a run.

An episode is one loop's history, rows of `rsi.proposers.ranking.PAST`, oldest first, zeros behind the last one:
float32, (E, H, len(PAST)), finite. The file is `episodes.npy`; `rsi run proposer --data FILE|FOLDER` takes such files
in place of what ships. Only what ran on dev becomes an episode: the holdout's families are for judging, not learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.inner import loops
from evals.inner.families import FAMILIES, SLOT
from rsi.errors import UsageError
from rsi.evidence import Array
from rsi.prediction import decode_array, encode_array
from rsi.proposers import ranking
from rsi.runs import read

FILE: Final = "episodes.npy"
SHIPPED: Final = 96
SEED: Final = 20_260_000
"""Of the shipped episodes; a trial's instances are drawn from its run's secret, so they are others."""


def of_run(folder: Path) -> NDArray[np.float32]:
    """What the loops of a run on the task `proposer` recorded on dev: its episodes, in the order of its trials.

    UsageError where the run has none; IntegrityError where its record does not hold. Nothing from the folder is
    believed but numbers of the right shape.
    """
    run = read(folder)
    parts = []
    for trial in run.state.trials.values():
        if trial.started.split == "dev" and trial.screened is not None:
            rounds = [body for body in trial.answered if body.challenge.startswith("round-") and "past" in body.scores]
            past = [decode_array(run.blobs.get(body.scores["past"])) for body in rounds]
            if past and all(_are_rows(one, past[0]) for one in past):
                parts.append(of_rounds(past))
    if not parts:
        raise UsageError(f"{folder} holds no inner loops; name a run of the task proposer that measured something.")
    return joined(parts)


def _are_rows(array: Array, like: Array) -> bool:
    """Whether it is a round's rows: finite, of outcomes that there are, of as many loops as the first."""
    if array.ndim != 3 or array.shape[::2] != (like.shape[0], loops.COLUMNS) or array.dtype != np.float32:
        return False
    known = np.isin(array[:, :, loops.OUTCOME], np.arange(len(ranking.OUTCOMES)))
    return bool(np.isfinite(array).all() and known.all())


def of_rounds(past: Sequence[Array]) -> NDArray[np.float32]:
    """The episodes of one trial's loops, (T, H, columns), from the rows of its rounds, each (T, at_once, columns)."""
    length = sum(one.shape[1] for one in past)
    rows = [loops.rows_of(past, loop) for loop in range(len(past[0]))]
    return np.stack([ranking.padded(one, length, loops.COLUMNS) for one in rows])


def joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Several arrays of episodes as one; of different lengths, the shorter ones are padded."""
    length = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))) for part in parts])


def save(path: Path, episodes: NDArray[np.float32]) -> None:
    """Write them as a file for `--data`."""
    path.write_bytes(encode_array(episodes))


@cache
def uniform() -> dict[str, bytes]:
    """What ships, the source `inner-episodes`: loops of the uniform program, a third on each of dev's families."""
    kinds = (
        slot(badness=1.0, interacting=0.5),
        slot(family=FAMILIES.index("regression"), inputs=6, outputs=1, layers=1, difficulty=0.1, badness=1.0),
        slot(family=FAMILIES.index("classification"), inputs=6, outputs=4, layers=1, difficulty=0.25, badness=1.0),
    )
    slots = np.array([kinds[number % len(kinds)] for number in range(SHIPPED)])
    rounds = loops.run(loops.Plan(), slots, SEED.to_bytes(16, "big"), indifferent)
    return {FILE: encode_array(of_rounds([one["past"] for one in rounds]))}


def indifferent(shown: dict[str, NDArray[np.float32]]) -> Array:
    """The uniform program: the highest dice."""
    return shown["options"][:, :, loops.DICE]


def slot(**values: float) -> list[float]:
    """A row of the columns of SLOT, 0 where nothing is said."""
    return [float(values.get(name, 0.0)) for name in SLOT]
