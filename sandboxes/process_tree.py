"""What a process and all its descendants use, and their end; read from /proc, so Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROUNDS = 200


class Entry(NamedTuple):
    """One process of the tree."""

    number: int
    parent: int
    zombie: bool
    user_seconds: float
    system_seconds: float
    """CPU time, its own and that of the children it has waited for."""
    threads: int
    memory_bytes: int


def tree(root: int) -> list[Entry]:
    """The process and its living descendants, the process itself first; empty where it is gone."""
    entries = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - only the names are wanted, many times a second
        if name.isdigit() and (entry := read(int(name))) is not None:
            entries[entry.number] = entry
    if root not in entries:
        return []
    children: dict[int, list[Entry]] = {}
    for entry in entries.values():
        children.setdefault(entry.parent, []).append(entry)
    found = [entries[root]]
    for entry in found:  # grows while it is walked
        found.extend(children.get(entry.number, []))
    return found


def read(number: int) -> Entry | None:
    """One process; None where it is gone."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name, in brackets, may hold anything
    return Entry(
        number=number,
        parent=int(fields[1]),
        zombie=fields[0] in "ZX",
        user_seconds=(int(fields[11]) + int(fields[13])) / TICKS,
        system_seconds=(int(fields[12]) + int(fields[14])) / TICKS,
        threads=int(fields[17]),
        memory_bytes=int(fields[21]) * PAGE,
    )


def proportional_memory(number: int) -> int:
    """Bytes of memory where pages that several processes share count once in all; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def kill_descendants(root: int) -> None:
    """Kill every descendant, those included that are born meanwhile; the process itself stays."""
    for _ in range(ROUNDS):
        living = [entry.number for entry in tree(root)[1:] if not entry.zombie]
        if not living:
            return
        _kill_all(living)


def kill_marked(mark: str) -> None:
    """Kill every process in whose first environment the mark stands: orphans, whose parent was killed."""
    for _ in range(ROUNDS):
        marked = _marked(mark.encode())
        if not marked:
            return
        _kill_all(marked)


def _kill_all(numbers: list[int]) -> None:
    # Stopped first: what does not run cannot fork while its siblings are being killed.
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        for number in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, sent)
    time.sleep(0.005)


def _marked(mark: bytes) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            # Empty for a zombie, refused for other users' processes.
            if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
    return found
