"""The executions of an experiment: what each used, as a small table, and what it printed, in the order it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi.course import Course, interleaved, read_course
from rsi.errors import RsiError
from rsi.events import Executed, TrialTrained
from rsi.execution import Execution
from rsi.records import Record
from rsi.review.attempted import attempts_of, show_attempts
from rsi.review.wording import count, duration, one_line, safe, say
from rsi.runs import ReadRun

COLUMNS = ("trial", "ran", "ended", "wall", "CPU", "memory", "procs", "read", "written", "held", "printed")


class Kept(Record):
    """One execution with where the rest of its record lies."""

    trial: str
    challenge: str | None
    """What it answered; None for a training."""
    execution: Execution
    stdout: str
    stderr: str
    course: str | None
    attempts: str | None = None
    """The blob that lists everything that was attempted, where the execution does not."""

    @property
    def what(self) -> str:
        """`train`, `predict windows`: what ran, in words."""
        return self.execution.purpose if self.challenge is None else f"{self.execution.purpose} {self.challenge}"

    def as_json(self, run: ReadRun) -> dict[str, Any]:
        """With its course and all attempts in full, as plain values."""
        course = course_of(run, self.course)
        values = self.model_dump(mode="json", exclude={"stdout", "stderr", "course", "attempts"})
        every = [attempt.model_dump(mode="json") for attempt in attempts_of(self.execution, self.attempts, run.blobs)]
        return {**values, "course": course.model_dump(mode="json") if course else None, "attempts": every}


def executions_of(run: ReadRun, names: Sequence[str]) -> list[Kept]:
    """The executions of those trials, in order."""
    return [_kept(name, event) for name in names for event in _events(run, name)]


def _events(run: ReadRun, trial: str) -> Iterator[Executed]:
    yield from run.state.trials[trial].runs()


def _kept(trial: str, event: Executed) -> Kept:
    return Kept(
        trial=trial,
        challenge=None if isinstance(event, TrialTrained) else event.challenge,
        execution=event.execution,
        stdout=event.stdout,
        stderr=event.stderr,
        course=event.course,
        attempts=event.attempts,
    )


def course_of(run: ReadRun, digest: str | None) -> Course | None:
    """A course from the record; None where it is gone, altered, or of an earlier version."""
    try:
        return None if digest is None else read_course(run.blobs.get(digest))
    except RsiError:
        return None


def show_executions(run: ReadRun, executions: Sequence[Kept], console: Console) -> None:
    """A row for each execution (a dash where nothing was measured), what of its output was cut, what was attempted."""
    if not executions:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header in COLUMNS:
        table.add_column(header, no_wrap=True, justify="left" if header in COLUMNS[:3] else "right")
    for kept in executions:
        table.add_row(*(Text(one_line(cell, 60)) for cell in _cells(kept)))
    console.print(table)
    for kept in executions:
        for sentence in _cut(kept):
            say(console, f"  {sentence}", "yellow")
    told = [
        (f"trial {kept.trial}, {kept.what}", kept.execution, attempts_of(kept.execution, kept.attempts, run.blobs))
        for kept in executions
    ]
    show_attempts(told, console)


def _cells(kept: Kept) -> tuple[str, ...]:
    execution, usage = kept.execution, kept.execution.usage
    return (
        kept.trial,
        execution.purpose,
        execution.kind.value,
        duration(usage.wall_seconds),
        "-" if usage.cpu_seconds is None else duration(usage.cpu_seconds),
        short_size(usage.peak_memory_bytes),
        "-" if usage.peak_processes is None else str(usage.peak_processes),
        short_size(usage.read_bytes),
        short_size(usage.written_bytes),
        short_size(usage.peak_stored_bytes),
        short_size(execution.stdout_bytes + execution.stderr_bytes),
    )


def short_size(amount: int | None) -> str:
    """Bytes in at most five characters, in powers of 1024: `812`, `1.5K`, `120M`; a dash for what is not known."""
    if amount is None:
        return "-"
    value = float(min(amount, 2**100))  # a hostile record may hold any number
    for unit in ("", "K", "M", "G"):
        if value < 999.5:
            return f"{value:.1f}{unit}" if unit and value < 9.95 else f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.0f}T"


def _cut(kept: Kept) -> Iterator[str]:
    execution = kept.execution
    streams = (("stdout", execution.discarded_stdout_bytes), ("stderr", execution.discarded_stderr_bytes))
    for name, amount in streams:
        if amount:
            yield f"{kept.trial}, {execution.purpose}: {count(amount, 'byte')} of {name} did not fit and were cut"


def show_printed(run: ReadRun, executions: Sequence[Kept], console: Console) -> None:
    """Both streams of each execution in the order in which they came, each line with its number in its own stream.

    Standard error is marked by colour and `!`.
    """
    for kept in executions:
        say(console, f"  trial {kept.trial}, {kept.what}", "bold")
        try:
            streams = run.blobs.get(kept.stdout), run.blobs.get(kept.stderr)
        except RsiError as error:
            say(console, f"    (not to be had: {error})", "red")
            continue
        course = course_of(run, kept.course)
        if course is None or course.order is None:
            say(console, "    (in which order the two streams came is not on record)", "dim")
        numbers = {"stdout": 0, "stderr": 0}
        for stream, text in lines(interleaved(course.order if course else None, *streams)):
            mark, style = ("|", "") if stream == "stdout" else ("!", "yellow")
            numbers[stream] += 1  # of its own stream, as findings point at it
            line = Text(f"  {numbers[stream]:>5} {mark} ", style="dim")
            line.append_text(safe(text, style))
            say(console, line)
        for sentence in _cut(kept):
            say(console, f"    ({sentence})", "yellow")


def lines(pieces: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """Whole lines in the order in which they were ended; what is never ended comes last.

    A line of one stream goes on behind what came on the other meanwhile, as on a screen of its own.
    """
    begun: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    for stream, piece in pieces:
        *whole, rest = (begun[stream] + piece).split(b"\n")
        begun[stream] = rest
        for line in whole:
            yield stream, line.decode("utf-8", "replace")
    for stream, rest in begun.items():
        if rest:
            yield stream, rest.decode("utf-8", "replace")
