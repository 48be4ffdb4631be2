"""Which events a reader wants: by kind, experiment, severity, time, number, words or a regular expression."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import regex

from rsi.errors import UsageError
from rsi.records import Record, Severity
from rsi.review.wording import one_line

SECONDS_A_SEARCH = 0.25
"""How long an expression may look at one event; hostile text can make an innocent expression take for ever."""
MOST_GIVEN_UP = 8
"""Events on which an expression may take too long before it is refused."""

_SPAN = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Filter(Record):
    """What an event must be to be shown; what is empty or None asks for nothing."""

    kinds: tuple[str, ...] = ()
    """Any of these, or beginning so: `trial` for `trial.started`; `note` for what reviewers wrote."""
    experiment: int | None = None
    severity: Severity | None = None
    """Only events that say something at least so grave."""
    since: str = ""
    until: str = ""
    """Both as a ledger writes times, and both included."""
    numbers: tuple[int, ...] = ()
    """Of events."""
    text: str = ""
    """In the line in words or in a recorded text, upper and lower case alike."""
    pattern: str = ""
    """A regular expression, looked for in the same places."""


class Search:
    """Looks for a filter's text and expression; counts the events on which the expression took too long."""

    def __init__(self, wanted: Filter) -> None:
        """UsageError for an expression that is none."""
        self.given_up = 0
        self._text = wanted.text.casefold()
        try:
            self._pattern = regex.compile(wanted.pattern) if wanted.pattern else None
        except (regex.error, RecursionError, OverflowError) as error:
            raise UsageError(
                f"--regex {one_line(wanted.pattern, 60)!r} is no regular expression: {one_line(str(error), 100)}."
            ) from None

    def finds(self, body: dict[str, Any], words: Callable[[], str]) -> bool:
        """Whether an event fits: something it records, or its line in words, which are made only where needed."""
        if self._text and not any(self._text in text.casefold() for text in _all(body, words)):
            return False
        return self._pattern is None or self._matches(_all(body, words))

    def _matches(self, texts: Iterator[str]) -> bool:
        assert self._pattern is not None
        end = time.monotonic() + SECONDS_A_SEARCH
        try:
            return any(self._pattern.search(text, timeout=max(end - time.monotonic(), 1e-3)) for text in texts)
        except TimeoutError:
            self.given_up += 1
        if self.given_up > MOST_GIVEN_UP:
            raise UsageError(
                f"--regex takes longer than {SECONDS_A_SEARCH:g} s on each of {self.given_up} events, so it was given "
                "up; write it without nested repetition, or use --text."
            )
        return False


def _all(body: dict[str, Any], words: Callable[[], str]) -> Iterator[str]:
    yield from _texts(body)
    yield words()


def _texts(value: Any) -> Iterator[str]:
    """Every text in a recorded body; bodies are nested 64 levels at most."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def moment(given: str, flag: str, now: datetime | None = None) -> str:
    """A time as a ledger writes it: from ISO 8601 (UTC where it names no zone) or from a span before now, `2h`.

    UsageError, which names the flag, for anything else.
    """
    if not given:
        return ""
    now = now or datetime.now(UTC)
    try:
        if span := _SPAN.fullmatch(given.strip()):
            at = now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            at = datetime.fromisoformat(given.strip())
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{flag} {one_line(given, 40)!r} is no time; write 2026-01-31T12:00 (UTC), or a span such as 30m, 2h, 3d."
        ) from None
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def severity(given: str) -> Severity | None:
    """A severity by its name, None for an empty one; UsageError names those there are."""
    if not given:
        return None
    try:
        return Severity(given)
    except ValueError:
        known = ", ".join(one.value for one in Severity)
        raise UsageError(f"--severity {one_line(given, 40)!r} is none of {known}.") from None
