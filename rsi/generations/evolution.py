"""An evolution on disk, and what follows from the runs in it.

    evolution.toml        the plan, frozen
    task/                 the task as it was at the start; its editable files are program 0
    generation-0/         the same program alone: a source for the proposer `evolved`
    shipped/              the data that the task brings
    learned-from.npy      episodes of other tasks' runs, where some were named
    generation-1/
      task/               the task with the program of the last promoted generation
      data/               what it may learn from: a `.npy` file each
      <run>/              an ordinary run folder
    generation-2/ …

There is no other state: which generation is next, which program stands and whether the guard halts are folded from the
records of the runs, each as it was when it ended for the first time. What a run finds that is given more budget after
that is its own affair: the next generation was begun from what there was.

Folders may come from elsewhere: records are read as `rsi.review` reads them, links are not followed, and nothing in
them is executed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from rsi import begun, runs
from rsi.errors import IntegrityError, RsiError, UsageError
from rsi.generations import promotion
from rsi.generations.guard import Halt, guard
from rsi.generations.outcome import Outcome, Program, digest_of, outcome_of
from rsi.generations.plan import EVOLVED, PLAN, Plan, read_plan
from rsi.preparation import read_source
from rsi.records import CodeFiles
from rsi.review.reading import Reading
from rsi.task import Task, read_task
from rsi.workspace import Workspace

KIND = "evolution"
TASK, DATA, SHIPPED, LEARNED = "task", "data", "shipped", "learned-from.npy"
_UNREADABLE = (RsiError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What hostile records can bring about, as in `rsi.state`."""
_DECISIVE = (
    *("seed", "certify", "alpha", "certify_share", "shared_seeds", "holdout_questions", "null_share"),
    *("verifier", "verifiers", "policy", "budget"),
)
"""Of a run's configuration: what decides whether it promotes."""


class Standing(NamedTuple):
    """A program that stands after a generation: what made it, and its code."""

    program: Program
    code: CodeFiles
    """The editable files."""
    run: Path | None
    """The run that certified it; None for the one that ships."""
    experiment: int = 0
    """Whose code it is, in that run."""


class Generation(NamedTuple):
    """One generation, its run begun."""

    outcome: Outcome
    before: Standing
    """The program that it began with."""
    after: Standing
    """The one that stands once it is over; while it is under way, the same as before."""
    run: runs.ReadRun
    """As it was when it ended for the first time."""


class History(NamedTuple):
    """All that an evolution has come to."""

    plan: Plan
    first: Standing
    generations: tuple[Generation, ...]
    damaged: str
    """Why those behind the last of them cannot be read, a sentence; empty where they can."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Of the generations, in order."""
        return tuple(generation.outcome for generation in self.generations)

    @property
    def standing(self) -> Standing:
        """The program that stands now."""
        return self.generations[-1].after if self.generations else self.first

    @property
    def halt(self) -> Halt | None:
        """Why no further generation begins, where the guard says so."""
        return guard(self.outcomes, self.plan.patience)

    @property
    def over(self) -> bool:
        """Whether the last generation that was asked for is over."""
        last = self.outcomes[-1] if self.outcomes else None
        return last is not None and last.generation == self.plan.generations and last.promoted is not None


class Evolution:
    """A folder with an evolution in it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Use `rsi.generations.beginning.begin` or `open_folder`."""
        self.folder = folder
        self.plan = plan

    def place(self, generation: int) -> Path:
        """Where a generation lies."""
        return self.folder / f"generation-{generation}"

    def task(self) -> Task:
        """The task as it was frozen; IntegrityError where it is another one by now."""
        try:
            task = read_task(self.folder / TASK)
        except UsageError as error:
            raise IntegrityError(
                f"The task of {self.folder} is damaged: {error} Restore it, or begin another evolution."
            ) from None
        if task.digest() != self.plan.task_digest:
            raise IntegrityError(
                f"The task in {self.folder / TASK} is not the one that the evolution began with; restore it, or begin "
                "another evolution."
            )
        return task

    def shipped(self) -> dict[str, bytes]:
        """The data that the task brought; IntegrityError where it is another by now."""
        try:
            files = read_source(self.task(), str(self.folder / SHIPPED))
        except UsageError:
            files = {}
        if data_digest(files) != self.plan.data_sha256:
            raise IntegrityError(
                f"{self.folder / SHIPPED} is not what the evolution began with; restore it, or begin another one."
            )
        return files

    def history(self) -> History:
        """Everything so far; a generation whose record does not hold ends it, and it says so."""
        task = self.task()
        first = Standing(Program(version=0, sha256=digest_of(whole(task.code, task))), task.code, None)
        found: list[Generation] = []
        before, damaged = first, ""
        for number in range(1, self.plan.generations + 1):
            try:
                generation = self._generation(number, before, task, [one.outcome for one in found])
            except _UNREADABLE as error:
                damaged = f"Generation {number} cannot be read: {error}"
                break
            if generation is None:
                break
            found.append(generation)
            before = generation.after
            if generation.outcome.promoted is None:
                break
        return History(self.plan, first, tuple(found), damaged)

    def alone(self) -> AbstractContextManager[None]:
        """Hold the evolution, so that no other process makes its runs; UsageError where one does."""
        return begun.alone(self.folder / PLAN)

    def require_ours(self, *, trusted: bool) -> None:
        """UsageError before anything is run that this machine did not write down, or that has changed since."""
        begun.require_ours(self.folder / PLAN, KIND, "generations", trusted=trusted)

    def _generation(self, number: int, before: Standing, task: Task, earlier: Sequence[Outcome]) -> Generation | None:
        reading = begun.run_below(self.place(number))
        if reading is None:
            return None
        whole_run = runs.read(reading.folder)
        run = whole_run.at_its_first_end()
        self._require_its_own(number, before, task, earlier, run)
        outcome = outcome_of(
            number,
            f"{self.place(number).name}/{reading.folder.name}",
            begun.at_its_first_end(reading),
            run.state,
            proposed_by(self.plan, before),
            went_on=run is not whole_run,
        )
        return Generation(outcome, before, self._after(number, before, reading, run, outcome), run)

    def _after(self, number: int, before: Standing, reading: Reading, run: runs.ReadRun, outcome: Outcome) -> Standing:
        if not outcome.promoted:
            return before
        experiment = run.state.certified
        code = Workspace.open(reading.folder).read(run.state.commit_of(experiment))
        program = Program(version=number, sha256=digest_of(whole(code, run.task())))
        return Standing(program, code, reading.folder, experiment)

    def _require_its_own(
        self, number: int, before: Standing, task: Task, earlier: Sequence[Outcome], run: runs.ReadRun
    ) -> None:
        """IntegrityError where a run is not the one that this evolution makes at its place."""
        started = run.state.run
        wanted = task.model_copy(update={"code": before.code}).digest()
        alpha = promotion.level(self.plan.alpha, self.plan.generations, [outcome.used for outcome in earlier])
        found = started.configuration
        made = self.plan.configuration(
            number, task.spec, task=Path(found.task), data=Path(found.data), proposer=found.proposer, alpha=alpha
        )
        same = all(getattr(found, name) == getattr(made, name) for name in _DECISIVE)
        if started.task_digest != wanted or not same:
            raise IntegrityError(
                f"the run in {self.place(number)} did not begin with {before.program.label} under this evolution's "
                "seed, error rate, verifier, policy and budget; restore the one that ran there, or take it away and "
                "have it run again."
            )


def whole(code: CodeFiles, task: Task) -> CodeFiles:
    """A program's code with the protected files that it imports: what the proposer `evolved` freezes."""
    return {**code, **{path: task.protected[path] for path in task.spec.code.protected}}


def data_digest(files: Mapping[str, bytes]) -> str:
    """sha256 of files by their names."""
    state = hashlib.sha256()
    for name in sorted(files):
        state.update(f"{name}\x00{hashlib.sha256(files[name]).hexdigest()}\x00".encode())
    return state.hexdigest()


def proposed_by(plan: Plan, before: Standing) -> str:
    """Who proposes in the generation that begins with that program."""
    if plan.proposer.name != EVOLVED:
        return plan.proposer.name
    return f"{before.program.label} (sha256 {before.program.sha256[:12]})"


def open_folder(folder: Path) -> Evolution:
    """The evolution in a folder; UsageError where there is none."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name the folder of an evolution.")
    return Evolution(folder, read_plan(folder / PLAN))


def is_evolution(folder: Path) -> bool:
    """Whether an evolution lies there."""
    return (folder / PLAN).is_file()
