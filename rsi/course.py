"""The course of an execution, seen from outside: its use over time, the order of its output, files before and after.

It is one blob, which the event of the execution names; the totals are in the event itself (`rsi.execution.Usage`).
A column is None where that kind of sandbox cannot measure it, a value where it could not be measured at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from rsi.records import Record

LARGEST = 16 * 1024 * 1024
"""Bytes of a course that is read; ours are far smaller."""

Numbers = tuple[float | None, ...]
Counts = tuple[int | None, ...]
Stream = Literal["stdout", "stderr"]


class Series(Record):
    """What a program used, a row a look; columns of equal length, a bounded number of rows.

    A row stands for the time since the row before it. What adds up (CPU time, bytes read and written) is the sum from
    the start of the program to the row's time; what comes and goes (memory, processes, files) is the most that was
    seen in the row's time.
    """

    seconds: tuple[float, ...] = ()
    """Since the program was told to start."""
    cpu_seconds: Numbers = ()
    memory_bytes: Counts | None = None
    """Of the whole place, imports made ahead and files in memory included."""
    processes: Counts | None = None
    """Threads included."""
    read_bytes: Counts | None = None
    written_bytes: Counts | None = None
    device_read_bytes: Counts | None = None
    device_written_bytes: Counts | None = None
    stored_bytes: Counts | None = None
    """What lies in the folders that the program can write to."""

    @model_validator(mode="after")
    def _equal_columns(self) -> Series:
        columns = [getattr(self, name) for name in type(self).model_fields]
        if any(column is not None and len(column) != len(self.seconds) for column in columns):
            raise ValueError("the columns of a series are of equal length")
        return self


class StreamOrder(Record):
    """In which order the two streams came: pieces, each with its time and how many bytes of each stream.

    It is the order in which they reached the host. Within a piece that holds bytes of both, their order is not known.
    The bytes are those that were kept, as they came: before secrets were redacted.
    """

    seconds: tuple[float, ...] = ()
    """Since the program was told to start: when the first byte of the piece came."""
    stdout_bytes: tuple[int, ...] = ()
    stderr_bytes: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _equal_columns(self) -> StreamOrder:
        if not len(self.seconds) == len(self.stdout_bytes) == len(self.stderr_bytes):
            raise ValueError("the columns of a stream order are of equal length")
        if any(count < 0 for count in (*self.stdout_bytes, *self.stderr_bytes)):
            raise ValueError("a piece holds no fewer than zero bytes")
        return self


class FileSeen(Record):
    """Something that lay in a folder."""

    path: str
    """Below the folder; hostile text, with bytes that are not UTF-8 as backslash escapes."""
    kind: Literal["file", "folder", "link", "other"] = "file"
    size: int = Field(default=0, ge=0)
    sha256: str | None = None
    """None where the content was not read."""


class Listing(Record):
    """What lay in a folder; links are named, not followed."""

    files: tuple[FileSeen, ...] = ()
    complete: bool = True
    """False where there was more than could be looked at."""


class Course(Record):
    """All that is kept of an execution beside its totals and its two streams."""

    series: Series | None = None
    """None where the program was never told to start."""
    order: StreamOrder | None = None
    inputs: Listing | None = None
    """What it was given; None where it was given nothing because it never started."""
    inputs_after: Listing | None = None
    """The same folder at the end, looked at and hashed where it lies; None where that could not be done."""
    outputs: Listing | None = None
    """The output folder at the end, whatever the end; None where it could not be read."""
    scratch: Listing | None = None
    """The scratch folder at the end, without contents; None where it could not be looked at."""


def read_course(data: bytes) -> Course | None:
    """A course as it was stored; None for bytes that are none."""
    if len(data) > LARGEST:
        return None
    try:
        return Course.model_validate_json(data)
    except ValidationError:
        return None


def interleaved(order: StreamOrder | None, stdout: bytes, stderr: bytes) -> Iterator[tuple[Stream, bytes]]:
    """Both streams in the order in which they came, a piece at a time; one after the other where that is not known.

    It is not known for runs of earlier versions, nor where redacting has changed a stream's length.
    """
    known = order is not None and (sum(order.stdout_bytes), sum(order.stderr_bytes)) == (len(stdout), len(stderr))
    pieces = zip(order.stdout_bytes, order.stderr_bytes, strict=True) if order is not None and known else ()
    at = {"stdout": 0, "stderr": 0}
    for of_stdout, of_stderr in (*pieces, (len(stdout), len(stderr))):
        for name, stream, count in (("stdout", stdout, of_stdout), ("stderr", stderr, of_stderr)):
            piece = stream[at[name] : at[name] + count]
            at[name] += len(piece)
            if piece:
                yield ("stdout", piece) if name == "stdout" else ("stderr", piece)
