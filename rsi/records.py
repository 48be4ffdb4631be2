"""What flows through the loop: proposals, trials, verdicts, comparisons, decisions.

Every record is frozen. What a sandbox is asked and what it answers is in `rsi.execution`, what a verifier sees
is in `rsi.evidence`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

CodeFiles = dict[str, str]
"""Editable code: path relative to the task folder, with forward slashes → text."""


class Record(BaseModel):
    """An immutable value that can be written to the ledger and read back equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Versioned(Record):
    """The top of a documented JSON shape: written with `"schema": 1` first."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")


# --- proposals ------------------------------------------------------------------------------------------------


class EditFormat(StrEnum):
    """The forms in which an edit arrives."""

    UNIFIED_DIFF = "unified-diff"
    SEARCH_REPLACE = "search-replace"
    WHOLE_FILE = "whole-file"


class Edit(Record):
    """A change to editable files, as its author wrote it; hostile text until `rsi.edits` has checked it."""

    format: EditFormat
    text: str = ""
    """The diff, or the search/replace blocks; empty for whole files."""
    files: CodeFiles = {}
    """Path → new text, for whole files only."""

    @model_validator(mode="after")
    def _one_body(self) -> Edit:
        if (self.format is EditFormat.WHOLE_FILE) == bool(self.text):
            raise ValueError("a whole-file edit carries `files`, any other format carries `text`")
        return self


class Provenance(Record):
    """Where a proposal came from and what it cost."""

    proposer: str
    model: str | None = None
    prompt: str | None = None
    """sha256 of the blob that holds the prompt."""
    answer: str | None = None
    """sha256 of the blob that holds the answer."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    parent: int | None = None
    """The experiment this proposal repairs or repeats, where there is one."""


class Proposal(Record):
    """One edit, why its author expects it to help, and where it came from."""

    edit: Edit
    rationale: str
    kind: str = "edit"
    """What sort of edit it is (`learning_rate`, `activation`), by which a proposer learns what pays."""
    detail: dict[str, str | int | float | bool | None] = {}
    provenance: Provenance
    problem: str = ""
    """Why there is nothing to try: the proposer got no edit that applies (a refusal, a truncated answer)."""


# --- verdicts -------------------------------------------------------------------------------------------------


class Severity(StrEnum):
    """How much a finding deserves a reviewer's look."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class Finding(Record):
    """Something a reviewer should see, with a pointer into the evidence (`stdout:120`, `train.py:31`)."""

    severity: Severity
    code: str
    message: str
    pointer: str = ""


class Measurement(Record):
    """One number that a verifier computed itself (or, for ungrounded verifiers, was told)."""

    name: str
    value: FiniteFloat
    standard_error: float | None = None
    """Of the mean over positions or examples; seed noise is not in it."""


class Scored(Record):
    """The evidence supports these measurements."""

    kind: Literal["scored"] = "scored"
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...] = ()

    def value(self, name: str) -> float:
        """The measurement of that name; KeyError where there is none."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement.value
        raise KeyError(name)


class Rejected(Record):
    """The evidence shows that the result must not count."""

    kind: Literal["rejected"] = "rejected"
    reason: str
    findings: tuple[Finding, ...] = ()
    by: str = ""
    """The verifier that rejects, where several stand together."""


class VerifierError(Record):
    """The verifier itself failed: the trial is undecided, never zero and never kept."""

    kind: Literal["verifier_error"] = "verifier_error"
    message: str
    findings: tuple[Finding, ...] = ()


Verdict = Annotated[Scored | Rejected | VerifierError, Field(discriminator="kind")]


# --- decisions ------------------------------------------------------------------------------------------------


class Direction(StrEnum):
    """Which way the objective improves."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Guard(Record):
    """A measurement that must not get worse: a non-inferiority condition with a margin of its own."""

    metric: str
    direction: Direction = Direction.MINIMIZE
    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How much worse than the incumbent counts as no worse, in the guard's own units."""
    noise: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Standard deviation over seeds, where the run has not yet measured it; None where nothing is known."""

    def gain(self, candidate: float, incumbent: float) -> float:
        """How much better the candidate is, in the guard's units; positive is better."""
        return _gain(self.direction, candidate, incumbent)


class Objective(Record):
    """The measurement being optimised, what it may cost in code, and what must not suffer for it."""

    metric: str
    direction: Direction = Direction.MINIMIZE
    noise: float = Field(default=0.02, gt=0)
    """Standard deviation over seeds, where the run has not yet measured it."""
    guards: tuple[Guard, ...] = ()
    token_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Objective units that an added syntax-tree token must earn; None is `noise` / 4000."""
    equivalence: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """A difference that does not matter where the code gets shorter, in objective units; None is `noise` / 4."""

    @model_validator(mode="after")
    def _guards_apart(self) -> Objective:
        metrics = [self.metric, *(guard.metric for guard in self.guards)]
        if len(metrics) != len(set(metrics)):
            raise ValueError("the objective and its guards are different metrics, each named once")
        return self

    @property
    def price_of_token(self) -> float:
        """Objective units; by default 40 added tokens (a few lines) must earn a hundredth of the seed noise."""
        return self.noise / 4000 if self.token_price is None else self.token_price

    @property
    def equivalence_margin(self) -> float:
        """Objective units within which shorter code counts as equivalent."""
        return self.noise / 4 if self.equivalence is None else self.equivalence

    def gain(self, candidate: float, incumbent: float) -> float:
        """How much better the candidate is, in the objective's units; positive is better."""
        return _gain(self.direction, candidate, incumbent)


def _gain(direction: Direction, candidate: float, incumbent: float) -> float:
    return incumbent - candidate if direction is Direction.MINIMIZE else candidate - incumbent


class Observation(Record):
    """One finished, scored trial as a policy sees it."""

    trial: str
    seed: int
    measurements: dict[str, FiniteFloat]


class Arm(Record):
    """One side of a comparison: a piece of code and every scored trial of it so far."""

    experiment: int
    commit: str
    observations: tuple[Observation, ...]

    def values(self, metric: str) -> tuple[float, ...]:
        """The metric in every observation, in the order of the trials."""
        return tuple(observation.measurements[metric] for observation in self.observations)


class Comparison(Record):
    """The experiment that a policy decides on; recorded, so that the decision can be derived again."""

    objective: Objective
    candidate: Arm
    incumbent: Arm
    """The candidate's parent: the code that its edit was made from, or applied to."""
    added_tokens: int = 0
    """Syntax-tree tokens of the candidate less those of its parent."""
    trials_left: int | None = None
    """Of the run's budget, what the search may still spend; None without a limit."""
    again: int | None = None
    """The earlier experiment whose same edit is tried anew on a later incumbent."""
    experiments_left: int | None = None
    """Recorded by runs of before 0.2; no policy looks at it."""


class Keep(Record):
    """The candidate becomes the incumbent, once the verifier's checks before a keep have passed."""

    kind: Literal["keep"] = "keep"
    rule: str
    reason: str


class Discard(Record):
    """The incumbent stays."""

    kind: Literal["discard"] = "discard"
    rule: str
    reason: str


class Measure(Record):
    """Not enough is known: more trials of one arm, then ask again."""

    kind: Literal["measure"] = "measure"
    rule: str
    reason: str
    arm: Literal["candidate", "incumbent"] = "candidate"
    trials: int = Field(default=1, ge=1, le=64)


Decision = Annotated[Keep | Discard | Measure, Field(discriminator="kind")]


class Propose(Record):
    """The next experiment is a fresh proposal."""

    kind: Literal["propose"] = "propose"
    rule: str
    reason: str


class TryAgain(Record):
    """The next experiment is an earlier edit, applied to the present incumbent and measured anew."""

    kind: Literal["try_again"] = "try_again"
    rule: str
    reason: str
    experiment: int = Field(ge=1)


class Certify(Record):
    """A milestone comes first: the incumbent against the last certified one, on the holdout."""

    kind: Literal["certify"] = "certify"
    rule: str
    reason: str


Plan = Annotated[Propose | TryAgain | Certify, Field(discriminator="kind")]


# --- what a proposer may know ---------------------------------------------------------------------------------


class ExperimentStatus(StrEnum):
    """What became of an experiment."""

    OPEN = "open"
    KEPT = "kept"
    DISCARDED = "discarded"
    REJECTED = "rejected"
    """A verifier, or a limit that was reached, says the result must not count."""
    CRASHED = "crashed"
    REFUSED = "refused"
    """The edit could not be applied, was outside the editable files, or had been tried before; nothing ran."""
    UNDECIDED = "undecided"
    """A verifier failed or the engine was lost: no score, no keep."""
    REAPPLIED = "reapplied"
    """It won against its parent, which was no longer the incumbent: its edit is tried on the new one."""


class HistoryEntry(Record):
    """One closed experiment, as a proposer sees it: numbers rounded, text quoted data."""

    experiment: int
    status: ExperimentStatus
    kind: str
    detail: dict[str, str | int | float | bool | None] = {}
    rationale: str
    gain: float | None = None
    """Over the incumbent of its time, rounded to a quarter of the seed noise; None where nothing was scored."""
    note: str = ""
    """Why it was refused, or the class and line of the error."""
    parent: int = 0
    """The experiment whose code it changed."""
    repairs: int | None = None
    """The experiment that it was meant to repair, if it was."""
    value: float | None = None
    """The objective's mean over its trials, rounded as the gain is."""
    uncertainty: float | None = None
    """Standard error of the gain, from the seed noise and the number of trials; at the least a quarter of the noise."""
    diff: str = ""
    """Against its parent; empty where it was never applied."""
    printed: str = ""
    """The end of what training printed, where training crashed; sanitised. Nothing printed while predicting."""
    model: str | None = None
    tokens: int = 0
    """Of language models, for this experiment."""
    cost_usd: float = 0.0


class Allowance(Record):
    """What is left of a run's budget; None where there is no limit. As of the last closed experiment."""

    experiments: int | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


class Brief(Record):
    """Everything a proposer is given. Audits, holdout and raw precision are not in it."""

    task: str
    program: str
    """The human's research instructions."""
    code: CodeFiles
    """The incumbent's editable files."""
    objective: Objective
    incumbent_value: float | None = None
    history: tuple[HistoryEntry, ...] = ()
    tried: frozenset[str] = frozenset()
    """Tree digests (`rsi.edits.CheckedEdit.tree_digest`) of every code tried so far."""
    experiment: int
    """The number of the experiment this brief asks a proposal for."""
    seed: int
    """For whatever the proposer draws: the same brief gives the same proposal."""
    protected: CodeFiles = {}
    """Files that the code imports and may not change."""
    max_bytes: int = 65536
    """Of all editable files together."""
    training: str = ""
    """What a training may use, in a sentence."""
    left: Allowance = Allowance()
    pending: tuple[HistoryEntry, ...] = ()
    """Experiments that are under way beside this one, without any number."""
    advice: str = ""
    """Instructions that an earlier run found to pay, quoted data; empty where there are none."""
    advice_from: str = ""
    """Where they were found, in words."""
    turn: int = 1
    """Which of the proposer's own proposals is asked for, from 1: experiments that carry an earlier edit over to a new
    incumbent are nobody's turn."""
