"""What a ranking program is shown, as arrays: the moves there are, what came of earlier ones, where the loop stands.

A ranking program is candidate code: `predict(artifact, inputs)` answers a preference for each option, and the highest
one that is available is made; a preference that is no number means never. Inner loops (the task `proposer`) and real
ones (the proposer `evolved`) show it the same columns, so that what was shaped on the first can serve in the second.
T loops are asked about at once, each with up to O options and H earlier experiments:

    options    (T, O, len(OPTION))      one row an option; `available` 0 where there is none or it was tried
    history    (T, H, len(PAST))        one row an experiment, oldest first; `outcome` 0 in rows behind the last one
    situation  (T, len(SITUATION))

All float32 and finite. The answer is float32 of shape (T, O). Episodes to learn from have the shape of a history.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOVE: Final = ("kind", "arm", "direction", "step", "value", "choice")
"""kind: index into KINDS. arm: which named thing is moved, numbered within the loop. direction: -1 down, 0 neither,
1 up. step: ln(to / from). value: ln |from|. choice: 1 + index into CHOICES of what a name is set to, 0 where that is a
number, a switch or another name."""
OPTION: Final = (*MOVE, "available", "dice")
"""dice: uniform in [0, 1), drawn from the loop's secret: what a program needs for choosing by chance."""
PAST: Final = (*MOVE, "outcome", "gain", "cost")
"""outcome: an index into OUTCOMES. gain: over the incumbent of its time, in the objective's noise (one trial's standard
deviation over seeds), better is positive, 0 where nothing was scored. cost: of a trial, 1 for what the baseline's
takes."""
SITUATION: Final = ("spent", "experiments", "kept")
"""spent: the share of the loop's budget that is used, 0 where it has no limit."""

OUTCOMES: Final = ("none", "kept", "discarded", "failed")
"""failed: refused, crashed or rejected."""

KINDS: Final = (
    "constant", "learning_rate", "batch_size", "width", "depth", "betas", "weight_decay", "initialisation",
    "regularisation", "dropout", "clip", "eps", "warmup", "decay", "schedule", "optimizer", "activation", "choice",
    "switch", "normalisation", "norm_placement", "bias", "tying", "shape", "heads", "mlp_ratio",
    "output_initialisation",
)  # fmt: skip
"""Kinds of moves, those of `rsi.proposers.mutation`; one that is not here counts as `constant`."""
CHOICES: Final = (
    "constant", "linear", "cosine", "sqrt", "trapezoid", "sgd", "nesterov", "rmsprop", "adam", "adamw", "adagrad",
    "lion", "identity", "tanh", "relu", "leaky_relu", "gelu", "silu", "softplus", "small", "lecun", "xavier", "he",
    "zero",
)  # fmt: skip

LARGEST_STEP: Final = 10.0
LARGEST_GAIN: Final = 50.0
LARGEST_COST: Final = 100.0

Floats = NDArray[np.float32]


class Arms:
    """Numbers the things that are moved, by kind and name, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, kind: str, name: str) -> int:
        """The same number for the same thing."""
        return self._numbers.setdefault((kind, name), len(self._numbers))


def move_row(kind: str, detail: Mapping[str, Any], arms: Arms) -> list[float]:
    """A move in the columns of MOVE; `detail` holds name, from, to and direction, where the move has them."""
    old, new = detail.get("from"), detail.get("to")
    numbers = _is_number(old) and _is_number(new)
    return [
        float(KINDS.index(kind) if kind in KINDS else 0),
        float(arms.number(kind, str(detail.get("name", "")))),
        {"up": 1.0, "down": -1.0}.get(str(detail.get("direction", "")), 0.0),
        _bounded(_log(new) - _log(old), LARGEST_STEP) if numbers else 0.0,
        _log(old) if _is_number(old) else 0.0,
        0.0 if _is_number(new) else float(_choice(new)),
    ]


def past_row(move: Sequence[float], outcome: str, gain: float, cost: float = 1.0) -> list[float]:
    """A row of PAST: the move's columns and what came of it, within bounds."""
    return [*move, float(OUTCOMES.index(outcome)), _bounded(gain, LARGEST_GAIN), min(max(cost, 0.0), LARGEST_COST)]


def padded(rows: Sequence[Sequence[float]], length: int, columns: int) -> Floats:
    """The last `length` rows as a float32 array of shape (length, columns), zeros behind them."""
    array = np.zeros((length, columns), dtype=np.float32)
    shown = rows[-length:] if length else ()
    if shown:
        array[: len(shown)] = np.asarray(shown, dtype=np.float32)
    return array


def episodes_of(rounds: Sequence[NDArray[Any]]) -> Floats:
    """The episodes of T loops, (T, H, len(PAST)), from the rows of their rounds, each (T, at_once, len(PAST)).

    Places of a round that were not used are left out, so that zeros stand behind an episode's last row alone.
    """
    rows = np.concatenate(rounds, axis=1).astype(np.float32)
    unused = rows[:, :, PAST.index("outcome")] == 0
    order = np.argsort(unused, axis=1, kind="stable")
    return np.asarray(np.take_along_axis(np.where(unused[:, :, None], 0, rows), order[:, :, None], axis=1))


def chosen(preferences: NDArray[np.floating[Any]], available: NDArray[np.bool_], dice: Floats) -> int | None:
    """Which of one loop's options is made: the available one of the highest preference, dice where several are equal.

    None where no available option has a preference that is a number. Infinite preferences count as numbers.
    """
    wanted = available & ~np.isnan(preferences)
    if not wanted.any():
        return None
    best = np.flatnonzero(wanted & (preferences == preferences[wanted].max()))
    return int(best[int(np.argmax(dice[best]))])


def dice(seed: int, options: int) -> Floats:
    """Uniform numbers in [0, 1) that depend on the seed alone."""
    drawn = hashlib.shake_256(f"dice {seed}".encode()).digest(4 * options)
    return (np.frombuffer(drawn, dtype="<u4") >> 8).astype(np.float32) / np.float32(1 << 24)


def _choice(name: object) -> int:
    spelled = str(name).rpartition(".")[2].lower()
    return CHOICES.index(spelled) + 1 if spelled in CHOICES else 0


def _is_number(value: object) -> bool:
    """Whether it is one that a float can hold: a candidate's constants may be anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _log(value: Any) -> float:
    return math.log(max(abs(float(value)), 1e-9))


def _bounded(value: float, largest: float) -> float:
    return min(max(value, -largest), largest) if math.isfinite(value) else 0.0
