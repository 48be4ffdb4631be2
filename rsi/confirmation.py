"""Is the improvement real? Baseline and best, trained again on fresh seeds and measured on the holdout.

The numbers by which an edit was kept are the luckiest of many draws; these are not, so an interval means what it says.
"""

from __future__ import annotations

from rsi.events import ConfirmationFinished
from rsi.state import RETRIED, RunState
from rsi.statistics import difference


def wanted(state: RunState) -> bool:
    """Whether a confirmation is still to be made; there is nothing to confirm where nothing was kept."""
    return state.run.configuration.confirm > 0 and state.incumbent != 0 and state.confirmation is None


def trials_of(state: RunState, experiment: int) -> list[str]:
    """An experiment's confirmation trials, in the order of their start."""
    return [trial for trial in state.confirming if state.trials[trial].started.experiment == experiment]


def owed(state: RunState) -> list[tuple[int, int]]:
    """(experiment, slot) still to be trained, both arms of a slot side by side so that a drifting machine is fair."""
    missing = []
    for slot in range(state.run.configuration.confirm):
        for experiment in (0, state.incumbent):
            taken = (state.trials[trial] for trial in trials_of(state, experiment))
            if not any(t.started.slot == slot and (t.failed is None or t.failed.kind not in RETRIED) for t in taken):
                missing.append((experiment, slot))
    return missing


def conclude(state: RunState) -> ConfirmationFinished:
    """The statement that the record supports; none where a trial gave no score, or an arm has fewer than two."""
    metric = state.run.objective.metric
    baseline, best = _values(state, 0, metric), _values(state, state.incumbent, metric)
    unscored = _unscored(state)
    enough = not unscored and min(len(best), len(baseline)) > 1
    return ConfirmationFinished(
        baseline=0,
        best=state.incumbent,
        metric=metric,
        baseline_values=baseline,
        best_values=best,
        unscored=unscored,
        improvement=difference(best, baseline, state.run.objective.direction) if enough else None,
    )


def _unscored(state: RunState) -> tuple[str, ...]:
    """Trials of either arm that failed or were rejected; those that were lost or interrupted were tried again."""
    arms = (*trials_of(state, 0), *trials_of(state, state.incumbent))
    counted = (t for t in arms if (failed := state.trials[t].failed) is None or failed.kind not in RETRIED)
    return tuple(trial for trial in counted if state.trials[trial].observation() is None)


def _values(state: RunState, experiment: int, metric: str) -> tuple[float, ...]:
    """In the order of their slots, whichever was tried again."""
    trials = sorted(trials_of(state, experiment), key=lambda trial: state.trials[trial].started.slot)
    observations = (state.trials[trial].observation() for trial in trials)
    return tuple(o.measurements[metric] for o in observations if o is not None and metric in o.measurements)
