"""What ships to learn from: the inner loops of the uniform program, as a file of episodes.

An episode is one loop's history, rows of `rsi.proposers.ranking.PAST`, oldest first, zeros behind the last one:
float32, (E, H, len(PAST)), finite. `rsi run proposer --data FILE|FOLDER` takes other files in place of what ships;
those of a run's own inner loops are `rsi.generations.gathering.inner_episodes`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.inner import loops
from evals.inner.families import FAMILIES, SLOT
from rsi.evidence import Array
from rsi.prediction import encode_array
from rsi.proposers.ranking import episodes_of

FILE: Final = "episodes.npy"
SHIPPED: Final = 96
SEED: Final = 20_260_000
"""Of the shipped episodes; a trial's instances are drawn from its run's secret, so they are others."""


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
    return {FILE: encode_array(episodes_of([one["past"] for one in rounds]))}


def indifferent(shown: dict[str, NDArray[np.float32]]) -> Array:
    """The uniform program: the highest dice."""
    return shown["options"][:, :, loops.DICE]


def slot(**values: float) -> list[float]:
    """A row of the columns of SLOT, 0 where nothing is said."""
    return [float(values.get(name, 0.0)) for name in SLOT]
