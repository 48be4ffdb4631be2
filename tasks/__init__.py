"""The shipped tasks: one folder each, found by the entry points below."""

from pathlib import Path

_HERE = Path(__file__).parent


def charlm() -> Path:
    """A byte-level language model on the interpreter's own documentation."""
    return _HERE / "charlm"


def digits() -> Path:
    """A small NumPy network on scanned digits; a trial takes about two seconds."""
    return _HERE / "digits"


def proposer() -> Path:
    """A program that chooses what to try next, judged on inner tasks."""
    return _HERE / "proposer"


def prompt() -> Path:
    """What a language model is told that chooses what to try next, judged on inner tasks."""
    return _HERE / "prompt"
