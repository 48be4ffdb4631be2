"""A simulated training: loss as a function of the settings, with noise, in microseconds.

Quadratic in the logarithm of each number about an optimum that nobody knows, bounded above; some pairs of knobs
interact, and learning rate, batch size and momentum act together, as one effective rate; how much a knob matters is
heavy-tailed, and differs by kind in the same way on every surface, as it does over real tasks. Far above the best
effective rate training diverges.

Where optima lie and what kinds are worth is fitted to real trainings of the families that dev has:
`benchmarks/inner_habits.py` prints these numbers (192 instances; tails are cut at 1.5, since flat sweeps inflate them).
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, NamedTuple

import numpy as np

from evals.inner.knobs import INDEX, KNOBS, Floats


class Habit(NamedTuple):
    """How a kind behaves over tasks, on the scale of `Knob.coordinate`; a learning rate on that of `effective`."""

    centre: float
    """Where the optimum lies, on the average."""
    spread: float
    curvature: float
    """What a squared step off the optimum costs; the median."""
    tail: float
    """Standard deviation of the logarithm of a task's own curvature."""


HABITS: Final = {
    "learning_rate": Habit(-4.34, 1.16, 0.060, 1.5),
    "batch_size": Habit(2.23, 0.31, 0.005, 1.5),
    "width": Habit(2.26, 0.51, 0.050, 1.5),
    "betas": Habit(0.08, 0.65, 0.013, 1.5),
    "weight_decay": Habit(-4.09, 3.26, 0.001, 0.0),
    "initialisation": Habit(-0.18, 0.66, 0.065, 1.5),
    "clip": Habit(1.53, 1.41, 0.001, 0.0),
    "eps": Habit(-18.4, 0.0, 0.0, 0.0),
    "warmup": Habit(0.0, 0.0, 0.24, 1.3),
    "regularisation": Habit(0.015, 0.08, 0.12, 1.5),
}
LIKED: Final = {
    "decay": ((0.0, 0.0), (-0.31, 0.38), (-0.31, 0.38)),
    "optimizer": ((0.0, 0.0), (0.0, 0.15), (-0.73, 0.77), (-0.73, 0.77)),
    "activation": ((0.0, 0.0), (-0.21, 0.44), (-0.18, 0.41), (-0.24, 0.42)),
    "bias": ((0.0, 0.0), (0.04, 0.10)),
}
"""By kind and choice: what it gains over the first one in shares of the gap, and how much tasks differ in that."""
RATE: Final = INDEX["learning_rate"]
SHARED: Final = 0.3
"""Correlation of the noise of two settings under one seed."""
NOISE: Final = 0.1
"""Of a trial over seeds, in shares of the gap: the median. Real ones: 0.06 on `digits` (0.008 of 0.13 nats), 0.15 of
the small trainings here (0.06 to 0.28 the middle 68%)."""
NOISE_TAIL: Final = 0.6
DIVERGES: Final = 2.1
"""So far above the optimal effective learning rate, in natural logarithms."""


def effective(settings: Floats) -> float:
    """Logarithm of the effective learning rate, with batch and momentum (linear scaling rule, Goyal et al. 2017)."""
    rate, batch, keep = (float(settings[INDEX[kind]]) for kind in ("learning_rate", "batch_size", "betas"))
    return math.log(max(rate, 1e-9)) - math.log(max(1 - keep, 1e-6)) - math.log(batch)


class Surface:
    """One simulated task.

    Args:
        generator: What it is drawn from.
        start: The baseline's settings.
        interacting: Share of the neighbouring pairs of knobs that interact.
    """

    def __init__(self, generator: np.random.Generator, start: Floats, interacting: float) -> None:
        self.best = np.zeros(len(KNOBS))
        self.curvature = np.zeros(len(KNOBS))
        self.liked: dict[int, Floats] = {}
        for number, knob in enumerate(KNOBS):
            if knob.kind in LIKED:
                liked, differs = np.array(LIKED[knob.kind]).T
                taste = liked + differs * generator.standard_normal(len(liked))
                self.liked[number] = taste.max() - taste
                continue
            habit = HABITS[knob.kind]
            self.best[number] = habit.centre + habit.spread * generator.standard_normal()
            self.curvature[number] = habit.curvature * math.exp(habit.tail * generator.standard_normal())
        # What somebody begins with trains.
        self.best[RATE] = max(self.best[RATE], effective(start) - 0.99 * DIVERGES)
        pairs = generator.permutation([n for n, knob in enumerate(KNOBS) if knob.kind in HABITS])
        self.pairs = [
            (int(one), int(other), float(generator.uniform(-0.7, 0.7)))
            for one, other in zip(pairs[::2], pairs[1::2], strict=False)
            if generator.random() < interacting
        ]
        self.scale = 1.0
        self.scale = float(generator.uniform(0.5, 1.5)) / max(self._excess(start), 1e-6)
        self.gap = self.loss(start)
        self.noise = self.gap * min(max(math.exp(generator.normal(math.log(NOISE), NOISE_TAIL)), 0.03), 0.4)

    def loss(self, settings: Floats) -> float:
        """Without noise; 0 at the optimum, below 1 anywhere, NaN where training diverges."""
        if effective(settings) - self.best[RATE] > DIVERGES:
            return math.nan
        return -math.expm1(-self._excess(settings))

    def measured(self, settings: Floats, seed: int) -> float:
        """The loss with a trial's noise, a function of seed and settings; a seed shares part of it between settings."""
        own = hashlib.sha256(seed.to_bytes(8, "big") + settings.tobytes()).digest()
        draws = (np.random.Generator(np.random.PCG64(from_)) for from_ in (seed, int.from_bytes(own[:16], "big")))
        common, apart = (float(draw.standard_normal()) for draw in draws)
        return self.loss(settings) + self.noise * (math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * apart)

    def _excess(self, settings: Floats) -> float:
        at = [knob.coordinate(float(settings[n])) if knob.kind in HABITS else 0.0 for n, knob in enumerate(KNOBS)]
        at[RATE] = effective(settings)
        off = np.array(at) - self.best
        total = float((self.curvature * off**2).sum())
        for one, other, strength in self.pairs:
            total += (
                2 * strength * math.sqrt(self.curvature[one] * self.curvature[other]) * float(off[one] * off[other])
            )
        total += sum(float(cost[int(settings[number])]) for number, cost in self.liked.items())
        return self.scale * total
