"""What the fake sandbox says that a job attempted: what its script's comments tell it to say."""

from __future__ import annotations

import re

from rsi.attempts import Attempt, AttemptKind, Coverage, Grade
from rsi.execution import Job

MARKER = re.compile(r"#\s*fake:\s*([a-z-]+)")
_OPENED = re.compile(r"\bopen\('(/[^']*)'\)")


def line_of(source: str, marker: str) -> int:
    """The first line with that marker, 1 without any."""
    lines = source.splitlines()
    return next((number for number, line in enumerate(lines, start=1) if marker in MARKER.findall(line)), 1)


def attempts(job: Job) -> tuple[Attempt, ...]:
    """What the job's script says that it attempts, in every grade that looks, at the line that says so."""
    content = job.inputs.get(job.argv[0])
    source = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    inside = [
        Attempt(
            grade=Grade.OBSERVED,
            kind=AttemptKind.CONNECTION,
            target="192.0.2.1:80",
            detail="connect",
            file=job.argv[0],
            line=line_of(source, "connect"),
        )
        for marker in MARKER.findall(source)
        if marker == "connect"
    ]
    # A script that opens a file by its path, such as the one that asks whether tracing works.
    inside += [
        Attempt(grade=Grade.OBSERVED, kind=AttemptKind.FILE, target=path, detail="read", file=job.argv[0], line=1)
        for path in _OPENED.findall(source)
    ]
    bare = {"grade": Grade.TRACED, "file": "", "line": 0}
    return (*inside, *(attempt.model_copy(update=bare) for attempt in inside if job.trace))


def coverage(job: Job) -> tuple[Coverage, ...]:
    """Every grade that looks sees everything."""
    return tuple(Coverage(grade=grade, complete=True) for grade in Grade if grade is Grade.OBSERVED or job.trace)
