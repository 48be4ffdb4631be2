"""What the code of an experiment attempted in its sandboxes, as a reader is told it; the two grades side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from rsi.attempts import Attempt, Coverage, most_telling_first, severity
from rsi.errors import RsiError
from rsi.execution import Execution
from rsi.records import Severity
from rsi.review.wording import count, one_line, say
from rsi.storage import BlobStore

MOST_SHOWN = 24
"""Of one execution; --json has all of them."""
_ATTEMPTS = TypeAdapter(tuple[Attempt, ...])
_STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow"}


def attempts_of(execution: Execution, further: str | None, blobs: BlobStore) -> tuple[Attempt, ...]:
    """All that were told apart, the most telling first; what the execution lists where the blob with the rest is gone.

    Args:
        execution: As recorded.
        further: Digest of the blob that lists all of them, where the execution does not.
        blobs: Of the run.
    """
    if further is None:
        return most_telling_first(execution.attempts)
    try:
        return most_telling_first(_ATTEMPTS.validate_json(blobs.get(further)))
    except (RsiError, ValidationError):
        return most_telling_first(execution.attempts)


def show_attempts(told: Sequence[tuple[str, Execution, Sequence[Attempt]]], console: Console) -> None:
    """Tell who looked, and what was seen that honest training code does not do as well.

    Executions of which the same is to be told are told once; those in which nothing of the kind was seen come last.

    Args:
        told: What ran, its execution, and all its attempts.
        console: To print to.
    """
    alike: dict[tuple[str, tuple[Attempt, ...], int], list[str]] = {}
    for what, execution, attempts in told:
        if execution.coverage or attempts:
            telling = tuple(attempt for attempt in attempts if severity(attempt) is not Severity.INFO)
            key = _looked(execution.coverage), telling, len(attempts) - len(telling) if telling else 0
            alike.setdefault(key, []).append(one_line(what, 80))
    for (looked, telling, usual), places in sorted(alike.items(), key=lambda item: not item[0][1]):
        further = f" and {count(len(places) - 1, 'further execution')} alike, the last {places[-1]}"
        where = places[0] + (further if len(places) > 1 else "")
        say(console, f"  attempts in {where}: {looked}{'' if telling else '; none but of the usual kind'}")
        _show_telling(telling, usual, console)


def _show_telling(telling: Sequence[Attempt], usual: int, console: Console) -> None:
    for attempt in telling[:MOST_SHOWN]:
        line = Text(f"    {attempt.grade.value:<8} ", style="dim")
        line.append(one_line(_words(attempt), 300), style=_STYLES.get(severity(attempt), ""))
        say(console, line)
    left = len(telling) - len(telling[:MOST_SHOWN])
    parts = ([f"{count(left, 'further one')}"] if left else []) + ([f"{usual} of the usual kind"] if usual else [])
    if parts:
        say(console, f"    and {', '.join(parts)} (--json lists them)", "dim")


def _looked(coverage: Sequence[Coverage]) -> str:
    """How far each grade goes."""
    if not coverage:
        return "nobody was looking"
    told = []
    for one in coverage:
        words = f"{one.grade.value} {'to the end' if one.complete else 'not to the end'}"
        words += ", disputed" if one.disputed else ""
        words += f", {count(one.left_out, 'further one')} not told apart" if one.left_out else ""
        told.append(words + (f" ({one_line(one.detail, 120)})" if one.detail else ""))
    return "; ".join(told)


def _words(attempt: Attempt) -> str:
    times = f", {attempt.count:,} times" if attempt.count > 1 else ""
    where = f", first in {attempt.file}:{attempt.line}" if attempt.file else ""
    how = f" ({attempt.detail})" if attempt.detail else ""
    return f"{severity(attempt).value} {attempt.kind.value} {attempt.target}{how}{times}{where}"
