"""Episodes: past inner loops as an array to learn from, and as a file.

An episode is one loop's history, rows of `rsi.proposers.ranking.PAST`, oldest first, zeros behind the last one:
float32, (E, H, len(PAST)). The file is `episodes.npy`, which `rsi run proposer --data FILE` takes in place of the
shipped ones; a folder may hold several, of the same H.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.inner import loops
from evals.inner.families import FAMILIES, SLOT
from rsi.evidence import Array, Arrays
from rsi.prediction import encode_array
from rsi.proposers import ranking

FILE: Final = "episodes.npy"
SHIPPED: Final = 96
SEED: Final = 20_260_000
"""Of the shipped episodes; a trial's instances are drawn from its run's secret, so they are others."""


def of_rounds(rounds: Sequence[Arrays], length: int | None = None) -> NDArray[np.float32]:
    """The episodes in the records of one trial's rounds, (T, H, columns)."""
    outcome = len(ranking.MOVE)
    joined = np.concatenate([one["past"] for one in rounds], axis=1)
    length = length or joined.shape[1]
    found = [
        ranking.padded([row for row in loop.tolist() if row[outcome] > 0], length, joined.shape[2]) for loop in joined
    ]
    return np.stack(found)


def uniform() -> dict[str, bytes]:
    """What ships: loops of the uniform program on surfaces and regressions, as the bytes of one file."""
    surface = {"badness": 1.0, "interacting": 0.5}
    taught = {
        "family": FAMILIES.index("regression"),
        "inputs": 6,
        "outputs": 1,
        "layers": 1,
        "difficulty": 0.1,
        "badness": 1.0,
    }
    slots = [slot(**(taught if number % 4 == 0 else surface)) for number in range(SHIPPED)]
    rounds = loops.run(loops.Plan(), np.array(slots), SEED.to_bytes(16, "big"), indifferent)
    return {FILE: encode_array(of_rounds(rounds))}


def indifferent(shown: dict[str, Array]) -> Array:
    """The uniform program: the highest dice."""
    return shown["options"][:, :, ranking.OPTION.index("dice")]


def slot(**values: float) -> list[float]:
    """A row of the columns of SLOT, 0 where nothing is said."""
    return [float(values.get(name, 0.0)) for name in SLOT]


def joined(parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Several arrays of episodes as one; of different lengths, the shorter ones are padded."""
    arrays = list(parts)
    length = max(part.shape[1] for part in arrays)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))).astype(np.float32) for part in arrays]
    )
