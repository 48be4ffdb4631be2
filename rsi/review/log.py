"""What happened, event by event, in words: a line each, of `rsi log` and wherever an event is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsi import events as e
from rsi.ledger import Event
from rsi.records import Measure, Record, TryAgain
from rsi.review.sameness import verdict_words
from rsi.review.standing import by_itself
from rsi.review.wording import count, duration, size
from rsi.review.worth import edits_of, found, looking

Words = Callable[[Any], str]


def describe(event: Event, body: Record | None = None) -> str:
    """What happened, in words; hostile text in it is as it stands in the record. `body` where it is known already."""
    body_type = e.BODIES.get(event.kind)
    if body_type is None:
        return "an event of a kind that this version does not know"
    if body is None:
        try:
            body = body_type.model_validate(event.body)
        except ValueError:
            return "an event that cannot be read; `rsi verify` says why"
    return _WORDS.get(body_type, _plainly)(body)


def _plainly(body: Record) -> str:
    """An event without words of its own, by its fields."""
    fields = ((name, value) for name, value in body if isinstance(value, str | int | float))
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields)


def _proposed(body: e.ExperimentProposed) -> str:
    own = by_itself(body)
    return f"experiment {body.experiment} ({own or body.kind}): {body.rationale}"


def _planned(body: e.PolicyPlanned) -> str:
    wanted = f"experiment {body.plan.experiment} again" if isinstance(body.plan, TryAgain) else body.plan.kind
    return f"next is {wanted}, by {body.plan.rule}: {body.plan.reason}"


def _begun(body: e.MilestoneBegun) -> str:
    against = f"experiment {body.reference}" if body.reference else "the baseline"
    return (
        f"milestone {body.milestone}: experiment {body.candidate} against {against} at level {body.plan.level:.3g}, "
        f"at most {count(body.plan.most_pairs, 'pair')}: {body.reason}"
    )


def _tested(body: e.MilestoneTested) -> str:
    became = "passed" if body.passed else "failed"
    return f"milestone {body.milestone} {became} after {count(body.pairs, 'pair')}: {body.reason}"


def _cut(body: e.AblationCut) -> str:
    comes = "can be made" if body.applies else f"cannot be made ({body.reason})"
    return f"ablation {body.ablation}: the code {comes} without {edits_of(body.edits)}"


def _closed(body: e.MilestoneClosed) -> str:
    improvement = body.improvement
    if improvement is None or improvement.low is None or improvement.high is None:
        return f"milestone {body.milestone}: no interval"
    bounds = f"{improvement.low:.4g} to {improvement.high:.4g}"
    return f"milestone {body.milestone}: better than the baseline by {improvement.estimate:.4g}, {bounds}"


def _answered(body: e.TrialAnswered) -> str:
    came = "malformed" if body.malformed else body.execution.kind.value
    return f"trial {body.trial} answered {body.challenge!r}: {came}, {_seconds(body)}{_found(body)}"


def _inspected(body: e.TrialInspected) -> str:
    found = count(len(body.inspection.findings), "finding")
    return f"trial {body.trial} read by {body.verifier}: {body.inspection.rejects or found}"


def _controlled(body: e.TrialControlled) -> str:
    ended = f"{body.execution.kind.value}, {_seconds(body)}{_found(body)}"
    return f"trial {body.trial}: the control for {body.challenge!r} trained: {ended}"


def _trained(body: e.TrialTrained) -> str:
    return f"trial {body.trial} trained: {body.execution.kind.value}, {_seconds(body)}{_found(body)}"


def _found(body: e.Executed | e.OfProgram) -> str:
    """The gravest of what was attempted, and how many findings there are."""
    if not body.findings:
        return ""
    first = body.findings[0]
    further = f" and {count(len(body.findings) - 1, 'further finding')}" if len(body.findings) > 1 else ""
    return f"; {first.severity.value}: {first.message}{further}"


def _settled(body: e.CallSettled) -> str:
    cost = "of unknown price" if body.cost_usd is None else f"${body.cost_usd:.4f}"
    return (
        f"call {body.reservation} answered ({body.finish}): {body.input_tokens:,} tokens in, {body.cached_tokens:,} of "
        f"them cached, {body.output_tokens:,} out, {cost}, {duration(body.seconds)}"
    )


def _came(body: e.OfProgram, well: str) -> str:
    return f"{body.problem or well}, {_seconds(body)}{_found(body)}"


def _seconds(body: e.Executed | e.OfProgram) -> str:
    return duration(body.execution.usage.wall_seconds)


def _decided(body: e.PolicyDecided) -> str:
    decision = body.decision
    more = f" {count(decision.trials, 'trial')} of the {decision.arm}" if isinstance(decision, Measure) else ""
    return f"experiment {body.experiment}: {decision.kind}{more} by {decision.rule}: {decision.reason}"


def _confirmed(body: e.ConfirmationFinished) -> str:
    improvement = body.improvement
    if improvement is None or improvement.low is None or improvement.high is None:
        return f"experiment {body.best} against the baseline on {body.metric}: no interval"
    bounds = f"{improvement.low:.4g} to {improvement.high:.4g}"
    return (
        f"experiment {body.best} is better than the baseline by {improvement.estimate:.4g} in {body.metric}, {bounds}"
    )


_WORDS: dict[type[Record], Words] = {
    e.RunStarted: lambda b: (
        f"{b.run} on {b.configuration.task} with {b.configuration.proposer.name} in {b.sandbox.name}"
    ),
    e.DataPrepared: lambda b: (
        f"{count(len(b.files), 'file')} of data, {'prepared' if b.execution else 'from the cache'}"
    ),
    e.ExperimentProposed: _proposed,
    e.ExperimentCommitted: lambda b: f"experiment {b.experiment} is commit {b.commit[:12]}: {', '.join(b.changed)}",
    e.ProposalReviewed: lambda b: (
        f"experiment {b.experiment} {'approved' if b.approved else 'declined'} by a person"
        + (f": {b.comment}" if b.comment else "")
    ),
    e.CallReserved: lambda b: (
        f"call {b.reservation} to {b.model} to {b.purpose}: at most {b.worst.tokens:,} tokens, ${b.worst.cost_usd:.4f}"
    ),
    e.CallSettled: _settled,
    e.CallFailed: lambda b: f"call {b.reservation} failed ({b.kind}): {b.reason}",
    e.CallDeclined: lambda b: f"call {b.call} of experiment {b.experiment} not made: {b.reason}",
    e.AdviceFrozen: lambda b: f"the proposer is told the instructions of {b.origin}",
    e.ProgramFrozen: lambda b: (
        f"the proposer's program is {b.origin}: {count(len(b.artifact), 'file')} of what it learned"
    ),
    e.ProgramLearned: lambda b: f"the proposer's program learned: {_came(b, b.execution.kind.value)}",
    e.ProgramAnswered: lambda b: (
        f"the program's order of {count(b.options, 'move')} for experiment {b.experiment}: {_came(b, 'answered')}"
    ),
    e.TrialStarted: lambda b: f"trial {b.trial} to {b.role} on {b.split}, seed {b.seed}",
    e.TrialTrained: _trained,
    e.TrialInspected: _inspected,
    e.TrialControlled: _controlled,
    e.TrialAnswered: _answered,
    e.TrialJudged: lambda b: f"trial {b.trial} to {b.purpose}: {verdict_words(b.verdict)}",
    e.TrialFailed: lambda b: f"trial {b.trial} failed: {b.reason}",
    e.PolicyDecided: _decided,
    e.PolicyPlanned: _planned,
    e.ExperimentClosed: lambda b: f"experiment {b.experiment} {b.status.value}: {b.reason}",
    e.MilestoneBegun: _begun,
    e.MilestoneTested: _tested,
    e.MilestoneClosed: _closed,
    e.AblationBegun: lambda b: f"ablation {b.ablation} of experiment {b.base}: {looking(b)}",
    e.AblationCut: _cut,
    e.AblationClosed: lambda b: f"ablation {b.ablation}: {found(b.result)}",
    e.ConfirmationFinished: _confirmed,
    e.BlobsDropped: lambda b: f"{count(len(b.digests), 'blob')} dropped, {size(b.bytes)} ({b.reason})",
    e.RunPaused: lambda b: f"{b.reason}",
    e.RunResumed: lambda b: "a torn end was set aside" if b.torn_tail else "the run goes on",
    e.RunFinished: lambda b: f"{b.reason}",
}
