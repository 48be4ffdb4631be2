"""The truth of a simulated task: what each edit is worth, alone and beside others, and how a trial's noise falls.

Code is read, never executed. Every line `effect_<name> = …` has an effect that is a function of the surface's seed and
the name alone, so that edits can be transplanted, taken back and repeated, and mean the same wherever they stand.
"""

from __future__ import annotations

import hashlib
import math
import re
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from rsi.records import Record

_NAME = re.compile(r"^effect_(\w+) = ", re.MULTILINE)
_NORMAL = NormalDist()


class Surface(Record):
    """What a simulated task is like; sizes are in the objective's units, shares are of all edits."""

    seed: int = 0
    helpful: float = Field(default=0.15, ge=0, le=1)
    null: float = Field(default=0.40, ge=0, le=1)
    exploiting: float = Field(default=0.0, ge=0, le=1)
    """Edits that raise the score on dev, as a helpful one would, and nothing else. The rest is harmful."""
    mean_help: float = Field(default=0.01, gt=0)
    """Of a helpful edit's effect."""
    tail: float = Field(default=1.0, gt=0.2, le=4)
    """Weibull shape of helpful effects: 1 is exponential, less is heavier (0.5: the best of a hundred is 11 means)."""
    harm: float = Field(default=0.04, gt=0)
    """Standard deviation of the half-normal from which harmful effects come."""
    ceiling: float | None = Field(default=None, gt=0)
    """All effects together approach this gain and no more (diminishing returns); None lets them add up."""
    interacting: float = Field(default=0.0, ge=0, le=1)
    """Share of the pairs within a region that change each other's effect."""
    interaction: float = Field(default=0.01, ge=0)
    """Standard deviation of that change."""
    crashing: float = Field(default=0.0, ge=0, le=1)
    """Share of edits, whatever their effect, with which training crashes."""
    noise: float = Field(default=0.02, ge=0)
    """Standard deviation of a trial's score over seeds."""
    shared: float = Field(default=0.0, ge=0, le=1)
    """Correlation of the noise of two pieces of code under the same seed."""
    drift: float = Field(default=0.0, ge=0)
    """Amplitude by which the machine moves every score, slowly, as trials go by."""
    drift_period: float = Field(default=200.0, gt=0)
    """In trials."""
    base: float = 1.0
    """The baseline's true score; lower is better."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.helpful + self.null + self.exploiting > 1 + 1e-9:
            raise ValueError("the shares of helpful, null and exploiting edits are more than 1 together")
        return self


class Nature(StrEnum):
    """What sort of effect an edit has."""

    HELPFUL = "helpful"
    NULL = "null"
    HARMFUL = "harmful"
    EXPLOITING = "exploiting"


class Effect(NamedTuple):
    """One line's worth, before ceilings and interactions; positive is better."""

    nature: Nature
    true: float
    on_dev: float
    crashes: bool


class Value(NamedTuple):
    """What a piece of code is worth over the baseline; positive is better."""

    true: float
    on_dev: float
    crashes: bool


@lru_cache(maxsize=1 << 16)
def effect(surface: Surface, name: str) -> Effect:
    """The effect of the line of that name."""
    which, size, crash = _uniforms(surface.seed, "effect", name)
    crashes = crash < surface.crashing
    if which < surface.helpful + surface.exploiting:
        help_ = surface.mean_help / math.gamma(1 + 1 / surface.tail) * (-math.log(size)) ** (1 / surface.tail)
        if which < surface.helpful:
            return Effect(Nature.HELPFUL, help_, help_, crashes)
        return Effect(Nature.EXPLOITING, 0.0, help_, crashes)
    if which < surface.helpful + surface.exploiting + surface.null:
        return Effect(Nature.NULL, 0.0, 0.0, crashes)
    harm = surface.harm * _NORMAL.inv_cdf((1 + size) / 2)
    return Effect(Nature.HARMFUL, -harm, -harm, crashes)


@lru_cache(maxsize=1 << 10)
def value(surface: Surface, code: str) -> Value:
    """What the code is worth: its lines' effects and interactions, under the ceiling."""
    found = [effect(surface, name) for name in _NAME.findall(code)]
    between = sum(_interactions(surface, region) for region in code.split("\n#")) if surface.interacting else 0.0
    true, on_dev = between + sum([e.true for e in found]), between + sum([e.on_dev for e in found])
    crashes = surface.crashing > 0 and any(e.crashes for e in found)
    return Value(_under(surface.ceiling, true), _under(surface.ceiling, on_dev), crashes)


def _interactions(surface: Surface, region: str) -> float:
    """What the lines of a region, those between two comments, change of each other's effects."""
    change = 0.0
    for pair in combinations(sorted(_NAME.findall(region)), 2):
        happens, size, _ = _uniforms(surface.seed, "pair", *pair)
        if happens < surface.interacting:
            change += surface.interaction * _NORMAL.inv_cdf(size)
    return change


def _under(ceiling: float | None, gain: float) -> float:
    return gain if ceiling is None or gain <= 0 else ceiling * -math.expm1(-gain / ceiling)


def score(surface: Surface, code: str, seed: int, trials_before: float = 0.0) -> tuple[float, float]:
    """What one trial measures on dev and on the holdout; lower is better.

    Args:
        surface: The truth.
        code: What was trained.
        seed: Of the trial; the same code under the same seed has the same noise.
        trials_before: Where the machine's drift stands.
    """
    worth = value(surface, code)
    common = _normal(surface.seed, "seed", str(seed))
    own = _normal(surface.seed, "trial", str(seed), code)
    moved = surface.noise * (math.sqrt(surface.shared) * common + math.sqrt(1 - surface.shared) * own)
    if surface.drift:
        phase = _uniforms(surface.seed, "drift")[0]
        moved += surface.drift * math.sin(2 * math.pi * (phase + trials_before / surface.drift_period))
    return surface.base - worth.on_dev + moved, surface.base - worth.true + moved


def _uniforms(seed: int, *labels: str) -> tuple[float, float, float]:
    """Three numbers in (0, 1), a function of what they are for."""
    digest = hashlib.blake2b("\x00".join((str(seed), *labels)).encode(), digest_size=24).digest()
    return tuple((int.from_bytes(digest[at : at + 8], "big") + 0.5) * 2.0**-64 for at in (0, 8, 16))  # type: ignore[return-value]


def _normal(seed: int, *labels: str) -> float:
    """A standard normal number, a function of what it is for (Box and Muller 1958)."""
    one, two, _ = _uniforms(seed, *labels)
    return math.sqrt(-2 * math.log(one)) * math.cos(2 * math.pi * two)
