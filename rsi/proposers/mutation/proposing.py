"""From a way to draw orders to a proposal: the first one drawn whose code is new."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rsi import confined
from rsi.edits import render_diff
from rsi.proposers.mutation.choice import Named, Order
from rsi.proposers.mutation.rationale import sentence
from rsi.protocols import Exhausted
from rsi.records import Brief, CodeFiles, Edit, EditFormat, Proposal, Provenance

Draw = Callable[[Sequence[dict[str, Any]], Brief, random.Random], Iterator[Order]]

_AT_ONCE = 25
_SECONDS = 30.0


def propose(brief: Brief, draw: Draw, proposer: str) -> Proposal:
    """A proposal whose code parses and was not tried; Exhausted where no order gives one."""
    moves = discovered(brief)
    order, code = first_new(brief, draw(moves, brief, random.Random(brief.seed)))  # noqa: S311 - no secret is drawn
    return proposal(brief, order, code, proposer, sentence(order, brief))


def discovered(brief: Brief) -> list[Named]:
    """Every single move that the code has a place for; Exhausted where there is none."""
    moves: list[Named] = asked("discover", brief.code)
    if not moves:
        raise Exhausted("No transformation applies to this code: name its hyperparameters in capitals at the top.")
    return moves


def first_new(brief: Brief, orders: Iterator[Order]) -> tuple[Order, CodeFiles]:
    """The first of the orders that gives code which parses and was not tried, and that; Exhausted where none does."""
    tried = sorted(brief.tried)
    while some := list(itertools.islice(orders, _AT_ONCE)):
        answer = asked("first_new", {"code": brief.code, "orders": some, "tried": tried})
        if answer is not None:
            return some[answer["index"]], answer["code"]
    raise Exhausted("Every transformation of this code, and of what was kept, has been tried.")


def proposal(brief: Brief, order: Order, code: CodeFiles, proposer: str, rationale: str) -> Proposal:
    """The moves of an order, and the code that they give, as a proposal."""
    return Proposal(
        edit=Edit(format=EditFormat.UNIFIED_DIFF, text=render_diff(brief.code, code)),
        rationale=rationale,
        kind=order[0]["kind"] if len(order) == 1 else "combined",
        detail=_detail(order),
        provenance=Provenance(proposer=proposer),
    )


def asked(function: str, argument: Any) -> Any:
    """What a function of `child` answers in the confined child; Exhausted for code that it cannot transform."""
    try:
        return confined.call(f"rsi.proposers.mutation.child:{function}", argument, seconds=_SECONDS)
    except (confined.TooLong, confined.Crashed) as failure:
        raise Exhausted(f"The code is too large or too deeply nested to transform: {failure}.") from None


def _detail(order: Order) -> dict[str, str | int | float | bool | None]:
    if len(order) == 1:
        return dict(order[0]["detail"])
    return {
        f"{number}.{key}": value
        for number, move in enumerate(order, start=1)
        for key, value in {"kind": move["kind"], **move["detail"]}.items()
    }
