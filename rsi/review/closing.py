"""The last words after a run: what came of it, where it lies, what to try next, and the head of its ledger."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from rsi.review.improvement import how_sure, sentences
from rsi.review.pointing import spelled
from rsi.review.summary import RunSummary
from rsi.review.wording import count, duration, marks, say

_STYLES = {
    "certified": "bold green",
    "not certified": "bold yellow",
    "confirmed": "bold green",
    "not confirmed": "bold yellow",
    "provisional": "bold",
    "nothing kept": "bold",
}


def closing(summary: RunSummary, console: Console) -> None:
    """Print the last words; the head hash comes last, where the log's writer cannot reach it any more."""
    for mark in marks(summary.grounded, summary.isolated):
        say(console, mark, "bold red")
    first, *further = sentences(summary)
    say(console, first, _STYLES[how_sure(summary)])
    for sentence in further:
        say(console, sentence)
    say(console, f"{became(summary)} in {duration(summary.wall_seconds)}; {_ended(summary)}.")
    say(console, f"Everything is recorded in {summary.folder}")
    next_commands(summary, console)
    say(console, f"ledger head {summary.ledger_head}", "dim")


def next_commands(summary: RunSummary, console: Console, *, shown: bool = False) -> None:
    """The three commands to try next, ready to be copied; `shown` where the whole story has just been told."""
    say(console, "Next:")
    rsi, run = program(), spelled(Path(summary.folder))
    commands = [
        (f"{rsi} show {run}", "the whole story"),
        (f"{rsi} diff {run}", "the best code against the baseline"),
        (f"{rsi} verify {run}", "check that all of it holds"),
    ]
    if summary.status == "paused":
        commands[0] = (f"{rsi} resume {run}", "go on where it stopped")
    elif shown:
        commands[0] = (f"{rsi} findings {run}", "what deserves a look")
    width = max(len(command) for command, _ in commands)
    for command, purpose in commands:
        say(console, f"  {command:<{width}}  # {purpose}", "cyan")


def program() -> str:
    """How this very program can be called from here: by name where the shell finds it so, else by its path."""
    called = Path(sys.argv[0])
    if called.name != "rsi" or shutil.which("rsi") == str(called.absolute()):
        return "rsi"
    return min(str(called), os.path.relpath(called), key=len)


def became(summary: RunSummary) -> str:
    """`12 experiments (3 kept, 7 discarded, 2 crashed), of which the loop itself tried one edit again`."""
    words = ("kept", "discarded", "rejected", "crashed", "refused", "undecided", "reapplied")
    counted = [f"{getattr(summary, word)} {word}" for word in words if getattr(summary, word)]
    proposed = count(summary.experiments, "experiment")
    own = _own(summary)
    return proposed[0].upper() + proposed[1:] + (f" ({', '.join(counted)})" if counted else "") + own


def _own(summary: RunSummary) -> str:
    own = summary.own
    parts = [count(own.again, "edit") + " again"] if own.again else []
    parts += [count(own.removals, "removal")] if own.removals else []
    parts += [count(own.null, "null edit")] if own.null else []
    return f", of which the loop itself tried {', '.join(parts)}" if parts else ""


def _ended(summary: RunSummary) -> str:
    if summary.status == "finished":
        return f"finished: {summary.reason.rstrip('.')}"
    return f"paused: {summary.reason.rstrip('.')}" if summary.status == "paused" else "still going on"
