"""What a run was asked to do, frozen at its start and written to `run.toml`."""

from __future__ import annotations

from pydantic import Field

from rsi.execution import MIB
from rsi.records import Record

Options = dict[str, str | int | float | bool]


class Component(Record):
    """An implementation by its registered name or path, with keyword arguments for its constructor."""

    name: str
    options: Options = {}


class Budget(Record):
    """When the loop ends; whichever is reached first. Neither set means: until it is interrupted."""

    experiments: int | None = Field(default=None, ge=0)
    """Proposals, the baseline not counted; 0 measures the baseline alone."""
    hours: float | None = Field(default=None, gt=0)
    """Of the loop's own wall time, over all its sessions; the confirmation comes after it."""
    trials: int | None = Field(default=None, ge=1)
    """Trainings of every kind, those for milestones included."""
    cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Dollars for language models: no call is sent that could pass it."""
    tokens: int | None = Field(default=None, gt=0)
    """Input and output tokens of language models."""
    calls: int | None = Field(default=None, gt=0)
    """Requests to language models, repeated ones included."""

    def raised(self, more: Budget) -> Budget:
        """This budget with what another one sets in its place; what that leaves open stays as it was."""
        return self.model_copy(update={name: value for name, value in more if value is not None})


class Retention(Record):
    """What may be dropped to save disk. Evidence is never dropped, nor what belongs to a kept experiment."""

    artifacts: int = Field(default=20, ge=0)
    """Artifacts of that many most recent experiments stay, besides those of kept ones."""
    quota_bytes: int = Field(default=20 * 1024 * MIB, ge=16 * MIB)
    """Of the run folder; past it the run first drops what it may, then pauses."""


class RunConfiguration(Record):
    """Everything that was chosen."""

    task: str
    proposer: Component
    policy: Component
    sandbox: Component
    verifier: Component
    """What measures."""
    verifiers: tuple[Component, ...] = ()
    """What stands beside it, in the order in which they are asked."""
    budget: Budget
    confirm: int = Field(default=0, ge=0, le=100)
    """Fresh seeds on which baseline and best are trained again at the end, on the holdout; 0 for none."""
    parallel: int = Field(default=1, ge=1, le=64)
    """Trials side by side."""
    data: str = ""
    """A file or folder that replaces the task's own data source."""
    training_budget: int | None = Field(default=None, gt=0)
    """Replaces the task's `train.budget`."""
    seed: int | None = None
    """Fixes everything that is drawn at random, so that two runs can be compared draw by draw; None draws a secret."""
    retention: Retention = Retention()
    proposal_only: bool = False
    """One proposal, nothing trained, not even the baseline."""
    approve: bool = False
    """A person is shown each diff and asked before it is trained."""
    trace: bool = False
    """A tracer outside the sandbox follows every trial's executions as well."""
    unsafe_no_isolation: bool = False
    """Code that a language model wrote runs in a sandbox that does not keep it in; asked for by name."""

    certify: bool = False
    """What the run gains is tested on the holdout, on fresh seeds, at milestones and at the end."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """The chance, over all milestones together, of certifying code that is no better."""
    certify_share: float = Field(default=0.15, gt=0, lt=1)
    """Of the trials and hours: set aside for milestones, so that a run can certify what it ends with."""
    shared_seeds: bool = False
    """Trials but the first of each experiment share their seeds, slot by slot (see `rsi.seeds`)."""
    holdout_questions: int = Field(default=0, ge=0, le=10_000)
    """How many kept experiments may be asked about the holdout besides milestones, to see how far dev is ahead."""
    null_share: float = Field(default=0.0, ge=0, le=0.5)
    """How often an edit that changes nothing is slipped in, to see how often the policy keeps one."""

    @property
    def lookahead(self) -> int:
        """How many experiments may be open at once.

        One more than train side by side, so that a place that falls free never waits for the decision on the eldest.
        """
        return 1 if self.parallel == 1 else self.parallel + 1
