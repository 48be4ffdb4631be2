"""Evidence and verdicts from the record alone: what the loop scores by and what a reviewer derives again.

Nothing here writes, runs code of a candidate's, or needs held-out data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rsi.configuration import RunConfiguration
from rsi.events import TrialStarted
from rsi.evidence import Answered, Array, Evidence, HeldOut, Purpose, Secret
from rsi.execution import Execution
from rsi.history import History, MilestoneSummary, Past
from rsi.prediction import decode_array
from rsi.protocols import Inspects, Verifier
from rsi.records import Comparison, ExperimentStatus, Finding, Rejected, Verdict
from rsi.scrutiny import findings
from rsi.state import MilestoneState, RunState, TrialState
from rsi.verification import checked

LEAST_RESERVED = 18
"""Trials: the five pairs after which even a test that knows nothing of the noise can pass, two more for where it needs
them, and two for the estimate."""

GetBlob = Callable[[str], bytes]


def gather(
    state: RunState,
    trial: str,
    purpose: Purpose,
    get_blob: GetBlob,
    held_out: HeldOut | None = None,
    before: str = "",
) -> Evidence:
    """What a verifier may see of a trial; up to, not including, the challenge named by `before`.

    Only answers given for `screen` are in the evidence of a screening, so that its verdict derives again later.
    """
    entry = state.trials[trial]
    assert entry.trained is not None
    answered: list[Answered] = []
    for answer in entry.answered:
        if answer.challenge == before:
            break
        if purpose == "screen" and answer.purpose == "keep":
            continue
        scores = {name: decode_array(get_blob(digest)) for name, digest in answer.scores.items()}
        control = next((body for body in reversed(entry.controlled) if body.challenge == answer.challenge), None)
        told: dict[str, Any] = (
            {"control": control.execution, "control_artifact": control.left} if control is not None else {}
        )
        answered.append(Answered(challenge=answer.challenge, scores=scores, shape=answer.shape, **told))
    reference = reference_trial(state, trial)
    standing = state.trials[reference].trained if reference is not None else None
    return Evidence(
        trial=trial,
        split=entry.started.split,
        purpose=purpose,
        training=entry.trained.execution,
        training_stdout=get_blob(entry.trained.stdout),
        answered=(*answered, *_unanswered(entry, purpose, before)),
        inspected={
            body.verifier: body.inspection for body in entry.inspected if purpose == "keep" or body.purpose == "screen"
        },
        artifact=entry.trained.artifact,
        reference=_reference_scores(state, trial, get_blob),
        reference_training=standing.execution if standing is not None else None,
        other_artifacts=_other_artifacts(state, entry) if purpose == "keep" else (),
        # Those that had closed whichever trial ended first.
        gains=state.gains(max(1, entry.started.experiment - state.run.configuration.lookahead + 1)),
        held_out=held_out,
    )


def secret_of(run: Secret, started: TrialStarted, measures: Verifier) -> Secret:
    """What a trial's questions are drawn from: the secret of that trial, or for both arms of a pair of their seed."""
    if getattr(measures, "secret_of_seed", False):
        return run.derive("challenge of seed", started.split, started.seed)
    return run.derive("challenge", started.trial)


def secret_to_read_with(run: Secret, started: TrialStarted, measures: Verifier, reads: Inspects) -> Secret:
    """What a verifier draws from that reads a trial: the trial's secret where it measures, else one of its own."""
    secret = secret_of(run, started, measures)
    return secret if reads.name == measures.name else secret.derive(reads.name)


def _unanswered(entry: TrialState, purpose: Purpose, before: str) -> Iterator[Answered]:
    """Challenges that end with their control: the verifier is told of that alone."""
    for body in entry.settled():
        due = body.challenge != before and (purpose == "keep" or body.purpose == "screen")
        if due:
            yield Answered(challenge=body.challenge, scores={}, control=body.execution, control_artifact=body.left)


def _other_artifacts(state: RunState, entry: TrialState) -> tuple[dict[str, str], ...]:
    """Before a keep all trials that the decision asked for are over, so that what is seen does not depend on order."""
    others = (state.trials[name] for name in state.experiments[entry.started.experiment].trials)
    trained = (other.trained for other in others if other.started.seed != entry.started.seed and other.observation())
    return tuple(body.artifact for body in trained if body is not None)


def reference_trial(state: RunState, trial: str) -> str | None:
    """The trial whose scores a trial's challenges are weighed against: the first scored one of its parent's code.

    None for the baseline, and on the holdout, where there is no incumbent to compare with.
    """
    started = state.trials[trial].started
    if started.split == "holdout" or started.experiment == 0:
        return None
    parent = state.experiments[started.experiment].proposed.parent
    return next((name for name in state.experiments[parent].trials if state.trials[name].observation()), None)


def _reference_scores(state: RunState, trial: str, get_blob: GetBlob) -> dict[str, Array] | None:
    reference = reference_trial(state, trial)
    if reference is None or not state.trials[reference].answered:
        return None
    scores = state.trials[reference].answered[0].scores
    return {name: decode_array(get_blob(digest)) for name, digest in scores.items()}


def derive_verdict(entry: TrialState, verifier: Verifier, evidence: Evidence) -> Verdict:
    """The verdict on recorded evidence; an answer that was none is a rejection without asking the verifier."""
    malformed = [a for a in entry.answered if a.malformed and (evidence.purpose == "keep" or a.purpose == "screen")]
    if malformed:
        return Rejected(reason=f"the answer to {malformed[0].challenge!r} is malformed: {malformed[0].malformed}")
    return checked(verifier.verify(evidence), verifier.name)


def execution_findings(state: RunState, trial: str, execution: Execution, get_blob: GetBlob) -> tuple[Finding, ...]:
    """What an execution's attempts amount to, pointing into the diff of the trial's experiment."""
    committed = state.experiments[state.trials[trial].started.experiment].committed
    digest = committed.diff if committed is not None else None
    return findings(execution, get_blob(digest).decode("utf-8", "replace") if digest else "")


def compare(state: RunState, experiment: int) -> Comparison:
    """What the policy sees of an experiment now."""
    limit = state.budget.experiments
    return Comparison(
        objective=state.run.objective,
        candidate=state.arm(experiment),
        incumbent=state.arm(state.experiments[experiment].proposed.parent),
        added_tokens=_added_tokens(state, experiment),
        trials_left=trials_left(state),
        again=state.experiments[experiment].proposed.again,
        experiments_left=None if limit is None else max(0, limit - state.proposals),
    )


def history(state: RunState) -> History:
    """What the policy may know of the run so far."""
    state.past.extend(_past(state, number) for number in state.closed[len(state.past) :])
    return History(
        objective=state.run.objective,
        past=state.past,
        arms=state.arm,
        incumbent=state.incumbent,
        certified=state.certified,
        trials_spent=state.trainings,
        trials_left=trials_left(state),
        milestones=tuple(_told(milestone) for milestone in state.milestones if milestone.closed is not None),
    )


def repeated(state: RunState) -> list[dict[int, float]]:
    """What the search measured more than once, seed by seed, code by code: all that tells of the noise."""
    metric = state.run.objective.metric
    arms = (state.observations(number) for number in state.experiments)
    return [{o.seed: o.measurements[metric] for o in arm} for arm in arms if len(arm) > 1]


def trials_left(state: RunState) -> int | None:
    """How many trials the search may still begin: what is set aside for milestones is not among them."""
    limit, configuration = state.budget.trials, state.run.configuration
    if limit is None:
        return None
    spent = sum(len(milestone.trials) for milestone in state.milestones)
    left = max(0, reserved(configuration, limit) - spent) if configuration.certify else 0
    return max(0, limit - state.trainings - left)


def reserved(configuration: RunConfiguration, limit: int) -> int:
    """How many of a budget's trials are set aside for milestones."""
    return min(limit // 2, max(LEAST_RESERVED, round(configuration.certify_share * limit)))


def _told(milestone: MilestoneState) -> MilestoneSummary:
    begun, tested = milestone.begun, milestone.tested
    return MilestoneSummary(
        passed=tested is not None and tested.passed,
        at_trials_spent=milestone.spent,
        incumbent=begun.candidate,
        certified_before=begun.reference,
    )


_WITH_VALUES = frozenset({ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.REAPPLIED})


def _past(state: RunState, number: int) -> Past:
    experiment = state.experiments[number]
    scored = experiment.status in _WITH_VALUES
    metric = state.run.objective.metric
    undecided = number == 0 or bool(experiment.proposed.removes)  # nobody decided on these
    seen = experiment.decisions[-1].comparison if scored and experiment.decisions else None
    return Past(
        experiment=number,
        parent=experiment.proposed.parent,
        again=experiment.proposed.again,
        kept=experiment.status is ExperimentStatus.KEPT,
        taken_back=number in state.taken_back,
        scored=scored,
        added_tokens=_added_tokens(state, number),
        # What nobody decided on closed with its first trial; later ones must not change what has been told.
        candidate=seen.candidate.values(metric) if seen else state.arm(number).values(metric)[:1] if undecided else (),
        reference=seen.incumbent.values(metric) if seen else (),
    )


def _added_tokens(state: RunState, number: int) -> int:
    entry = state.experiments[number]
    committed, parent = entry.committed, state.experiments[entry.proposed.parent].committed
    return 0 if committed is None or parent is None else committed.tree_tokens - parent.tree_tokens
