"""What every command writes with: a console for people, JSON for programs, sentences on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output as people read it."""
    from rich.console import Console

    # A program that reads a pipe wants whole lines; a person's terminal has a width of its own.
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 1000)


def print_json(value: Any) -> None:
    """A record, or plain values."""
    text = value.model_dump_json(indent=2) if hasattr(value, "model_dump_json") else json.dumps(value, indent=2)
    print(text)


def say(sentence: str) -> None:
    """On standard error; names and words from elsewhere may be in it, so nothing in it acts on a terminal."""
    from rsi.sanitize import for_terminal

    print(for_terminal(" ".join(sentence.split("\n"))), file=sys.stderr)
