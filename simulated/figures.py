"""What one simulated run truly gained, and what it said it had: the numbers that studies average."""

from __future__ import annotations

from rsi.records import ExperimentStatus, Record
from rsi.statistics import Interval
from simulated.attributing import Attributed, attribute
from simulated.running import SimulatedRun

_DECIDED = frozenset({ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.REAPPLIED})


class Figures(Record):
    """Counts and sums of one run."""

    true_gain: float
    """Of the final incumbent over the baseline."""
    provisional: float
    """What the run's own trials on dev say of that gain: the difference of the two arms' means."""
    certified_gain: float
    """True, of the code that the run certified last; 0 where it certified none."""
    reported: float | None
    """What the run says that gain is; None where it says nothing."""
    covered: bool
    """Whether the interval of what it says holds the truth."""
    claims: int
    false_claims: int
    """Milestones that were passed by code that is truly no better than what it was compared with."""
    attributed: Attributed | None
    """None where attribution was not asked for, or could not be made."""
    trials: int
    kept: int
    null_kept: int
    """Kept experiments whose edit truly did nothing or harmed, where it was kept."""
    decided: int
    """Experiments on which the policy decided in the end."""
    search_trials: int

    def measures(self) -> dict[str, tuple[float, float]]:
        """Name → what is added up over runs, and what that is divided by."""
        said, found = self.reported is not None, self.attributed
        return {
            "true_gain": (self.true_gain, 1),
            "certified_gain": (self.certified_gain, 1),
            "certified_of_true": (self.certified_gain, self.true_gain),
            "reported_of_true": (self.reported or 0.0, 0.0 if self.reported is None else self.certified_gain),
            "reported_minus_true": ((self.reported or 0.0) - self.certified_gain if said else 0.0, said),
            "covered": (self.covered, said),
            "claims": (self.claims, 1),
            "false_claims": (self.false_claims, self.claims),
            "false_runs": (self.false_claims > 0, 1),
            "attributed_of_true": (found.gain, self.true_gain) if found else (0, 0),
            "attributed_idle": (found.idle, found.listed) if found else (0, 0),
            "provisional_minus_true": (self.provisional - self.true_gain, 1),
            "null_kept": (self.null_kept, self.kept),
            "kept": (self.kept, 1),
            "trials": (self.trials, 1),
            "trials_per_decision": (self.search_trials, self.decided),
        }


def figures_of(run: SimulatedRun, attribution: int = 0) -> Figures:
    """Look at a run that has ended, and at the truth; with so many trials more, attribute its gain to its edits."""
    state = run.state
    chosen = {number: x for number, x in state.experiments.items() if x.decisions and not x.proposed.null}
    kept = [number for number, x in chosen.items() if x.status is ExperimentStatus.KEPT]
    gains = [run.worth(number).true - run.worth(state.experiments[number].proposed.parent).true for number in kept]
    best, baseline = state.mean(state.incumbent), state.mean(0)
    assert best is not None
    assert baseline is not None
    passed = [m for m in state.milestones if m.tested is not None and m.tested.passed]
    beaten = [run.worth(m.begun.candidate).true - run.worth(m.begun.reference).true for m in passed]
    said = next((m.closed.improvement for m in reversed(passed) if m.closed is not None), None)
    certified = run.worth(state.certified).true
    return Figures(
        certified_gain=certified,
        attributed=attribute(run, attribution) if attribution else None,
        reported=None if said is None else said.estimate,
        covered=said is not None and _holds(said, certified),
        claims=len(passed),
        false_claims=sum(gain <= 1e-12 for gain in beaten),
        true_gain=run.worth(state.incumbent).true,
        provisional=state.run.objective.gain(best, baseline),
        trials=len(state.trials),
        kept=len(kept),
        null_kept=sum(gain <= 1e-12 for gain in gains),
        decided=sum(x.status in _DECIDED for x in chosen.values()),
        search_trials=sum(1 for trial in state.trials.values() if trial.started.role == "measure"),
    )


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high
