"""Who made a container, so that what a killed process left behind can be told from what a living one uses."""

from __future__ import annotations

import os
from pathlib import Path

OWNER_LABEL = "rsi.owner"
CELL_LABEL = "rsi.cell"


def this_process() -> str:
    """`<machine>:<process id>:<its start time>`, distinct for every process there ever was on this machine."""
    return f"{_machine()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_alive(owner: str) -> bool | None:
    """Whether that process lives; None where that cannot be seen from here (another machine, an earlier boot)."""
    machine, _, process = owner.partition(":")
    number, _, start = process.partition(":")
    if not number.isdigit():
        return None
    if machine != _machine():
        return None
    return _start_time(int(number)) == start


def _machine() -> str:
    """This boot and this process namespace: two containers of one machine see different processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a magic link: it must not be resolved as a path
    except OSError:
        return "unknown"
    return f"{boot}.{namespace}"


def _start_time(process: int) -> str:
    """In clock ticks since boot, empty where there is no such process."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return ""
    # The name, second and in brackets, may hold spaces and brackets itself.
    return text.rpartition(")")[2].split()[19]
