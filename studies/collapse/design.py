"""What a study of collapse is asked to do: its arms, sizes and seeds, frozen before anything is trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from rsi.errors import UsageError
from rsi.evidence import Secret
from rsi.plugins import nearest
from rsi.records import Record

CONTEXT = 4
"""Bytes that a model is shown when it is asked (`program/`)."""
PIECE = 4
"""Bytes of a passage, after the four before it: what is accepted or not, and what a row of training text adds."""
ROW = CONTEXT + PIECE
STREAM = 256
"""Bytes that one stream of a model writes, after the four that it begins with."""
CONTROL = "real"
FIRST = "first"
"""In place of an arm: generation 0, trained on real text, with which all arms of a seed begin."""
MOST_GENERATIONS = 100
MOST_SEEDS = 64
Model = Literal["table", "charlm"]
"""What is trained: a table of n-grams, or the GPT of the task `charlm`, small (`program/`)."""
TOLD: Mapping[Model, str] = {"table": "A table of n-grams", "charlm": "A small GPT, charlm's own,"}
FORMS = ("closed", "filtered", "mixed:SHARE", "accumulated", CONTROL)


class Form(NamedTuple):
    """What a study of one model is asked to do where nothing else is said."""

    arms: str
    seeds: int
    size: int
    size_quick: int
    order: int
    """Bytes of the filter's n-grams: as long as what is accepted still comes nearer to real text (`docs/lab.md`)."""


DEFAULTS: Mapping[Model, Form] = {
    "table": Form("closed,filtered,mixed:0.1,mixed:0.5,real", seeds=4, size=131_072, size_quick=32_768, order=5),
    "charlm": Form("closed,filtered,mixed:0.5,real", seeds=3, size=32_768, size_quick=16_384, order=3),
}
"""Sizes with which each fits into ten minutes of two processors, as `docs/lab.md` measures it."""


class Arm(Record):
    """What each generation after the first is trained on."""

    name: str = Field(pattern=r"^[a-z]{1,16}(:[0-9.e-]{1,12})?$")
    kind: Literal["closed", "filtered", "mixed", "accumulated", "real"]
    real_share: float = Field(default=0.0, ge=0, le=1)
    """Of each generation's text, drawn anew from real text."""


class Design(Record):
    """The frozen configuration of a study."""

    generations: int = Field(ge=1, le=MOST_GENERATIONS)
    """After generation 0."""
    seeds: int = Field(ge=1, le=MOST_SEEDS)
    arms: tuple[Arm, ...] = Field(min_length=1)
    seed: int = 0
    """All draws follow from it, so that the same study can be made again."""
    size: int = Field(default=131_072, ge=8192, le=4 * 1024 * 1024)
    """Bytes that each generation is trained on."""
    offered: int = Field(default=8, ge=2, le=64)
    """Passages that a filtered arm writes for each that is accepted."""
    discount: float = Field(default=0.75, gt=0, lt=1)
    """Of the n-gram tables of the filter."""
    order: int = Field(default=5, ge=1, le=5)
    """Bytes of the filter's n-grams."""
    model: Model = "table"
    """What is trained; where a record does not say, it is of before there were others."""

    @property
    def passages(self) -> int:
        """Rows that a generation is trained on."""
        return self.size // PIECE

    @property
    def streams(self) -> int:
        """Streams that hold `size` bytes."""
        return self.size // STREAM

    def arm(self, name: str) -> Arm:
        """The arm of that name; KeyError where there is none."""
        return next(arm for arm in self.arms if arm.name == name)

    def cells(self) -> int:
        """Models that are trained, all in all."""
        return self.seeds * (1 + self.generations * len(self.arms))

    def secret(self, *labels: str | int) -> Secret:
        """What one use is drawn from."""
        return Secret(key=hashlib.sha256(f"collapse {self.seed}".encode()).hexdigest()).derive(*labels)


def arms_of(words: str) -> tuple[Arm, ...]:
    """Arms by commas, as on the command line; UsageError in a sentence for what is none."""
    found: list[Arm] = []
    for word in filter(None, (word.strip() for word in words.split(","))):
        arm = _arm(word)
        if arm.name in {other.name for other in found}:
            raise UsageError(f"--arms names {arm.name} twice; name each arm once.")
        found.append(arm)
    if not found:
        raise UsageError(f"--arms names no arm; name some by commas: {', '.join(FORMS)}.")
    return tuple(found)


def _arm(word: str) -> Arm:
    kind, colon, share = word.partition(":")
    if kind == "mixed":
        return Arm(name=f"mixed:{_share(word, share):g}", kind="mixed", real_share=_share(word, share))
    if colon or kind not in {"closed", "filtered", "accumulated", "real"}:
        known = {"closed", "filtered", "mixed:0.1", "accumulated", "real"}
        raise UsageError(f"--arms: there is no arm {word[:40]!r}: {nearest(word, known)}")
    return Arm.model_validate({"name": kind, "kind": kind, "real_share": float(kind == "real")})


def _share(word: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise UsageError(
            f"--arms: {word[:40]!r} needs a share of real text between 0 and 1, as in mixed:0.1; "
            "without real text the arm is closed, with nothing else it is real."
        )
    return share


def model_of(name: str) -> Model:
    """A model as the command line names it; UsageError in a sentence for what is none."""
    for model in DEFAULTS:
        if model == name:
            return model
    raise UsageError(f"--model: there is no model {name[:40]!r}: {nearest(name, DEFAULTS)}")


def design_of(arms: str, *, generations: int, seeds: int, seed: int, size: int, model: Model = "table") -> Design:
    """A design as the command line names it; UsageError in a sentence for what cannot be."""
    for flag, value, most in (("--generations", generations, MOST_GENERATIONS), ("--seeds", seeds, MOST_SEEDS)):
        if not 1 <= value <= most:
            raise UsageError(f"{flag} is {value}; set it between 1 and {most}.")
    if size % (STREAM * PIECE) or not 8192 <= size <= 4 * 1024 * 1024:
        raise UsageError(f"--size is {size}; set it to a multiple of 1024 between 8192 and 4194304 bytes.")
    return Design(
        generations=generations,
        seeds=seeds,
        arms=arms_of(arms),
        seed=seed,
        size=size,
        order=DEFAULTS[model].order,
        model=model,
    )
