"""What calls may cost and have cost: the worst case before, the truth after, and nothing in between."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from pydantic import Field

from rsi.records import Record

TOKENS_A_MESSAGE = 32
"""Room for the marks that a chat template puts around a message."""
TOKENS_A_REQUEST = 64


class Price(Record):
    """Dollars for a token, each the highest that any tier, cache write or mode of thinking is billed at."""

    input_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)

    def worst(self, input_tokens: int, output_tokens: int) -> float:
        """The most that so many tokens can cost."""
        return input_tokens * self.input_usd + output_tokens * self.output_usd


class Spending(Record):
    """Calls, tokens and dollars; what was reserved and never settled is in it in full."""

    calls: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    """Calls that went to models of unknown price; their dollars are not in `cost_usd`."""

    def plus(self, other: Spending) -> Spending:
        """Both together."""
        return total((self, other))


def total(parts: Iterable[Spending]) -> Spending:
    """All of them together; dollars are added without rounding on the way."""
    listed = list(parts)
    return Spending(
        calls=sum(part.calls for part in listed),
        tokens=sum(part.tokens for part in listed),
        input_tokens=sum(part.input_tokens for part in listed),
        output_tokens=sum(part.output_tokens for part in listed),
        cached_tokens=sum(part.cached_tokens for part in listed),
        cost_usd=math.fsum(part.cost_usd for part in listed),
        unpriced_calls=sum(part.unpriced_calls for part in listed),
    )


class Limits(Protocol):
    """What `rsi.configuration.Budget` says about calls; None is no limit."""

    @property
    def cost_usd(self) -> float | None:
        """Dollars."""
        ...

    @property
    def tokens(self) -> int | None:
        """Input and output tokens."""
        ...

    @property
    def calls(self) -> int | None:
        """Requests sent, repeated ones included."""
        ...


class BudgetSpent(Exception):
    """The next call could pass a limit, so it is not sent; the message says which."""


def worst_case(texts: Iterable[str], max_output_tokens: int, price: Price | None) -> Spending:
    """The most that a request with these messages can use.

    No tokenizer makes more tokens than a text has bytes, and that is the only thing known of every model's: so bytes
    are counted. It is three to five times too much for English, and is given back when the call is settled.
    """
    listed = list(texts)
    input_tokens = sum(len(text.encode()) + TOKENS_A_MESSAGE for text in listed) + TOKENS_A_REQUEST
    return Spending(
        calls=1,
        tokens=input_tokens + max_output_tokens,
        input_tokens=input_tokens,
        output_tokens=max_output_tokens,
        cost_usd=price.worst(input_tokens, max_output_tokens) if price is not None else 0.0,
        unpriced_calls=int(price is None),
    )


def require_room(limits: Limits, spent: Spending, worst: Spending) -> None:
    """BudgetSpent where spending the worst case besides what is spent would pass a limit."""
    after = spent.plus(worst)
    if limits.calls is not None and after.calls > limits.calls:
        raise BudgetSpent(f"all {limits.calls} calls are made")
    if limits.tokens is not None and after.tokens > limits.tokens:
        raise BudgetSpent(
            f"{spent.tokens} of {limits.tokens} tokens are spent, and the next call could use {worst.tokens}"
        )
    if limits.cost_usd is not None and after.cost_usd > limits.cost_usd:
        raise BudgetSpent(
            f"${spent.cost_usd:.4f} of ${limits.cost_usd:g} are spent, and the next call could cost "
            f"${worst.cost_usd:.4f}"
        )
