"""From a way to draw orders to a proposal: the first one drawn whose code is new."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rsi import confined
from rsi.edits import render_diff
from rsi.proposers.mutation.choice import Order
from rsi.proposers.mutation.rationale import sentence
from rsi.protocols import Exhausted
from rsi.records import Brief, Edit, EditFormat, Proposal, Provenance

Draw = Callable[[Sequence[dict[str, Any]], Brief, random.Random], Iterator[Order]]

_AT_ONCE = 25
_SECONDS = 30.0


def propose(brief: Brief, draw: Draw, proposer: str) -> Proposal:
    """A proposal whose code parses and was not tried; Exhausted where no order gives one."""
    try:
        moves = confined.call("rsi.proposers.mutation.child:discover", brief.code, seconds=_SECONDS)
        if not moves:
            raise Exhausted("No transformation applies to this code: name its hyperparameters in capitals at the top.")
        found = _first_new(brief, draw(moves, brief, random.Random(brief.seed)))  # noqa: S311 - no secret is drawn
    except (confined.TooLong, confined.Crashed) as failure:
        raise Exhausted(f"The code is too large or too deeply nested to transform: {failure}.") from None
    if found is None:
        raise Exhausted("Every transformation of this code, and of what was kept, has been tried.")
    order, code = found
    return Proposal(
        edit=Edit(format=EditFormat.UNIFIED_DIFF, text=render_diff(brief.code, code)),
        rationale=sentence(order, brief),
        kind=order[0]["kind"] if len(order) == 1 else "combined",
        detail=_detail(order),
        provenance=Provenance(proposer=proposer),
    )


def _first_new(brief: Brief, orders: Iterator[Order]) -> tuple[Order, dict[str, str]] | None:
    tried = sorted(brief.tried)
    while some := list(itertools.islice(orders, _AT_ONCE)):
        argument = {"code": brief.code, "orders": some, "tried": tried}
        answer = confined.call("rsi.proposers.mutation.child:first_new", argument, seconds=_SECONDS)
        if answer is not None:
            return some[answer["index"]], answer["code"]
    return None


def _detail(order: Order) -> dict[str, str | int | float | bool | None]:
    if len(order) == 1:
        return dict(order[0]["detail"])
    return {
        f"{number}.{key}": value
        for number, move in enumerate(order, start=1)
        for key, value in {"kind": move["kind"], **move["detail"]}.items()
    }
