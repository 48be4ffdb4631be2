"""What an inner loop may move: the knobs of a small training, as the constants of real training code are moved.

The settings of a training are a row of float64, one number a knob: its value, or for a choice its place in the table.
Factors, values and choices are like those of `rsi.proposers.mutation.constants`, a few less.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Knob(NamedTuple):
    """One thing that is moved, by multiplying it, by setting it to a value, or by naming another choice."""

    kind: str
    """One of `rsi.proposers.ranking.KINDS`."""
    name: str
    factors: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = math.inf
    whole: int = 0
    """Above 0: a multiple of this."""

    def targets(self) -> int:
        """How many moves it offers, those that are out of range included."""
        return 2 * len(self.factors) + len(self.values) + len(self.choices)

    def target(self, number: int, setting: float) -> float | None:
        """Where a move leads; None where it leads nowhere else, or out of range."""
        if self.choices:
            return None if number == int(setting) else float(number)
        if self.values:
            return None if self.values[number] == setting else self.values[number]
        factor = self.factors[number // 2] ** (1 if number % 2 == 0 else -1)
        moved = 1 - (1 - setting) / factor if self.kind == "betas" else setting * factor
        if self.whole:
            moved = float(max(self.whole, round(moved / self.whole) * self.whole))
        return moved if self.low <= moved <= self.high and moved != setting else None

    def detail(self, setting: float, target: float) -> dict[str, Any]:
        """A move in the words of a proposal's provenance."""
        if self.choices:
            return {"name": self.name, "from": self.choices[int(setting)], "to": self.choices[int(target)]}
        if self.kind == "bias":
            return {"name": self.name, "from": bool(setting), "to": bool(target)}
        direction = "up" if target > setting else "down"
        return {"name": self.name, "from": setting, "to": target, "direction": direction}

    def coordinate(self, setting: float) -> float:
        """Where a number lies on the scale on which its moves are even."""
        if self.kind == "betas":
            return -math.log(max(1 - setting, 1e-6))
        return setting if self.values else math.log(max(setting, 1e-9))


KNOBS: Final = (
    Knob("learning_rate", "LEARNING_RATE", (1.5, 2, 3, 5), low=1e-5, high=30),
    Knob("batch_size", "BATCH_SIZE", (2, 4), low=8, high=64, whole=8),
    Knob("width", "WIDTH", (4 / 3, 1.5, 2), low=4, high=32, whole=1),
    Knob("betas", "MOMENTUM", (2, 5), low=0.0, high=0.995),
    Knob("weight_decay", "WEIGHT_DECAY", (3, 10), low=1e-7, high=3),
    Knob("initialisation", "INIT_SCALE", (1.5, 2.5), low=0.01, high=30),
    Knob("clip", "CLIP_NORM", (3, 10), low=0.01, high=1e4),
    Knob("eps", "EPSILON", (10, 100), low=1e-12, high=1e-2),
    Knob("warmup", "WARMUP", values=(0.0, 0.05, 0.1, 0.2, 0.3)),
    Knob("regularisation", "INPUT_NOISE", values=(0.0, 0.05, 0.1, 0.2)),
    Knob("decay", "SCHEDULE", choices=("constant", "linear", "cosine")),
    Knob("optimizer", "OPTIMIZER", choices=("sgd", "nesterov", "rmsprop", "adam")),
    Knob("activation", "ACTIVATION", choices=("tanh", "relu", "silu", "softplus")),
    Knob("bias", "BIASES", values=(0.0, 1.0)),
)
INDEX: Final = {knob.kind: number for number, knob in enumerate(KNOBS)}
MOVES: Final = tuple((number, target) for number, knob in enumerate(KNOBS) for target in range(knob.targets()))
"""Option → (knob, target). The same list for every loop; what leads nowhere is unavailable."""


def moved(settings: Floats, option: int) -> Floats | None:
    """The settings after a move; None where it leads nowhere."""
    number, target = MOVES[option]
    value = KNOBS[number].target(target, float(settings[number]))
    if value is None:
        return None
    after = settings.copy()
    after[number] = value
    return after


def baseline(generator: np.random.Generator, badness: float) -> Floats:
    """Settings as a first version has them: plain, and somewhat off, by so much.

    Args:
        generator: What they are drawn from.
        badness: Standard deviation of the numbers about sensible ones, in natural logarithms.
    """
    off = badness * generator.standard_normal(8)
    plain = generator.random(4) < 0.75
    settings = {
        "learning_rate": 0.03 * math.exp(off[0]),
        "batch_size": float(generator.choice((16, 32, 64))),
        "width": float(round(10 * math.exp(0.3 * off[1]))),
        "betas": float(generator.choice((0.3, 0.5, 0.8))),
        "weight_decay": 1e-3 * math.exp(off[2]),
        "initialisation": math.exp(0.6 * off[3]),
        "clip": 10 * math.exp(off[4]),
        "eps": 1e-8,
        "warmup": 0.0,
        "regularisation": float(generator.choice((0.0, 0.0, 0.1))),
        "decay": 0.0 if plain[0] else float(generator.integers(3)),
        "optimizer": 0.0 if plain[1] else float(generator.integers(4)),
        "activation": 0.0 if plain[2] else float(generator.integers(4)),
        "bias": 1.0 if plain[3] else 0.0,
    }
    row = np.array([settings[knob.kind] for knob in KNOBS])
    row[INDEX["width"]] = min(max(row[INDEX["width"]], 4), 24)
    return row
