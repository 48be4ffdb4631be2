"""An inner loop in words, for whoever chooses its moves by reading: the moves there are, what came of earlier ones.

What is told follows from the records of the rounds so far alone. Nothing in it says from which family the task is,
what its floor is, or how it is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evals.inner.knobs import KNOBS, MOVES, Floats
from evals.inner.loops import AVAILABLE, COLUMNS, OUTCOME, Plan
from rsi.evidence import Array, Arrays
from rsi.proposers import ranking

GAIN = ranking.PAST.index("gain")
assert len(ranking.PAST) == COLUMNS


def offered(options: Array) -> list[int]:
    """Which options of one loop, (O, columns), may be chosen; the place in this list, from 1, is their number."""
    available = np.asarray(options, dtype=np.float64)[:, AVAILABLE] > 0
    return [int(option) for option in np.flatnonzero(available)]


def moves(settings: Floats, offered: Sequence[int]) -> str:
    """The moves that may be made now, one a line, each with its number."""
    return "\n".join(f"{number}. {_move(settings, option)}" for number, option in enumerate(offered, start=1))


def history(start: Floats, rounds: Sequence[Arrays], loop: int) -> str:
    """What was tried, one experiment a line, oldest first; gains in standard deviations of one trial's noise.

    Args:
        start: The settings of the loop's baseline.
        rounds: The records of the rounds so far.
        loop: Which one.
    """
    lines, settings = [], start
    for number, record in enumerate(rounds, start=1):
        for option, row in zip(record["option"][loop].tolist(), record["past"][loop].tolist(), strict=True):
            if option >= 0:
                outcome = ranking.OUTCOMES[int(row[OUTCOME])]
                gain = "-" if outcome == "failed" else f"{row[GAIN]:+.1f}"
                lines.append(f"{number} | {_move(settings, option)} | {outcome} | {gain}")
        settings = np.asarray(record["settings"][loop], dtype=np.float64)
    return "\n".join(["round | move | outcome | gain", *lines]) if lines else "Nothing was tried yet."


def situation(plan: Plan, spent: float, rounds: Sequence[Arrays], loop: int) -> str:
    """Where the loop stands, in a sentence or two."""
    outcomes = [float(row[OUTCOME]) for record in rounds for row in record["past"][loop].tolist()]
    tried = sum(outcome > 0 for outcome in outcomes)
    kept = sum(outcome == ranking.OUTCOMES.index("kept") for outcome in outcomes)
    left = max(0.0, plan.budget - spent)
    return (
        f"Round {len(rounds) + 1} of {plan.rounds}; {tried} moves were tried, {kept} kept. What is left is the compute "
        f"of {left:.1f} trainings of the first version. Up to {plan.at_once} moves are tried in a round."
    )


def _move(settings: Floats, option: int) -> str:
    """`LEARNING_RATE 0.03 -> 0.06`."""
    number, target = MOVES[option]
    knob, setting = KNOBS[number], float(settings[number])
    to = knob.target(target, setting)
    detail = knob.detail(setting, setting if to is None else to)
    return f"{detail['name']} {_value(detail['from'])} -> {_value(detail['to'])}"


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
