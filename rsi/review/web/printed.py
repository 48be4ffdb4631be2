"""What an execution printed, both streams in the order in which they came, as numbered lines; too much is cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from rsi.course import Course, interleaved
from rsi.errors import IntegrityError
from rsi.records import Record
from rsi.review.executions import Kept, course_of, lines
from rsi.runs import ReadRun

LONGEST_LINE = 500
"""Characters of a line that are shown."""


class PrintedLine(Record):
    """One line that was printed."""

    number: int
    """From 1, over both streams."""
    stream: Literal["stdout", "stderr"]
    of_stream: int
    """From 1, within its own stream: what findings name."""
    text: str
    """Hostile, at most a little longer than what is shown."""
    cut: int = 0
    """Characters that are left out at its end."""


class Printed(Record):
    """What is shown of an execution's output."""

    lines: tuple[PrintedLine, ...] = ()
    """With gaps in their numbers, where lines are left out."""
    total: int = 0
    order_known: bool = True
    problem: str = ""
    """Why there is nothing to show, where there should be."""

    @property
    def left(self) -> int:
        """Lines that are not shown."""
        return self.total - len(self.lines)


def printed(run: ReadRun, kept: Kept, most: int, wanted: Collection[tuple[str, int]] = ()) -> Printed:
    """The first three quarters and the last quarter of `most` lines, and those that are wanted by stream and line."""
    try:
        streams = run.blobs.get(kept.stdout), run.blobs.get(kept.stderr)
    except IntegrityError as error:
        return Printed(problem=str(error))
    course: Course | None = course_of(run, kept.course)
    order = course.order if course else None
    total = sum(1 for _ in lines(interleaved(order, *streams)))
    shown = tuple(
        line
        for line in _numbered(lines(interleaved(order, *streams)))
        if line.number <= most * 3 // 4 or line.number > total - most // 4 or (line.stream, line.of_stream) in wanted
    )
    return Printed(lines=shown, total=total, order_known=order is not None or not all(streams))


def _numbered(whole: Iterator[tuple[str, str]]) -> Iterator[PrintedLine]:
    counts = {"stdout": 0, "stderr": 0}
    for number, (stream, text) in enumerate(whole, start=1):
        counts[stream] += 1
        yield PrintedLine(
            number=number,
            stream="stdout" if stream == "stdout" else "stderr",
            of_stream=counts[stream],
            text=text[:LONGEST_LINE],
            cut=max(0, len(text) - LONGEST_LINE),
        )
