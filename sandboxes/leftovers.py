"""Temporary folders of ours that a killed process left on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rsi.records import Record
from sandboxes.image import cache_folder

UNTOUCHED_SECONDS = 3600.0
"""Nothing of ours leaves a temporary folder alone for so long while it needs it, but for a program that works in it."""


class LeftFolder(Record):
    """A folder that nobody uses."""

    path: Path
    bytes: int


def leftover_folders() -> tuple[LeftFolder, ...]:
    """Folders of this user's, named as ours are, untouched for an hour, and not open or worked in by any process."""
    candidates = [folder for folder in sorted(_named_as_ours()) if _is_old_and_ours(folder)]
    used = _in_use() if candidates else set()
    free = [folder for folder in candidates if not any(path.is_relative_to(folder.resolve()) for path in used)]
    return tuple(LeftFolder(path=folder, bytes=_size(folder)) for folder in free)


def remove_folder(folder: LeftFolder) -> bool:
    """Remove it; False where the system would not."""
    shutil.rmtree(folder.path, ignore_errors=True)
    return not folder.path.exists()


def _named_as_ours() -> Iterator[Path]:
    temporary = Path(tempfile.gettempdir())
    for prefix in ("rsi-check-", "rsi-verify-", "rsi-process-"):
        yield from temporary.glob(f"{prefix}*")
    cache = cache_folder()
    yield from (cache / "prepared").glob(".staging-*")
    if _nobody_builds(cache / "image.lock"):
        yield from cache.glob("image-*")


def _nobody_builds(lock: Path) -> bool:
    """Whether no process is building the image: a build may think about one file for longer than an hour."""
    try:
        with lock.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _is_old_and_ours(folder: Path) -> bool:
    try:
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.geteuid():
            return False
        newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return False  # it is changing under our eyes
    return time.time() - newest > UNTOUCHED_SECONDS


def _in_use() -> set[Path]:
    """Files and folders that processes have open or work in, as far as this user may see."""
    used: set[Path] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (process / "cwd", *(process / "fd").iterdir()):
                with contextlib.suppress(OSError):
                    used.add(link.readlink())
    return used


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total
