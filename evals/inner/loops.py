"""Inner loops: T of them side by side, a few moves a round, until a fixed budget of compute is used up.

What a round leaves is a handful of small arrays, from which alone the next round's question and the verdict follow.
Compute is counted in trainings of the baseline; a wider network costs more. A loop pays for every training that a
choice leads to, for a round in which it chose nothing as if it had trained, and for its certification.

The ratchet is an honest one. A candidate is trained once; where it is ahead of the incumbent by `MARGIN` of the noise
it is trained again under another seed, and kept where the mean of both is still ahead by as much. What was kept is
provisional. At the end incumbent and baseline are trained on `PAIRS` fresh seeds each, and the gain counts where a
one-sided paired t-test passes at `LEVEL`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.inner.families import NOISE_TRIALS, Instance, cost, generator, instances, trained
from evals.inner.knobs import INDEX, KNOBS, MOVES, Floats, moved
from rsi.evidence import Array
from rsi.proposers import ranking

MARGIN: Final = 1.0
"""Of the noise of one trial."""
PAIRS: Final = 6
LEVEL: Final = 0.05
_QUANTILE: Final = 2.015
"""Of the t distribution with PAIRS - 1 freedoms, at 1 - LEVEL."""
OPTIONS: Final = len(MOVES)
WIDTH: Final = INDEX["width"]
COLUMNS: Final = len(ranking.PAST)
Arrays = Mapping[str, Array]


class Plan(NamedTuple):
    """How long inner loops are."""

    rounds: int = 12
    at_once: int = 2
    """Moves a round and loop."""
    budget: float = 24.0
    """Of a loop, in trainings of the baseline, its certification aside."""


class Standing(NamedTuple):
    """Where T loops stand before a round; all arrays have T along their first axis."""

    settings: Floats
    """(T, knobs): of the incumbents."""
    value: Floats
    """(T,): what the incumbents measured; the baseline's mean before anything is kept."""
    noise: Floats
    spent: Floats
    tried: NDArray[np.uint8]
    """(T, O): 1 for options that were tried on the present incumbent."""
    past: tuple[NDArray[np.float32], ...]
    """One (T, at_once, columns) a round."""


def begin(made: Sequence[Instance]) -> Standing:
    """Before the first round: nothing is measured yet."""
    count = len(made)
    return Standing(
        settings=np.stack([one.start for one in made]),
        value=np.full(count, np.nan),
        noise=np.full(count, np.nan),
        spent=np.zeros(count),
        tried=np.zeros((count, OPTIONS), dtype=np.uint8),
        past=(),
    )


def after(rounds: Sequence[Arrays]) -> Standing:
    """Where the loops stand after these rounds' records."""
    last = rounds[-1]
    return Standing(
        settings=last["settings"].astype(np.float64),
        value=last["value"].astype(np.float64),
        noise=last["noise"].astype(np.float64),
        spent=last["spent"].astype(np.float64),
        tried=last["tried"].astype(np.uint8),
        past=tuple(one["past"].astype(np.float32) for one in rounds),
    )


def question(plan: Plan, made: Sequence[Instance], now: Standing, key: bytes, number: int) -> dict[str, Array]:
    """What the program is shown before a round, in the columns of `rsi.proposers.ranking`."""
    length = plan.rounds * plan.at_once
    options = np.zeros((len(made), OPTIONS, len(ranking.OPTION)), dtype=np.float32)
    history = np.zeros((len(made), length, COLUMNS), dtype=np.float32)
    situation = np.zeros((len(made), len(ranking.SITUATION)), dtype=np.float32)
    for loop, instance in enumerate(made):
        arms = arms_of(key, loop)
        unmoved = cost(instance, float(now.settings[loop, WIDTH]))
        dice = ranking.dice(int(generator(key, "dice", number, loop).integers(2**31)), OPTIONS)
        numbers = [arms.number(knob.kind, knob.name) for knob in KNOBS]
        for option, (knob, target) in enumerate(MOVES):
            found = _move(knob, target, float(now.settings[loop, knob]))
            if found is None:
                continue
            move, to = found
            price = cost(instance, to) if knob == WIDTH else unmoved
            possible = not now.tried[loop, option] and now.spent[loop] + price <= plan.budget
            options[loop, option] = (*move, float(possible), dice[option])
            options[loop, option, 1] = numbers[knob]
        rows = _rows(now.past, loop)
        history[loop] = ranking.padded(rows, length, COLUMNS)
        kept = sum(1.0 for row in rows if row[len(ranking.MOVE)] == ranking.OUTCOMES.index("kept"))
        situation[loop] = [min(1.0, now.spent[loop] / plan.budget), len(rows), kept]
    return {"options": options, "history": history, "situation": situation}


@lru_cache(maxsize=1 << 14)
def _move(knob: int, target: int, setting: float) -> tuple[tuple[float, ...], float] | None:
    """A move's columns, its arm's number aside, and where it leads."""
    to = KNOBS[knob].target(target, setting)
    if to is None:
        return None
    return tuple(ranking.move_row(KNOBS[knob].kind, KNOBS[knob].detail(setting, to), ranking.Arms())), to


def arms_of(key: bytes, loop: int) -> ranking.Arms:
    """Numbers for the knobs, in an order that differs by loop."""
    arms = ranking.Arms()
    for knob in generator(key, "arms", loop).permutation(len(KNOBS)):
        arms.number(KNOBS[knob].kind, KNOBS[knob].name)
    return arms


def _rows(past: Sequence[NDArray[np.float32]], loop: int) -> list[list[float]]:
    """A loop's experiments, oldest first; rows of choices that were not made are left out."""
    rows = [row for one in past for row in one[loop].tolist()]
    return [row for row in rows if row[len(ranking.MOVE)] > 0]


class _Chosen(NamedTuple):
    """One move of one loop."""

    loop: int
    slot: int
    option: int
    settings: Floats
    cost: float


def play(
    plan: Plan, made: Sequence[Instance], now: Standing, shown: Arrays, answer: Array, key: bytes, number: int
) -> dict[str, Array]:
    """One round: choose by the preferences, train, decide. What it returns is all that is kept of it.

    Args:
        plan: How long the loops are.
        made: The instances.
        now: Where the loops stand.
        shown: What the program saw: the question of this round.
        answer: (T, O), its preferences.
        key: What seeds are derived from.
        number: Of the round.
    """
    value, noise, spent, tried = now.value.copy(), now.noise.copy(), now.spent.copy(), now.tried.copy()
    settings = now.settings.copy()
    if number == 0:
        value, noise = measure_baselines(made, key)
    at_start = value.copy()
    chosen: list[_Chosen] = []
    option = np.full((len(made), plan.at_once), -1, dtype=np.int16)
    for loop in range(len(made)):
        for slot, one in enumerate(_choices(plan, made[loop], now, shown["options"], answer, loop)):
            option[loop, slot] = one.option
            chosen.append(one._replace(slot=slot))
    measured = np.full((len(made), plan.at_once, 2), np.nan)
    measured[:, :, 0] = _train(made, chosen, measured.shape[:2], key, ("first", number))
    ahead = (value[:, None] - measured[:, :, 0]) > MARGIN * noise[:, None]
    again = [one for one in chosen if ahead[one.loop, one.slot]]
    measured[:, :, 1] = _train(made, again, measured.shape[:2], key, ("again", number))
    past = np.zeros((len(made), plan.at_once, COLUMNS), dtype=np.float32)
    charged = np.zeros((len(made), plan.at_once))
    for loop in range(len(made)):
        mine = [one for one in chosen if one.loop == loop]
        # A place in the round that was not used is paid for as if it had trained the baseline.
        spent[loop] += plan.at_once - len(mine)
        best: tuple[float, _Chosen] | None = None
        for one in mine:
            first, second = measured[loop, one.slot]
            charged[loop, one.slot] = one.cost * (2 if ahead[loop, one.slot] else 1)
            mean = (first + second) / 2 if ahead[loop, one.slot] else first
            failed = math.isnan(mean)
            gain = 0.0 if failed else (value[loop] - mean) / noise[loop]
            row = shown["options"][loop, one.option, : len(ranking.MOVE)].tolist()
            outcome = "failed" if failed else "discarded"
            past[loop, one.slot] = ranking.past_row(row, outcome, gain, charged[loop, one.slot])
            tried[loop, one.option] = 1
            if not failed and ahead[loop, one.slot] and gain > MARGIN and (best is None or mean < best[0]):
                best = (mean, one)
        spent[loop] += charged[loop].sum()
        if best is not None:
            mean, one = best
            past[loop, one.slot, len(ranking.MOVE)] = ranking.OUTCOMES.index("kept")
            value[loop], settings[loop] = mean, one.settings
            tried[loop] = 0
    return {
        "option": option,
        "measured": measured,
        "charged": charged,
        "past": past,
        "settings": settings,
        "value": value,
        "noise": noise,
        "spent": np.minimum(spent, 2 * plan.budget),
        "tried": tried,
        **({"first_value": at_start} if number == 0 else {}),
    }


def _choices(plan: Plan, instance: Instance, now: Standing, options: Array, answer: Array, loop: int) -> list[_Chosen]:
    """The highest preferences of a loop, as many as a round and its budget hold."""
    available = options[loop, :, ranking.OPTION.index("available")] > 0
    dice = options[loop, :, ranking.OPTION.index("dice")].astype(np.float32)
    left = plan.budget - float(now.spent[loop])
    found: list[_Chosen] = []
    for _ in range(plan.at_once):
        option = ranking.chosen(answer[loop], available, dice)
        if option is None:
            break
        settings = moved(now.settings[loop], option)
        assert settings is not None
        price = cost(instance, float(settings[WIDTH]))
        left -= price
        if found and left < 0:
            break
        found.append(_Chosen(loop, 0, option, settings, price))
        available = available.copy()
        available[option] = False
    return found


def _train(
    made: Sequence[Instance], chosen: Sequence[_Chosen], form: tuple[int, ...], key: bytes, use: tuple[str, int]
) -> Floats:
    """Measured values by (loop, slot), NaN where nothing was trained or training diverged."""
    found = np.full(form, np.nan)
    if chosen:
        seeds = [int(generator(key, *use, one.loop, one.slot).integers(2**31)) for one in chosen]
        values = trained(made, [one.loop for one in chosen], [one.settings for one in chosen], seeds)
        for one, measured in zip(chosen, values, strict=True):
            found[one.loop, one.slot] = measured
    return found


def measure_baselines(made: Sequence[Instance], key: bytes) -> tuple[Floats, Floats]:
    """Mean and noise of every baseline, as the author of a task states them: not charged to a loop."""
    count = len(made)
    which = [loop for loop in range(count) for _ in range(NOISE_TRIALS)]
    seeds = [int(generator(key, "baseline", n).integers(2**31)) for n in range(len(which))]
    values = trained(made, which, [made[loop].start for loop in which], seeds).reshape(count, NOISE_TRIALS)
    value = np.array([float(np.nanmean(row)) if np.isfinite(row).any() else 1.0 for row in values])
    gap = np.maximum(np.abs(value - np.array([one.floor for one in made])), 1e-9)
    noise = np.array([float(np.nanstd(row, ddof=1)) if np.isfinite(row).sum() > 1 else 0.0 for row in values])
    return value, np.clip(noise, 0.01 * gap, None)


def certify(made: Sequence[Instance], now: Standing, key: bytes) -> dict[str, Array]:
    """Incumbent against baseline on fresh seeds, paired, in shares of the gap between baseline and floor.

    Returns:
        `baseline` and `incumbent`, (T, PAIRS) held-out losses, NaN in loops that kept nothing; `floor` (T,); `price`
        (T,), what that cost.
    """
    shape = (len(made), PAIRS)
    found = {name: np.full(shape, np.nan) for name in ("baseline", "incumbent")}
    changed = [loop for loop, one in enumerate(made) if not np.array_equal(one.start, now.settings[loop])]
    which = [loop for loop in changed for _ in range(PAIRS)]
    seeds = [int(generator(key, "certify", loop, pair).integers(2**31)) for loop in changed for pair in range(PAIRS)]
    price = np.zeros(len(made))
    if changed:
        found["baseline"][changed] = trained(made, which, [made[loop].start for loop in which], seeds).reshape(
            -1, PAIRS
        )
        found["incumbent"][changed] = trained(made, which, [now.settings[loop] for loop in which], seeds).reshape(
            -1, PAIRS
        )
        price[changed] = [PAIRS * (1 + cost(made[loop], float(now.settings[loop, WIDTH]))) for loop in changed]
    return {**found, "floor": np.array([one.floor for one in made]), "price": price}


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
    """Share of the loop's choices that failed or were discarded, 1 where it made none."""


def results(plan: Plan, rounds: Sequence[Arrays]) -> Results:
    """From the rounds' records alone."""
    last = rounds[-1]
    before, behind = last["baseline"].astype(np.float64), last["incumbent"].astype(np.float64)
    floor, first = last["floor"].astype(np.float64), rounds[0]["first_value"].astype(np.float64)
    differences = before - behind
    whole = np.isfinite(differences).all(axis=1)
    differences = np.where(whole[:, None], differences, 0.0)
    mean, deviation = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    certified = whole & (mean > _QUANTILE * deviation / math.sqrt(PAIRS)) & (mean > 0)
    gap = np.where(whole, np.where(whole[:, None], before, 1.0).mean(axis=1) - floor, 1.0)
    gain = np.where(certified, np.clip(mean / np.maximum(gap, 1e-9), 0, 1), 0.0)
    believed = np.clip((first - last["value"]) / np.maximum(first - floor, 1e-9), 0, 1)
    outcomes = np.concatenate([one["past"][:, :, len(ranking.MOVE)] for one in rounds], axis=1)
    kept = (outcomes == ranking.OUTCOMES.index("kept")).sum(axis=1)
    made = (outcomes > 0).sum(axis=1)
    compute = np.maximum(plan.budget, last["spent"].astype(np.float64)) + last["price"]
    return Results(certified, gain, believed, compute, 1 - kept / np.maximum(made, 1))


Program = Callable[[dict[str, Array]], Array]
"""Question → preferences (T, O)."""


def run(plan: Plan, slots: Array, key: bytes, program: Program) -> list[dict[str, Array]]:
    """All rounds of trusted programs: what a verifier does with a candidate's answers, without a sandbox."""
    made = instances(tuple(map(tuple, slots.tolist())), key)
    rounds: list[dict[str, Array]] = []
    for number in range(plan.rounds):
        now = after(rounds) if rounds else begin(made)
        shown = question(plan, made, now, key, number)
        rounds.append(step(plan, made, now, shown, program(shown), key, number))
    return rounds


def step(
    plan: Plan, made: Sequence[Instance], now: Standing, shown: Arrays, answer: Array, key: bytes, number: int
) -> dict[str, Array]:
    """A round's record, with the certification in that of the last."""
    record = play(plan, made, now, shown, answer, key, number)
    if number == plan.rounds - 1:
        record |= certify(made, now._replace(settings=record["settings"]), key)
    return record
