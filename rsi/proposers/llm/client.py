"""Carries one request to a model through litellm, and its answer or its fault back; keys stay in the environment."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rsi.calls import Answer, Message, Request, Unreadable
from rsi.calls.request import TOO_LONG
from rsi.calls.settling import MOST_TOKENS, well_formed
from rsi.proposers.llm.catalogue import key_in_environment, price, provider_of, routed
from rsi.proposers.llm.http_faults import fault_of, withheld
from rsi.proposers.llm.library import load_litellm
from rsi.proposers.llm.wire import bounded
from rsi.spending import Price

if TYPE_CHECKING:
    from types import ModuleType


class LiteLlm:
    """Carries requests through litellm; keys come from the environment and stay in it."""

    def __init__(self, bases: Mapping[str, str], timeout: float) -> None:
        """Take the parts.

        Args:
            bases: Model → address of its server, where that is not its provider's own.
            timeout: Seconds that a model may take for one answer.
        """
        self.bases = bases
        self.timeout = timeout

    def price(self, model: str) -> Price | None:
        """By litellm's table; None where the model is not in it."""
        return price(model)

    def complete(self, request: Request) -> Answer:
        """Ask once."""
        litellm = load_litellm()
        base = self.bases.get(request.model, "")
        name = routed(request.model, base)
        parameters: dict[str, Any] = {
            "model": name,
            "messages": [_spoken(message, provider_of(name)) for message in request.messages],
            "max_tokens": request.max_output_tokens,
            "timeout": self.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
        }
        if request.effort:
            parameters["reasoning_effort"] = request.effort
        if base:
            parameters["api_base"] = base
            if not key_in_environment(name):
                parameters["api_key"] = "none"  # local servers want no key, the client library wants one
        with bounded(self.timeout, request.max_output_tokens) as bounds:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    response = litellm.completion(**parameters)
                return _answer(litellm, request.model, response)
            except Exception as error:
                # What no usage is told of counts as reserved.
                if bounds.overflowed:
                    return Answer(text="", finish=TOO_LONG, input_tokens=0, output_tokens=0)
                if bounds.fault is None and withheld(error):
                    return Answer(text="", finish="content_filter", input_tokens=0, output_tokens=0)
                # Its message may repeat the key.
                raise bounds.fault or fault_of(error, request.model, base) from None


def _spoken(message: Message, provider: str) -> dict[str, Any]:
    """A message on the wire; the end of each part that is worth caching is marked where the provider wants that."""
    if provider not in {"anthropic", "bedrock", "vertex_ai"} or len(message.parts) == 1:
        return {"role": message.role, "content": message.text}
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": part, **({"cache_control": {"type": "ephemeral"}} if worth_caching else {})}
        for worth_caching, part in zip([True] * (len(message.parts) - 1) + [False], message.parts, strict=True)
        if part
    ]
    return {"role": message.role, "content": blocks}


def _answer(litellm: ModuleType, model: str, response: Any) -> Answer:
    if not getattr(response, "choices", None):
        raise Unreadable(f"{model} answered without a choice in it", charged=True)
    choice = response.choices[0]
    usage = getattr(response, "usage", None)
    refusal = getattr(choice.message, "refusal", None) or (choice.message.provider_specific_fields or {}).get("refusal")
    text = choice.message.content or refusal or ""
    used = _Used(
        _count(getattr(usage, "prompt_tokens", None)),
        _count(getattr(usage, "completion_tokens", None)),
        _detail(usage, "prompt_tokens_details", "cached_tokens"),
        max(_count(getattr(usage, "cache_creation_input_tokens", None)), 0),
        _detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )
    return Answer(
        text=well_formed(text if isinstance(text, str) else str(text)),
        finish="content_filter" if refusal else well_formed(str(choice.finish_reason or "")),
        input_tokens=used.input,
        output_tokens=used.output,
        cached_tokens=used.cached,
        reasoning_tokens=used.reasoning,
        cost_usd=_cost(litellm, model, used),
        model=well_formed(str(response.model or model)),
    )


class _Used(NamedTuple):
    """Tokens; none where they were not credibly told."""

    input: int
    output: int
    cached: int
    written: int
    """Of the input, into the provider's cache."""
    reasoning: int


def _count(told: Any) -> int:
    """A number of tokens; 0 for whatever is none, which then counts as reserved."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return 0
    return math.ceil(told) if 0 < told <= MOST_TOKENS else 0  # false for NaN


def _detail(usage: Any, group: str, name: str) -> int:
    return _count(getattr(getattr(usage, group, None), name, None))


def _cost(litellm: ModuleType, model: str, used: _Used) -> float | None:
    """Dollars by the price that was reserved with; list price where litellm's own reckoning cannot be."""
    rates = price(model)
    if rates is None or not (used.input and used.output):
        return None
    most = rates.worst(used.input, used.output)
    if used.cached + used.written > used.input or used.reasoning > used.output:
        return most
    try:
        counted = litellm.Usage(
            prompt_tokens=used.input,
            completion_tokens=used.output,
            total_tokens=used.input + used.output,
            reasoning_tokens=used.reasoning,
            prompt_tokens_details={"cached_tokens": used.cached, "cache_creation_tokens": used.written},
            cache_read_input_tokens=used.cached,
            cache_creation_input_tokens=used.written,
        )
        cost = float(sum(litellm.cost_per_token(model=model, usage_object=counted)))
    except Exception:
        return most
    return cost if 0 < cost <= most or most == 0 else most
