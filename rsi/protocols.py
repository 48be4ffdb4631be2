"""The four seams of the loop. Implementations are found by entry point (`rsi.plugins`), never imported by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from rsi.calls.request import Answers, Client
from rsi.configuration import Budget
from rsi.events import ExperimentProposed
from rsi.evidence import Array, Arrays, Challenge, Evidence, Inspected, Inspection, Material, Purpose, Secret
from rsi.execution import Job, Outcome, SandboxDescription, Shape, Watch
from rsi.history import History
from rsi.programs.question import Program, Ranks
from rsi.records import Brief, Comparison, Decision, Plan, Proposal, Record, Verdict
from rsi.task import Task


class Exhausted(Exception):
    """A proposer has nothing (left) to propose; the run ends with its reason."""


@runtime_checkable
class Proposer(Protocol):
    """Suggests the next edit. The same brief gives the same proposal."""

    name: str

    def propose(self, brief: Brief) -> Proposal:
        """One edit of `brief.code`; `Exhausted` where there is none left."""
        ...


@runtime_checkable
class AsksModels(Protocol):
    """What a proposer, or a verifier that reads, offers besides if it asks language models.

    It never calls one but through what is attached. The same brief and the same answers give the same proposal, the
    same material and the same answers the same inspection, so a run can be replayed and verified from its record.
    """

    name: str
    retries: int
    retry_seconds: float

    def prepare(self, budget: Budget) -> None:
        """Check names, keys and prices without spending; UsageError or EnvironmentFault says what to mend."""
        ...

    def client(self) -> Client:
        """What sends its calls."""
        ...

    def attach(self, calls: Answers) -> None:
        """Where its answers come from: a run that pays, or a record."""
        ...

    def ready(self) -> None:
        """Ask each model something small once a run, so that a wrong key is told before anything is trained."""
        ...


@runtime_checkable
class TakesAdvice(Protocol):
    """What a proposer offers besides if it can be told what an earlier run found to pay: it is in its briefs."""

    def advice(self) -> tuple[str, str] | None:
        """The text, and where it is from, as it is at its source now; None for none. Asked once, at the run's start."""
        ...


class TrialQuestions(Record):
    """What a verifier asks a language model about one trial."""

    verifier: str
    model: str
    calls: int
    """At most, faults aside."""
    input_tokens: int
    """Of one question, about."""
    most_input_tokens: int
    """By the count of bytes, which no tokenizer passes."""
    output_tokens: int
    """The longest answer."""


@runtime_checkable
class AsksOfTrials(Protocol):
    """What a verifier that asks language models offers besides, so that its calls are told before a run begins."""

    def questions(self, task: Task) -> TrialQuestions:
        """How much it asks of one trial of that task."""
        ...


@runtime_checkable
class AsksProgram(Protocol):
    """What a proposer offers besides if a program ranks its options: candidate code, which only a sandbox runs.

    It never runs it but through what is attached. The same brief and the same answers give the same proposal.
    """

    name: str

    def program(self) -> Program:
        """The program as it is at its source now; UsageError for none. Asked once, at the run's start."""
        ...

    def attach(self, asked: Ranks) -> None:
        """Where its answers come from: a run that asks it, or a record."""
        ...


Approve = Callable[[ExperimentProposed, str], tuple[bool, str]]
"""Shows a person a proposal and its diff: whether it shall be trained, and what they say about it."""


@runtime_checkable
class Sandbox(Protocol):
    """Runs one program in one fresh place. Thread-safe: `run` may be called from several threads at once."""

    name: str
    isolates: bool
    """Whether hostile code is kept in. Where it is not, every screen says so."""

    def describe(self) -> SandboxDescription:
        """What a run's frozen configuration records; raises EnvironmentFault where nothing can run."""
        ...

    def warm(self, shapes: Sequence[Shape]) -> None:
        """A hint, free to ignore: jobs of these shapes come soon, one for each mention. Returns at once."""
        ...

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """Run to the end or to a limit.

        Raises nothing for what the program does, nor for an engine that goes away (that is `ExitKind.LOST`);
        UsageError or EnvironmentFault for a job that could never run here.
        """
        ...

    def interrupt(self) -> None:
        """End every execution under way, at once, as `INTERRUPTED`; from any thread."""
        ...

    def close(self) -> None:
        """Leave nothing behind: no container, volume, process or thread."""
        ...


@runtime_checkable
class MakesImages(Protocol):
    """What a sandbox's class offers besides if its code runs in images: one with a task's own packages."""

    @staticmethod
    def image_with(python: Sequence[str], debian: Sequence[str], say: Callable[[str], None]) -> str:
        """The name of an image, for the option `image`, that holds these pinned packages; made where it is missing."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Turns evidence into a verdict. Pure: no sandbox, no clock, no state.

    One measures a run's objective. Others may stand beside it (`rsi.verification`): their class says `beside = True`.
    """

    name: str
    grounded: bool
    """False where a candidate moves its number by what it writes or prints; then every screen and export says so.

    One that is not grounded asks nothing, and needs no artifact, unless it says `asks = True`. One whose questions are
    instances of a task, some harder than others, says `secret_of_seed = True`: its secret is then that of the trial's
    seed, and both arms of a pair are asked the same.
    """

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """The next question for a fresh B, None when nothing more need be asked for `evidence.purpose`."""
        ...

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """Reduce a raw answer (dtype and shape already checked) to what is kept.

        `sealed` holds the trial's earlier raw answers by challenge name.
        """
        ...

    def verify(self, evidence: Evidence) -> Verdict:
        """The verdict on what was answered; uses scores only, so that it can be derived again."""
        ...


@runtime_checkable
class Inspects(Protocol):
    """What a verifier offers besides if it reads what lies there: code, artifact, data. Pure, like all of it."""

    name: str
    inspects_at: Purpose
    of_code_alone: bool
    """Whether nothing but code, parent, protected files and diff is read; then `rsi verify` reads again."""
    """`screen`: of every trial; `keep`: before a keep only."""

    def inspect(self, material: Material) -> Inspection | Inspected:
        """What reading shows. It is recorded, and handed to `verify` as `evidence.inspected[self.name]`.

        Arrays on which it rests are kept beside it, and handed back as `material.recorded` when it is derived again.
        """
        ...


@runtime_checkable
class Policy(Protocol):
    """Turns measurements into decisions.

    Pure and deterministic: the same comparison and history give the same answer, from this object or a new one, so
    that `rsi verify` derives every decision again. It may remember what it computed, never what it saw.
    """

    name: str

    def decide(self, comparison: Comparison, history: History) -> Decision:
        """Keep, discard, or measure more."""
        ...

    def plan(self, history: History) -> Plan:
        """What a new experiment should be, or that a milestone comes first; asked whenever one could begin."""
        ...
