"""How far dev is ahead of the holdout: kept code's own weights, answered once on the holdout, through the Ladder.

An audit trains nothing: a fresh B answers the holdout's inputs with the artifact of the trial by which the code was
kept, and the baseline's. Seed luck is common to both splits, so what is left between them is fitting to dev. No number
of it reaches a proposer or a decision (`rsi.claims.holdout`); past a limit the run halts.
"""

from __future__ import annotations

from collections.abc import Iterator

from rsi.claims.holdout import GapPoint, HoldoutPlan, Question, gap_points, reason_to_halt, usual_plan
from rsi.state import RETRIED, RunState


def due(state: RunState) -> Iterator[int]:
    """Experiments still to be audited: the incumbent, and the baseline it is compared with."""
    wanted = state.run.configuration.holdout_questions
    if not wanted or not state.run.grounded or state.incumbent == 0:
        return
    for experiment in (0, state.incumbent):
        asked = len(state.audits) - (0 in state.audits)
        if experiment not in state.audits and (experiment == 0 or asked < wanted) and audited_trial(state, experiment):
            yield experiment
    yield from (n for n in (0, state.incumbent) if n in state.audits and _lost(state, n))


def audited_trial(state: RunState, experiment: int) -> str | None:
    """The trial whose weights are asked: the first scored one."""
    trials = state.experiments[experiment].trials
    return next((trial for trial in trials if state.trials[trial].observation() is not None), None)


def plan(state: RunState) -> HoldoutPlan:
    """Steps of the seed noise of a difference, as the task states it: it must not move while the run goes on."""
    return usual_plan(state.run.objective.noise * 2**0.5, max(1, state.run.configuration.holdout_questions))


def chart(state: RunState) -> tuple[GapPoint, ...]:
    """What may be shown of the audits, in order."""
    return tuple(point for _, point in by_experiment(state))


def by_experiment(state: RunState) -> tuple[tuple[int, GapPoint], ...]:
    """What may be shown of each incumbent that was audited, in order."""
    asked = tuple(_questions(state))
    points = gap_points(plan(state), [question for _, question in asked]) if asked else ()
    return tuple((experiment, point) for (experiment, _), point in zip(asked, points, strict=True))


def _questions(state: RunState) -> Iterator[tuple[int, Question]]:
    baseline = _values(state, 0)
    for experiment in state.audits:
        values = _values(state, experiment)
        if experiment != 0 and values is not None and baseline is not None:
            dev, holdout = (state.run.objective.gain(new, old) for new, old in zip(values, baseline, strict=True))
            spent = state.position(state.audits[experiment])
            yield experiment, Question(trials_spent=spent, dev_gain=dev, holdout_gain=holdout)


def halt(state: RunState) -> str | None:
    """Why the run must halt, or None."""
    return reason_to_halt(plan(state), chart(state)) if state.audits else None


def _lost(state: RunState, experiment: int) -> bool:
    failed = state.trials[state.audits[experiment]].failed
    return failed is not None and failed.kind in RETRIED


def _values(state: RunState, experiment: int) -> tuple[float, float] | None:
    """(dev, holdout) of the same weights."""
    if experiment not in state.audits:
        return None
    audit = state.trials[state.audits[experiment]]
    trained = state.trials[audit.started.weights_of] if audit.started.weights_of else None
    dev, holdout = (entry.observation() if entry is not None else None for entry in (trained, audit))
    metric = state.run.objective.metric
    values = [seen.measurements.get(metric) for seen in (dev, holdout) if seen is not None]
    if len(values) < 2 or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]
