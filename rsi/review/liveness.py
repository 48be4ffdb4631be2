"""Whether a process is writing a run right now, found out without disturbing it."""

from __future__ import annotations

from pathlib import Path

from rsi.durable import read_regular
from rsi.errors import RsiError


def is_being_written(folder: Path) -> bool | None:
    """True while someone holds the run's lock, False where nobody does, None where this machine cannot tell.

    Read from the kernel's table of locks: to try the lock oneself would, for a moment, keep a writer out.
    """
    try:
        inode = (folder / "lock").lstat().st_ino
        holder = read_regular(folder / "lock", 64).decode("ascii", "replace").strip()
    except (OSError, RsiError):
        return False
    try:
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # By process and inode only: the device that this table names is another than stat's on overlay file systems.
    rows = (line.split() for line in table.splitlines())
    return any("FLOCK" in row and holder in row and row[5].endswith(f":{inode}") for row in rows if len(row) > 5)
