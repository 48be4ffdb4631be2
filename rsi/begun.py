"""A folder with a plan that was frozen at its start and the runs made from it: a comparison, an evolution.

Nothing else is written down: what is left to do is what the run folders do not hold yet, so that what was killed at any
moment goes on with what is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsi import anchors, runs
from rsi.durable import UNFINISHED, disk_faults, make_folder, read_regular, write_whole
from rsi.errors import IntegrityError, RsiError, UsageError
from rsi.review.reading import Reading
from rsi.review.reading import read as read_run
from rsi.review.summary import RunSummary, summarise
from rsi.review.wording import one_line

LONGEST = 1 << 20
"""Bytes of a plan."""


def freeze(plan: Path, text: str, kind: str) -> None:
    """Write a plan that nothing changes from here on, in a folder that is made for it.

    Args:
        plan: Its file.
        text: What it says.
        kind: `comparison`, `evolution`: in the name of its anchor.
    """
    folder = plan.parent
    with disk_faults(folder):
        make_folder(folder.absolute())
        content = text.encode()
        # The anchor first: a plan without one would be taken for a stranger's.
        anchors.record(_anchor_name(folder, kind), 0, hashlib.sha256(content).hexdigest())
        write_whole(plan, content, staging=folder)


@contextmanager
def beginning(folder: Path) -> Iterator[None]:
    """Make a folder, and hold it while something begins there; UsageError where another process does the same."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name an empty or a new folder.")
    with disk_faults(folder):
        make_folder(folder.absolute())
    with _locked(folder.resolve(), os.O_DIRECTORY, f"Another process begins in {folder}; try again."):
        yield


def holds_nothing_but(folder: Path, names: Collection[str]) -> bool:
    """Whether all that lies in a folder is called so, or was left by a process that was killed as it wrote a file."""
    return all(entry.name in names or entry.name.startswith(UNFINISHED) for entry in folder.iterdir())


@contextmanager
def alone(plan: Path) -> Iterator[None]:
    """Hold a plan, so that no other process makes its runs; UsageError where one does."""
    with _locked(plan, 0, f"Another process is running {plan.parent}; wait until it has ended."):
        yield


@contextmanager
def _locked(path: Path, kind: int, busy: str) -> Iterator[None]:
    with disk_faults(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(busy) from None
        yield
    finally:
        os.close(descriptor)


def require_ours(plan: Path, kind: str, its: str, *, trusted: bool) -> None:
    """UsageError before anything is run that this machine did not write down, or that has changed since."""
    name = _anchor_name(plan.parent, kind)
    known = anchors.read(name)
    if known and known[-1].hash != hashlib.sha256(read_regular(plan, LONGEST)).hexdigest():
        raise UsageError(
            f"{plan} was changed after its {its} had begun, so they would not match; restore it, or start another "
            f"{kind}."
        )
    if not known and not trusted:
        raise UsageError(
            f"{plan.parent} did not begin on this machine, and going on runs what its {plan.name} names; if you trust "
            "whoever made it, say so with --trust."
        )


def run_below(root: Path) -> Reading | None:
    """The run below a folder; None where there is none, or a process died before more than its beginning was written.

    Such a one may lack what tells that it is ours, and nothing is lost by beginning another beside it. IntegrityError
    where its record does not hold.
    """
    for folder in runs.list_runs(root):
        if folder.is_symlink() or not (folder / runs.LEDGER).stat().st_size:
            continue
        reading = read_run(folder)
        if reading.summary.events > 1:
            return reading
    return None


def at_its_first_end(reading: Reading) -> RunSummary:
    """What a run had come to when it ended for the first time; as it stands, where it never did.

    With that it is compared, or built upon. A run may be given more budget afterwards: what it then finds is its own
    affair, because the others were not given as much, and what was built on it is not made anew. IntegrityError where
    the record contradicts itself.
    """
    kinds = [event.kind for event in reading.events(kinds=("run.finished", "run.resumed"))]
    if "run.finished" not in kinds[:-1]:
        return reading.summary
    run = runs.read(reading.folder).at_its_first_end()
    try:
        return summarise(run)
    except RsiError:
        raise
    except Exception as error:  # hostile records make any of our code fail, and that is all there is to say
        raise IntegrityError(f"{reading.folder} contradicts itself ({one_line(str(error), 100)}).") from error


def budget_was_changed(reading: Reading) -> bool:
    """Whether a run was given another budget, or an attribution to spend, before it ended for the first time."""
    for event in reading.events(kinds=("run.finished", "run.resumed")):
        if event.kind == "run.finished":
            return False
        if event.body.get("budget") is not None or event.body.get("attribute") is not None:
            return True
    return False


def _anchor_name(folder: Path, kind: str) -> str:
    """By its place: what was moved is asked about again."""
    return f"{kind}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}"
