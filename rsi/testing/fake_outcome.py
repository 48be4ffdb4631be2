"""What the fake sandbox says of a job: the whole record of an execution, made up, and the same each time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from rsi.course import Course, FileSeen, Listing, Series, StreamOrder
from rsi.errors import UsageError
from rsi.execution import Execution, ExitKind, Fault, Job, Outcome, OutputFile, Usage
from rsi.testing.fake_attempts import attempts, coverage

NAME = "fake"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
"""Of every execution, so that each repeats exactly."""


def read(job: Job) -> dict[str, bytes]:
    """Its inputs by path; UsageError for a job that no sandbox could run."""
    if not job.argv or (job.argv[0] != "-m" and job.argv[0] not in job.inputs):
        raise UsageError(f"The job's program {job.argv} is not among its inputs; name a script or `-m module`.")
    try:
        return {path: item if isinstance(item, bytes) else item.read_bytes() for path, item in job.inputs.items()}
    except OSError as error:
        raise UsageError(f"An input of the job cannot be read: {error}.") from None


def uniform(*labels: object) -> float:
    """A number strictly between 0 and 1 that follows from the labels."""
    digest = hashlib.sha256("\x00".join(map(str, labels)).encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def _execution(job: Job, kind: ExitKind, detail: str = "", line: int = 0) -> Execution:
    seconds = 0.5 + uniform(job.purpose, *sorted(job.environment.items()))
    killed = kind not in {ExitKind.COMPLETED, ExitKind.CRASHED, ExitKind.FORBIDDEN_OUTPUT, ExitKind.LOST}
    crashed = kind is ExitKind.CRASHED
    return Execution(
        sandbox=NAME,
        purpose=job.purpose,
        argv=job.argv,
        environment_names=tuple(sorted(job.environment)),
        limits=job.shape.limits,
        started=STARTED.isoformat(timespec="milliseconds"),
        ended=(STARTED + timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
        kind=kind,
        exit_code=None if killed or kind is ExitKind.LOST else int(crashed),
        signal=9 if killed else None,
        out_of_memory=kind is ExitKind.OUT_OF_MEMORY,
        usage=Usage(wall_seconds=seconds, cpu_seconds=seconds, peak_memory_bytes=2**20, peak_processes=1),
        fault=Fault(error="RuntimeError", file="train.py", line=line) if crashed else None,
        detail=detail,
        attempts=attempts(job),
        coverage=coverage(job),
    )


def _outcome(job: Job, execution: Execution, stdout: bytes, stderr: bytes, outputs: dict[str, bytes]) -> Outcome:
    """With all that is kept beside an execution; what nothing measured (bytes, the scratch folder) is None."""
    seen = tuple(FileSeen(path=path, size=len(data), sha256=_sha256(data)) for path, data in sorted(outputs.items()))
    wall = execution.usage.wall_seconds
    times = tuple(round(wall * quarter / 4, 4) for quarter in range(1, 5))
    printed = [(len(stdout), 0)] * bool(stdout) + [(0, len(stderr))] * bool(stderr)
    course = Course(
        series=Series(
            seconds=times,
            cpu_seconds=(*times[:-1], execution.usage.cpu_seconds),
            memory_bytes=(2**19, 2**20, 2**20, 2**19),
            processes=(1, 1, 1, 0),
        ),
        order=StreamOrder(
            seconds=times[: len(printed)],
            stdout_bytes=tuple(of_stdout for of_stdout, _ in printed),
            stderr_bytes=tuple(of_stderr for _, of_stderr in printed),
        ),
        inputs=Listing(
            files=tuple(
                FileSeen(path=path, size=len(data), sha256=_sha256(data)) for path, data in sorted(read(job).items())
            )
        ),
        outputs=Listing(files=seen),
    )
    lengths = {"stdout_bytes": len(stdout), "stderr_bytes": len(stderr)}
    cut = {"discarded_stdout_bytes": 0, "discarded_stderr_bytes": 0}
    files = tuple(OutputFile(path=path, size=len(data), sha256=_sha256(data)) for path, data in sorted(outputs.items()))
    execution = execution.model_copy(update={**lengths, **cut, "files": files})
    return Outcome(execution=execution, stdout=stdout, stderr=stderr, course=course, outputs=outputs)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def completed(job: Job, outputs: dict[str, bytes], stdout: bytes) -> Outcome:
    """Of a job that ended well."""
    return _outcome(job, _execution(job, ExitKind.COMPLETED), stdout, b"", outputs)


def ended(job: Job, kind: ExitKind, line: int = 1) -> Outcome:
    """Of one that did not; `line` is where it crashed."""
    execution = _execution(job, kind, f"The fake sandbox was told to end this job as {kind}.", line)
    stderr = f"RuntimeError: line {line}\n".encode() if kind is ExitKind.CRASHED else b""
    return _outcome(job, execution, b"", stderr, {})
