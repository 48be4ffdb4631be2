"""What is asked of a language model and what it answers, whichever library carries it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import Field

from rsi.records import Record
from rsi.spending import Price

Effort = Literal["", "none", "minimal", "low", "medium", "high", "xhigh"]
"""How much a reasoning model is asked to think; empty leaves it to the model."""

BYTES_A_TOKEN = 8
"""No answer is longer than its tokens allow, taking them this long; code and prose have about four bytes a token."""
SHORTEST_BOUND = 4096
"""Bytes that an answer may always have."""
TOO_LONG = "too_long"
"""The finish of an answer that was longer, and is cut there."""


class Message(Record):
    """One turn. Its parts are one text; every part but the last is worth keeping in a provider's prompt cache."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The parts together."""
        return "".join(self.parts)


class Request(Record):
    """One question; equal requests have equal digests, by which a recorded answer is found again."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int = Field(ge=1)
    """Reasoning included."""
    effort: Effort = ""

    def digest(self) -> str:
        """sha256 of the request as canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to(self, model: str) -> Request:
        """The same question to another model."""
        return self.model_copy(update={"model": model})


class Answer(Record):
    """What came back, hostile text, with what it used."""

    text: str
    finish: str
    """`stop`, `length` (cut off), `content_filter` (withheld), `too_long` (cut here), or the provider's own word."""
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    """Of the input, served from the provider's cache."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """Of the output."""
    cost_usd: float | None = Field(default=None, ge=0)
    """None where no price is known."""
    model: str = ""
    """As the provider named it."""
    reported: bool = True
    """Whether the provider told what it used; else the worst case that was reserved stands here."""

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


class Asking(Protocol):
    """The questions of one experiment, in order."""

    def complete(self, purpose: str, request: Request, alternatives: Sequence[str] = ()) -> tuple[Answer, str]:
        """The answer and the model that gave it; `alternatives` are asked in order where the request's own fails."""
        ...


class Answers(Protocol):
    """Where answers come from: a run that pays (`Calls`), or its record (`RecordedCalls`)."""

    def begin(self, experiment: int, trial: str = "") -> Asking:
        """The questions of one experiment, or those about one of its trials, from the first."""
        ...


class Client(Protocol):
    """Carries a request to a model. Retries nothing, records nothing, writes nothing."""

    @property
    def timeout(self) -> float:
        """Seconds that a whole call may take."""
        ...

    def price(self, model: str) -> Price | None:
        """The highest price that a token of this model can have; None where none is known."""
        ...

    def complete(self, request: Request) -> Answer:
        """Ask once; raises a `CallFault`, whose message holds no secret, where there is no answer."""
        ...
