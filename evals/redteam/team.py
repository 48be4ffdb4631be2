"""A whole session of the red team: which cases, against which verifiers, task after task; and what it came to."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from evals.redteam.bench import Bench
from evals.redteam.corpus import SHIPPED, Case, load_corpus
from evals.redteam.layers import OF_MEASURING, check_without
from evals.redteam.results import CaseResult, Report, report
from evals.redteam.short import SHORT
from rsi import plugins
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import EnvironmentFault, UsageError
from rsi.plugins import nearest
from rsi.protocols import AsksModels
from rsi.records import Record
from rsi.session import Say, build, side_by_side, start
from rsi.task import Task, load_task
from rsi.verification import chosen


class Asked(Record):
    """What the user asked for."""

    tasks: tuple[str, ...] = ()
    """Registered names or folders; none: every task that the corpus has cases for."""
    attacks: tuple[str, ...] = ()
    """Patterns of names; none: all."""
    honest: bool = True
    short: bool = False
    folder: str = ""
    """Of a lab's own cases, instead of the shipped ones."""
    verifiers: tuple[str, ...] = ()
    """Beside what measures, instead of the task's; none: the task's."""
    without: tuple[str, ...] = ()
    seed: int | None = None
    parallel: int | None = None
    sandbox: str = "docker"
    keep: str = ""
    """Where the records stay; by default nowhere."""


class Assignment(Record):
    """The cases of one task, and what they are tried against."""

    task: Task
    cases: tuple[Case, ...]
    configuration: RunConfiguration
    verifiers: tuple[str, ...]
    """What measures, then what stands beside it."""


def assignments(asked: Asked) -> tuple[Assignment, ...]:
    """Everything that can be wrong with what was asked is found here, before anything runs; UsageError says what."""
    _require_isolation(asked.sandbox)
    tasks = {load_task(name).spec.name: name for name in asked.tasks}
    cases = _cases(asked, tuple(tasks))
    loaded = {name: tasks.get(name, name) for name in dict.fromkeys(case.task for case in cases)}
    found = []
    beside: set[str] = set()
    for name, where in loaded.items():
        task = load_task(where)
        first, components = _chosen(asked, task)
        named = {build("verifiers", component).name: component for component in components}
        beside |= {*named, *within(first)}
        _require_no_calls(first, *components)
        first = alone(first, asked.without)
        kept = tuple(component for verifier, component in named.items() if verifier not in asked.without)
        found.append(
            Assignment(
                task=task,
                cases=tuple(case for case in cases if case.task == name),
                configuration=_configuration(asked, where, task, first, kept),
                verifiers=(build("verifiers", first).name, *(name for name in named if name not in asked.without)),
            )
        )
    check_without(asked.without, sorted(beside))
    return tuple(found)


def _require_isolation(sandbox: str) -> None:
    if not plugins.load("sandboxes", sandbox).isolates:
        raise UsageError(f"The sandbox {sandbox} does not isolate, and attacks are hostile code; use --sandbox docker.")


def _cases(asked: Asked, tasks: Sequence[str]) -> tuple[Case, ...]:
    folder = Path(asked.folder) if asked.folder else SHIPPED
    if asked.short and asked.folder:
        raise UsageError("--short is a selection of the shipped cases; leave out --folder, or choose with --attack.")
    every = [case for task in tasks or ("",) for case in load_corpus(folder, task)]
    if asked.short:
        every = [case for case in every if case.id in SHORT]
    for pattern in asked.attacks:
        names = [case.name for case in every if not case.honest]
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"No attack is called {pattern!r}: {nearest(pattern, names)}")
    wanted = asked.attacks or ("*",)
    cases = tuple(
        case
        for case in every
        if (asked.honest if case.honest else any(fnmatchcase(case.name, pattern) for pattern in wanted))
    )
    if not cases:
        raise UsageError("There is no case to run; choose other tasks, or let honest edits take part with --honest.")
    return cases


def _chosen(asked: Asked, task: Task) -> tuple[Component, tuple[Component, ...]]:
    """What measures and what stands beside it; a verifier that was named keeps the options that the task gives it."""
    if not asked.verifiers:
        return chosen(task.spec)
    options = {section.name: section.options for section in task.spec.verifiers if section.name in asked.verifiers}
    return chosen(task.spec.model_copy(update={"verifiers": ()}), asked.verifiers, options=options)


def _require_no_calls(*components: Component) -> None:
    """A bench has no budget for calls and no record of them that could be replayed."""
    for verifier in (build("verifiers", component) for component in components):
        if isinstance(verifier, AsksModels):
            raise UsageError(
                f"The verifier {verifier.name} asks language models, which the red team does not; name another with "
                "--verifier."
            )


def within(measuring: Component) -> tuple[str, ...]:
    """Layers within what measures, each an option of that name."""
    options = inspect.signature(plugins.load("verifiers", measuring.name)).parameters
    return tuple(layer for layer in dict.fromkeys(OF_MEASURING.values()) if layer in options)


def alone(measuring: Component, without: Sequence[str] | None = None) -> Component:
    """What measures, less some of the layers within it; None: less all of them, so that it does nothing but score."""
    left_out = {layer: False for layer in within(measuring) if without is None or layer in without}
    return measuring.model_copy(update={"options": {**measuring.options, **left_out}})


def _configuration(
    asked: Asked, where: str, task: Task, first: Component, beside: tuple[Component, ...]
) -> RunConfiguration:
    return RunConfiguration(
        task=where,
        proposer=Component(name="mutate"),  # never asked: the corpus proposes
        policy=Component(name="greedy"),
        sandbox=Component(name=asked.sandbox),
        verifier=first,
        verifiers=beside,
        budget=Budget(experiments=0),
        parallel=asked.parallel or side_by_side(task.spec.limits.train),
        seed=asked.seed,
    )


Told = Callable[[CaseResult], None]


class Team:
    """Runs assignments one after the other; `stop` ends it early, from a signal handler or another thread."""

    def __init__(self, asked: Asked, told: Told, say: Say) -> None:
        self.asked = asked
        self.assignments = assignments(asked)
        self._told = told
        self._say = say
        self._bench: Bench | None = None
        self._stopped = False
        self._results: list[CaseResult] = []
        self._unfinished: list[str] = []
        self._skipped: list[str] = []
        self._ended = ""
        self.fault: EnvironmentFault | None = None
        """What ended it early, where something did."""

    @property
    def cases(self) -> int:
        """How many there are."""
        return sum(len(assignment.cases) for assignment in self.assignments)

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped

    def stop(self) -> None:
        """End what is under way, as soon as may be."""
        self._stopped = True
        if self._bench is not None:
            self._bench.stop()

    def go(self) -> Report:
        """Run everything; what an engine that is lost, or `stop`, leaves undone is told as unfinished."""
        began = time.monotonic()
        with ExitStack() as stack:
            if self.asked.keep:
                root = Path(self.asked.keep)
            else:
                root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rsi-redteam-")))
            for assignment in self.assignments:
                if self._stopped or self.fault is not None:
                    self._unfinished += [case.name for case in assignment.cases]
                else:
                    self._run(assignment, root)
        return report(
            self._results,
            tasks=[assignment.task.spec.name for assignment in self.assignments],
            verifiers={assignment.task.spec.name: assignment.verifiers for assignment in self.assignments},
            without=self.asked.without,
            seed=self.asked.seed,
            seconds=time.monotonic() - began,
            unfinished=self._unfinished,
            skipped=self._skipped,
            stopped=self._ended or ("interrupted by the user" if self._stopped else ""),
        )

    def _run(self, assignment: Assignment, root: Path) -> None:
        with start(assignment.configuration, self._say, root=root) as session:
            bench = self._bench = Bench(session, self.asked.without, self._judged, self._say)
            if self._stopped:  # meanwhile
                bench.stop()
            try:
                bench.go(assignment.cases)
            except EnvironmentFault as fault:
                self.fault, self._ended = fault, str(fault)
            finally:
                self._bench = None
                self._unfinished += bench.unfinished
                self._skipped += bench.skipped

    def _judged(self, result: CaseResult) -> None:
        kept = result if self.asked.keep else result.model_copy(update={"run": ""})
        self._results.append(kept)
        self._told(kept)
