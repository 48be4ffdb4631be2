"""What an experiment must have come to, told from its trials, verdicts and decisions, apart from the loop."""

from __future__ import annotations

from rsi.loop import CRASHES, declined_words, kept_by_rule
from rsi.records import Discard, ExperimentStatus, Keep, Measure, Rejected, Scored, VerifierError
from rsi.state import RETRIED, ExperimentState, RunState


def due(state: RunState, entry: ExperimentState) -> tuple[ExperimentStatus, str | None]:
    """The status of an experiment whose edit was applied, and why where that can be told in the loop's own words.

    `OPEN` where something is still to come, so that no closing is right.
    """
    if entry.reviewed is not None and not entry.reviewed.approved:
        return ExperimentStatus.REFUSED, declined_words(entry.reviewed.comment)
    unscored = _without_score(state, entry)
    if unscored is not None:
        return unscored
    ruled = kept_by_rule(entry)
    if ruled and state.observations(entry.proposed.experiment):
        return ExperimentStatus.KEPT, ruled
    return _by_decision(state, entry)


def _by_decision(state: RunState, entry: ExperimentState) -> tuple[ExperimentStatus, str | None]:
    decision = entry.decision
    passed = any(state.trials[name].checked is not None for name in entry.trials)
    match decision:
        case Keep() if entry.proposed.parent != state.incumbent:
            return ExperimentStatus.REAPPLIED, decision.reason
        case Keep() if passed:
            return ExperimentStatus.KEPT, decision.reason
        case Discard():
            return ExperimentStatus.DISCARDED, decision.reason
        case Measure():
            return ExperimentStatus.UNDECIDED, None
        case _:
            return ExperimentStatus.OPEN, None


def _without_score(state: RunState, entry: ExperimentState) -> tuple[ExperimentStatus, str] | None:
    """What an experiment comes to because one of its trials gave no score; None where all did."""
    for name in entry.trials:
        trial = state.trials[name]
        if trial.failed is not None and trial.failed.kind not in RETRIED:
            crashed = trial.failed.kind in CRASHES
            return (ExperimentStatus.CRASHED if crashed else ExperimentStatus.REJECTED), trial.failed.reason
        verdict = trial.verdict.verdict if trial.verdict else None
        if isinstance(verdict, Rejected):
            return ExperimentStatus.REJECTED, verdict.reason
        if isinstance(verdict, VerifierError):
            return ExperimentStatus.UNDECIDED, verdict.message
    return None


def gain_of(state: RunState, experiment: int) -> float | None:
    """How much better than its parent an experiment measures; None for the baseline, or without a score."""
    mean, parent = _mean(state, experiment), _mean(state, state.experiments[experiment].proposed.parent)
    if experiment == 0 or mean is None or parent is None:
        return None
    return state.run.objective.gain(mean, parent)


def _mean(state: RunState, experiment: int) -> float | None:
    metric = state.run.objective.metric
    trials = (state.trials[name] for name in state.experiments[experiment].trials)
    verdicts = [trial.verdict.verdict for trial in trials if trial.failed is None and trial.verdict is not None]
    values = [verdict.value(metric) for verdict in verdicts if isinstance(verdict, Scored)]
    return sum(values) / len(values) if values else None
