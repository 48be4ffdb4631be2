"""What a provider's error says, decoded; neither redacted nor cut, which is for `rsi.calls.settling`."""

from __future__ import annotations

import json
import re
from typing import Any

_LONGEST = 64 * 1024
"""Characters of a body that is looked at; of a longer one nothing is told, since what is cut may be half a key."""
_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_SENTENCE = "Output blocked by content filtering policy"
"""Anthropic's, which has no code for it."""
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")


def message_in(body: str) -> str:
    """The provider's own sentence, with every escape in it undone."""
    if len(body) > _LONGEST:
        return ""
    decoded = _decoded(body)
    found = _message(decoded) if decoded is not None else None
    told = found if found is not None else body if decoded is None else json.dumps(decoded, ensure_ascii=False)
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), told)


def filtered(body: str) -> bool:
    """Whether the error is, by its code, the provider's filter's."""
    error = _decoded(body)
    error = error.get("error", error) if isinstance(error, dict) else None
    if not isinstance(error, dict):
        return False
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    if any(isinstance(code, str) and code.lower() in _CODES for code in codes):
        return True
    message = error.get("message")
    return isinstance(message, str) and message.rstrip(".") == _SENTENCE


def _decoded(body: str) -> Any:
    """The body's JSON, None where it is none."""
    if len(body) > _LONGEST:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _message(value: Any) -> str | None:
    """The text under the names that providers use for it."""
    for _ in range(8):
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str):
            return value
        if not isinstance(value, dict):
            return None
        value = next((value[name] for name in ("error", "message", "detail", "msg") if value.get(name)), None)
    return None
