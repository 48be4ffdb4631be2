"""From a waiting place to the record of an execution: the same way for every sandbox."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from rsi.attempts import Attempt as Attempted
from rsi.attempts import Coverage, most_telling_first, recorded
from rsi.errors import EngineLost
from rsi.execution import Execution, ExitKind, Job, Outcome, OutputFile, Usage, Watch
from sandboxes.bell import Bell, Interrupted
from sandboxes.ending import Trailer, classify, read_trailer
from sandboxes.invocation import start_line
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
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
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
        with Tracer(place) if job.trace else contextlib.nullcontext() as tracer:
            setup = time.monotonic() - self._asked
            supervisor.start(start_line(job, place.folders, environment, self._nonce, self._word))
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
            collect_seconds=time.monotonic() - watched.ended,
            outputs=outputs,
            attempts=(*self._observed.attempts, *(traced[0] if traced else ())),
            coverage=(told, traced[1]) if traced else (told,),
        )


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
    started: str,
    environment: Iterable[str],
    kind: ExitKind,
    detail: str,
    streams: Streams,
    usage: Usage = NOT_STARTED,
    trailer: Trailer | None = None,
    out_of_memory: bool = False,
    setup_seconds: float = 0.0,
    collect_seconds: float = 0.0,
    outputs: Mapping[str, bytes] | None = None,
    attempts: tuple[Attempted, ...] = (),
    coverage: tuple[Coverage, ...] = (),
) -> Outcome:
    """An outcome that is complete whatever its kind; `outputs` only where it completed."""
    files = tuple(
        OutputFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
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
        started=started,
        kind=kind,
        exit_code=trailer.exit_code if trailer else None,
        signal=trailer.signal if trailer else None,
        out_of_memory=out_of_memory,
        usage=usage,
        setup_seconds=setup_seconds,
        collect_seconds=collect_seconds,
        stdout_bytes=len(streams.stdout),
        stderr_bytes=len(streams.stderr),
        discarded_output_bytes=streams.discarded,
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
        outputs=dict(outputs or {}),
        attempts=ranked if ranked != listed else (),
    )
