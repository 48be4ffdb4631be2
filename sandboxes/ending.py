"""How an execution ended: the worker's last line, read with suspicion, and the one place that names the ending."""

from __future__ import annotations

import builtins
import errno
import json
import signal
from collections.abc import Collection
from typing import Any

from rsi.execution import ExitKind, Fault
from rsi.records import Record
from sandboxes.supervise import Watched

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Trailer(Record):
    """The worker's word on its child; a hostile program can forge it and gains what ending early gains."""

    exit_code: int | None = None
    signal: int | None = None
    fault: Fault | None = None
    errno: int | None = None
    disk_full: bool = False


def read_trailer(text: bytes | None, inputs: Collection[str]) -> Trailer | None:
    """The trailer, reduced to values that carry no message; None where there is none that can be read."""
    try:
        value = json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    fault = value.get("fault")
    return Trailer(
        exit_code=_number(value.get("exit_code"), 255),
        signal=_number(value.get("signal"), 64),
        fault=_fault(fault, inputs) if isinstance(fault, dict) else None,
        errno=_number(fault.get("errno"), 4095) if isinstance(fault, dict) else None,
        disk_full=value.get("disk_full") is True,
    )


def classify(watched: Watched, trailer: Trailer | None) -> tuple[ExitKind, str]:
    """The kind of the ending and, for all but a plain completion, our sentence about it."""
    if watched.stopped is not None and not _had_ended(watched.stopped, trailer):
        return watched.stopped, watched.reason
    if trailer is None:
        return _without_trailer(watched)
    if trailer.exit_code == 0:
        return ExitKind.COMPLETED, ""  # though a child of the program may have been killed for want of memory
    return _failed(watched, trailer)


def _had_ended(stopped: ExitKind, trailer: Trailer | None) -> bool:
    """Whether the word of the end was only late: at the deadline nothing is left that could say it but our SIGKILL."""
    return stopped is ExitKind.TIMED_OUT and trailer is not None and trailer.signal != signal.SIGKILL


def _failed(watched: Watched, trailer: Trailer) -> tuple[ExitKind, str]:
    killed_at_limit = trailer.signal == signal.SIGKILL and watched.memory_at_limit
    unallocated = trailer.fault is not None and trailer.fault.error == "MemoryError"
    if watched.end.out_of_memory or killed_at_limit or unallocated:
        return ExitKind.OUT_OF_MEMORY, "The program needed more memory than its limit."
    if trailer.disk_full or trailer.errno in DISK_ERRORS or trailer.signal == signal.SIGXFSZ:
        return ExitKind.DISK_FULL, "The program wrote more than its disk limit."
    return ExitKind.CRASHED, _crash(trailer)


def _crash(trailer: Trailer) -> str:
    if trailer.signal is not None:
        return f"The program was ended by {_signal_name(trailer.signal)}."
    if trailer.fault is None:
        return f"The program ended with exit code {trailer.exit_code}."
    place = f" at {trailer.fault.file}:{trailer.fault.line}" if trailer.fault.file else ""
    return f"The program raised {trailer.fault.error}{place}."


def _without_trailer(watched: Watched) -> tuple[ExitKind, str]:
    if watched.end.out_of_memory or watched.memory_at_limit:
        return ExitKind.OUT_OF_MEMORY, "The sandbox ended for want of memory."
    if watched.end.from_outside:
        return ExitKind.LOST, "The sandbox was ended from outside while the program ran; resume the run."
    return ExitKind.CRASHED, f"The program ended its sandbox (exit code {watched.end.exit_code})."


def _fault(value: dict[str, Any], inputs: Collection[str]) -> Fault:
    known = getattr(builtins, str(value.get("error")), None)
    is_exception = isinstance(known, type) and issubclass(known, BaseException)
    file = value.get("file")
    if not isinstance(file, str) or file not in inputs:
        return Fault(error=known.__name__ if is_exception and known else "Exception")
    line = _number(value.get("line"), 10_000_000) or 0
    return Fault(error=known.__name__ if is_exception and known else "Exception", file=file, line=line)


def _number(value: object, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
