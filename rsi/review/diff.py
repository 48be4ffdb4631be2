"""`rsi diff`: what an experiment changed, read from `code.git` without git, its configuration or its hooks."""

from __future__ import annotations

from rich.console import Console

from rsi.edits import render_diff
from rsi.errors import UsageError
from rsi.output import print_json
from rsi.records import Versioned
from rsi.review.diff_lines import counts_of, lines_of
from rsi.review.highlight import print_highlighted
from rsi.review.reading import Reading
from rsi.review.wording import say
from rsi.sanitize import for_terminal
from rsi.workspace import Workspace


class Difference(Versioned):
    """What leads from one experiment's code to another's."""

    run: str
    experiment: int
    against: int
    commit: str
    against_commit: str
    files: dict[str, tuple[int, int]]
    """File → lines added, lines taken out."""
    diff: str
    """Unified."""


def difference(reading: Reading, a: str, b: str = "") -> Difference:
    """The difference that leads to experiment `a`, hostile text as it is.

    Args:
        reading: Of which run.
        a: An experiment's number, `best` or `baseline`.
        b: The one to start from; by default the parent of `a`, for `best` the baseline.
    """
    new = resolve(reading, a)
    parent = reading.excerpt(new).state.experiments[new].proposed.parent
    old = resolve(reading, b) if b else 0 if a == "best" else parent
    workspace = Workspace.open(reading.folder)
    start, end = _commit(reading, old), _commit(reading, new)
    text = render_diff(workspace.read(start), workspace.read(end))
    return Difference(
        run=reading.summary.run,
        experiment=new,
        against=old,
        commit=end,
        against_commit=start,
        files=counts_of(lines_of(text)),
        diff=text,
    )


def diff(reading: Reading, a: str, b: str = "") -> str:
    """The unified diff alone."""
    return difference(reading, a, b).diff


def print_diff(reading: Reading, a: str, b: str, console: Console, *, as_json: bool = False) -> None:
    """Print the diff, in colours on a terminal, as it is (but for control characters) in a pipe."""
    found = difference(reading, a, b)
    text = for_terminal(found.diff)
    if as_json:
        files = {for_terminal(name, 300): counts for name, counts in found.files.items()}
        print_json(found.model_copy(update={"diff": text, "files": files}))
    elif not text.strip():
        say(console, "The two are the same code.")
    elif console.is_terminal:
        say(console, f"experiment {found.against} -> experiment {found.experiment}", "dim")
        print_highlighted(text, console)
    else:
        say(console, text.rstrip("\n"))


def resolve(reading: Reading, name: str) -> int:
    """The number of an experiment named by number, `best` or `baseline`; UsageError for anything else."""
    if name == "best":
        return reading.summary.best.experiment
    if name == "baseline":
        return 0
    if not (name.isascii() and name.isdigit() and len(name) <= 9):
        raise UsageError(f"{for_terminal(name)!r} is no experiment; give a number, best or baseline.")
    reading.excerpt(int(name))
    return int(name)


def _commit(reading: Reading, number: int) -> str:
    entry = reading.excerpt(number).state.experiments[number]
    if entry.committed is None:
        why = f" ({for_terminal(entry.closed.reason, 200)})" if entry.closed else ""
        raise UsageError(f"Experiment {number} has no code: its edit was not applied{why}.")
    return entry.committed.commit
