"""Who made a container, so that what a killed process left behind can be told from what a living one uses.

An owner is a process: the machine's boot, the process namespace, the process id and the moment it started. Where that
process can be looked for, the kernel's word is exact, and a number that was given to another process is told apart.
Where it cannot (another machine or namespace, an earlier boot, a kernel that hides other users' processes), nobody
guesses: what then counts is the lease, see `sandboxes.docker.sweep`.
"""

from __future__ import annotations

import os
from pathlib import Path

OWNER_LABEL = "rsi.owner"
CELL_LABEL = "rsi.cell"
UNKNOWN = "unknown"


def this_process() -> str:
    """`<machine>:<process id>:<its start time>`, distinct for every process there ever was on this machine."""
    return f"{_machine()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_alive(owner: str) -> bool | None:
    """Whether that process lives; None where that cannot be told from here."""
    machine, _, process = owner.partition(":")
    number, _, start = process.partition(":")
    if not (number.isdigit() and start.isdigit()) or machine == UNKNOWN or machine != _machine():
        return None
    found = _start_time(int(number))
    if found:
        return found == start
    return None if _exists(int(number)) else False


def _machine() -> str:
    """This boot and this process namespace: two containers of one machine see different processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a magic link: it must not be resolved as a path
    except OSError:
        return UNKNOWN
    return f"{boot}.{namespace}" if boot else UNKNOWN


def _exists(process: int) -> bool:
    """Whether the kernel knows that process, though `/proc` may hide it (mount option hidepid)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _start_time(process: int) -> str:
    """In clock ticks since boot, empty where there is no such process, or none that may be seen."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return ""
    # The name, second and in brackets, may hold spaces and brackets itself.
    return text.rpartition(")")[2].split()[19]
