"""What a run may claim and what it only hopes, from its milestones: the parts of a summary that say how sure it is."""

from __future__ import annotations

from collections.abc import Iterator

from rsi import milestones
from rsi.claims.calibration import KeptRate, kept_rate
from rsi.records import ExperimentStatus, Record
from rsi.review.wording import one_line
from rsi.state import MilestoneState, RunState
from rsi.statistics import Interval


class Milestone(Record):
    """One comparison of the incumbent with the last certified code, on the holdout and on fresh seeds."""

    number: int
    candidate: int
    reference: int
    """The experiment that was certified before; 0 is the baseline."""
    passed: bool | None
    """None while the test is under way."""
    pairs: int
    """Of the test; while it is under way, those that are complete."""
    most_pairs: int
    reason: str
    """What the test came to; while it is under way, why it began."""
    closed: bool
    estimate_pairs: int
    """Granted to the estimate that follows a pass."""
    estimated: int
    """Pairs of the estimate that are complete."""
    improvement: Interval | None
    """Over the baseline, from pairs run after the test was passed; positive is better."""
    taken_back: tuple[int, ...] = ()
    """Kept edits that were taken out of the incumbent because this milestone failed."""


class Certified(Record):
    """The last code that passed a milestone."""

    experiment: int
    milestone: int
    reference: int
    """What the test compared it with."""
    alpha: float
    """The chance, over all milestones of the run together, of certifying code that is no better."""
    improvement: Interval | None
    """Over the baseline, on the holdout; None while it is being measured, or where a trial gave no score."""
    measuring: bool
    """Whether the improvement is still being measured."""


class Provisional(Record):
    """What the incumbent is ahead of the certified code by, as the search itself measured it."""

    experiment: int
    over: int
    """The certified experiment; 0 is the baseline."""
    gain: float | None
    """On dev, on the seeds by which it was chosen; positive is better."""
    failed: int | None
    """The milestone that failed to certify it."""


class Gap(Record):
    """How far dev is ahead of the holdout at a milestone: what the search has fitted to the dev split, and luck."""

    milestone: int
    experiment: int
    dev_gain: float
    holdout_gain: float
    gap: float


class Own(Record):
    """Experiments that the loop tried by itself."""

    again: int
    """Earlier edits carried over to a later incumbent."""
    removals: int
    null: int


def under_way(state: RunState) -> Milestone | None:
    """The milestone that is being tested or measured; None where there is none."""
    current = state.open_milestone()
    return None if current is None else _milestone(state, current)


def milestones_of(state: RunState) -> tuple[Milestone, ...]:
    """Every milestone so far, in order."""
    return tuple(_milestone(state, milestone) for milestone in state.milestones)


def certified_of(state: RunState) -> Certified | None:
    """The last certified code; None where no milestone has passed."""
    passed = [m for m in state.milestones if m.tested is not None and m.tested.passed]
    if not passed:
        return None
    last = passed[-1]
    return Certified(
        experiment=last.begun.candidate,
        milestone=last.begun.milestone,
        reference=last.begun.reference,
        alpha=state.run.configuration.alpha,
        improvement=last.closed.improvement if last.closed is not None else None,
        measuring=last.closed is None,
    )


def provisional_of(state: RunState) -> Provisional | None:
    """What stands beside the certified code; None where the incumbent is that very code."""
    if state.incumbent == state.certified or _same_code(state, state.incumbent, state.certified):
        return None
    value, certified = state.mean(state.incumbent), state.mean(state.certified)
    failed = [m for m in state.milestones if m.tested is not None and not m.tested.passed]
    return Provisional(
        experiment=state.incumbent,
        over=state.certified,
        gain=None if value is None or certified is None else state.run.objective.gain(value, certified),
        failed=next((m.begun.milestone for m in failed if m.begun.candidate == state.incumbent), None),
    )


def calibration_of(state: RunState) -> KeptRate | None:
    """How often a null edit was kept; None where the run slips none in.

    One that won over an incumbent that was replaced meanwhile counts as the experiment that carried it over.
    """
    nulls = [entry.status for entry in state.experiments.values() if entry.proposed.null]
    if not nulls and not state.run.configuration.null_share:
        return None
    kept = nulls.count(ExperimentStatus.KEPT)
    return kept_rate(kept, kept + nulls.count(ExperimentStatus.DISCARDED))


def gaps_of(state: RunState) -> tuple[Gap, ...]:
    """Dev's gain over the baseline less the certified one, at each milestone that passed and was measured."""
    return tuple(_gaps(state))


def own_of(state: RunState) -> Own:
    """How many experiments the loop tried by itself."""
    proposed = [entry.proposed for entry in state.experiments.values()]
    return Own(
        again=sum(1 for p in proposed if p.again is not None),
        removals=sum(1 for p in proposed if p.removes),
        null=sum(1 for p in proposed if p.null and p.again is None),
    )


def _gaps(state: RunState) -> Iterator[Gap]:
    baseline = state.mean(0)
    for milestone in state.milestones:
        value = state.mean(milestone.begun.candidate)
        improvement = milestone.closed.improvement if milestone.closed is not None else None
        if improvement is None or value is None or baseline is None:
            continue
        gain = state.run.objective.gain(value, baseline)
        yield Gap(
            milestone=milestone.begun.milestone,
            experiment=milestone.begun.candidate,
            dev_gain=gain,
            holdout_gain=improvement.estimate,
            gap=gain - improvement.estimate,
        )


def _milestone(state: RunState, milestone: MilestoneState) -> Milestone:
    begun, tested, closed = milestone.begun, milestone.tested, milestone.closed
    done = tested.pairs if tested is not None else len(milestones.differences(state, milestone, "certify"))
    passed = tested.passed if tested is not None else None
    measuring = passed is True and closed is None
    estimated = len(milestones.differences(state, milestone, "estimate")) if measuring else 0
    improvement = closed.improvement if closed is not None else None
    return Milestone(
        number=begun.milestone,
        candidate=begun.candidate,
        reference=begun.reference,
        passed=passed,
        pairs=done,
        most_pairs=begun.plan.most_pairs,
        reason=one_line(begun.reason if tested is None else tested.reason),
        closed=closed is not None,
        estimate_pairs=begun.estimate_pairs,
        estimated=improvement.n if improvement is not None else estimated,
        improvement=improvement,
        taken_back=_taken_back(state, begun.candidate) if passed is False else (),
    )


def _same_code(state: RunState, one: int, other: int) -> bool:
    """Whether two experiments are the same code up to formatting: so it is where all was taken back again."""
    committed = [entry.committed for number in (one, other) if (entry := state.experiments.get(number)) is not None]
    digests = [body.tree_digest for body in committed if body is not None]
    return len(digests) == 2 and digests[0] == digests[1]


def _taken_back(state: RunState, candidate: int) -> tuple[int, ...]:
    entries = (e for e in state.experiments.values() if e.status is ExperimentStatus.KEPT)
    return tuple(edit for e in entries if e.proposed.parent == candidate for edit in e.proposed.removes)
