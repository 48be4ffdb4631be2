"""After a failed milestone: which kept edits since the last certified incumbent are to be taken back?

This is a decision, not a claim. What is wanted is the best code, so the answer is Bayes': an edit is taken back where
its posterior mean effect is below what an edit should be worth. Priors are the search's own posteriors; data are trials
of the incumbent without random subsets of the edits, on the dev split (see `rsi.claims.ablation`), in a linear model
with known noise:

    value = intercept − Σ effect_i [i is out] + noise          effect_i ~ N(mean_i, sd_i²), intercept flat

A subset holds each edit with the probability that it is to be taken back (Thompson sampling, Biometrika 25, 1933),
never less than `_LEAST_SHARE`: the doubtful half the time, the useless mostly out, so that the code that will be built
is the code that gets tested. Trials come in pairs under one seed with opposite subsets; `correlation` says how much of
its luck such a pair shares. It ends when little is left to gain from knowing more, or with the budget.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

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
from rsi.errors import UsageError
from rsi.records import Record

_LEAST_SHARE = 0.1
_ATTEMPTS = 6
_ENOUGH = 0.02
"""Stop when all wrong decisions together are expected to cost less than this share of the seed noise."""


class KeptEdit(Record):
    """A kept edit and what the search believes of its effect; positive is better."""

    edit: int
    mean: FiniteFloat
    sd: FiniteFloat = Field(gt=0)


class BlamePlan(Record):
    """What there is to find out, and how much it may cost; fixed and recorded before the first question."""

    edits: tuple[KeptEdit, ...]
    """Since the last certified incumbent, in the order in which they were kept."""
    trials: int = Field(ge=0)
    """At most so many are asked for."""
    noise: FiniteFloat = Field(gt=0)
    """Standard deviation of one trial over seeds."""
    correlation: float = Field(default=0.0, ge=0, le=0.99)
    """Of two trials under the same seed (`rsi.claims.noise.pairing`)."""
    margin: FiniteFloat = 0.0
    """An edit that is worth less than this is taken back."""
    seed: int
    """For the draw of the subsets."""

    @model_validator(mode="after")
    def _makes_sense(self) -> BlamePlan:
        numbers = [kept.edit for kept in self.edits]
        if not numbers or len(set(numbers)) != len(numbers):
            raise UsageError("Blame needs the kept edits since the last certified incumbent, each of them once.")
        return self


class Effect(Record):
    """What is believed of a unit of edits in the end."""

    edits: Edits
    mean: float
    sd: float


class TakeBack(Record):
    """The end: these edits are to be taken back together; empty where none is worth less than the margin."""

    kind: Literal["take_back"] = "take_back"
    edits: Edits
    entangled: tuple[Edits, ...]
    """Groups that cannot be taken back one by one and were judged as a whole."""
    effects: tuple[Effect, ...]
    trials: int


BlameStep = Annotated[Asks | TakeBack, Field(discriminator="kind")]


def next_step(plan: BlamePlan, answers: Sequence[Answer]) -> Asks | TakeBack:
    """What to ask, or what to take back, given every answer so far (in any order)."""
    return resume(_blame(plan), answers)


def _blame(plan: BlamePlan) -> Procedure[TakeBack]:
    order = tuple(kept.edit for kept in plan.edits)
    units = yield from find_units(order)
    prior = _prior(plan, units)
    trained: list[Trained] = []
    refused: set[Edits] = set()
    posterior = prior
    least = min(before_ending(plan.trials), 2 * len(units) + 2)
    draws = random.Random(plan.seed)  # noqa: S311 - no secret is drawn
    most = before_ending(plan.trials)
    while len(trained) < most:
        if len(trained) >= least and float(_losses(posterior).sum()) < _ENOUGH * plan.noise:
            break
        shares = [min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE) for share in _useless(posterior)]
        numbers = [[draws.random() for _ in units] for _ in range(_ATTEMPTS)]
        opposite = [[1 - number for number in row] for row in numbers]
        first = yield from draw_removal(units, numbers, shares, refused, order)
        second = yield from draw_removal(units, opposite, shares, refused, order)
        if first == second:
            second = yield from draw_removal(units, [_turned(units, first, posterior)], shares, refused, order)
        slot = trained[-1].ask.slot + 1 if trained else 0
        pair = (first,) if first == second or most - len(trained) < 2 else (first, second)
        answers = yield tuple(TrainWithout(edits=subset, slot=slot) for subset in pair)
        trained += [answer for answer in answers if isinstance(answer, Trained)]
        refused |= {answer.ask.edits for answer in trained if answer.value is None}
        posterior = _posterior(plan, units, prior, trained)
    return (yield from _ending(plan, units, posterior, trained))


def _ending(
    plan: BlamePlan, units: tuple[Edits, ...], posterior: _Beliefs, trained: list[Trained]
) -> Procedure[TakeBack]:
    order = tuple(kept.edit for kept in plan.edits)
    worth = posterior.mean - posterior.margin
    useless = sorted((int(i) for i in np.flatnonzero(worth < 0)), key=lambda i: (worth[i], i))
    taken_back, done = yield from removable([units[i] for i in useless], trained, order, plan.trials)
    return TakeBack(
        edits=taken_back,
        entangled=tuple(unit for unit in units if len(unit) > 1),
        effects=tuple(
            Effect(edits=unit, mean=float(mean), sd=float(sd))
            for unit, mean, sd in zip(units, posterior.mean, posterior.sd, strict=True)
        ),
        trials=len(done),
    )


class _Beliefs(NamedTuple):
    """Mean and standard deviation of each unit's effect, and what it should be worth."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    margin: NDArray[np.float64]


def _prior(plan: BlamePlan, units: Sequence[Edits]) -> _Beliefs:
    beliefs = {kept.edit: kept for kept in plan.edits}
    return _Beliefs(
        mean=np.array([sum(beliefs[edit].mean for edit in unit) for unit in units]),
        sd=np.array([math.hypot(*(beliefs[edit].sd for edit in unit)) for unit in units]),
        margin=np.array([plan.margin * len(unit) for unit in units]),
    )


def _posterior(plan: BlamePlan, units: Sequence[Edits], prior: _Beliefs, trained: Sequence[Trained]) -> _Beliefs:
    """The normal posterior, all in units of the noise; the intercept's prior is flat."""
    rows, values = _whitened(plan, units, trained)
    if not len(values):
        return prior
    precision = np.diag([0.0, *(plan.noise / prior.sd) ** 2]) + rows.T @ rows
    pull = rows.T @ values + np.array([0.0, *(plan.noise / prior.sd) ** 2 * (prior.mean / plan.noise)])
    covariance = np.linalg.inv(precision)
    return _Beliefs(
        mean=(covariance @ pull)[1:] * plan.noise,
        sd=np.sqrt(np.diag(covariance)[1:]) * plan.noise,
        margin=prior.margin,
    )


def _whitened(
    plan: BlamePlan, units: Sequence[Edits], trained: Sequence[Trained]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design and values with independent unit noise: a pair under one seed becomes its scaled sum and difference."""
    slots: dict[int, list[tuple[NDArray[np.float64], float]]] = {}
    for answer in trained:
        if answer.value is not None:
            out = np.array([1.0, *(-1.0 if unit[0] in answer.ask.edits else 0.0 for unit in units)])
            slots.setdefault(answer.ask.slot, []).append((out, answer.value / plan.noise))
    rows: list[NDArray[np.float64]] = []
    values: list[float] = []
    for members in slots.values():
        if len(members) == 1:
            rows.append(members[0][0])
            values.append(members[0][1])
            continue
        (first, one), (second, other) = members
        for sign in (1.0, -1.0):
            scale = math.sqrt(2 * (1 + sign * plan.correlation))
            rows.append((first + sign * second) / scale)
            values.append((one + sign * other) / scale)
    return np.array(rows).reshape(len(values), len(units) + 1), np.array(values)


def _turned(units: Sequence[Edits], subset: Edits, beliefs: _Beliefs) -> list[float]:
    """Numbers that draw this subset with its most doubtful unit turned: in for out, out for in."""
    losses = _losses(beliefs)
    doubtful = int(np.argmax(losses))
    return [float((unit[0] in subset) == (position == doubtful)) for position, unit in enumerate(units)]


def _useless(beliefs: _Beliefs) -> list[float]:
    """The probability that each unit is worth less than its margin."""
    standard = (beliefs.margin - beliefs.mean) / beliefs.sd
    return [0.5 * math.erfc(-value / math.sqrt(2)) for value in standard]


def _losses(beliefs: _Beliefs) -> NDArray[np.float64]:
    """What deciding on each unit now is expected to lose against knowing its effect: sd (φ(z) − |z| Φ(−|z|))."""
    standard = np.abs(beliefs.mean - beliefs.margin) / beliefs.sd
    density = np.exp(-(standard**2) / 2) / math.sqrt(2 * math.pi)
    beyond = np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in standard])
    losses: NDArray[np.float64] = beliefs.sd * (density - standard * beyond)
    return losses
