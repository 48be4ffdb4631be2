"""`rsi diff`: what an experiment changed, read from `code.git` without git, its configuration or its hooks."""

from __future__ import annotations

from rich.console import Console

from rsi.edits import render_diff
from rsi.errors import UsageError
from rsi.review.experiment import find, print_syntax
from rsi.review.wording import say
from rsi.runs import ReadRun
from rsi.sanitize import for_terminal
from rsi.workspace import Workspace


def diff(run: ReadRun, a: str, b: str = "") -> str:
    """The unified diff that leads to experiment `a`, hostile text as it is.

    Args:
        run: Of which run.
        a: An experiment's number, `best` or `baseline`.
        b: The one to start from; by default the parent of `a`, for `best` the baseline.
    """
    new = resolve(run, a)
    find(run, new)
    start = 0 if a == "best" else run.state.experiments[new].proposed.parent
    old = resolve(run, b) if b else start
    workspace = Workspace.open(run.folder)
    return render_diff(workspace.read(_commit(run, old)), workspace.read(_commit(run, new)))


def print_diff(run: ReadRun, a: str, b: str, console: Console) -> None:
    """Print the diff, in colours on a terminal, as it is (but for control characters) in a pipe."""
    text = for_terminal(diff(run, a, b))
    if not text.strip():
        say(console, "The two are the same code.")
    elif console.is_terminal:
        print_syntax(text, console)
    else:
        say(console, text.rstrip("\n"))


def resolve(run: ReadRun, name: str) -> int:
    """The number of an experiment named by number, `best` or `baseline`; UsageError for anything else."""
    if name == "best":
        return run.state.incumbent
    if name == "baseline":
        return 0
    if not (name.isascii() and name.isdigit() and len(name) <= 9):
        raise UsageError(f"{for_terminal(name)!r} is no experiment; give a number, best or baseline.")
    find(run, int(name))
    return int(name)


def _commit(run: ReadRun, number: int) -> str:
    entry = find(run, number)
    if entry.committed is None:
        why = f" ({for_terminal(entry.closed.reason, 200)})" if entry.closed else ""
        raise UsageError(f"Experiment {number} has no code: its edit was not applied{why}.")
    return entry.committed.commit
