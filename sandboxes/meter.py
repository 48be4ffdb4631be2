"""What a program uses, added up from readings of its place: totals for the record, rows for the series over time."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from rsi.course import Series
from rsi.execution import Usage
from sandboxes.place import Reading

MOST_ROWS = 256
"""Of a series; past it, rows are merged two by two, and from then on each stands for twice the time."""

Number = TypeVar("Number", int, float)

SUMS = ("cpu_seconds", "read_bytes", "written_bytes", "device_read_bytes", "device_written_bytes")


class Row(NamedTuple):
    """One row of the series; see `rsi.course.Series`."""

    seconds: float
    cpu_seconds: float | None
    memory_bytes: int | None
    processes: int | None
    read_bytes: int | None
    written_bytes: int | None
    device_read_bytes: int | None
    device_written_bytes: int | None
    stored_bytes: int | None


class Meter:
    """Takes the readings of one place from the start of its program to its end."""

    def __init__(self, baseline: Reading) -> None:
        self._baseline = baseline
        self._peak = Reading()
        """The most of everything, since the start of the program."""
        self._rows: list[Row] = []
        self._stride = 1
        """Readings in a row."""
        self._open = 0
        """Readings in the last row."""

    def read(self, seconds: float, reading: Reading) -> None:
        """Take a reading made that long after the start."""
        # A process that ends between two looks of one reading may be missed in it; a sum never falls all the same.
        self._peak = Reading(**{name: most(getattr(self._peak, name), value) for name, value in reading})
        row = Row(
            seconds=seconds,
            **{name: self._sum(name) for name in SUMS},
            memory_bytes=reading.memory_bytes,
            processes=_program_alone(reading.processes),
            stored_bytes=reading.stored_bytes,
        )
        if self._rows and self._open < self._stride:
            self._rows[-1] = _merged(self._rows[-1], row)
            self._open += 1
            return
        self._rows.append(row)
        self._open = 1
        if len(self._rows) > MOST_ROWS:
            self._thin_out()

    def _thin_out(self) -> None:
        whole = self._rows[:-1]
        self._rows = [_merged(*pair) for pair in zip(whole[::2], whole[1::2], strict=True)] + self._rows[-1:]
        self._stride *= 2

    @property
    def cpu_seconds(self) -> float:
        """What the program is known to have used so far."""
        return self._sum("cpu_seconds") or 0.0

    @property
    def peak_memory_bytes(self) -> int:
        """The most that is known of, waiting for the program included."""
        return max(self._peak.peak_memory_bytes or 0, self._peak.memory_bytes or 0)

    def _sum(self, name: str) -> Any:
        """Since the start of the program, of what a place counts from its making."""
        value, before = getattr(self._peak, name), getattr(self._baseline, name)
        return None if value is None else max(value - (before or 0), type(value)(0))

    def usage(self, wall_seconds: float) -> Usage:
        """The totals. What was never read is None."""
        peak = self._peak
        return Usage(
            wall_seconds=wall_seconds,
            cpu_user_seconds=self._sum("cpu_user_seconds"),
            cpu_system_seconds=self._sum("cpu_system_seconds"),
            **{name: self._sum(name) for name in SUMS},
            peak_memory_bytes=most(peak.peak_memory_bytes, peak.memory_bytes),
            # It was seen to run: a program too short to be seen in a reading was one process at least.
            peak_processes=None if peak.processes is None else max(1, _program_alone(peak.processes) or 0),
            peak_stored_bytes=peak.stored_bytes,
        )

    def series(self) -> Series:
        """The rows as columns; one of which nothing was ever read is None."""
        columns = {name: tuple(getattr(row, name) for row in self._rows) for name in Row._fields}
        optional = {n for n in columns if n not in ("seconds", "cpu_seconds") and all(v is None for v in columns[n])}
        return Series(**{name: _rounded(column) for name, column in columns.items() if name not in optional})


def most(one: Number | None, other: Number | None) -> Number | None:
    """The larger of two readings, of which either may be lacking."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _program_alone(processes: int | None) -> int | None:
    """Without the worker, which waits."""
    return None if processes is None else max(0, processes - 1)


def _merged(earlier: Row, later: Row) -> Row:
    """One row for the time of both. Sums never fall, so that their most is what they were at the end."""
    values: list[Any] = [most(*pair) for pair in zip(earlier, later, strict=True)]
    return Row(*values)


def _rounded(column: tuple[Any, ...]) -> tuple[Any, ...]:
    """Times to a tenth of a millisecond."""
    return tuple(round(value, 4) if isinstance(value, float) else value for value in column)
