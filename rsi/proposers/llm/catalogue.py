"""What litellm's table says about models: names, keys, prices, context windows. Nothing is downloaded."""

from __future__ import annotations

from typing import Any

from rsi.plugins import nearest
from rsi.proposers.llm.library import load_litellm
from rsi.spending import Price

_OTHER_SERVICE = ("_batches", "_priority", "_flex")
"""Ways of service that are never asked for."""
_INPUT_RATES = ("input_cost_per_token", "cache_creation_input_token_cost", "cache_read_input_token_cost")
_OUTPUT_RATES = ("output_cost_per_token", "output_cost_per_reasoning_token")


def routed(model: str, base: str) -> str:
    """The name that litellm knows it by: at the user's own address, an unknown provider speaks OpenAI's protocol."""
    if not base:
        return model
    provider, _, rest = model.partition("/")
    if rest and provider in providers():
        return model
    return f"openai/{model}"


def provider_of(model: str) -> str:
    """The provider's name, empty where litellm cannot tell."""
    litellm = load_litellm()
    try:
        return str(litellm.get_llm_provider(model)[1])
    except Exception:
        return ""


def providers() -> set[str]:
    """The names that may stand before a slash."""
    return {str(getattr(entry, "value", entry)) for entry in load_litellm().provider_list}


def known_models() -> list[str]:
    """Every name of a chat model in litellm's table."""
    litellm = load_litellm()
    chats = {"chat", "responses", "completion", None}
    return sorted(
        name for name, entry in litellm.model_cost.items() if entry.get("mode") in chats and name != "sample_spec"
    )


def suggestion(model: str) -> str:
    """A half-sentence with the nearest name that litellm knows, empty where none is near."""
    known = known_models()
    provider, slash, rest = model.partition("/")
    if slash and not provider_of(model):
        told = nearest(provider, providers())
        meant = f"{told.split(chr(39))[1]}/{rest}" if told.startswith("did you mean") else ""
        if meant and provider_of(meant):
            return f"did you mean {meant!r}?"
    for name in (model, model.partition("/")[2]):
        told = nearest(name, known) if name else ""
        if told.startswith("did you mean"):
            return told
    return ""


def missing_keys(model: str) -> list[str]:
    """Names of the environment variables that this model's provider wants and that are not set."""
    litellm = load_litellm()
    found = litellm.validate_environment(model)
    names = [] if found["keys_in_environment"] else [str(name) for name in found["missing_keys"]]
    return [name for name in names if not name.startswith("OLLAMA")]  # a local server at its usual address


def price(model: str) -> Price | None:
    """The highest rates of a model: over its tiers of length and service, cache writes and reasoning included."""
    entry = _entry(model)
    rates = {
        name: float(rate)
        for name, rate in entry.items()
        if isinstance(rate, int | float) and not name.endswith(_OTHER_SERVICE)
    }
    if "input_cost_per_token" not in rates or "output_cost_per_token" not in rates:
        return None
    return Price(
        input_usd=max(rate for name, rate in rates.items() if name.startswith(_INPUT_RATES)),
        output_usd=max(rate for name, rate in rates.items() if name.startswith(_OUTPUT_RATES)),
    )


def context_window(model: str) -> int | None:
    """Input tokens that fit, where known."""
    found = _entry(model).get("max_input_tokens")
    return int(found) if isinstance(found, int | float) else None


def _entry(model: str) -> dict[str, Any]:
    litellm = load_litellm()
    if model in litellm.model_cost:
        return dict(litellm.model_cost[model])
    provider, _, rest = model.partition("/")
    entry = dict(litellm.model_cost.get(rest, {}))
    return entry if str(entry.get("litellm_provider", "")).startswith(provider) else {}


def key_in_environment(model: str) -> bool:
    """Whether a key of this model's provider is set."""
    try:
        litellm = load_litellm()
        return bool(litellm.validate_environment(model)["keys_in_environment"])
    except Exception:
        return False
