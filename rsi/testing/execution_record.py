"""What the record of every execution must hold, whatever its end: the laws that all sandboxes are checked against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from rsi.course import LARGEST, Course, Listing, Series, StreamOrder, read_course
from rsi.execution import ExitKind, Job, Outcome, SandboxDescription, Shape, Usage, Watch
from rsi.protocols import Sandbox

SUMS = ("cpu_seconds", "read_bytes", "written_bytes", "device_read_bytes", "device_written_bytes")
MOST_ROWS = 4096
"""Of a series or an order, whatever the program does and however long."""


def check_record(job: Job, outcome: Outcome) -> None:
    """AssertionError where the record of an execution lacks something or contradicts itself."""
    execution, course = outcome.execution, outcome.course
    assert execution.argv == job.argv
    assert execution.limits == job.shape.limits
    assert set(job.environment) <= set(execution.environment_names)
    started, ended = datetime.fromisoformat(execution.started), datetime.fromisoformat(execution.ended)
    assert started.utcoffset() == ended.utcoffset() == timedelta(0), "times are in UTC"
    assert abs((ended - started).total_seconds() - execution.usage.wall_seconds) < 0.002
    assert bool(execution.detail) == (execution.kind is not ExitKind.COMPLETED)
    assert (execution.stdout_bytes, execution.stderr_bytes) == (len(outcome.stdout), len(outcome.stderr))
    cut = (execution.discarded_stdout_bytes, execution.discarded_stderr_bytes)
    assert None not in cut, "what was cut is told for each stream"
    assert sum(count or 0 for count in cut) == execution.discarded_output_bytes
    assert course is not None
    stored = course.model_dump_json(exclude_none=True).encode()
    assert len(stored) <= LARGEST
    assert read_course(stored) == course
    if course.series is not None:
        _check_series(course.series, execution.usage)
        _check_files(job, outcome, course)
    _check_order(course.order, outcome)


def _check_series(series: Series, usage: Usage) -> None:
    assert len(series.seconds) <= MOST_ROWS
    assert list(series.seconds) == sorted(series.seconds)
    for name in SUMS:
        column, total = getattr(series, name), getattr(usage, name)
        known = [value for value in column or () if value is not None]
        assert known == sorted(known), f"{name} never falls"
        assert bool(known) == (total is not None), f"{name} has a total where it has a course, and None where not"
        assert not known or abs(known[-1] - total) < 0.001, f"{name} ends at its total"
    for name, most in (
        ("memory_bytes", usage.peak_memory_bytes),
        ("processes", usage.peak_processes),
        ("stored_bytes", usage.peak_stored_bytes),
    ):
        known = [value for value in getattr(series, name) or () if value is not None]
        assert not known or (most is not None and max(known) <= most), f"{name} stays below its peak"


def _check_order(order: StreamOrder | None, outcome: Outcome) -> None:
    if order is None:
        assert outcome.stdout + outcome.stderr == b"", "streams come with their order"
        return
    assert len(order.seconds) <= MOST_ROWS
    assert list(order.seconds) == sorted(order.seconds)
    assert (sum(order.stdout_bytes), sum(order.stderr_bytes)) == (len(outcome.stdout), len(outcome.stderr))


def _check_files(job: Job, outcome: Outcome, course: Course) -> None:
    assert course.inputs is not None
    contents = {path: one if isinstance(one, bytes) else one.read_bytes() for path, one in job.inputs.items()}
    assert _by_path(course.inputs) == {
        path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in contents.items()
    }
    if outcome.execution.kind is ExitKind.COMPLETED:
        assert course.outputs is not None
        assert _by_path(course.outputs) == {file.path: (file.size, file.sha256) for file in outcome.execution.files}
    elif outcome.execution.kind is not ExitKind.LOST:
        assert course.outputs is not None, "what lies in the output folder is listed whatever the end"


def _by_path(listing: Listing) -> dict[str, tuple[int, str | None]]:
    return {file.path: (file.size, file.sha256) for file in listing.files}


class RecordChecking:
    """A sandbox around another, which holds every execution's record against the laws above."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.name = sandbox.name
        self.isolates = sandbox.isolates

    def describe(self) -> SandboxDescription:
        """As the other."""
        return self._sandbox.describe()

    def warm(self, shapes: Sequence[Shape]) -> None:
        """As the other."""
        self._sandbox.warm(shapes)

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As the other; AssertionError where the record does not hold."""
        outcome = self._sandbox.run(job, watch)
        check_record(job, outcome)
        return outcome

    def interrupt(self) -> None:
        """As the other."""
        self._sandbox.interrupt()

    def close(self) -> None:
        """As the other."""
        self._sandbox.close()
