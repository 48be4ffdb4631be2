"""What inner loops came to: incumbent against baseline on fresh seeds, and the verdict's numbers from the records.

A loop's gain counts where a one-sided paired t-test over `PAIRS` seeds passes at `LEVEL`; it is then the mean
difference, as a share of the gap between the baseline and the floor, the best score that any answer could have. What
the test costs is compute as well. The instances' noise is measured here too, before the first round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.inner.families import NOISE_TRIALS, WIDTH, Instance, cost, generator, trained
from evals.inner.knobs import Floats
from rsi.evidence import Array, Arrays
from rsi.proposers import ranking

PAIRS: Final = 6
LEVEL: Final = 0.05
CERTIFIED: Final = ("baseline", "incumbent", "floor", "price", "truth")
"""What `certify` adds to the record of a last round."""
_QUANTILE: Final = 2.015
"""Of the t distribution with PAIRS - 1 degrees of freedom, at 1 - LEVEL."""
LEAST_NOISE: Final = 0.01
"""Of the gap: an instance's noise is not taken to be smaller."""


def measure_baselines(made: Sequence[Instance], key: bytes) -> tuple[Floats, Floats]:
    """Mean and noise of every baseline, as the author of a task states them: not charged to a loop."""
    count = len(made)
    which = [loop for loop in range(count) for _ in range(NOISE_TRIALS)]
    seeds = [int(generator(key, "baseline", n).integers(2**31)) for n in range(len(which))]
    values = trained(made, which, [made[loop].start for loop in which], seeds).reshape(count, NOISE_TRIALS)
    value = np.array([float(np.nanmean(row)) if np.isfinite(row).any() else 1.0 for row in values])
    gap = np.maximum(np.abs(value - np.array([one.floor for one in made])), 1e-9)
    noise = np.array([float(np.nanstd(row, ddof=1)) if np.isfinite(row).sum() > 1 else 0.0 for row in values])
    return value, np.clip(noise, LEAST_NOISE * gap, None)


def certify(made: Sequence[Instance], settings: Floats, key: bytes) -> dict[str, Array]:
    """Train incumbents and baselines on fresh seeds, in pairs.

    Args:
        made: The instances.
        settings: Of the incumbents, (T, knobs).
        key: What the seeds are derived from.

    Returns:
        `baseline` and `incumbent`, (T, PAIRS) held-out losses, NaN in loops that kept nothing and where training
        diverged; `floor` (T,); `price` (T,), what it cost; `truth` (T,), the incumbent's loss without noise where that
        is known, on surfaces.
    """
    found = {name: np.full((len(made), PAIRS), np.nan) for name in ("baseline", "incumbent")}
    changed = [loop for loop, one in enumerate(made) if not np.array_equal(one.start, settings[loop])]
    which = [loop for loop in changed for _ in range(PAIRS)]
    seeds = [int(generator(key, "certify", loop, pair).integers(2**31)) for loop in changed for pair in range(PAIRS)]
    price, truth = np.zeros(len(made)), np.full(len(made), np.nan)
    if changed:
        before = trained(made, which, [made[loop].start for loop in which], seeds)
        behind = trained(made, which, [settings[loop] for loop in which], seeds)
        found["baseline"][changed] = before.reshape(-1, PAIRS)
        found["incumbent"][changed] = behind.reshape(-1, PAIRS)
    for loop in changed:
        price[loop] = PAIRS * (1 + cost(made[loop], float(settings[loop, WIDTH])))
    for loop, one in enumerate(made):
        if one.surface is not None:
            truth[loop] = one.surface.loss(settings[loop])
    return {**found, "floor": np.array([one.floor for one in made]), "price": price, "truth": truth}


class Results(NamedTuple):
    """What T loops came to; arrays are (T,)."""

    certified: NDArray[np.bool_]
    gain: Floats
    """Certified gain in shares of the gap, 0 where none was certified."""
    provisional: Floats
    """What the ratchet believes it gained, in the same shares."""
    compute: Floats
    """In trainings of the baseline: the budget, used or not, and the certification."""
    wasted: Floats
    """Share of the loop's moves that were not kept; 1 where it made none."""


_LAST: Final = ("baseline", "incumbent", "floor", "price", "spent", "value")
"""Of the last round's record, what the verdict's numbers follow from."""


def _of_loops(array: Array, form: tuple[int, ...]) -> Floats:
    if array.shape != form or not array.size:
        raise ValueError(f"an array of shape {array.shape} is not one of {form[0]} inner loops")
    return np.asarray(array, dtype=np.float64)


def results(budget: float, rounds: Sequence[Arrays]) -> Results:
    """From the rounds' records alone.

    KeyError where one lacks what it should hold, ValueError where they are not of the same loops: numbers of other
    shapes would be spread over each other, and a few kilobytes of a record from elsewhere become gigabytes.
    """
    count = rounds[-1]["floor"].size
    forms = {"baseline": (count, PAIRS), "incumbent": (count, PAIRS)}
    last = {name: _of_loops(rounds[-1][name], forms.get(name, (count,))) for name in _LAST}
    before, floor, began = last["baseline"], last["floor"], _of_loops(rounds[0]["began"], (count,))
    differences = before - last["incumbent"]
    whole = np.asarray(np.isfinite(differences).all(axis=1))
    differences, before = np.where(whole[:, None], differences, 0.0), np.where(whole[:, None], before, 1.0)
    mean, deviation = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    certified = (mean > 0) & (mean > _QUANTILE * deviation / math.sqrt(PAIRS))
    gain = np.where(certified, np.clip(mean / np.maximum(before.mean(axis=1) - floor, 1e-9), 0, 1), 0.0)
    believed = np.clip((began - last["value"]) / np.maximum(began - floor, 1e-9), 0, 1)
    outcome = ranking.PAST.index("outcome")
    past = [_of_loops(one["past"], (count, *one["past"].shape[1:2], len(ranking.PAST))) for one in rounds]
    outcomes = np.concatenate(past, axis=1)[:, :, outcome]
    kept, moves = (outcomes == ranking.OUTCOMES.index("kept")).sum(axis=1), (outcomes > 0).sum(axis=1)
    compute = np.maximum(budget, last["spent"]) + last["price"]
    return Results(certified, gain, believed, compute, 1 - kept / np.maximum(moves, 1))
