"""The bodies of the ledger's events, one frozen record a kind. `rsi.state` folds them; nothing else is the truth."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rsi.claims.attribution import Attribution, AttributionPlan
from rsi.claims.blame import BlamePlan, TakeBack
from rsi.claims.milestone import MilestonePlan
from rsi.configuration import Budget, RunConfiguration
from rsi.evidence import Control, Inspection, Purpose, Split
from rsi.execution import Execution, ExitKind, Limits, SandboxDescription
from rsi.records import (
    Comparison,
    Decision,
    ExperimentStatus,
    Finding,
    Objective,
    Plan,
    Provenance,
    Record,
    Verdict,
)
from rsi.spending import Price, Spending
from rsi.statistics import Interval

Digest = str
"""sha256 of a blob, 64 hexadecimal digits."""

Number = Annotated[int, Field(ge=0, le=10**9)]
"""Of an experiment, a milestone, a slot, a question: counted by the loop, and small enough for whatever stores it."""


class RunStarted(Record):
    """The run exists; everything that was chosen, and the secret everything random is drawn from."""

    run: str
    configuration: RunConfiguration
    objective: Objective
    grounded: bool
    sandbox: SandboxDescription
    task: Digest
    """Blob of the frozen task: specification, baseline, protected files, program."""
    task_digest: str
    randomness: str
    """Hexadecimal key of `rsi.evidence.Secret`. No sandbox and no proposer sees it."""
    versions: dict[str, str]


class DataPrepared(Record):
    """The data that every trial of this run uses, by content."""

    key: str
    """Hash of what it was made of: source, `prepare.py`, image."""
    files: dict[str, str]
    """Path → sha256."""
    facts: dict[str, Any]
    """What `prepare.py` says about it, in its own words."""
    execution: Execution | None
    """None where it was found in the cache."""
    stdout: Digest | None = None
    stderr: Digest | None = None
    course: Digest | None = None
    """As in `TrialTrained`; None as well in records of earlier versions."""


class ExperimentProposed(Record):
    """A proposer's word, before anything is checked. Experiment 0 is the baseline and has no edit."""

    experiment: Number
    parent: Number
    """The experiment whose code the edit is based on: the incumbent of that moment."""
    rationale: str
    kind: str
    detail: dict[str, str | int | float | bool | None] = {}
    provenance: Provenance
    edit: Digest | None
    """Blob with the `rsi.records.Edit` as JSON."""
    problem: str = ""
    """Why there is nothing to try, where the proposer itself says so."""
    again: Number | None = None
    """The earlier experiment whose edit is carried over to the present incumbent; nobody proposed it anew."""
    removes: tuple[Number, ...] = ()
    """Kept experiments whose edits it takes out of the incumbent, to see whether they are to blame."""
    null: bool = False
    """It changes nothing but the draws of random numbers; whether it is kept tells how often luck is."""


class ExperimentCommitted(Record):
    """The edit applied and parses; the candidate is in `code.git`."""

    experiment: Number
    commit: str
    tree_digest: str
    tree_tokens: int
    changed: tuple[str, ...]
    diff: Digest | None
    """Blob with the unified diff against the parent."""


class ProposalReviewed(Record):
    """A person has read the diff and said whether it shall be trained."""

    experiment: Number
    approved: bool
    comment: str = ""


class CallReserved(Record):
    """A language model is about to be asked; until this is settled, its worst case counts as spent."""

    reservation: str
    """`experiment.call.attempt`, or `trial.call.attempt`"""
    experiment: Number
    trial: str = ""
    """Where a verifier asks about a trial; empty where a proposer asks."""
    call: Number
    """Which of the experiment's questions, or of the trial's, this is, from 1."""
    attempt: Number
    """From 1, over all models."""
    purpose: str
    """`propose`, `repair`, `critique`, `check`, `judge`"""
    model: str
    request: Digest
    """Blob with the `rsi.calls.Request` as JSON."""
    request_digest: str
    worst: Spending
    price: Price | None = None
    """By which the worst case was priced; None where none is known."""


class CallSettled(Record):
    """The answer, on disk before anything reads it, and what it cost."""

    reservation: str
    answer: Digest
    """Blob with the `rsi.calls.Answer` as JSON."""
    finish: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    reported_model: str = ""
    seconds: float = 0.0


class CallFailed(Record):
    """There is no answer."""

    reservation: str
    kind: str
    """Of the fault: `rate_limited`, `server_fault`, …"""
    reason: str
    charged: bool
    """Whether it may be billed all the same; then the worst case counts as spent."""
    retry_after: float | None = None
    seconds: float = 0.0


class CallDeclined(Record):
    """A call was not made, because it could have passed a limit."""

    experiment: Number
    trial: str = ""
    call: Number
    purpose: str
    reason: str


class AdviceFrozen(Record):
    """What the proposer is told besides, read at its source when the run began, whatever becomes of that."""

    origin: str
    """Where it was found, in words."""
    text: Digest


class ProgramFrozen(Record):
    """The program that the proposer asks, as it is from here on, whatever becomes of its source."""

    origin: str
    """Where it was found, in words."""
    code: Digest
    """Blob with its files, path → text, as JSON."""
    module: str
    artifact: dict[str, Digest]
    """What it has learned; empty where it is yet to learn."""
    episodes: Digest | None
    """Blob with the `.npy` array that it learns from."""
    limits: Limits
    """For one answer."""
    learning: Limits


class ProgramLearned(Record):
    """The program has learned from its episodes, once."""

    execution: Execution
    stdout: Digest
    stderr: Digest
    course: Digest | None = None
    artifact: dict[str, Digest]
    """Path → blob; empty where it left nothing, or nothing of use."""
    problem: str
    """Why it cannot be used; empty where it can."""
    findings: tuple[Finding, ...] = ()
    attempts: Digest | None = None
    """Both as in `TrialTrained`."""


class ProgramAnswered(Record):
    """The program has said what it prefers, on disk before anything reads it."""

    experiment: Number
    """That the proposal was asked for."""
    question: str
    """sha256 of what it was shown (`rsi.evidence.Challenge.digest`)."""
    options: Number
    execution: Execution
    stdout: Digest
    stderr: Digest
    course: Digest | None = None
    answer: Digest | None
    """Blob with a little-endian float32 for each option; None where there is none."""
    problem: str
    """Why it is of no use; empty where it is of use."""
    findings: tuple[Finding, ...] = ()
    attempts: Digest | None = None
    """Both as in `TrialTrained`."""


OfProgram = ProgramLearned | ProgramAnswered
"""What records an execution of a proposer's program."""


Role = Literal["measure", "confirm", "certify", "estimate", "ablate", "audit"]
"""What a trial is for: measuring an experiment, a comparison on fresh seeds without a test, a milestone's test, the
estimate that follows one that was passed, seeing what kept edits are worth, or how far dev is ahead of the holdout."""


class TrialStarted(Record):
    """One training is about to begin."""

    trial: str
    experiment: Number
    slot: Number
    """Which of the experiment's trials it is; one that was lost or interrupted is tried again in the same slot."""
    role: Role
    milestone: Number | None = None
    """Which one it belongs to, for the roles `certify` and `estimate`."""
    ablation: Number | None = None
    """Which one it belongs to, for the role `ablate`."""
    without: tuple[Number, ...] = ()
    """Kept edits that the experiment's code is trained without."""
    weights_of: str | None = None
    """For the role `audit`, which trains nothing: the trial whose weights are asked."""
    split: Split
    seed: int


class TrialTrained(Record):
    """A is dead, its artifact hashed."""

    trial: str
    execution: Execution
    stdout: Digest
    stderr: Digest
    course: Digest | None = None
    """Blob with the `rsi.course.Course` as JSON; None in records of earlier versions."""
    artifact: dict[str, Digest]
    """Path → droppable blob."""
    findings: tuple[Finding, ...] = ()
    """What the execution's attempts amount to (`rsi.scrutiny`); they decide nothing."""
    attempts: Digest | None = None
    """Blob with all attempts, a JSON list, where the execution lists not all."""


class TrialInspected(Record):
    """A verifier has read what lies there."""

    trial: str
    purpose: Purpose
    verifier: str
    inspection: Inspection
    kept: dict[str, Digest] = {}
    """Name → blob with a `.npy` array on which the inspection rests, kept for good."""
    seconds: float = Field(default=0.0, ge=0, le=1e9)


class TrialControlled(Record):
    """The control of a challenge was trained: the trial's code under another seed and budget.

    Its artifact is asked at once and not kept; after a crash it is trained again.
    """

    trial: str
    purpose: Purpose
    challenge: str
    control: Control
    execution: Execution
    stdout: Digest
    stderr: Digest
    course: Digest | None = None
    left: dict[str, str] = {}
    """Path → sha256 of what it left; empty where it did not complete."""
    asked: bool = True
    """Whether it is asked something; false where what it left is all that its verifier wants to know."""
    findings: tuple[Finding, ...] = ()
    attempts: Digest | None = None
    """Both as in `TrialTrained`."""


class TrialAnswered(Record):
    """A fresh B has answered one challenge; the raw answer is sealed by its hash before the next is asked."""

    trial: str
    purpose: Purpose
    challenge: str
    challenge_digest: str
    execution: Execution
    stdout: Digest
    stderr: Digest
    course: Digest | None = None
    """Blob with the `rsi.course.Course` as JSON; None in records of earlier versions."""
    answer: Digest | None
    """Droppable blob; None where the execution failed or its answer was malformed."""
    malformed: str = ""
    """What is wrong with an answer that came but is none; such a trial is rejected."""
    shape: tuple[int, ...] = ()
    """Of the answer; empty where there is none, and in records of earlier versions."""
    scores: dict[str, Digest] = {}
    """Name → blob with a `.npy` array, kept for good."""
    findings: tuple[Finding, ...] = ()
    attempts: Digest | None = None
    """Both as in `TrialTrained`."""
    scoring_seconds: float = Field(default=0.0, ge=0, le=1e9)


Executed = TrialTrained | TrialControlled | TrialAnswered
"""What records an execution of a trial."""


class TrialJudged(Record):
    """A verifier's verdict on a trial."""

    trial: str
    purpose: Purpose
    reference: str | None
    """The trial whose scores the challenges were weighed against."""
    verdict: Verdict
    verifying_seconds: float = Field(default=0.0, ge=0, le=1e9)


class TrialFailed(Record):
    """No verdict can be had: what happened instead. Never a score."""

    trial: str
    stage: Literal["train", "control", "predict"]
    kind: ExitKind
    reason: str


class PolicyDecided(Record):
    """A decision with everything it was derived from."""

    experiment: Number
    comparison: Comparison
    decision: Decision


class PolicyPlanned(Record):
    """The policy wants something else next than a fresh proposal."""

    plan: Plan


class MilestoneBegun(Record):
    """The incumbent is to be compared with the last certified one, on the holdout and on fresh seeds."""

    milestone: Number
    """From 1."""
    candidate: int
    reference: int
    """The last certified experiment, at first the baseline."""
    plan: MilestonePlan
    """All that the test depends on besides the pairs."""
    estimate_pairs: int
    """How many follow a test that was passed."""
    reason: str


class MilestoneTested(Record):
    """Whether the test was passed: all that leaves it."""

    milestone: Number
    passed: bool
    pairs: int
    """How many it took."""
    reason: str


class MilestoneClosed(Record):
    """What the milestone lets the run claim."""

    milestone: Number
    improvement: Interval | None
    """Of the candidate over the baseline, on the holdout, from seeds run after the test was passed; None where that
    failed or a trial gave no score."""


class AblationBegun(Record):
    """Kept edits are to be taken out of the incumbent, to see what they are worth."""

    ablation: Number
    """From 1."""
    base: int
    """The incumbent that they are taken out of."""
    milestone: Number | None
    """The one that failed and is to be explained; None for the attribution at the end."""
    plan: BlamePlan | AttributionPlan
    """All that the questions depend on besides the answers."""


class AblationCut(Record):
    """Whether the code can be made without some edits."""

    ablation: Number
    edits: tuple[Number, ...]
    applies: bool
    reason: str = ""
    """Why not."""
    diff: Digest | None = None
    """Blob with the unified diff from the base to the code without them; None where there is none."""


class AblationClosed(Record):
    """What the ablation found."""

    ablation: Number
    result: Annotated[TakeBack | Attribution, Field(discriminator="kind")]


class ExperimentClosed(Record):
    """What became of an experiment."""

    experiment: Number
    status: ExperimentStatus
    reason: str
    gain: float | None = None
    """Over its parent, in the objective's units; None where nothing was scored."""
    commit: str | None = None
    """For a kept one: the commit on the branch `kept`, whose trailer names the ledger's head."""


class ConfirmationFinished(Record):
    """Baseline and best, trained again on fresh seeds and measured on the holdout."""

    baseline: int
    best: int
    metric: str
    baseline_values: tuple[float, ...]
    best_values: tuple[float, ...]
    unscored: tuple[str, ...] = ()
    """Trials that gave no score. With any, nothing is claimed: who fails on some seeds would choose which count."""
    improvement: Interval | None
    """Positive is better; None where trials gave no score or were too few."""


class BlobsDropped(Record):
    """Droppable blobs were removed, so that their absence is not a loss."""

    digests: tuple[Digest, ...]
    bytes: int
    reason: str


class RunPaused(Record):
    """The run stopped and can be resumed."""

    reason: str
    session_seconds: float = Field(ge=0, le=1e10)


class RunResumed(Record):
    """The run goes on, possibly with other versions, possibly after a crash."""

    sandbox: SandboxDescription
    versions: dict[str, str]
    budget: Budget | None = None
    """Replaces the earlier one where the user gave more; the confirmation is then made again."""
    attribute: int | None = None
    """Trials for finding out which of the kept edits matter, where the user asks for that."""
    torn_tail: Digest | None = None
    """Blob with what a crash had left of an unfinished line."""
    other_image: bool = False
    """The user said that the run goes on in an image other than the one its scores were measured in so far."""


class RunFinished(Record):
    """The budget is spent or nothing is left to try."""

    reason: str
    session_seconds: float = Field(ge=0, le=1e10)


BODIES: dict[str, type[Record]] = {
    "run.started": RunStarted,
    "data.prepared": DataPrepared,
    "experiment.proposed": ExperimentProposed,
    "experiment.committed": ExperimentCommitted,
    "proposal.reviewed": ProposalReviewed,
    "call.reserved": CallReserved,
    "call.settled": CallSettled,
    "call.failed": CallFailed,
    "call.declined": CallDeclined,
    "advice.frozen": AdviceFrozen,
    "program.frozen": ProgramFrozen,
    "program.learned": ProgramLearned,
    "program.answered": ProgramAnswered,
    "trial.started": TrialStarted,
    "trial.trained": TrialTrained,
    "trial.inspected": TrialInspected,
    "trial.controlled": TrialControlled,
    "trial.answered": TrialAnswered,
    "trial.judged": TrialJudged,
    "trial.failed": TrialFailed,
    "policy.decided": PolicyDecided,
    "policy.planned": PolicyPlanned,
    "experiment.closed": ExperimentClosed,
    "milestone.begun": MilestoneBegun,
    "milestone.tested": MilestoneTested,
    "milestone.closed": MilestoneClosed,
    "ablation.begun": AblationBegun,
    "ablation.cut": AblationCut,
    "ablation.closed": AblationClosed,
    "confirmation.finished": ConfirmationFinished,
    "blobs.dropped": BlobsDropped,
    "run.paused": RunPaused,
    "run.resumed": RunResumed,
    "run.finished": RunFinished,
}
KINDS: dict[type[Record], str] = {body: kind for kind, body in BODIES.items()}
