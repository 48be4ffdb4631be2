"""From a waiting place to the record of an execution: the same way for every sandbox."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from rsi.attempts import Attempt as Attempted
from rsi.attempts import Coverage, most_telling_first, recorded
from rsi.course import Course, FileSeen, Listing
from rsi.errors import EngineLost, EnvironmentFault
from rsi.execution import Execution, ExitKind, Job, Outcome, OutputFile, Usage, Watch
from sandboxes.bell import Bell, Interrupted
from sandboxes.ending import Trailer, classify, read_trailer
from sandboxes.invocation import start_line
from sandboxes.listing import list_inputs
from sandboxes.observed import Observed
from sandboxes.outputs import ForbiddenOutput, Intake
from sandboxes.place import Gone, Place
from sandboxes.streams import Streams, ToldLines
from sandboxes.supervise import Supervisor
from sandboxes.tracer import Tracer

NOT_STARTED = Usage(wall_seconds=0.0, cpu_seconds=0.0)
ENDED_BEFORE_START = "The execution was ended because the user asked, before its program had started."


class Attempt:
    """One job on its way: what is known of it before it has a place."""

    def __init__(self, job: Job, sandbox: str, bell: Bell, watch: Watch | None) -> None:
        self.job = job
        self.bell = bell
        self._sandbox = sandbox
        self._asked = time.monotonic()
        self._started = datetime.now(UTC)
        self._nonce = secrets.token_hex(16)
        self._word = secrets.token_hex(16)
        self._observed = Observed(job.inputs.keys())
        self._told = ToldLines(self._word, self._observed.take)
        self._streams = Streams(self._nonce, job.shape.limits.output_bytes, watch, self._told)

    def without_place(self, error: Interrupted | EngineLost, image: str = "") -> Outcome:
        """The outcome of a job whose place could not be had."""
        interrupted = isinstance(error, Interrupted)
        return make_outcome(
            self.job,
            sandbox=self._sandbox,
            image=image,
            started=self._started,
            environment=self.job.environment,
            kind=ExitKind.INTERRUPTED if interrupted else ExitKind.LOST,
            detail=ENDED_BEFORE_START if interrupted else str(error),
            streams=self._streams,
            setup_seconds=time.monotonic() - self._asked,
        )

    def run_in(self, place: Place, image: str = "", started: Callable[[], object] | None = None) -> Outcome:
        """Start the program in a place that holds its inputs, follow it to its end, take in what it leaves.

        `started` is called once the program has been told to start.
        """
        job = self.job
        environment = {**place.environment, **job.environment}
        supervisor = Supervisor(place, job.shape.limits, self._streams, self.bell)
        with (
            Tracer(place) if job.trace else contextlib.nullcontext() as tracer,
            ThreadPoolExecutor(1, thread_name_prefix="rsi-inputs") as beside,
        ):
            setup = time.monotonic() - self._asked
            self._started = datetime.now(UTC)
            supervisor.start(start_line(job, place.folders, environment, self._nonce, self._word))
            given = beside.submit(list_inputs, job.inputs)  # while the program runs: it may be much
            if started is not None:
                started()
            watched = supervisor.follow()
            traced = tracer.conclude(dead=watched.stopped is not ExitKind.LOST) if tracer else None
        told = self._observed.coverage(flooded=self._told.flooded, cut_off=watched.stopped is not None)
        trailer = read_trailer(self._streams.trailer, job.inputs.keys())
        kind, detail = classify(watched, trailer)
        outputs: Mapping[str, bytes] = {}
        if kind is ExitKind.COMPLETED:
            kind, detail, outputs = _collect(place, job)
        course = Course(
            series=watched.series,
            order=self._streams.order,
            inputs=given.result(),
            inputs_after=_list_inputs(place, kind),
            outputs=_list_outputs(place, kind, outputs),
            scratch=watched.scratch,
        )
        return make_outcome(
            job,
            sandbox=self._sandbox,
            image=image,
            started=self._started,
            environment=environment,
            kind=kind,
            detail=detail,
            streams=self._streams,
            usage=watched.usage,
            trailer=trailer,
            out_of_memory=watched.end.out_of_memory or kind is ExitKind.OUT_OF_MEMORY,
            setup_seconds=setup,
            setup_cpu_seconds=place.baseline.cpu_seconds,
            collect_seconds=time.monotonic() - watched.ended,
            course=course,
            outputs=outputs,
            attempts=(*self._observed.attempts, *(traced[0] if traced else ())),
            coverage=(told, traced[1]) if traced else (told,),
        )


def _list_outputs(place: Place, kind: ExitKind, outputs: Mapping[str, bytes]) -> Listing | None:
    """What came out, or where nothing may, what lies there."""
    if kind is ExitKind.COMPLETED:
        seen = (FileSeen(path=path, size=len(outputs[path]), sha256=_sha256(outputs[path])) for path in sorted(outputs))
        return Listing(files=tuple(seen))
    if kind is ExitKind.LOST:
        return None  # an engine that does not answer is not asked again
    try:
        return place.list_outputs()
    except (EnvironmentFault, Gone):
        return None


def _list_inputs(place: Place, kind: ExitKind) -> Listing | None:
    if kind is ExitKind.LOST:
        return None
    try:
        return place.list_inputs()
    except (OSError, EnvironmentFault, Gone):
        return None


def _collect(place: Place, job: Job) -> tuple[ExitKind, str, Mapping[str, bytes]]:
    intake = Intake(job.shape.limits)
    try:
        place.collect(intake)
    except ForbiddenOutput as error:
        return ExitKind.FORBIDDEN_OUTPUT, str(error), {}
    except (EngineLost, Gone) as error:
        return ExitKind.LOST, str(error), {}
    return ExitKind.COMPLETED, "", intake.files


def make_outcome(
    job: Job,
    *,
    sandbox: str,
    image: str = "",
    started: datetime,
    environment: Iterable[str],
    kind: ExitKind,
    detail: str,
    streams: Streams,
    usage: Usage = NOT_STARTED,
    trailer: Trailer | None = None,
    out_of_memory: bool = False,
    setup_seconds: float = 0.0,
    setup_cpu_seconds: float | None = None,
    collect_seconds: float = 0.0,
    course: Course | None = None,
    outputs: Mapping[str, bytes] | None = None,
    attempts: tuple[Attempted, ...] = (),
    coverage: tuple[Coverage, ...] = (),
) -> Outcome:
    """An outcome that is complete whatever its kind; `outputs` only where it completed."""
    files = tuple(
        OutputFile(path=path, size=len(content), sha256=_sha256(content))
        for path, content in sorted((outputs or {}).items())
    )
    ranked = most_telling_first(attempts)
    listed = recorded(ranked)
    execution = Execution(
        sandbox=sandbox,
        purpose=job.purpose,
        argv=job.argv,
        environment_names=tuple(sorted(environment)),
        image=image,
        limits=job.shape.limits,
        started=started.isoformat(timespec="milliseconds"),
        ended=(started + timedelta(seconds=usage.wall_seconds)).isoformat(timespec="milliseconds"),
        kind=kind,
        exit_code=trailer.exit_code if trailer else None,
        signal=trailer.signal if trailer else None,
        out_of_memory=out_of_memory,
        usage=usage,
        setup_seconds=setup_seconds,
        setup_cpu_seconds=setup_cpu_seconds,
        collect_seconds=collect_seconds,
        stdout_bytes=len(streams.stdout),
        stderr_bytes=len(streams.stderr),
        discarded_output_bytes=streams.discarded,
        discarded_stdout_bytes=streams.cut("stdout"),
        discarded_stderr_bytes=streams.cut("stderr"),
        files=files,
        fault=trailer.fault if trailer else None,
        detail=detail,
        attempts=listed,
        coverage=coverage,
    )
    return Outcome(
        execution=execution,
        stdout=streams.stdout,
        stderr=streams.stderr,
        course=course or Course(),
        outputs=dict(outputs or {}),
        attempts=ranked if ranked != listed else (),
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
