"""How much better one arm is than another, from matched pairs of loops, and how sure that is.

The unit is a block: a task with a seed. An arm's value in a block is the mean over the loops that have it, whatever
else varies; a pair is two arms in one block. The interval is Student's t over pairs: exact for normal differences, and
cautious for the ones there are, which are symmetric where two arms are the same. Several tasks are taken together in
units of each one's seed noise, and the spread between tasks counts as noise, which makes it more cautious still.

Intervals are Bonferroni's, so that all of a family hold together with the stated confidence; Holm's procedure finds
more, but has no intervals that belong to it. What a comparison claims is the gain: its family are the comparisons of
gains alone. All other measures are described; theirs is a second family.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from rsi.compare.results import LoopResult
from rsi.records import Direction, Record
from rsi.review.wording import one_line
from rsi.statistics import Interval, difference

CONFIDENCE = 0.95
POWER = 0.8
MOST_PAIRS = 100_000
QUANTILES = 2000
BEYOND = 1e100
"""What is no smaller is no measurement, whoever wrote it into a record; its square has room in a number."""

Basis = Literal["certified", "confirmed", "grounded"]
"""Where gains come from: milestones, confirmations, or the task's own verifier measuring final code again."""

DESCRIBED = ("gap", "kept", "blamed", "trials", "compute", "wall", "cost_usd")
MEASURES = ("gain", *DESCRIBED)


class Arm(Record):
    """One value of what varies, over all of its loops that came to their end."""

    factor: str
    arm: str
    grounded: bool
    """Whether all of its loops were measured by a grounded verifier."""
    loops: int
    unfinished: int
    certified: int
    """Loops that certified something."""
    refused: int
    """Loops whose final code the task's own verifier gave no score."""
    claimed: float | None
    """Mean of what its loops claim, by their own verifier's word."""
    means: dict[str, float | None]
    """By measure."""


class Difference(Record):
    """An arm less the one it is compared with, measure by measure."""

    factor: str
    arm: str
    reference: str
    grounded: bool
    """Whether both are, or what is compared was measured again by the task's own verifier."""
    gain: Interval | None
    """None where there is no pair."""
    described: dict[str, Interval | None]
    compute_ratio: float | None
    """Of the arm's compute to the reference's, over the pairs."""
    spread: float | None
    """Standard deviation of the paired differences of the gain."""


class Compared(Record):
    """What a comparison found."""

    basis: Basis
    unit: str
    """Of gains and gaps."""
    smallest: float | None
    """The seed noise of one training in that unit: a difference of which it is asked whether it would have shown."""
    tasks: int
    confidence: float
    comparisons: int
    """Of gains; each interval has the confidence that makes all of them hold together."""
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]


def compared(results: Sequence[LoopResult], basis: Basis) -> Compared:
    """Arms and differences; loops that are not at their end take no part, nor do their blocks in a pair."""
    scales, unit, smallest = scaled(results)
    factors = _factors(results)
    comparisons = sum(len(arms) - 1 for arms in factors.values())
    values = {result.loop: _values(result, basis, scales) for result in results}
    differences = [
        _difference(results, values, (factor, arm, arms[0]), basis, comparisons)
        for factor, arms in factors.items()
        for arm in arms[1:]
    ]
    every = factors or {"policy": tuple(dict.fromkeys(result.arms["policy"] for result in results))}
    return Compared(
        basis=basis,
        unit=unit,
        smallest=smallest,
        tasks=len({result.task for result in results}),
        confidence=CONFIDENCE,
        comparisons=comparisons,
        arms=tuple(_arm(results, values, factor, arm) for factor, arms in every.items() for arm in arms),
        differences=tuple(differences),
    )


def pairs_needed(spread: float, size: float, confidence: float, power: float = POWER) -> int | None:
    """The fewest pairs with which a paired t test shows a difference of `size` with that power; None for very many.

    Args:
        spread: Standard deviation of the paired differences; more than 0.
        size: The true difference; more than 0.
        confidence: Of the two-sided interval that must exclude zero.
        power: The chance that it does.

    As in Cohen, Statistical Power Analysis (1988), chapter 2.
    """
    low, high = 2, 2
    while power_of(high, spread, size, confidence) < power:
        low, high = high, 2 * high
        if high > MOST_PAIRS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, spread, size, confidence) >= power else (middle + 1, high)
    return high


def size_shown(spread: float, pairs: int, confidence: float, power: float = POWER) -> float:
    """The smallest true difference that so many pairs show with that power; arguments as in `pairs_needed`."""
    low, high = 0.0, spread
    while power_of(pairs, spread, high, confidence) < power:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(pairs, spread, middle, confidence) >= power else (middle, high)
    return high


def power_of(pairs: int, spread: float, size: float, confidence: float) -> float:
    """The chance that an interval over so many pairs excludes zero, to three digits.

    Integrated over the quantiles of the estimated spread: scipy's noncentral t fails for few pairs and large effects.
    """
    from scipy.special import chdtri, ndtr, stdtrit  # noqa: PLC0415 - a tenth of the time that scipy.stats takes

    freedom = pairs - 1
    upper = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bar = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(chdtri(freedom, upper) / freedom)
    away = size / spread * math.sqrt(pairs)
    return float(np.mean(ndtr(away - bar) + ndtr(-away - bar)))


# --- from loops to pairs --------------------------------------------------------------------------------------------


def _factors(results: Sequence[LoopResult]) -> dict[str, tuple[str, ...]]:
    """What varies, and its arms in the order in which they were named."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for result in sorted(results, key=lambda result: result.loop):
        for factor, arm in result.arms.items():
            found[factor][arm] = None
    return {factor: tuple(arms) for factor, arms in found.items() if len(arms) > 1}


def scaled(results: Sequence[LoopResult]) -> tuple[dict[str, float], str, float | None]:
    """What each task's gains are divided by, the unit that gives, and the seed noise in it."""
    noises = {result.task: (result.metric, result.noise) for result in results if result.noise}
    if len(noises) < 2:
        metric, noise = next(iter(noises.values()), ("", None))
        return dict.fromkeys(noises, 1.0), one_line(metric, 60), noise
    return {task: noise or 1.0 for task, (_, noise) in noises.items()}, "seed noises", 1.0


def _values(result: LoopResult, basis: Basis, scales: dict[str, float]) -> dict[str, float]:
    """A loop's measures, those left out that it does not have."""
    if result.status != "finished":
        return {}
    scale = scales.get(result.task, 1.0)
    gain = result.truth if basis == "grounded" else result.gain
    found = {
        "gain": None if gain is None else gain / scale,
        "claimed": None if result.gain is None else result.gain / scale,
        "gap": None if result.gap is None else result.gap / scale,
        **{name: float(getattr(result, name)) for name in DESCRIBED if name != "gap"},
    }
    return {name: value for name, value in found.items() if value is not None and abs(value) < BEYOND}


Values = dict[str, dict[str, float]]


def _arm(results: Sequence[LoopResult], values: Values, factor: str, arm: str) -> Arm:
    mine = [result for result in results if result.arms[factor] == arm]
    done = [result for result in mine if result.status == "finished"]

    def average(measure: str) -> float | None:
        found = [values[result.loop][measure] for result in done if measure in values[result.loop]]
        return sum(found) / len(found) if found else None

    return Arm(
        factor=factor,
        arm=arm,
        grounded=all(result.grounded for result in mine),
        loops=len(done),
        unfinished=len(mine) - len(done),
        certified=sum(result.certified for result in done),
        refused=sum(bool(result.refused) for result in done),
        claimed=average("claimed"),
        means={measure: average(measure) for measure in MEASURES},
    )


def _difference(
    results: Sequence[LoopResult], values: Values, arms: tuple[str, str, str], basis: Basis, comparisons: int
) -> Difference:
    factor, arm, reference = arms
    own, others = (_blocks(results, values, factor, name) for name in (arm, reference))
    error = 1 - CONFIDENCE
    told = {"gain": 1 - error / comparisons} | dict.fromkeys(DESCRIBED, 1 - error / comparisons / len(DESCRIBED))
    pairs = {measure: _pairs(own, others, measure) for measure in MEASURES}
    found = {measure: _interval(pairs[measure], told[measure]) for measure in MEASURES}
    compute = [sum(side) for side in zip(*pairs["compute"], strict=True)] if pairs["compute"] else []
    takes_part = [result for result in results if result.arms[factor] in (arm, reference)]
    return Difference(
        factor=factor,
        arm=arm,
        reference=reference,
        grounded=basis == "grounded" or all(result.grounded for result in takes_part),
        gain=found.pop("gain"),
        described=found,
        compute_ratio=compute[0] / compute[1] if compute and compute[1] else None,
        spread=_spread(pairs["gain"]),
    )


Blocks = dict[tuple[str, int], dict[str, float]]


def _blocks(results: Sequence[LoopResult], values: Values, factor: str, arm: str) -> Blocks:
    """An arm's mean in each block, of the measures that every one of its loops there has."""
    loops: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    for result in results:
        if result.arms[factor] == arm:
            loops[result.task, result.seed].append(values[result.loop])
    return {
        block: {
            measure: sum(one[measure] for one in found) / len(found)
            for measure in MEASURES
            if all(measure in one for one in found)
        }
        for block, found in loops.items()
    }


def _pairs(own: Blocks, others: Blocks, measure: str) -> list[tuple[float, float]]:
    return [
        (found[measure], others[block][measure])
        for block, found in sorted(own.items())
        if measure in found and measure in others.get(block, {})
    ]


def _interval(pairs: Sequence[tuple[float, float]], confidence: float) -> Interval | None:
    if not pairs:
        return None
    one, other = zip(*pairs, strict=True)
    return difference(one, other, Direction.MAXIMIZE, confidence, paired=True)


def _spread(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 2:
        return None
    gains = [one - other for one, other in pairs]
    mean = sum(gains) / len(gains)
    return math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1))
