"""What an export says of a run: one record a thing, the same for every format; as JSON Schema, the published one.

Text stands as it is in the run's record, whatever characters it holds; bytes that are no UTF-8 travel as base64.
Times are UTC, ISO 8601; sizes are bytes; money is dollars; gains are positive where they are better.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter

from rsi.attempts import Attempt
from rsi.configuration import RunConfiguration
from rsi.course import Course
from rsi.events import Role
from rsi.evidence import Purpose, Split
from rsi.execution import Execution, ExitKind, SandboxDescription
from rsi.records import Comparison, ExperimentStatus, Objective, Provenance, Record, Versioned
from rsi.review.claims import Milestone
from rsi.review.findings import Found
from rsi.review.notes import Note
from rsi.review.summary import RunSummary

SCHEMA = 1


class Content(Record):
    """Bytes of the run's record: a stream, a diff."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sha256: str
    length: int | None = None
    """In bytes; None where they are not to be had."""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    """How `content` holds them: as they read, or as base64 where they are no UTF-8."""
    content: str | None = None
    """None where they are not to be had; `problem` says why."""
    problem: str = ""

    @classmethod
    def of(cls, digest: str, data: bytes) -> Content:
        """These bytes."""
        try:
            return cls(sha256=digest, length=len(data), content=data.decode("utf-8"))
        except UnicodeDecodeError:
            text = base64.b64encode(data).decode("ascii")
            return cls(sha256=digest, length=len(data), encoding="base64", content=text)

    def data(self) -> bytes | None:
        """The bytes; None where they are not to be had."""
        if self.content is None:
            return None
        return base64.b64decode(self.content) if self.encoding == "base64" else self.content.encode("utf-8")

    def text(self) -> str:
        """To be read by people: what is no UTF-8 as U+FFFD, what is not to be had as the sentence that says so."""
        data = self.data()
        return f"(not to be had: {self.problem})" if data is None else data.decode("utf-8", "replace")


class Exported(Versioned):
    """One line of an export."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    run: str


class Placed(Exported):
    """Something that an event of the ledger says."""

    seq: int | None
    """The event, from 0; its line in the ledger is one more. None where it is not known which."""
    time: str
    """When it was recorded; empty where that is not known."""


class Integrity(Record):
    """What the export could check of the record, and how a reader checks the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    chain: Literal["holds"] = "holds"
    """Every line of the ledger follows from the one before; a run whose chain is broken is not exported."""
    head: str
    """Hash of the last event that is in the export."""
    events: int
    anchors: int
    """Head hashes that this machine had written down while the run went on."""
    contradicted: int | None
    """The event that an anchor does not bear out, if any: the record was cut short or written anew."""
    problems: tuple[str, ...] = ()
    """What does not hold, in sentences; what is missing from the blobs stands in the `end` record."""
    statement: str
    """How to verify."""


class RunLine(Exported):
    """The run as a whole; the first record of an export."""

    record: Literal["run"] = "run"
    going_on: bool
    """Then this is the run up to `integrity.head`, and a later export holds more."""
    summary: RunSummary
    """`folder` is empty: where it lay is nobody else's business."""
    improvement: tuple[str, ...]
    """What may be claimed, in sentences, the surest first."""
    sure: str
    """`certified`, `not certified`, `confirmed`, `not confirmed`, `provisional`, `nothing kept`."""
    objective: Objective
    configuration: RunConfiguration
    sandbox: SandboxDescription
    task_digest: str
    instruction: str
    """The human's research instructions (`program.md`); empty where the frozen task is not to be had."""
    versions: dict[str, str]
    integrity: Integrity


class ExperimentLine(Placed):
    """One experiment; `seq` and `time` are its proposal's."""

    record: Literal["experiment"] = "experiment"
    experiment: int
    parent: int
    status: ExperimentStatus
    why: str
    """Why it became what it became; empty while it is open."""
    closed: str
    """When; empty while it is open."""
    standing: str
    """Certified, provisional, taken back; empty where nothing can be said."""
    value: FiniteFloat | None
    """The objective's mean over its scored trials on dev."""
    gain: FiniteFloat | None
    """Over its parent."""
    seconds: FiniteFloat
    """Of wall time, of everything that ran for its own trials."""
    trials: int
    findings: int
    """Of severity notice and above."""
    gravest: str | None
    rationale: str
    kind: str
    detail: dict[str, str | int | FiniteFloat | bool | None]
    by_itself: str
    """What the loop tried here without asking the proposer; empty for a proposal."""
    provenance: Provenance
    problem: str
    """Why there was nothing to try, in the proposer's own words."""
    approved: bool | None
    """By a person; None where nobody was asked."""
    comment: str
    commit: str | None
    tree_digest: str | None
    tree_tokens: int | None
    changed: tuple[str, ...]
    diff: Content | None
    """Against the parent's code; None where none was applied."""


class CallLine(Placed):
    """One attempt to ask a language model."""

    record: Literal["call"] = "call"
    experiment: int
    trial: str = ""
    """Where a verifier asks about a trial; empty where a proposer asks."""
    call: int
    """Which of the experiment's questions, or of the trial's, from 1."""
    attempt: int
    """From 1; 0 for a call that was declined before it was made."""
    purpose: str
    model: str
    reported_model: str
    """As the provider named it."""
    outcome: Literal["answered", "failed", "unsettled", "declined"]
    why: str
    """Why there is no answer."""
    charged: bool
    """Whether it may be billed; an unsettled call counts at its worst case."""
    prompt: tuple[tuple[str, str], ...]
    """Role and text of each message; empty where they are not to be had."""
    max_output_tokens: int | None
    effort: str
    answer: str | None
    finish: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: FiniteFloat | None
    """None where no price is known, or nothing was answered."""
    seconds: FiniteFloat
    problem: str
    """Which blob is not to be had."""


class TrialLine(Placed):
    """One training of one piece of code, and what became of it; `seq` and `time` are its start's."""

    record: Literal["trial"] = "trial"
    trial: str
    experiment: int
    slot: int
    role: Role
    split: Split
    seed: int
    milestone: int | None
    ablation: int | None
    without: tuple[int, ...]
    weights_of: str | None
    outcome: Literal["scored", "rejected", "verifier_error", "failed", "open"]
    """By the strictest verdict."""
    why: str
    failed_kind: ExitKind | None
    artifact: dict[str, str]
    """Path → sha256 of the weights; they are not in the export."""


class ExecutionLine(Placed):
    """One program in one sandbox, with both its streams apart; `seq` and `time` are of the event that records it."""

    record: Literal["execution"] = "execution"
    experiment: int | None
    """None for the preparation of the data."""
    trial: str
    """Empty for the preparation of the data."""
    stage: str
    """`prepare`, `train`, `control half`, `predict windows`."""
    execution: Execution
    stdout: Content | None
    stderr: Content | None
    """None where the record names no stream."""
    course: Course | None
    """Its use over time, the order of its output, its files before and after; None where it is not to be had."""
    attempts: tuple[Attempt, ...]
    """All that are on record; `execution.attempts` holds the most telling."""


class VerdictLine(Placed):
    """A verifier's verdict on a trial."""

    record: Literal["verdict"] = "verdict"
    experiment: int
    trial: str
    purpose: Purpose
    kind: Literal["scored", "rejected", "verifier_error"]
    why: str
    by: str
    """The verifier that rejects, where several stand together."""


class MeasurementLine(Placed):
    """One number that a verifier computed on one trial; `seq` and `time` are its verdict's."""

    record: Literal["measurement"] = "measurement"
    experiment: int
    trial: str
    role: Role
    split: Split
    purpose: Purpose
    name: str
    value: FiniteFloat
    standard_error: float | None
    """Of the mean over positions or examples; seed noise is not in it."""
    objective: bool
    """Whether it is what the run optimises."""


class FindingLine(Exported):
    """A thing that a reviewer should see."""

    record: Literal["finding"] = "finding"
    time: str
    """When the event was recorded that says so; empty where that is not known."""
    finding: Found


class DecisionLine(Placed):
    """A decision with everything it was derived from."""

    record: Literal["decision"] = "decision"
    experiment: int
    decision: Literal["keep", "discard", "measure"]
    rule: str
    why: str
    arm: str
    """What is to be measured again; empty but for `measure`."""
    trials: int
    comparison: Comparison


class MilestoneLine(Exported):
    """One test of what was kept, on the holdout and on fresh seeds."""

    record: Literal["milestone"] = "milestone"
    milestone: Milestone


class NoteLine(Exported):
    """A reviewer's word."""

    record: Literal["note"] = "note"
    note: Note


class EndLine(Exported):
    """The last record of an export; one without it was cut short."""

    record: Literal["end"] = "end"
    head: str
    records: dict[str, int]
    """How many of each kind came before this one."""
    problems: tuple[str, ...]
    """What is missing from the export and why, in sentences; the first hundred."""
    further_problems: int = 0


Line = Annotated[
    RunLine
    | ExperimentLine
    | CallLine
    | TrialLine
    | ExecutionLine
    | VerdictLine
    | MeasurementLine
    | FindingLine
    | DecisionLine
    | MilestoneLine
    | NoteLine
    | EndLine,
    Field(discriminator="record"),
]
LINE: TypeAdapter[Any] = TypeAdapter(Line)


def moment(time: str) -> datetime | None:
    """A recorded time; None for one that is missing or malformed."""
    try:
        read = datetime.fromisoformat(time)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def json_schema() -> dict[str, Any]:
    """The published schema: of one line of a `jsonl` export."""
    schema = LINE.json_schema(mode="serialization", by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:rsi:export:1",
        "title": "One line of `rsi export --format jsonl`, schema 1",
        **schema,
    }
