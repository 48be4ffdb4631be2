"""What comes next in a run: a pure function of its state, of which trials are under way and of whether a place is free.

A trial that is due begins before anything else. All the rest happens in an order that does not depend on which trial
ends first: proposals fill the window of open experiments before the eldest is decided, and no other one is. So the
same seed gives the same proposals and decisions on any machine, however fast its trials are beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rsi import confirmation
from rsi.events import Role
from rsi.records import Keep
from rsi.state import RETRIED, ExperimentState, RunState, TrialState

UnderWay = Callable[[str], bool]
"""Whether the trial of that name is under way."""


@dataclass(frozen=True)
class ProposeBaseline:
    """Experiment 0: the task as it is."""


@dataclass(frozen=True)
class Propose:
    """Ask the proposer."""


@dataclass(frozen=True)
class CarryOver:
    """Make the edit of an earlier experiment to the present incumbent."""

    experiment: int


@dataclass(frozen=True)
class Commit:
    """Apply a proposal."""

    experiment: int


@dataclass(frozen=True)
class Review:
    """Ask a person about a diff, or close what they declined."""

    experiment: int


@dataclass(frozen=True)
class Start:
    """Begin a trial."""

    experiment: int
    slot: int
    role: Role


@dataclass(frozen=True)
class Screen:
    """Go on with a trial that an earlier session began."""

    trial: str


@dataclass(frozen=True)
class Check:
    """Ask of a trial what must be asked before a keep."""

    trial: str


@dataclass(frozen=True)
class Decide:
    """Take the next decision on the eldest experiment, or close it."""

    experiment: int


@dataclass(frozen=True)
class Conclude:
    """State what the confirmation showed."""


Step = ProposeBaseline | Propose | CarryOver | Commit | Review | Start | Screen | Check | Decide | Conclude


def next_step(state: RunState, under_way: UnderWay, *, free: bool, ended: bool) -> Step | None:
    """The one thing to do now; None where all that is left is to wait for trials, or nothing at all.

    `ended` says that no proposal will come any more, though the budget may have room.
    """
    if not state.experiments:
        return ProposeBaseline()
    due = next(_due(state, under_way, ended=ended), None)
    if due is not None and free:
        return due
    return _prepare(state, ended=ended) or _conclusion(state, under_way, ended=ended)


def _prepare(state: RunState, *, ended: bool) -> Step | None:
    """Bring open experiments as far as a trial, and fill the window with new ones."""
    for experiment in state.open_experiments():
        if experiment.committed is None:
            return Commit(_number(experiment))
        if not approved(state, experiment):
            return Review(_number(experiment))
    if not may_open(state):
        return None
    if state.to_reapply:
        return CarryOver(state.to_reapply[0])
    return Propose() if budget_left(state) and not ended else None


def _conclusion(state: RunState, under_way: UnderWay, *, ended: bool) -> Step | None:
    eldest = state.open_experiment()
    if eldest is not None:
        trials = {*eldest.trials, *_parent(state, eldest).trials}
        awaited = any(map(under_way, trials)) or next(_due_of_eldest(state, eldest, under_way), None) is not None
        return None if awaited else Decide(_number(eldest))
    if not confirmation.wanted(state) or any(map(under_way, state.confirming)):
        return None
    return Conclude() if next(_due(state, under_way, ended=ended), None) is None else None


# --- trials -------------------------------------------------------------------------------------------------------


def _due(state: RunState, under_way: UnderWay, *, ended: bool) -> Iterator[Step]:
    """Trials that could begin, in the order in which they matter."""
    eldest = state.open_experiment()
    for experiment in state.open_experiments():
        if experiment is eldest:
            yield from _due_of_eldest(state, experiment, under_way)
        else:
            yield from _due_of(state, experiment, under_way)
    if eldest is None and _prepare(state, ended=ended) is None and confirmation.wanted(state):
        yield from _going_on(state, state.confirming, under_way)
        yield from (Start(experiment, slot, "confirm") for experiment, slot in confirmation.owed(state))


def _due_of_eldest(state: RunState, experiment: ExperimentState, under_way: UnderWay) -> Iterator[Step]:
    """Its decision may ask for trials of its parent's too, and for the check before a keep."""
    yield from _due_of(state, experiment, under_way)
    if experiment.committed is None or _number(experiment) == 0:
        return
    yield from _due_of(state, _parent(state, experiment), under_way)
    trial = check_due(state, experiment)
    if trial is not None and not under_way(trial.started.trial):
        yield Check(trial.started.trial)


def _due_of(state: RunState, experiment: ExperimentState, under_way: UnderWay) -> Iterator[Step]:
    if experiment.committed is None or not approved(state, experiment):
        return
    yield from _going_on(state, experiment.trials, under_way)
    failed = (state.trials[trial].failed for trial in experiment.trials)
    if experiment.closed is None and any(f is not None and f.kind not in RETRIED for f in failed):
        return
    number = _number(experiment)
    if state.slots(number) < experiment.wanted:
        yield Start(number, state.next_slot(number), "measure")


def _going_on(state: RunState, trials: tuple[str, ...] | list[str], under_way: UnderWay) -> Iterator[Step]:
    yield from (Screen(trial) for trial in trials if not state.trials[trial].over and not under_way(trial))


def check_due(state: RunState, experiment: ExperimentState) -> TrialState | None:
    """The trial of a winner on which the checks before a keep are still to be made."""
    if not isinstance(experiment.decision, Keep) or experiment.proposed.parent != state.incumbent:
        return None
    trials = (state.trials[trial] for trial in experiment.trials)
    scored = next((trial for trial in trials if trial.observation() is not None), None)
    return scored if scored is not None and scored.checked is None else None


# --- experiments --------------------------------------------------------------------------------------------------


def may_open(state: RunState) -> bool:
    """Whether the window has room for another experiment; the baseline is measured before anything is proposed."""
    return 0 not in state.open_numbers() and len(state.open_numbers()) < state.run.configuration.lookahead


def budget_left(state: RunState) -> bool:
    """Whether the budget has room for another proposal."""
    budget = state.budget
    if budget.experiments is not None and state.proposals >= budget.experiments:
        return False
    return budget.hours is None or state.session_seconds() < budget.hours * 3600


def approved(state: RunState, experiment: ExperimentState) -> bool:
    """Whether it may be trained, as far as a person has to say so."""
    if not state.run.configuration.approve or _number(experiment) == 0:
        return True
    return experiment.reviewed is not None and experiment.reviewed.approved


def _parent(state: RunState, experiment: ExperimentState) -> ExperimentState:
    return state.experiments[experiment.proposed.parent]


def _number(experiment: ExperimentState) -> int:
    return experiment.proposed.experiment
