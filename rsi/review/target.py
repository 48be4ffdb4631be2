"""Where a report or an export goes: written beside its place under another name and put there whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsi.durable import sync_folder
from rsi.errors import EnvironmentFault, UsageError
from rsi.review.notes import NOTES
from rsi.runs import LEDGER

MANIFEST = "export.json"
"""In a folder that an export made: by it such a folder is known again."""
_OF_A_RUN = frozenset({LEDGER, NOTES})


def check(target: Path, *, force: bool, folder: bool = False) -> None:
    """UsageError where something is in the way, before any work is done."""
    if not target.name:
        raise UsageError(f"{target} names no file to write to; name one with -o.")
    if target.is_symlink():
        raise UsageError(f"{target} is a link; name the place itself.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder; make it, or name another place with -o.")
    if target.name in _OF_A_RUN:
        raise UsageError(f"{target} would stand where a run keeps its record; give it another name.")
    if not os.path.lexists(target):
        return
    if any((above / LEDGER).is_file() for above in target.absolute().parents):
        raise UsageError(f"{target} lies in a run folder, where nothing is replaced; name a place elsewhere with -o.")
    if folder and not (target.is_dir() and (target / MANIFEST).is_file()):
        # Never a folder of someone's own: with --force all that lies in it goes.
        raise UsageError(f"{target} exists and is no export of this program; name another folder.")
    if not folder and not target.is_file():
        raise UsageError(f"{target} exists and is no file; name another place with -o.")
    if not force:
        raise UsageError(f"{target} exists; name another place with -o, or replace it with --force.")


@contextmanager
def new_file(target: Path, *, force: bool) -> Iterator[Path]:
    """A path to write a file to that stands at `target` once the block ends well; nothing is left where it does not.

    UsageError where something is there and `force` is not given, EnvironmentFault where the disk refuses.
    """
    check(target, force=force)
    unfinished = _beside(target)
    try:
        with _faults(target), _ended_in_order():
            yield unfinished
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            if force:
                unfinished.replace(target)
            else:
                _put(unfinished, target)
            sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _put(unfinished: Path, target: Path) -> None:
    """Unlike a rename this never replaces what came there meanwhile, where the file system knows links."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise UsageError(f"{target} exists; name another place with -o, or replace it with --force.") from None
    except OSError:
        check(target, force=False)
        unfinished.rename(target)


@contextmanager
def new_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """The same for a folder, which replaces another export only as a whole."""
    check(target, force=force, folder=True)
    unfinished, before = _beside(target), _beside(target)
    try:
        with _faults(target), _ended_in_order():
            unfinished.mkdir()
            yield unfinished
            if os.path.lexists(target):
                target.rename(before)
            unfinished.rename(target)
            sync_folder(target.parent)
    finally:
        if os.path.lexists(before) and not os.path.lexists(target):
            before.rename(target)
        for leftover in (unfinished, before):
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Told to end, let what is unfinished be cleared away first; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _faults(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EnvironmentFault(
            f"{target} cannot be written: {reason}; nothing was kept. Make room or give access, then try again."
        ) from error


def _beside(target: Path) -> Path:
    # The ending stays: some writers go by it.
    return target.parent / f".rsi-unfinished-{secrets.token_hex(6)}{target.suffix}"
