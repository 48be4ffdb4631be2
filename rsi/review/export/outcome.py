"""What an export came to, as `rsi export --json` tells it."""

from __future__ import annotations

from rsi.records import Versioned


class Outcome(Versioned):
    """Where a run went, how much of it, and what of it did not."""

    format: str
    target: str
    run: str
    head: str
    """Hash of the last event that was exported."""
    events: int
    going_on: bool
    """Whether the run goes on, so that a later export holds more."""
    records: dict[str, int]
    """How many of each kind."""
    problems: tuple[str, ...] = ()
    """What is missing or does not hold; it stands in the export too."""
    renamed: dict[str, str] = {}
    """Names that the other tool does not take → what they are called there."""
    did: str = ""
    """For a store that is not written anew each time: `made`, `updated`, `was already there`."""
