"""What a proposer's program is, what it is asked, and what came of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from rsi.evidence import Arrays, Challenge
from rsi.execution import MIB, Limits
from rsi.records import CodeFiles, Record

MOST_IN_A_ROW = 3
"""Answers of no use, one after another, after which nobody asks any more."""


class Program(Record):
    """Candidate code that ranks, as it was found at its source, with what it has learned where that was there."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    origin: str
    """Where it was found, in words: `experiment 5 of RUN`, `the folder mine`."""
    code: CodeFiles
    module: str
    """Of the code: offers `predict(artifact, inputs)`, and learns when it is run as a script."""
    artifact: Mapping[str, bytes] = {}
    """What it has learned, by file name; where it is empty the program learns at the run's start."""
    episodes: bytes = b""
    """A `.npy` file to learn from."""
    limits: Limits = Limits(wall_seconds=30.0, cpu_seconds=30.0, memory_bytes=1024 * MIB, disk_bytes=32 * MIB)
    """For one answer."""
    learning: Limits = Limits(wall_seconds=300.0, cpu_seconds=300.0, memory_bytes=2048 * MIB)


class Question(Record):
    """One question: arrays in, one preference for each option out."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    inputs: Arrays
    available: NDArray[np.bool_]
    """Shape (options,): which of them may be chosen at all."""

    @property
    def challenge(self) -> Challenge:
        """As the prediction protocol asks it."""
        return Challenge(name="ranking", inputs=dict(self.inputs), answer_shape=(1, len(self.available)))

    def digest(self) -> str:
        """sha256 of what the program is shown."""
        return self.challenge.digest()


class Answer(Record):
    """What came of a question."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    preferences: NDArray[np.float32] | None
    """Shape (options,); None where there are none of use."""
    problem: str = ""
    """Why they are of no use, in our own words: of what the program printed nothing is in it but a class and a line."""
    in_a_row: int = 0
    """Answers of no use up to this one, with none of use between them."""


class Ranks(Protocol):
    """Where a program's answers come from: a run that asks it (`front`), or its record (`recorded`)."""

    def answer(self, experiment: int, question: Question) -> Answer:
        """The answer to the question that the proposal of that experiment needs."""
        ...


def useless(preferences: NDArray[np.float32], available: NDArray[np.bool_]) -> str:
    """Why preferences choose nothing, as a sentence without its end; empty where they choose something."""
    if np.isnan(preferences[available]).all():
        return "the program proposes nothing: none of its preferences for an available option is a number"
    return ""
