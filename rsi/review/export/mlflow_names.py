"""Names and values as MLflow takes them; names can be turned back, so that nothing hostile hides behind another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from rsi.sanitize import for_terminal

LONGEST_NAME = 200
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_. -]|_(?=u[0-9a-f]+_)|^[. ]|\.(?=\.)|[. ]$")
_ESCAPED = re.compile(r"_u([0-9a-f]{1,6})_")


def name(ours: str) -> str:
    """A name of letters, digits, `_`, `-`, `.` and space; any other character as `_uHEX_`, its number.

    One that is too long even so ends in the first digits of its sha256 instead; only a table turns that back.
    """
    theirs = _FORBIDDEN.sub(lambda match: f"_u{ord(match[0]):x}_", ours) or "_u_"
    if len(theirs) > LONGEST_NAME:
        digest = hashlib.sha256(ours.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        theirs = f"{theirs[: LONGEST_NAME - 17].rstrip('. ')}-{digest}"
    return theirs


def named(theirs: str) -> str:
    """What `name` made that of."""
    return "" if theirs == "_u_" else _ESCAPED.sub(lambda match: chr(int(match[1], 16)), theirs)


def value(text: object, longest: int) -> str:
    """Text that no database and no page chokes on: no control characters, not too long."""
    shown = for_terminal(str(text))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def flat(prefix: str, values: Any) -> Iterator[tuple[str, str]]:
    """The leaves of nested values, each with its path (`budget.trials`); empty ones are left out."""
    if isinstance(values, dict):
        for key, item in values.items():
            yield from flat(f"{prefix}.{key}" if prefix else str(key), item)
    elif isinstance(values, list):
        for place, item in enumerate(values):
            yield from flat(f"{prefix}.{place}", item)
    elif values not in {None, ""}:
        yield prefix, str(values)
