"""How often does this very run keep an edit that does nothing? Null edits slipped in, and the rate of those kept."""

from __future__ import annotations

import random

from rsi.claims.input import check_share
from rsi.errors import IntegrityError, UsageError
from rsi.records import Record
from rsi.statistics import rate


class KeptRate(Record):
    """Of the null edits that were decided, the share that was kept, with its Clopper-Pearson interval."""

    kept: int
    decided: int
    rate: float | None
    """None before the first one was decided."""
    low: float
    high: float
    confidence: float
    method: str = "Clopper-Pearson"


def slips_in(seed: int, probability: float) -> bool:
    """Whether the experiment with this secret seed is a null edit."""
    if not 0 <= probability < 1:
        raise UsageError(f"The share of null edits is {probability:g}; set it to 0 (none) or more, and below 1.")
    return random.Random(seed).random() < probability  # noqa: S311 - the seed is the secret


def kept_rate(kept: int, decided: int, confidence: float = 0.95) -> KeptRate:
    """The rate and its exact interval (Clopper and Pearson, Biometrika 26, 1934)."""
    check_share(confidence, "The confidence")
    if not 0 <= kept <= decided:
        raise IntegrityError(f"{kept} null edits of {decided} cannot have been kept; check the record.")
    found = rate(kept, decided, confidence)
    return KeptRate(kept=kept, decided=decided, rate=found.rate, low=found.low, high=found.high, confidence=confidence)
