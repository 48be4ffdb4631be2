"""Derive again what the record claims of calls to language models: what was reserved, and what was counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rsi import events as e
from rsi.calls import Answer, Request
from rsi.spending import BudgetSpent, require_room, worst_case
from rsi.state import RunState

Claim = tuple[str, str]
"""(kind of problem, sentence)."""
GetBlob = Callable[[str], bytes]


def reserved(state: RunState, body: e.CallReserved, get_blob: GetBlob) -> Iterator[Claim]:
    """The prompt is the recorded one, its worst case is what was reserved, and no limit could be passed by it."""
    request = Request.model_validate_json(get_blob(body.request))
    if request.digest() != body.request_digest or request.model != body.model:
        yield "call", "its request_digest or model is not that of the recorded prompt"
    worst = worst_case((message.text for message in request.messages), request.max_output_tokens, body.price)
    if body.price is None and not body.worst.unpriced_calls:
        # An earlier version wrote no price down, so that its dollars can only be believed.
        worst = worst.model_copy(update={"cost_usd": body.worst.cost_usd, "unpriced_calls": 0})
    if worst != body.worst:
        yield "call", "what was reserved is not the worst case of the recorded prompt at the recorded price"
    try:
        require_room(state.budget, state.spending(), body.worst)
    except BudgetSpent as spent:
        yield "call", f"it was reserved though {spent}"


def settled(state: RunState, body: e.CallSettled, get_blob: GetBlob) -> Iterator[Claim]:
    """What is counted is what the answer says that it used, or what was reserved where it does not say."""
    answer = Answer.model_validate_json(get_blob(body.answer))
    used = (answer.input_tokens, answer.output_tokens, answer.cost_usd, answer.finish)
    if used != (body.input_tokens, body.output_tokens, body.cost_usd, body.finish):
        yield "call", "its tokens, cost or ending are not those of the recorded answer"
    attempt = state.calls.get(body.reservation)
    if attempt is None:
        return
    worst, price = attempt.reserved.worst, attempt.reserved.price
    if price is not None and body.cost_usd is None:
        yield "call", "it has no cost, though its price is known"
    if not answer.reported and (body.input_tokens, body.output_tokens) != (worst.input_tokens, worst.output_tokens):
        yield "call", "it did not tell what it used, and what was reserved is not what counts"
