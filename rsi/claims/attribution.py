"""Which of the kept edits really matter? Each taken out of the final incumbent, with false discoveries controlled.

Trials train the incumbent without a random quarter of its edits, each under a fresh seed (see `rsi.claims.ablation`);
least squares gives each edit's effect with its t. Edits that matter are those that Benjamini and Hochberg's procedure
(Journal of the Royal Statistical Society B 57, 1995) lists on the one-sided p-values: of the listed, on average at most
`false_discovery` do nothing or harm. Subsets are drawn before anything is seen, so the tests are exact for normal noise
and effects that add up; where effects interact, an edit's is its average over the other edits' presence.

There are three looks, at a quarter, half and all of the trials, with their shares of `false_discovery`; the procedure
ends at the first that leaves no edit open. Whichever it ends at, the expected share of false discoveries is at most the
sum over the looks. Why not e-values: e-BH (Wang and Ramdas, Journal of the Royal Statistical Society B 84, 2022) would
allow a look after every trial, but lists less after as many (`benchmarks/claims.py` compares them).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from rsi.claims.ablation import (
    Answer,
    Asks,
    Edits,
    Procedure,
    Trained,
    TrainWithout,
    before_ending,
    draw_removal,
    find_units,
    removable,
    resume,
)
from rsi.claims.input import check_share
from rsi.errors import UsageError
from rsi.records import Record

REMOVED_SHARE = 0.25
"""Of the edits, in each trial. A half would inform a third better, but further from the incumbent as it is."""
LOOKS = ((0.25, 0.1), (0.5, 0.2), (1.0, 0.7))
"""(share of the trials, share of the false discovery rate) of each look."""
_ATTEMPTS = 6
_AT_ONCE = 16
_CRASHES = 3
"""After so many crashes and no score without it, an edit is tried alone, to see whether the code needs it."""


class AttributionPlan(Record):
    """What there is to find out, and how much it may cost; fixed and recorded before the first question."""

    edits: Edits
    """Every edit that is in the final incumbent, in the order in which they were kept."""
    trials: int
    false_discovery: float = 0.05
    ignorable: FiniteFloat = Field(default=0.0, ge=0)
    """An effect up to this is as good as none (the task's equivalence margin)."""
    seed: int
    """For the draw of the subsets."""

    @model_validator(mode="after")
    def _makes_sense(self) -> AttributionPlan:
        check_share(self.false_discovery, "The false discovery rate")
        if not self.edits or len(set(self.edits)) != len(self.edits):
            raise UsageError("Attribution needs the edits that are in the incumbent, each of them once.")
        least = least_trials(len(self.edits))
        if self.trials < least:
            raise UsageError(f"Attribution of {len(self.edits)} edits takes at least {least} trials; set more aside.")
        return self


class Attributed(Record):
    """One unit of edits: what taking it out costs, with a 95% interval where there is one."""

    edits: Edits
    verdict: Literal["matters", "needed", "idle", "undecided"]
    """`matters`: listed under the false discovery rate. `needed`: the code crashes without it. `idle`: its estimate is
    no more than ignorable. `undecided`: it looks useful, and that may be luck."""
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


class Attribution(Record):
    """The end."""

    kind: Literal["attribution"] = "attribution"
    units: tuple[Attributed, ...]
    entangled: tuple[Edits, ...]
    """Groups that cannot be taken out one by one and were judged as a whole."""
    take_out: Edits
    """The idle edits that come out together: the incumbent without them is the leaner one."""
    trials: int

    def having(self, verdict: str) -> Edits:
        """The edits of that verdict."""
        return tuple(edit for unit in self.units if unit.verdict == verdict for edit in unit.edits)


AttributionStep = Annotated[Asks | Attribution, Field(discriminator="kind")]


def least_trials(edits: int) -> int:
    """Below this a regression on so many edits says next to nothing."""
    return 2 * edits + 8


def next_step(plan: AttributionPlan, answers: Sequence[Answer]) -> Asks | Attribution:
    """What to train, or the result, given every answer so far (in any order)."""
    return resume(procedure(plan), answers)


def procedure(plan: AttributionPlan) -> Procedure[Attribution]:
    """The questions one after another, for who can answer at once; `next_step` is the same for who keeps a record."""
    units = yield from find_units(plan.edits)
    trained: list[Trained] = []
    refused: set[Edits] = set()
    needed: set[Edits] = set()
    draws = random.Random(plan.seed)  # noqa: S311 - no secret is drawn
    judged: tuple[Attributed, ...] = ()
    for share, level in LOOKS:
        until = math.ceil(share * before_ending(plan.trials))
        while len(trained) < until:
            wanted = min(_AT_ONCE, until - len(trained))
            subsets: list[Edits] = list(_suspects(units, trained, needed))[:wanted]
            shares = [0.0 if unit in needed else REMOVED_SHARE for unit in units]
            while len(subsets) < wanted:
                numbers = [[draws.random() for _ in units] for _ in range(_ATTEMPTS)]
                subsets.append((yield from draw_removal(units, numbers, shares, refused, plan.edits)))
            answers = yield tuple(
                TrainWithout(edits=subset, slot=len(trained) + place) for place, subset in enumerate(subsets)
            )
            trained += [answer for answer in answers if isinstance(answer, Trained)]
            crashed = {answer.ask.edits for answer in trained if answer.value is None}
            refused |= crashed
            needed |= {unit for unit in units if unit in crashed}
        judged = judge(units, trained, needed, plan.false_discovery * level, plan.ignorable)
        if not any(_open(unit, plan.ignorable) for unit in judged):
            break
    idle = sorted(
        (unit for unit in judged if unit.verdict == "idle"), key=lambda unit: (unit.effect or 0.0, unit.edits)
    )
    take_out, done = yield from removable([unit.edits for unit in idle], trained, plan.edits, plan.trials)
    return Attribution(
        units=judged, entangled=tuple(unit for unit in units if len(unit) > 1), take_out=take_out, trials=len(done)
    )


def _suspects(units: Sequence[Edits], trained: Sequence[Trained], needed: set[Edits]) -> Sequence[Edits]:
    """Units without which nothing was ever scored, though it was tried: to be taken out alone."""
    suspects = []
    for unit in units:
        without = [answer.value for answer in trained if unit[0] in answer.ask.edits]
        if unit not in needed and len(without) >= _CRASHES and not any(value is not None for value in without):
            suspects.append(unit)
    return suspects


def _open(unit: Attributed, ignorable: float) -> bool:
    return unit.verdict in ("idle", "undecided") and (unit.high is None or unit.high > ignorable)


def judge(
    units: Sequence[Edits], trained: Sequence[Trained], needed: set[Edits], level: float, ignorable: float
) -> tuple[Attributed, ...]:
    """Every unit's effect and verdict, from the trials so far."""
    scored = [answer for answer in trained if answer.value is not None]
    free = [unit for unit in units if unit not in needed]
    out = np.array([[unit[0] in answer.ask.edits for unit in free] for answer in scored], dtype=np.float64)
    values = np.array([answer.value for answer in scored], dtype=np.float64)
    effects = least_squares(out.reshape(len(scored), len(free)), values)
    listed = discoveries([1.0 if effect is None else effect.p_value for effect in effects], level)
    found = dict(zip(free, zip(effects, listed, strict=True), strict=True))
    return tuple(
        Attributed(edits=unit, verdict="needed") if unit in needed else _judged(unit, *found[unit], ignorable)
        for unit in units
    )


def _judged(unit: Edits, effect: Effect | None, listed: bool, ignorable: float) -> Attributed:
    if effect is None:
        return Attributed(edits=unit, verdict="undecided")
    verdict: Literal["matters", "idle", "undecided"] = (
        "matters" if listed else "idle" if effect.mean <= ignorable else "undecided"
    )
    return Attributed(
        edits=unit,
        verdict=verdict,
        effect=effect.mean,
        low=effect.mean - effect.reach,
        high=effect.mean + effect.reach,
        p_value=effect.p_value,
    )


class Effect(Record):
    """A coefficient: how much worse the code is without the unit; `reach` is the half-width of its 95% interval."""

    mean: float
    reach: float
    p_value: float
    """One-sided, of the null that the unit does nothing or harms."""


def least_squares(out: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[Effect | None, ...]:
    """The effect of each column's removal, from trials (rows) in which it was out (1) or in (0).

    None for a column that the trials cannot tell apart from others, and for all of them where the values do not vary
    or are too few.
    """
    from scipy.special import stdtr, stdtrit  # noqa: PLC0415 - scipy is imported when a claim is reckoned

    trials, columns = (int(size) for size in out.shape)
    freedom = trials - columns - 1
    nothing: tuple[Effect | None, ...] = (None,) * columns
    if freedom < 1:
        return nothing
    unit = float(np.abs(values).max()) or 1.0
    values = values / unit
    design = np.column_stack([np.ones(trials), -out])
    inverse: NDArray[np.float64] = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ values
    residual = values - design @ coefficients
    squares = float(residual @ residual)
    if squares <= 1e-24 * float(values @ values):
        return nothing
    # A column is told apart where the projection onto the design's row space leaves it as it is.
    identified = np.abs(np.diag(inverse @ design.T @ design) - 1.0) < 1e-6
    quantile = float(stdtrit(freedom, 0.975))
    effects: list[Effect | None] = []
    for column in range(1, columns + 1):
        if not identified[column]:
            effects.append(None)
            continue
        mean, error = float(coefficients[column]), math.sqrt(squares / freedom * float(inverse[column, column]))
        p_value = float(stdtr(freedom, -mean / error))
        effects.append(Effect(mean=mean * unit, reach=quantile * error * unit, p_value=p_value))
    return tuple(effects)


def discoveries(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Which null hypotheses Benjamini and Hochberg's procedure rejects at this false discovery rate."""
    from scipy.stats import false_discovery_control  # noqa: PLC0415 - takes most of a second to import

    if not p_values:
        return ()
    return tuple(bool(adjusted <= level) for adjusted in false_discovery_control(p_values, method="bh"))
