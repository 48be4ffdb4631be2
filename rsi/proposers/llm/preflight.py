"""What can be told about models before anything is spent: their names, keys, prices, room for a prompt."""

from __future__ import annotations

from rsi.configuration import Budget
from rsi.errors import EnvironmentFault, UsageError
from rsi.proposers.llm import catalogue
from rsi.proposers.llm.settings import Settings


def require_usable(settings: Settings, budget: Budget) -> None:
    """UsageError for a name or a budget that cannot be, EnvironmentFault for a key that is not there."""
    for model in settings.models:
        base = settings.bases.get(model, "")
        if not base:
            _require_known(model)
        if catalogue.price(model) is None and budget.tokens is None:
            meant = "" if base else catalogue.suggestion(model)
            raise UsageError(
                f"The price of {model} is not known{f' ({meant})' if meant else ''}, so dollars cannot be counted; "
                "set --max-tokens, for example --max-tokens 2000000."
            )
        if not base:
            _require_key(model)
        window = catalogue.context_window(model)
        if window is not None and settings.prompt_tokens + settings.longest_answer > window:
            raise UsageError(
                f"{model} has room for {window} tokens, less than --prompt-tokens {settings.prompt_tokens} and "
                f"answers of {settings.longest_answer} (--answer-tokens and --effort) together; lower them."
            )


def _require_known(model: str) -> None:
    # A provider's newest models are in no table, so that a name behind a known provider's is left to the provider.
    if not catalogue.provider_of(model):
        meant = catalogue.suggestion(model) or "names look like gpt-4o or anthropic/claude-sonnet-4-5."
        raise UsageError(
            f"There is no model {model!r} that litellm knows: {meant} For a server of your own, give --api-base."
        )


def _require_key(model: str) -> None:
    missing = catalogue.missing_keys(model)
    if missing:
        raise EnvironmentFault(f"There is no key for {model}: set {' or '.join(missing)} in the environment.")
