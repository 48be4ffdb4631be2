"""What a claim refuses to reckon with: settings that make no sense, measurements that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rsi.errors import IntegrityError, UsageError


def check_share(value: float, name: str) -> float:
    """The value, where it lies strictly between 0 and 1; else a UsageError that says so."""
    if not 0 < value < 1:
        raise UsageError(f"{name} is {value:g}; set it to a number between 0 and 1, both excluded.")
    return value


def check_finite(values: Iterable[float], name: str) -> tuple[float, ...]:
    """The values, where every one is a finite number; else an IntegrityError that names the first that is not."""
    checked = tuple(map(float, values))
    for position, value in enumerate(checked, start=1):
        if not math.isfinite(value):
            raise IntegrityError(f"{name} {position} is {value}; look at its trial before anything is claimed from it.")
    return checked
