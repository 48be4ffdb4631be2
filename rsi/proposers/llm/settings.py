"""How the language model is used: the constructor's arguments of the proposer, validated."""

from __future__ import annotations

from typing import Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from rsi.calls.request import Effort
from rsi.errors import UsageError
from rsi.plugins import nearest
from rsi.records import EditFormat, Record

THINKING_TOKENS: dict[Effort, int] = {
    "": 0,
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 4096,
    "high": 8192,
    "xhigh": 16384,
}
"""Room for thinking; at least twice what litellm tells providers that want it as a number below the answer's limit."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "effort": tuple(word for word in get_args(Effort) if word),
    "edit_format": tuple(form.value for form in EditFormat),
}


class Settings(Record):
    """All of it; equal settings and equal answers give equal proposals."""

    models: tuple[str, ...] = Field(min_length=1)
    bases: dict[str, str] = {}
    """Model → address of its server, where that is not its provider's own."""
    repairs: int = Field(default=2, ge=0, le=10)
    """Rounds in which the model is told why its edit cannot be used; also experiments in a row that mend a crash."""
    effort: Effort = ""
    history: int = Field(default=2, ge=0, le=100)
    """Experiments that are told in full, besides the table of all."""
    critique: int = Field(default=0, ge=0, le=5)
    """Rounds in which the model criticises its own edit and may revise it."""
    edit_format: EditFormat = EditFormat.SEARCH_REPLACE
    prompt_tokens: int = Field(default=6000, ge=500)
    """Of the first prompt, about; history is left out by importance until it fits. Code and rules are never cut."""
    answer_tokens: int = Field(default=4096, ge=64)
    """The longest answer; room for thinking comes on top."""
    timeout: float = Field(default=300.0, gt=0, le=3600)
    """Seconds that a model may take for one answer."""

    @property
    def longest_answer(self) -> int:
        """Tokens that an answer may have with its thinking: what is reserved, and what the provider is told."""
        return self.answer_tokens + THINKING_TOKENS[self.effort]

    @classmethod
    def of(cls, model: str, api_base: str, **others: object) -> Self:
        """From the command line's words: models and addresses separated by commas; UsageError says what is wrong."""
        models = tuple(dict.fromkeys(name.strip() for name in model.split(",") if name.strip()))
        if not models:
            raise UsageError("--proposer llm needs a model: give --model, for example --model gpt-4o.")
        bases = tuple(base.strip().rstrip("/") for base in api_base.split(",") if base.strip())
        if len(bases) not in {0, 1, len(models)}:
            raise UsageError(
                f"Give one --api-base for all models or one for each; {len(bases)} do not fit {len(models)}."
            )
        for base in bases:
            _check_address(base)
        chosen = dict(zip(models, bases * len(models) if len(bases) == 1 else bases, strict=False))
        try:
            return cls.model_validate({"models": models, "bases": chosen, **others})
        except ValidationError as error:
            first = error.errors()[0]
            name = "--" + str(first["loc"][0]).replace("_", "-")
            known = _CHOICES.get(str(first["loc"][0]), ())
            help_ = nearest(str(first["input"]), known) if known else f"{first['msg']}."
            raise UsageError(f"{name} {first['input']!r} will not do: {help_}") from None


def _check_address(base: str) -> None:
    # Neither sentence repeats the address: what is wrong with it may be a key in it.
    if any(mark in base for mark in "@?#;"):
        raise UsageError(
            "--api-base must hold no key: it is written down with the run. Keys come from the environment."
        )
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("What --api-base gives is no address; write it like http://127.0.0.1:11434/v1.")
