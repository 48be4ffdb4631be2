"""Which of our faults an exception of litellm's stands for: by the HTTP status or the network error underneath it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rsi.calls import (
    CallFault,
    ConnectionLost,
    ContextTooLong,
    KeyMissing,
    KeyRefused,
    ModelUnknown,
    QuotaSpent,
    RateLimited,
    Redirected,
    RequestRefused,
    ServerFault,
    TimedOut,
    Unreachable,
    Unreadable,
)
from rsi.proposers.llm.catalogue import missing_keys, provider_of, suggestion
from rsi.proposers.llm.error_body import filtered, message_in

_REFUSED_AT_THE_DOOR = frozenset({503, 529})
"""Overload: nothing was computed, so nothing is billed."""
_NAMES_A_FILTER = re.compile(r"content.?(policy|filter|management)|safety system|responsible ai", re.IGNORECASE)
_NO_FUNDS = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit balance", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|too many tokens|maximum.{0,20}tokens", re.IGNORECASE
)


def fault_of(error: Exception, model: str, base: str) -> CallFault:
    """Our own fault for whatever litellm raised."""
    if isinstance(error, CallFault):
        return error
    names = {type(cause).__name__ for cause in _causes(error)}
    status, headers, body = _http(error)
    where = base or "its provider"
    if status is None:
        if names & {"ConnectError", "ConnectTimeout"}:
            return Unreachable(f"nothing answers at {where}; is the server running?")
        if names & {"Timeout", "APITimeoutError", "ReadTimeout", "TimeoutException", "WriteTimeout", "PoolTimeout"}:
            return TimedOut(f"{model} gave no answer in time", charged=True)
        if names & {"ReadError", "WriteError", "RemoteProtocolError", "CloseError", "ConnectionResetError"}:
            return ConnectionLost(f"the connection to {model} was lost", charged=True)
        return _before_sending(error, names, model)
    return _by_status(status, headers, body, model, base)


def _before_sending(error: Exception, names: set[str], model: str) -> CallFault:
    """No response and no network error underneath: litellm stopped by itself, or could not read the answer."""
    missing = missing_keys(model)
    if missing and ("AuthenticationError" in names or "credentials" in str(error) or "api_key" in str(error)):
        return KeyMissing(f"there is no key for {model}; set {' or '.join(missing)}")
    if "LLM Provider NOT provided" in str(error):
        return ModelUnknown(f"{model} is not a model that litellm knows")
    if "ContextWindowExceededError" in names:
        return ContextTooLong(f"the prompt is too long for {model}; lower --history or --prompt-tokens")
    return Unreadable(f"what {model} answered cannot be read; is the address right?", charged=True)


def _by_status(  # noqa: PLR0911 - one return a kind of fault
    status: int, headers: Mapping[str, str], body: str, model: str, base: str
) -> CallFault:
    said = message_in(body)
    if status in {401, 403}:
        variables = _key_variables(model)
        # What the provider says may repeat the key, or parts of it.
        return KeyRefused(f"{model} refuses the key{f' in {variables}' if variables else ''} ({status})")
    if status == 402 or (status == 429 and _NO_FUNDS.search(body)):
        return QuotaSpent(f"the account for {model} has no funds left", said=said)
    if status == 429:
        return RateLimited(f"{model} asks to wait", said=said, retry_after=_retry_after(headers))
    if status == 404:
        meant = "" if base else suggestion(model)
        return ModelUnknown(f"{model} is not there" + (f" ({meant})" if meant else ""), said=said)
    if status in {400, 413, 422} and (status == 413 or _TOO_LONG.search(body)):
        return ContextTooLong(f"the prompt is too long for {model}; lower --history or --prompt-tokens", said=said)
    if status in {408, 504}:
        return TimedOut(f"{model} gave no answer in time ({status})", charged=True)
    if status >= 500:
        charged = status not in _REFUSED_AT_THE_DOOR
        after = _retry_after(headers)
        return ServerFault(f"{model} failed ({status})", said=said, charged=charged, retry_after=after)
    if 300 <= status < 400:
        return Redirected(f"{model} sends us elsewhere ({status}), which is not followed")
    if status < 400:
        return Unreadable(f"what {model} answered cannot be read", charged=True)
    # Where a filter may have seen an answer, the answer may be billed.
    charged = bool(_NAMES_A_FILTER.search(body))
    return RequestRefused(f"{model} refuses the request ({status})", said=said, charged=charged)


def withheld(error: Exception) -> bool:
    """Whether the provider says by a code of its protocol that its filter stood in the way: no fault but an outcome."""
    status, _, body = _http(error)
    return status == 400 and filtered(body)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(12):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _http(error: Exception) -> tuple[int | None, Mapping[str, str], str]:
    """Status, headers and body of the response underneath; None where there was none."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        if type(cause).__name__ in {"HTTPStatusError", "MaskedHTTPStatusError"} and response is not None:
            try:
                body = response.text
            except Exception:
                body = ""
            return int(response.status_code), response.headers, body
    return None, {}, ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        milliseconds = headers.get("retry-after-ms")
        seconds = float(headers["retry-after"]) if milliseconds is None else float(milliseconds) / 1000
    except (KeyError, ValueError):
        return _until(headers.get("retry-after", ""))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str) -> float | None:
    """Seconds until an HTTP date."""
    try:
        return max(0.0, (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _key_variables(model: str) -> str:
    """Which variables hold keys of this model's provider."""
    provider = provider_of(model) or "openai"
    wanted = {f"{provider.upper()}_API_KEY"}
    return " or ".join(sorted(name for name in os.environ if name in wanted))
