"""Whether two texts are the same, where one was redacted: its placeholders may stand for secrets alone."""

from __future__ import annotations

import json
import re
from typing import Any

from rsi.records import Record
from rsi.redaction import is_secret_name, is_secret_value

_PLACEHOLDERS = re.compile(r"(?:\[redacted ([A-Za-z_][A-Za-z0-9_]{0,100})\])+")
_LONGEST = 4096
_NO_SECRET = re.compile(r"[\s\"\'\\<>(){}=,;]")
"""What a text or code has and keys and tokens do not: a placeholder must hide no statement."""


def same_but_for_secrets(derived: Any, recorded: Any) -> bool:
    """Whether what derives now is what was recorded, secrets aside."""
    if derived == recorded:
        return True
    return _same_text(_text(derived), _text(recorded))


def _text(value: Any) -> str:
    if isinstance(value, Record):
        return value.model_dump_json()
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _same_text(derived: str, recorded: str) -> bool:
    """Piece after piece between placeholders, each where it is found first; linear, for the record is hostile."""
    pieces, last = [], 0
    for match in _PLACEHOLDERS.finditer(recorded):
        if is_secret_name(match[1]):
            pieces.append(recorded[last : match.start()])
            last = match.end()
    if not pieces:
        return False
    end = recorded[last:]
    if not derived.startswith(pieces[0]):
        return False
    place = len(pieces[0])
    for piece in pieces[1:]:
        found = derived.find(piece, place + 1)
        if found < 0 or not _hidden(derived[place:found]):
            return False
        place = found + len(piece)
    stop = len(derived) - len(end)
    return stop > place and derived.endswith(end) and _hidden(derived[place:stop])


def _hidden(text: str) -> bool:
    """Whether a redactor could have replaced this, or has already."""
    if _PLACEHOLDERS.fullmatch(text):
        return True
    return len(text) <= _LONGEST and is_secret_value(text) and not _NO_SECRET.search(text)
