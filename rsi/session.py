"""One session over one run: find the parts by name, start or reopen the record, and hand both to the loop."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import platform
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import rsi
from rsi import ablations, anchors, plugins, runs
from rsi.attempts import Grade
from rsi.calls import Calls
from rsi.candidates import Candidates
from rsi.claims.attribution import least_trials
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import EnvironmentFault, IntegrityError, RsiError, UsageError
from rsi.events import AdviceFrozen, DataPrepared, RunResumed, RunStarted
from rsi.evidence import Secret
from rsi.execution import MIB, ExitKind, Job, Limits, Outcome, SandboxDescription, Shape, Watch
from rsi.heads import HEADS, KEY_FILE, HeadKeeper, redactor_of
from rsi.ledger import Event
from rsi.loop import Loop
from rsi.preflight import require_modules, require_room, require_side_by_side
from rsi.preparation import PreparedData, prepare, read_source
from rsi.programs.front import AskedProgram, freeze
from rsi.programs.question import Program
from rsi.protocols import (
    Approve,
    AsksModels,
    AsksOfTrials,
    AsksProgram,
    MakesImages,
    Policy,
    Proposer,
    Sandbox,
    TakesAdvice,
    TrialQuestions,
    Verifier,
)
from rsi.recorder import Listener
from rsi.state import RunState
from rsi.task import Task, load_task
from rsi.trial import TrialRunner
from rsi.verification import asking, verifier_of

Say = Callable[[str], None]
"""Told, in one sentence each, what takes a while or deserves a look."""


class Session:
    """Holds a run open, its sandbox ready and its loop built; close it when done."""

    def __init__(self, run: runs.OpenRun, loop: Loop, stack: ExitStack, keeper: HeadKeeper) -> None:
        self.run = run
        self._heads = keeper
        self.loop = loop
        self._stack = stack

    def go(
        self,
        listeners: Sequence[Listener] = (),
        watch: Callable[[str], Watch] | None = None,
        approve: Approve | None = None,
    ) -> int:
        """Run the loop to its end; returns the exit code."""
        self.loop.watch = watch
        self.loop.approve = approve
        self.run.recorder.listeners.extend([*listeners, self._anchor])
        return self.loop.run()

    def _anchor(self, event: Event, _state: RunState) -> None:
        """Repeat the head hash where this run's folder does not reach, whenever something was decided."""
        if event.kind in {
            "experiment.closed",
            "milestone.closed",
            "confirmation.finished",
            "run.paused",
            "run.finished",
        }:
            self._heads.keep(event.seq, event.hash)

    def close(self) -> None:
        """Leave nothing behind but the run folder."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(configuration: RunConfiguration, say: Say, root: Path | None = None, *, matched: bool = False) -> Session:
    """A new run, below `root` or where runs are kept. What can be wrong is found before its folder is made.

    The limits of a `matched` run are those of others: that some are for language models, which it asks none, is fine.
    """
    with ExitStack() as stack:
        task = load_task(configuration.task)
        parts = _Parts(configuration, stack, _with_packages(configuration.sandbox, task, say))
        parts.require_usable(task, configuration.budget, None if matched else configuration.budget)
        program, advice = parts.program(), parts.advice()
        description = parts.sandbox.describe()
        require_room(task, description)
        require_side_by_side(task, description, configuration.parallel)
        require_modules(task, parts.sandbox)
        if configuration.trace:
            _require_trace(parts.sandbox)
        run_id = runs.new_run_id(task.spec.name)
        folder = (root or runs.runs_folder()) / run_id
        keeper, redactor = HeadKeeper.of(os.environ, folder, run_id), redactor_of(os.environ)
        for asked in questions(asking(parts.verifier), task):
            say(
                f"Each trial asks {asked.model} up to {asked.calls} times ({asked.verifier}); that is paid for besides "
                "what a proposer asks."
            )
        prepared, data, made = _prepare(task, parts.sandbox, configuration, run_id, say)
        started = RunStarted(
            run=run_id,
            configuration=configuration,
            objective=task.objective,
            grounded=parts.verifier.grounded,
            sandbox=description,
            task=runs.task_blob_digest(task),
            task_digest=task.digest(),
            randomness=_randomness(configuration.seed),
            versions=versions(),
        )
        run = runs.create(started, folder, task, redactor)
        stack.callback(run.close)
        if not keeper.keep(0, run.recorder.state.head):
            say(f"Head hashes cannot be kept in {anchors.heads_folder()}, so a cut-off end of this run would not show.")
        if prepared is not None:
            _record_prepared(run, prepared, made)
        if program is not None:
            freeze(run.recorder, program)
        if advice is not None:
            _freeze_advice(run, *advice)
        return parts.session(run, task, data, stack.pop_all(), say, keeper)


def resume(
    folder: Path,
    say: Say,
    budget: Budget | None = None,
    *,
    trusted: bool = False,
    attribute: int | None = None,
    image: str = "",
) -> Session:
    """Go on with a run, with the task, image and data it began with.

    A run folder says what is run here, in which sandbox and on which data; one that did not begin on this machine is
    therefore not resumed unless the user says that it is `trusted`. UsageError for that, and where it is finished
    and no further budget is given, or its data has changed. EnvironmentFault where its image is not there; `image`
    names another one, by the user's own word, which is recorded.
    """
    with ExitStack() as stack:
        run, torn = runs.open_to_write(folder, redactor_of(os.environ))
        stack.callback(run.close)
        state = run.recorder.state
        keeper = HeadKeeper.of(os.environ, folder, state.run.run)
        if state.finished is not None and budget is None and attribute is None:
            raise UsageError(
                f"{state.run.run} is finished ({state.finished.reason}); give it more with --experiments, --hours, "
                "--trials, --max-cost, --max-tokens or --max-calls."
            )
        configuration = state.run.configuration
        if configuration.proposal_only:
            raise UsageError(f"{state.run.run} is one proposal and no more; `rsi run {configuration.task}` starts one.")
        _require_ours(run, trusted=trusted)
        task = runs.frozen_task(run.recorder.blobs, state)
        before = state.sandbox or state.run.sandbox
        recorded = before.model_copy(update={"image_digest": image} if image else {})
        parts = _Parts(configuration, stack, _with_image(configuration.sandbox, recorded))
        more = None if budget is None else state.budget.raised(budget)
        parts.require_usable(task, more or state.budget, budget)
        program = parts.program() if state.program is None else None
        # An earlier session that was killed before it froze the advice had proposed nothing either.
        advice = parts.advice() if state.advice is None and not state.experiments else None
        description = parts.sandbox.describe()
        changed = _changed_image(before, description, allowed=bool(image))
        require_room(task, description)
        require_side_by_side(task, description, configuration.parallel, resumed=True)
        if configuration.trace:
            _require_trace(parts.sandbox)
        prepared, data, made = _prepare(task, parts.sandbox, configuration, state.run.run, say)
        if prepared is not None and state.data is not None and prepared.files != state.data.files:
            raise UsageError(
                f"The data of {state.run.run} cannot be made again as it was; its source or prepare.py has changed. "
                "Restore it, or start a new run."
            )
        torn_tail = run.recorder.blobs.put(torn) if torn else None
        run.recorder.record(
            RunResumed(
                sandbox=description,
                versions=versions(),
                budget=more,
                attribute=attribute,
                torn_tail=torn_tail,
                other_image=changed,
            )
        )
        if os.path.lexists(folder / HEADS) and not keeper.authenticates:
            say(f"Heads of this run were authenticated with a key so far; {KEY_FILE} names none from here on.")
        if changed:
            say(f"From here on trials run in the image {description.image_digest}; scores before may not compare.")
        if torn:
            say(f"A crash had left {len(torn)} bytes of an unfinished event; they are set aside, nothing else is lost.")
        if prepared is not None and state.data is None:
            _record_prepared(run, prepared, made)
        if program is not None:
            freeze(run.recorder, program)
        if advice is not None:
            _freeze_advice(run, *advice)
        return parts.session(run, task, data, stack.pop_all(), say, keeper)


def attribute(folder: Path, say: Say, trials: int | None = None, *, trusted: bool = False) -> Session:
    """Go on with a run to find out which of its kept edits matter; UsageError where none were kept, or for too few."""
    state = runs.read(folder).state
    edits = len(ablations.kept_edits(state, 0))
    if not edits:
        raise UsageError(f"{state.run.run} kept no edit, so there is nothing to attribute; `rsi show` tells its story.")
    least = least_trials(edits)
    if trials is not None and trials < least:
        raise UsageError(f"Attribution of {edits} edits takes at least {least} trials; give more with --trials.")
    return resume(folder, say, trusted=trusted, attribute=trials or 2 * least)


class _Parts:
    """The four implementations, built from their names."""

    def __init__(self, configuration: RunConfiguration, stack: ExitStack, sandbox: Component) -> None:
        self.configuration = configuration
        self.verifier: Verifier = verifier_of(configuration, build)
        self.proposer: Proposer = build("proposers", configuration.proposer)
        self.policy: Policy = build("policies", configuration.policy)
        self.sandbox: Sandbox = build("sandboxes", sandbox)
        stack.callback(self.sandbox.close)

    def require_usable(self, task: Task, budget: Budget, asked: Budget | None) -> None:
        """What only language models need: instructions, keys, prices, a sandbox that keeps their code in.

        What the user `asked` for now may limit calls only where there are some.
        """
        judging = asking(self.verifier)
        for verifier in judging:
            verifier.prepare(budget)
        if not isinstance(self.proposer, AsksModels):
            self._require_isolation("a proposer's program", isinstance(self.proposer, AsksProgram))
            if not judging and asked is not None and (asked.cost_usd or asked.tokens or asked.calls):
                raise UsageError(
                    f"--max-cost, --max-tokens and --max-calls limit language models, and the proposer "
                    f"{self.configuration.proposer.name} asks none; leave them out."
                )
            return
        self._require_isolation("a language model's code")
        require_models_usable(self.proposer, task, budget)

    def _require_isolation(self, what: str, concerns: bool = True) -> None:
        if concerns and not self.sandbox.isolates and not self.configuration.unsafe_no_isolation:
            raise UsageError(
                f"The sandbox {self.sandbox.name} does not isolate, and {what} would run with "
                "your rights; use --sandbox docker, or say --unsafe-no-isolation, which marks the run for ever."
            )

    def program(self) -> Program | None:
        """The program that the proposer asks, as it is at its source; None where it asks none."""
        return self.proposer.program() if isinstance(self.proposer, AsksProgram) else None

    def advice(self) -> tuple[str, str] | None:
        """What the proposer shall be told besides, as it is at its source; None for nothing."""
        return self.proposer.advice() if isinstance(self.proposer, TakesAdvice) else None

    def session(
        self,
        run: runs.OpenRun,
        task: Task,
        data: PreparedData | None,
        stack: ExitStack,
        say: Say,
        keeper: HeadKeeper,
    ) -> Session:
        executor = stack.enter_context(ThreadPoolExecutor(self.configuration.parallel, thread_name_prefix="trial"))
        trials = TrialRunner(
            recorder=run.recorder,
            task=task,
            verifier=self.verifier,
            secret=Secret(key=run.recorder.state.run.randomness),
            data=data,
            budget=self.configuration.training_budget or task.spec.train.budget,
            run=run.recorder.state.run.run,
            trace=self.configuration.trace,
        )
        loop = Loop(
            recorder=run.recorder,
            candidates=Candidates(run.recorder, run.workspace, task),
            task=task,
            trials=trials,
            proposer=self.proposer,
            policy=self.policy,
            sandbox=self.sandbox,
            executor=executor,
            say=say,
        )
        for part in (self.proposer, *asking(self.verifier)):
            if isinstance(part, AsksModels):
                part.attach(
                    Calls(
                        run.recorder,
                        part.client(),
                        retries=part.retries,
                        retry_seconds=part.retry_seconds,
                        stopped=lambda: loop.stopping,
                    )
                )
        if isinstance(self.proposer, AsksProgram):
            loop.program = AskedProgram(run.recorder, loop.execute_beside, trace=self.configuration.trace)
            self.proposer.attach(loop.program)
        return Session(run, loop, stack, keeper)


def side_by_side(limits: Limits) -> int:
    """How many trials of those limits this machine's processors and memory hold at once; at least one, at most 64."""
    processors = len(os.sched_getaffinity(0)) // max(1, math.ceil(limits.cpus))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Half of it is left for places that are made ready ahead, the engine, and this program.
    return max(1, min(processors, memory // 2 // limits.memory_bytes, 64))


def _require_ours(run: runs.OpenRun, *, trusted: bool) -> None:
    """What was written down on this machine when the run began tells whether it is ours, and still what it was."""
    run_id = run.recorder.state.run.run
    known = anchors.read(run_id)
    broken = anchors.contradiction(known, run.recorder.ledger.events)
    if broken is not None:
        raise IntegrityError(
            f"Event {broken.seq} of {run_id} is not what was written down on this machine; `rsi verify` says more."
        )
    if not known and not trusted:
        raise UsageError(
            f"{run_id} did not begin on this machine, and resuming runs what its folder names; if you trust whoever "
            "made it, say so with --trust."
        )


def _with_packages(component: Component, task: Task, say: Say) -> Component:
    """The sandbox on an image that has the packages which the task asks for, unless an image was named."""
    wanted = task.spec.image
    if not (wanted.python or wanted.debian) or "image" in component.options:
        return component
    factory = plugins.load("sandboxes", component.name)
    if not isinstance(factory, MakesImages):
        raise UsageError(
            f"{task.spec.name} asks for packages in its image ({', '.join((*wanted.python, *wanted.debian))}), and the "
            f"sandbox {component.name} has no image; use --sandbox docker, or take [image] out of task.toml."
        )
    made = factory.image_with(wanted.python, wanted.debian, say)
    return component.model_copy(update={"options": {**component.options, "image": made}})


def _require_trace(sandbox: Sandbox) -> None:
    """Run something small that a tracer must see, so that one which cannot work is known before anything is trained."""
    inputs = {"code/probe.py": f"try: open({_PROBE!r})\nexcept OSError: pass\n".encode()}
    shape = Shape(limits=Limits(wall_seconds=60.0, memory_bytes=256 * MIB))
    job = Job(purpose="prepare", argv=("code/probe.py",), inputs=inputs, shape=shape, trace=True)
    execution = sandbox.run(job).execution
    if execution.kind in (ExitKind.LOST, ExitKind.INTERRUPTED):
        raise EnvironmentFault(f"Whether this sandbox can trace was not found out: {execution.detail}")
    traced = [attempt.target for attempt in execution.attempts if attempt.grade is Grade.TRACED]
    complete = any(coverage.complete for coverage in execution.coverage if coverage.grade is Grade.TRACED)
    if not complete or _PROBE not in traced:
        raise EnvironmentFault(f"The sandbox {sandbox.name} cannot trace on this machine; leave out --trace.")


_PROBE = "/rsi-trace-probe"


def _with_image(component: Component, recorded: SandboxDescription) -> Component:
    """The same sandbox on the very image the run began with, where it is a sandbox that takes one."""
    takes_one = "image" in inspect.signature(plugins.load("sandboxes", component.name)).parameters
    if not (takes_one and recorded.image_digest):
        return component
    return component.model_copy(update={"options": {**component.options, "image": recorded.image_digest}})


def _randomness(seed: int | None) -> str:
    return secrets.token_hex(32) if seed is None else hashlib.sha256(f"rsi seed {seed}".encode()).hexdigest()


def build(group: plugins.Group, component: Component) -> Any:
    """An implementation by name, constructed with its options; UsageError for options that it does not take."""
    factory = plugins.load(group, component.name)
    _check_options(factory, component)
    try:
        return factory(**component.options)
    except RsiError:
        raise
    except Exception as error:  # a plug-in's own code
        raise UsageError(f"{component.name} cannot be made: {type(error).__name__}: {error}; mend it.") from error


def _check_options(factory: Any, component: Component) -> None:
    """UsageError for options that the factory does not take, or lacks; one without a signature judges itself."""
    try:
        signature = inspect.signature(factory)
        signature.bind(**component.options)
    except ValueError:
        return
    except TypeError as error:
        names = [name for name, kind in signature.parameters.items() if kind.kind is not kind.VAR_KEYWORD]
        for option in component.options:
            if option not in names:
                known = plugins.nearest(option, names) if names else "it takes none."
                raise UsageError(f"{component.name} has no option {option!r}: {known}") from None
        raise UsageError(f"{component.name}: {error}; mend its options (for a verifier, in task.toml).") from None


def require_models_usable(proposer: Proposer, task: Task, budget: Budget) -> None:
    """Names, keys, prices and instructions of a proposer that asks language models, before anything is spent."""
    if isinstance(proposer, AsksModels):
        if not task.program.strip():
            raise UsageError(f"{task.folder / 'program.md'} is empty; tell the model in it what you want.")
        proposer.prepare(budget)


def questions(verifiers: Iterable[object], task: Task) -> tuple[TrialQuestions, ...]:
    """What verifiers ask language models of each trial, where they say so."""
    return tuple(part.questions(task) for part in verifiers if isinstance(part, AsksOfTrials))


def versions() -> dict[str, str]:
    """What the host side ran with, for the record."""
    found = {"rsi": rsi.__version__, "python": platform.python_version(), "platform": sys.platform}
    for name in ("numpy", "pydantic", "docker", "libcst", "dulwich", "scipy", "litellm", "jinja2"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _prepare(
    task: Task, sandbox: Sandbox, configuration: RunConfiguration, run: str, say: Say
) -> tuple[DataPrepared | None, PreparedData | None, Outcome | None]:
    if task.spec.data is None:
        if configuration.data:
            raise UsageError(f"{task.spec.name} brings its own data; --data cannot replace it.")
        return None, None, None
    prepared, data, made = prepare(task, sandbox, read_source(task, configuration.data), run)
    if prepared.execution is not None:
        say(f"Prepared the data of {task.spec.name} in {prepared.execution.usage.wall_seconds:.1f} s.")
    return prepared, data, made


def _record_prepared(run: runs.OpenRun, prepared: DataPrepared, made: Outcome | None) -> None:
    """With what was seen of the preparation, where the data was not found in the cache."""
    recorder = run.recorder
    kept = {} if made is None else recorder.keep_outcome(made)
    recorder.record(prepared.model_copy(update=kept))


def _freeze_advice(run: runs.OpenRun, text: str, origin: str) -> None:
    """Record what the proposer is told besides, whatever becomes of its source."""
    recorder = run.recorder
    recorder.record(AdviceFrozen(origin=recorder.redactor.text(origin), text=recorder.keep_text(text)))


def _changed_image(before: SandboxDescription, found: SandboxDescription, *, allowed: bool) -> bool:
    """Whether it is another image than before, which only the user's own word allows."""
    if before.name != found.name:
        raise IntegrityError(f"The run used the sandbox {before.name!r}, this is {found.name!r}.")
    if before.image_digest != found.image_digest and not allowed:
        raise EnvironmentFault(
            f"The run used the image {before.image_digest}, which is not here, and scores of another would not "
            "compare; build or load that image, start a new run, or name the other image with --image."
        )
    return before.image_digest != found.image_digest
