"""A simulated training: loss as a function of the settings, with noise, in microseconds.

Quadratic in the logarithm of each number about an optimum that nobody knows, bounded above; some pairs of knobs
interact; how much a knob matters is heavy-tailed, and differs by kind in the same way on every surface, as it does over
real tasks. Learning rates far above the best one diverge.

Sizes are those of real trials: on `digits` the noise over seeds is 0.008 nats (its task.toml; measured there), the
baseline's 0.23 can fall to about 0.10, and kept edits gained 0.02 to 0.1. So the whole gap is 8 to 25 standard
deviations of the noise here.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, NamedTuple

import numpy as np

from evals.inner.knobs import INDEX, KNOBS, Floats


class Habit(NamedTuple):
    """How a kind behaves over tasks, on the scale of `Knob.coordinate`."""

    shift: float
    """Where the optimum lies from the baseline, on the average."""
    spread: float
    curvature: float
    """What a squared step off the optimum costs, before the surface's own factor."""


HABITS: Final = {
    "learning_rate": Habit(0.8, 0.9, 1.0),
    "batch_size": Habit(-0.5, 0.7, 0.25),
    "width": Habit(0.4, 0.5, 0.4),
    "betas": Habit(0.6, 0.8, 0.3),
    "weight_decay": Habit(0.0, 1.5, 0.02),
    "initialisation": Habit(0.0, 0.6, 0.4),
    "clip": Habit(0.3, 1.0, 0.02),
    "eps": Habit(0.0, 2.0, 0.0005),
    "warmup": Habit(0.05, 0.08, 3.0),
    "regularisation": Habit(0.02, 0.05, 5.0),
    "bias": Habit(0.0, 0.4, 0.2),
}
LIKED: Final = {
    "decay": (0.0, 0.6, 0.7),
    "optimizer": (0.0, 0.5, 0.3, 0.7),
    "activation": (0.0, 0.1, 0.3, -0.2),
}
"""By kind: what each choice is worth over tasks, in units of `TASTE`."""
TASTE: Final = 0.5
TAIL: Final = 0.8
"""Standard deviation of the logarithm of a knob's own curvature."""
SHARED: Final = 0.3
"""Correlation of the noise of two settings under one seed."""
DIVERGES: Final = 2.0
"""So far above the optimal learning rate, in natural logarithms."""


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
            if knob.choices:
                taste = np.array(LIKED[knob.kind]) + 0.5 * generator.standard_normal(len(knob.choices))
                self.liked[number] = TASTE * (taste.max() - taste)
                continue
            habit = HABITS[knob.kind]
            self.best[number] = (
                knob.coordinate(float(start[number])) + habit.shift + habit.spread * generator.standard_normal()
            )
            self.curvature[number] = habit.curvature * math.exp(TAIL * generator.standard_normal())
        pairs = generator.permutation([n for n, knob in enumerate(KNOBS) if not knob.choices])
        self.pairs = [
            (int(one), int(other), float(generator.uniform(-0.7, 0.7)))
            for one, other in zip(pairs[::2], pairs[1::2], strict=False)
            if generator.random() < interacting
        ]
        self.scale = 1.0
        self.scale = float(generator.uniform(0.5, 1.5)) / max(self._excess(start), 1e-6)
        self.gap = self.loss(start)
        self.noise = self.gap * float(generator.uniform(0.04, 0.12))

    def loss(self, settings: Floats) -> float:
        """Without noise; 0 at the optimum, below 1 anywhere, NaN where training diverges."""
        rate = INDEX["learning_rate"]
        if KNOBS[rate].coordinate(float(settings[rate])) - self.best[rate] > DIVERGES:
            return math.nan
        return -math.expm1(-self._excess(settings))

    def measured(self, settings: Floats, seed: int) -> float:
        """The loss with a trial's noise, a function of seed and settings; a seed shares part of it between settings."""
        own = hashlib.sha256(seed.to_bytes(8, "big") + settings.tobytes()).digest()
        draws = (np.random.Generator(np.random.PCG64(from_)) for from_ in (seed, int.from_bytes(own[:16], "big")))
        common, apart = (float(draw.standard_normal()) for draw in draws)
        return self.loss(settings) + self.noise * (math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * apart)

    def _excess(self, settings: Floats) -> float:
        off = np.array(
            [
                0.0 if knob.choices else knob.coordinate(float(settings[number])) - self.best[number]
                for number, knob in enumerate(KNOBS)
            ]
        )
        total = float((self.curvature * off**2).sum())
        for one, other, strength in self.pairs:
            total += (
                2 * strength * math.sqrt(self.curvature[one] * self.curvature[other]) * float(off[one] * off[other])
            )
        total += sum(float(cost[int(settings[number])]) for number, cost in self.liked.items())
        return self.scale * total
