"""What one simulated run truly gained, and what it said it had: the numbers that studies average."""

from __future__ import annotations

from rsi.records import ExperimentStatus, Record
from simulated.running import SimulatedRun


class Figures(Record):
    """Counts and sums of one run."""

    true_gain: float
    """Of the final incumbent over the baseline."""
    provisional: float
    """What the run's own trials on dev say of that gain: the difference of the two arms' means."""
    trials: int
    kept: int
    null_kept: int
    """Kept experiments whose edit truly did nothing or harmed, where it was kept."""
    decided: int
    """Experiments that were kept or discarded."""
    search_trials: int

    def measures(self) -> dict[str, tuple[float, float]]:
        """Name → what is added up over runs, and what that is divided by."""
        return {
            "true_gain": (self.true_gain, 1),
            "provisional_minus_true": (self.provisional - self.true_gain, 1),
            "null_kept": (self.null_kept, self.kept),
            "kept": (self.kept, 1),
            "trials": (self.trials, 1),
            "trials_per_decision": (self.search_trials, self.decided),
        }


def figures_of(run: SimulatedRun) -> Figures:
    """Look at a run that has ended, and at the truth."""
    state = run.state
    kept = [number for number, x in state.experiments.items() if number > 0 and x.status is ExperimentStatus.KEPT]
    gains = [run.worth(number).true - run.worth(state.experiments[number].proposed.parent).true for number in kept]
    best, baseline = state.mean(state.incumbent), state.mean(0)
    assert best is not None
    assert baseline is not None
    return Figures(
        true_gain=run.worth(state.incumbent).true,
        provisional=state.run.objective.gain(best, baseline),
        trials=len(state.trials),
        kept=len(kept),
        null_kept=sum(gain <= 1e-12 for gain in gains),
        decided=state.count(ExperimentStatus.KEPT, ExperimentStatus.DISCARDED),
        search_trials=sum(1 for trial in state.trials.values() if trial.started.role == "measure"),
    )
