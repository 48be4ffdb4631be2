"""How a reader is told things: numbers with the digits that matter, durations, marks, hostile text made harmless."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from rsi.evidence import Split
from rsi.records import Direction, ExperimentStatus
from rsi.sanitize import for_terminal

STYLES = {
    ExperimentStatus.OPEN: "cyan",
    ExperimentStatus.KEPT: "bold green",
    ExperimentStatus.DISCARDED: "dim",
    ExperimentStatus.REJECTED: "magenta",
    ExperimentStatus.CRASHED: "red",
    ExperimentStatus.REFUSED: "yellow",
    ExperimentStatus.UNDECIDED: "yellow",
    ExperimentStatus.REAPPLIED: "blue",
}

UNGROUNDED = "UNGROUNDED: the number rests on what the candidate writes or prints; nothing here checked it."
NOT_ISOLATED = "NOT ISOLATED: the training code ran on this machine without a sandbox around it."

_SMALL_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def one_line(text: str, width: int = 200) -> str:
    """Hostile text as one harmless line of at most `width` columns."""
    return for_terminal(" ".join(for_terminal(text[: 8 * width]).split()), width)


def safe(text: str, style: str = "") -> Text:
    """Hostile text of any length as something Rich shows as it is: no markup, no emoji, no control sequences."""
    return Text(for_terminal(text), style=style)


def say(console: Console, text: str | Text = "", style: str = "") -> None:
    """Print a line of which nothing is markup; strings are made harmless first."""
    line = text if isinstance(text, Text) else safe(text, style)
    if console.options.ascii_only:
        line.plain = line.plain.encode("ascii", "replace").decode()
    console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def marks(grounded: bool, isolated: bool) -> tuple[str, ...]:
    """What must be said on every screen about a run whose number or whose machine is not protected."""
    return (() if grounded else (UNGROUNDED,)) + (() if isolated else (NOT_ISOLATED,))


def decimals(resolution: float) -> int:
    """Digits after the point that show a difference of that size with two figures."""
    if not math.isfinite(resolution) or resolution <= 0:
        return 4
    return min(8, max(0, 1 - math.floor(math.log10(resolution))))


def number(value: float | None, resolution: float = 0.01) -> str:
    """A value with the digits that a difference of `resolution` needs; a dash where there is none."""
    return "-" if value is None else f"{value:.{decimals(resolution)}f}"


def count(amount: int, noun: str, plural: str = "") -> str:
    """`five trials`, `one trial`, `12 trials`."""
    words = _SMALL_NUMBERS[amount] if 0 <= amount < len(_SMALL_NUMBERS) else f"{amount:,}"
    return f"{words} {noun if amount == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `5 h 02 min`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(amount: int) -> str:
    """Bytes in the unit that suits."""
    value = float(min(amount, 2**100))  # a hostile record may hold any number
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moved(direction: Direction, gain: float) -> str:
    """`fell` or `rose`: which way a metric went that got better by `gain`."""
    up = (gain > 0) == (direction is Direction.MAXIMIZE)
    return "rose" if up else "fell"


def better(gain: float, resolution: float) -> str:
    """`better by 0.10`, `worse by 0.02`, `no better`."""
    shown = number(abs(gain), resolution)
    if gain == 0 or float(shown) == 0:
        return "no better"
    return f"{'better' if gain > 0 else 'worse'} by {shown}"


def on(split: Split) -> str:
    """The split, as it stands in a sentence."""
    return "the holdout" if split == "holdout" else "dev"


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)
