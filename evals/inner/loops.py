"""Inner loops: T of them side by side, a few moves a round, until a fixed budget of compute is used up.

What a round leaves is a handful of small arrays, from which alone the next round's question and the verdict follow.
Compute is counted in trainings of the baseline; a wider network costs more. A loop pays for every training that a
choice leads to, for a place in a round that it did not use as if it had trained the baseline (while the budget lasts),
and for its certification.

The ratchet is an honest one. A candidate is trained once; where it is ahead of the incumbent by `MARGIN` of the noise
it is trained again under another seed, and kept where the mean of both is still ahead by as much; of two such the
better one. What was kept is provisional until the end, when it is certified (`evals.inner.certifying`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.inner.certifying import CERTIFIED, certify, measure_baselines
from evals.inner.families import WIDTH, Instance, cost, generator, instances, trained
from evals.inner.knobs import KNOBS, MOVES, Floats, moved
from rsi.evidence import Array, Arrays
from rsi.proposers import ranking

MARGIN: Final = 1.0
"""Of the noise of one trial."""
OPTIONS: Final = len(MOVES)
COLUMNS: Final = len(ranking.PAST)
OUTCOME: Final = ranking.PAST.index("outcome")
AVAILABLE: Final = ranking.OPTION.index("available")
DICE: Final = ranking.OPTION.index("dice")
ARM: Final = ranking.OPTION.index("arm")


class Plan(NamedTuple):
    """How long inner loops are."""

    rounds: int = 6
    at_once: int = 2
    """Moves a round and loop."""
    budget: float = 12.0
    """Of a loop, in trainings of the baseline, its certification aside."""


class Standing(NamedTuple):
    """Where T loops stand before a round; all arrays have T along their first axis."""

    settings: Floats
    """(T, knobs): of the incumbents."""
    value: Floats
    """(T,): what the incumbents measured, the baseline's mean before anything is kept; NaN before the first round."""
    noise: Floats
    """(T,): standard deviation of a trial over seeds; NaN before the first round."""
    spent: Floats
    """(T,): compute so far."""
    tried: NDArray[np.uint8]
    """(T, O): 1 for options that were tried on the present incumbent."""


def begin(made: Sequence[Instance]) -> Standing:
    """Before the first round: nothing is measured yet."""
    unknown = np.full(len(made), np.nan)
    return Standing(
        settings=np.stack([one.start for one in made]),
        value=unknown,
        noise=unknown,
        spent=np.zeros(len(made)),
        tried=np.zeros((len(made), OPTIONS), dtype=np.uint8),
    )


def after(record: Arrays) -> Standing:
    """Where the loops stand after the round of this record."""
    floats = {name: np.asarray(record[name], dtype=np.float64) for name in ("settings", "value", "noise", "spent")}
    return Standing(tried=np.asarray(record["tried"], dtype=np.uint8), **floats)


# --- what the program is shown ----------------------------------------------------------------------------------


def question(
    plan: Plan, made: Sequence[Instance], now: Standing, past: Sequence[Array], key: bytes
) -> dict[str, NDArray[np.float32]]:
    """What the program is shown before a round, in the columns of `rsi.proposers.ranking`.

    Args:
        plan: How long the loops are.
        made: The instances.
        now: Where the loops stand.
        past: The rows of each round so far, (T, at_once, columns).
        key: What dice and the numbers of arms are derived from.
    """
    length = plan.rounds * plan.at_once
    options = np.zeros((len(made), OPTIONS, len(ranking.OPTION)), dtype=np.float32)
    history = np.zeros((len(made), length, COLUMNS), dtype=np.float32)
    situation = np.zeros((len(made), len(ranking.SITUATION)), dtype=np.float32)
    for loop, instance in enumerate(made):
        arms, settings, spent = _arms(key, loop), now.settings[loop], float(now.spent[loop])
        same_width = cost(instance, float(settings[WIDTH]))
        dice = ranking.dice(int(generator(key, "dice", len(past), loop).integers(2**31)), OPTIONS)
        for option, (knob, target) in enumerate(MOVES):
            found = _move(knob, target, float(settings[knob]))
            if found is None:
                continue
            columns, to = found
            price = cost(instance, to) if knob == WIDTH else same_width
            possible = not now.tried[loop, option] and spent + price <= plan.budget
            options[loop, option] = (*columns, float(possible), dice[option])
            options[loop, option, ARM] = arms[knob]
        rows = rows_of(past, loop)
        history[loop] = ranking.padded(rows, length, COLUMNS)
        kept = sum(1.0 for row in rows if row[OUTCOME] == ranking.OUTCOMES.index("kept"))
        situation[loop] = [min(1.0, spent / plan.budget), len(rows), kept]
    return {"options": options, "history": history, "situation": situation}


@lru_cache(maxsize=1 << 14)
def _move(knob: int, target: int, setting: float) -> tuple[tuple[float, ...], float] | None:
    """A move's columns, its arm's number aside, and where it leads; None where that is nowhere."""
    to = KNOBS[knob].target(target, setting)
    if to is None:
        return None
    return tuple(ranking.move_row(KNOBS[knob].kind, KNOBS[knob].detail(setting, to), ranking.Arms())), to


def _arms(key: bytes, loop: int) -> list[int]:
    """Knob → its number as an arm, in an order that differs by loop."""
    return [int(number) for number in generator(key, "arms", loop).permutation(len(KNOBS))]


def rows_of(past: Sequence[Array], loop: int) -> list[list[float]]:
    """A loop's experiments, oldest first; places in a round that were not used are left out."""
    rows = [row for one in past for row in one[loop].tolist()]
    return [row for row in rows if row[OUTCOME] > 0]


# --- what comes of its answer -----------------------------------------------------------------------------------


class _Chosen(NamedTuple):
    """One move of one loop."""

    loop: int
    slot: int
    option: int
    settings: Floats
    cost: float


def play(
    plan: Plan, made: Sequence[Instance], now: Standing, options: Array, answer: Array, key: bytes, number: int
) -> dict[str, Array]:
    """One round: choose by the preferences, train, decide, and in the last one certify. The record of it is returned.

    Args:
        plan: How long the loops are.
        made: The instances.
        now: Where the loops stand.
        options: What the program saw, (T, O, columns).
        answer: (T, O), its preferences.
        key: What seeds are derived from.
        number: Of the round, from 0.

    Returns:
        `option` (T, at_once), -1 where none was chosen; `measured` (T, at_once, 2), NaN where nothing was trained or
        training diverged; `past` (T, at_once, columns of PAST); and what `after` reads. The first round's has `began`,
        (T,), the baselines' means, the last one's what `certify` returns.
    """
    if number == 0:
        value, noise = measure_baselines(made, key)
        now = now._replace(value=value, noise=noise)
    chosen = [one for loop in range(len(made)) for one in _choices(plan, made[loop], now, options, answer, loop)]
    measured = np.full((len(made), plan.at_once, 2), np.nan)
    measured[:, :, 0] = _train(made, chosen, measured.shape[:2], key, "first", number)
    ahead = (now.value[:, None] - measured[:, :, 0]) > MARGIN * now.noise[:, None]
    again = [one for one in chosen if ahead[one.loop, one.slot]]
    measured[:, :, 1] = _train(made, again, measured.shape[:2], key, "again", number)
    record = _decided(plan, now, options, chosen, measured, number)
    if number == plan.rounds - 1:
        record |= certify(made, np.asarray(record["settings"], dtype=np.float64), key)
    return record


def played(
    plan: Plan, made: Sequence[Instance], now: Standing, options: Array, answer: Array, known: Arrays, number: int
) -> dict[str, Array]:
    """The record of a round derived again, as `play` makes it; what trainings measured is taken from `known`."""
    if number == 0:
        value, noise = (np.asarray(known[name], dtype=np.float64) for name in ("began", "noise"))
        now = now._replace(value=value, noise=noise)
    chosen = [one for loop in range(len(made)) for one in _choices(plan, made[loop], now, options, answer, loop)]
    record = _decided(plan, now, options, chosen, np.asarray(known["measured"], dtype=np.float64), number)
    return {**record, **{name: known[name] for name in CERTIFIED}} if number == plan.rounds - 1 else record


def _decided(
    plan: Plan, now: Standing, options: Array, chosen: Sequence[_Chosen], measured: Floats, number: int
) -> dict[str, Array]:
    """The record of a round, its certification aside: what was chosen, measured and kept."""
    count = len(now.value)
    record: dict[str, Array] = {
        "option": np.full((count, plan.at_once), -1, dtype=np.int16),
        "measured": measured,
        "past": np.zeros((count, plan.at_once, COLUMNS), dtype=np.float32),
        **{name: array.copy() for name, array in now._asdict().items()},
    }
    for loop in range(count):
        _decide(plan, [one for one in chosen if one.loop == loop], loop, options[loop], record)
    if number == 0:
        record["began"] = now.value
    return record


def _decide(plan: Plan, chosen: Sequence[_Chosen], loop: int, options: Array, record: dict[str, Array]) -> None:
    """Write what came of a loop's moves into the record of the round."""
    value, noise = float(record["value"][loop]), float(record["noise"][loop])
    spent = float(record["spent"][loop])
    best: tuple[float, _Chosen] | None = None
    for one in chosen:
        first, second = (float(number) for number in record["measured"][loop, one.slot])
        repeated = (value - first) > MARGIN * noise
        mean = (first + second) / 2 if repeated else first
        gain = (value - mean) / noise
        charged = one.cost * (2 if repeated else 1)
        spent += charged
        failed = math.isnan(mean)
        outcome = "failed" if failed else "discarded"
        move = options[one.option, : len(ranking.MOVE)].tolist()
        record["option"][loop, one.slot] = one.option
        record["past"][loop, one.slot] = ranking.past_row(move, outcome, 0.0 if failed else gain, charged)
        record["tried"][loop, one.option] = 1
        if repeated and not failed and gain > MARGIN and (best is None or mean < best[0]):
            best = (mean, one)
    # A place that was not used is paid for while the budget lasts: what that did not hold any more was not to be had.
    record["spent"][loop] = max(spent, min(plan.budget, spent + plan.at_once - len(chosen)))
    if best is not None:
        mean, one = best
        record["past"][loop, one.slot, OUTCOME] = ranking.OUTCOMES.index("kept")
        record["value"][loop], record["settings"][loop] = mean, one.settings
        record["tried"][loop] = 0


def _choices(plan: Plan, instance: Instance, now: Standing, options: Array, answer: Array, loop: int) -> list[_Chosen]:
    """The highest preferences of a loop, as many as a round and its budget hold."""
    available = np.asarray(options[loop, :, AVAILABLE], dtype=np.float32) > 0
    dice = np.asarray(options[loop, :, DICE], dtype=np.float32)
    spent = float(now.spent[loop])
    found: list[_Chosen] = []
    while len(found) < plan.at_once:
        option = ranking.chosen(np.asarray(answer[loop], dtype=np.float32), available, dice)
        settings = None if option is None else moved(now.settings[loop], option)
        if option is None or settings is None:
            break
        price = cost(instance, float(settings[WIDTH]))
        if spent + price > plan.budget:
            break
        spent += price
        found.append(_Chosen(loop, len(found), option, settings, price))
        available[option] = False
    return found


def _train(
    made: Sequence[Instance], chosen: Sequence[_Chosen], form: tuple[int, ...], key: bytes, use: str, number: int
) -> Floats:
    """Measured values by (loop, slot), NaN where nothing was trained or training diverged."""
    found = np.full(form, np.nan)
    if chosen:
        seeds = [int(generator(key, use, number, one.loop, one.slot).integers(2**31)) for one in chosen]
        values = trained(made, [one.loop for one in chosen], [one.settings for one in chosen], seeds)
        for one, measured in zip(chosen, values, strict=True):
            found[one.loop, one.slot] = measured
    return found


Program = Callable[[dict[str, NDArray[np.float32]]], Array]
"""Question → preferences (T, O)."""


def run(plan: Plan, slots: Array, key: bytes, program: Program) -> list[dict[str, Array]]:
    """All rounds of a trusted program: what the verifier does with a candidate's answers, without a sandbox."""
    made = instances(slots, key)
    rounds: list[dict[str, Array]] = []
    for number in range(plan.rounds):
        now = after(rounds[-1]) if rounds else begin(made)
        shown = question(plan, made, now, [one["past"] for one in rounds], key)
        rounds.append(play(plan, made, now, shown["options"], program(shown), key, number))
    return rounds
