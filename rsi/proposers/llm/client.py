"""Carries one request to a model through litellm, and its answer or its fault back; keys stay in the environment."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rsi.calls import Answer, Message, Request, Unreadable
from rsi.proposers.llm.catalogue import key_in_environment, price, provider_of, routed
from rsi.proposers.llm.http_faults import fault_of, withheld
from rsi.proposers.llm.library import load_litellm
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
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                response = litellm.completion(**parameters)
        except Exception as error:
            if withheld(error):
                return Answer(text="", finish="content_filter", input_tokens=0, output_tokens=0, cost_usd=0.0)
            raise fault_of(error, request.model, base) from None  # its message may repeat the key
        return _answer(litellm, name, response)


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
    input_tokens, output_tokens = (
        max(0, int(getattr(usage, name, 0) or 0)) for name in ("prompt_tokens", "completion_tokens")
    )
    return Answer(
        text=choice.message.content or (str(refusal) if refusal else ""),
        finish="content_filter" if refusal else str(choice.finish_reason or ""),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        cost_usd=_cost(litellm, model, response, input_tokens, output_tokens),
        model=str(response.model or model)[:200],
    )


def _detail(usage: Any, group: str, name: str) -> int:
    return max(0, int(getattr(getattr(usage, group, None), name, 0) or 0))


def _cost(litellm: ModuleType, model: str, response: Any, input_tokens: int, output_tokens: int) -> float | None:
    rates = price(model)
    if rates is None:
        return None
    try:
        cost = float(litellm.completion_cost(response, model=model))
    except Exception:
        cost = rates.worst(input_tokens, output_tokens)
    return max(0.0, cost)
