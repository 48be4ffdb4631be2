"""What comes next in a run: a pure function of its state, of which trials are under way and of whether a place is free.

A trial that is due begins before anything else. All the rest happens in an order that does not depend on which trial
ends first: proposals fill the window of open experiments before the eldest is decided, and no other one is. So the
same seed gives the same proposals and decisions on any machine, however fast its trials are beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rsi import ablations, audits, confirmation, milestones, records
from rsi.claims.calibration import slips_in
from rsi.derive import trials_left
from rsi.events import AblationBegun, AblationClosed, MilestoneClosed, MilestoneTested, Role, TrialStarted
from rsi.records import Certify, Keep, TryAgain
from rsi.seeds import drawn, seed
from rsi.state import RETRIED, AblationState, ExperimentState, RunState, TrialState

UnderWay = Callable[[str], bool]
"""Whether the trial of that name is under way."""


@dataclass(frozen=True)
class ProposeBaseline:
    """Experiment 0: the task as it is."""


@dataclass(frozen=True)
class Plan:
    """Ask the policy what the next experiment is to be, and the proposer where that is a fresh proposal."""


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
class StartPair:
    """Begin a milestone's trial."""

    milestone: int
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
class BeginMilestone:
    """Write down what is to be compared, and how."""


@dataclass(frozen=True)
class Milestone:
    """Write down what a milestone's test, or its estimate, came to."""

    body: MilestoneTested | MilestoneClosed


@dataclass(frozen=True)
class StartWithout:
    """Begin an ablation's trial."""

    ablation: int
    without: tuple[int, ...]
    slot: int


@dataclass(frozen=True)
class StartAudit:
    """Ask kept weights about the holdout."""

    experiment: int


@dataclass(frozen=True)
class Remove:
    """Propose the incumbent without some kept edits."""

    edits: tuple[int, ...]


@dataclass(frozen=True)
class BeginAblation:
    """Write down which edits are looked at, and how."""

    body: AblationBegun


@dataclass(frozen=True)
class Cut:
    """Find out whether the code can be made without some edits."""

    ablation: int
    edits: tuple[int, ...]


@dataclass(frozen=True)
class CloseAblation:
    """Write down what an ablation found."""

    body: AblationClosed


@dataclass(frozen=True)
class Conclude:
    """State what the confirmation showed."""


Experimenting = ProposeBaseline | Plan | CarryOver | Remove | Commit | Review | Decide
Training = Start | StartPair | StartWithout | StartAudit | Screen | Check
Starting = Start | StartPair | StartWithout | StartAudit
Claiming = BeginMilestone | Milestone | BeginAblation | Cut | CloseAblation | Conclude
Step = Experimenting | Training | Claiming


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
    if isinstance(state.planned, TryAgain):
        return CarryOver(state.planned.experiment)
    if state.to_reapply:
        return CarryOver(state.to_reapply[0])
    return Plan() if budget_left(state) and not ended else None


def _conclusion(state: RunState, under_way: UnderWay, *, ended: bool) -> Step | None:
    eldest = state.open_experiment()
    if eldest is not None:
        trials = {*eldest.trials, *_parent(state, eldest).trials}
        awaited = any(map(under_way, trials)) or next(_due_of_eldest(state, eldest, under_way), None) is not None
        return None if awaited else Decide(_number(eldest))
    return _claim(state, under_way, ended=ended)


def _claim(state: RunState, under_way: UnderWay, *, ended: bool) -> Step | None:
    """Milestones begin when nothing else is open, so that what they find reaches every decision at the same place."""
    current = state.open_milestone()
    if current is not None:
        if any(map(under_way, current.trials)) or next(_due(state, under_way, ended=ended), None) is not None:
            return None
        body = milestones.tested(state, current) or milestones.closed(state, current)
        return Milestone(body) if body is not None else None
    if (ablation := state.open_ablation()) is not None:
        return _ablate(state, ablation, under_way)
    if (claim := _next_claim(state)) is not None:
        return claim
    if not confirmation.wanted(state) or any(map(under_way, state.confirming)):
        return None
    return Conclude() if next(_due(state, under_way, ended=ended), None) is None else None


def _next_claim(state: RunState) -> Step | None:
    """What failed is explained, and what is worth nothing taken out, before anything is claimed again."""
    if state.to_remove:
        return Remove(state.to_remove)
    ablation = ablations.wanted(state)
    if ablation is not None and ablation.milestone is not None:
        return BeginAblation(ablation)
    if milestones.planned(state) or milestones.due_at_the_end(state):
        return BeginMilestone()
    return BeginAblation(ablation) if ablation is not None else None


def _ablate(state: RunState, ablation: AblationState, under_way: UnderWay) -> Step | None:
    number = ablation.begun.ablation
    cuts = ablations.cuts_due(state, ablation)
    if cuts:
        return Cut(number, cuts[0])
    if any(map(under_way, ablation.trials)):
        return None
    found = ablations.step(state, ablation)
    return CloseAblation(found) if isinstance(found, AblationClosed) else None


# --- trials -------------------------------------------------------------------------------------------------------


def _due(state: RunState, under_way: UnderWay, *, ended: bool) -> Iterator[Training]:
    """Trials that could begin, in the order in which they matter; those that a killed session left go on first."""
    yield from _going_on(state, [trial.started.trial for trial in state.open_trials()], under_way)
    eldest = state.open_experiment()
    for experiment in state.open_experiments():
        if experiment is eldest:
            yield from _due_of_eldest(state, experiment, under_way)
        else:
            yield from _due_of(state, experiment, under_way)
    yield from (StartAudit(experiment) for experiment in audits.due(state))
    if eldest is None and _prepare(state, ended=ended) is None:
        yield from _due_for_claims(state)


def _due_for_claims(state: RunState) -> Iterator[Training]:
    current = state.open_milestone()
    if current is not None:
        number = current.begun.milestone
        yield from (StartPair(number, *place) for place in milestones.due(state, current))
    elif (ablation := state.open_ablation()) is not None:
        number = ablation.begun.ablation
        yield from (StartWithout(number, ask.edits, ask.slot) for ask in ablations.trials_due(state, ablation))
    elif _next_claim(state) is None and confirmation.wanted(state):
        yield from (Start(experiment, slot, "confirm") for experiment, slot in confirmation.owed(state))


def _due_of_eldest(state: RunState, experiment: ExperimentState, under_way: UnderWay) -> Iterator[Training]:
    """Its decision may ask for trials of its parent's too, and for the check before a keep."""
    yield from _due_of(state, experiment, under_way)
    if experiment.committed is None or _number(experiment) == 0:
        return
    yield from _due_of(state, _parent(state, experiment), under_way)
    trial = check_due(state, experiment)
    if trial is not None and not under_way(trial.started.trial):
        yield Check(trial.started.trial)


def _due_of(state: RunState, experiment: ExperimentState, under_way: UnderWay) -> Iterator[Training]:
    if experiment.committed is None or not approved(state, experiment):
        return
    yield from _going_on(state, experiment.trials, under_way)
    failed = (state.trials[trial].failed for trial in experiment.trials)
    if experiment.closed is None and any(f is not None and f.kind not in RETRIED for f in failed):
        return
    number = _number(experiment)
    if state.slots(number) < experiment.wanted:
        yield Start(number, state.next_slot(number), "measure")


def _going_on(state: RunState, trials: Sequence[str], under_way: UnderWay) -> Iterator[Screen]:
    yield from (Screen(trial) for trial in trials if not state.trials[trial].over and not under_way(trial))


def started(state: RunState, step: Starting) -> TrialStarted:
    """The event by which a trial begins: its name, its split, its seed."""
    match step:
        case Start(experiment, slot, role):
            trials = state.experiments[experiment].trials
            measure = role == "measure"
            number = len(trials) if measure else len(confirmation.trials_of(state, experiment))
            trial = f"{experiment}.{'' if measure else 'c'}{number + 1}"
            belongs: dict[str, Any] = {"split": "dev" if measure else "holdout"}
        case StartPair(milestone, experiment, slot, role):
            trial = milestones.trial_name(state, state.milestones[milestone - 1], experiment)
            belongs = {"milestone": milestone, "split": "holdout"}
        case StartWithout(ablation, edits, slot):
            entry = state.ablations[ablation - 1]
            trial, experiment, role = ablations.trial_name(entry), entry.begun.base, "ablate"
            belongs = {"ablation": ablation, "without": edits, "split": "dev"}
        case StartAudit(experiment):
            trained = audits.audited_trial(state, experiment)
            assert trained is not None
            again = sum(1 for t in state.trials.values() if t.started.weights_of == trained)
            trial, slot, role = f"{experiment}.h{again + 1}", 0, "audit"
            belongs = {"weights_of": trained, "split": "holdout", "seed": state.trials[trained].started.seed}
    if role == "audit":
        return TrialStarted(trial=trial, experiment=experiment, slot=slot, role=role, **belongs)
    drawn = seed(state, role, experiment, slot, belongs.get("milestone") or belongs.get("ablation"))
    return TrialStarted(trial=trial, experiment=experiment, slot=slot, role=role, seed=drawn, **belongs)


def check_due(state: RunState, experiment: ExperimentState) -> TrialState | None:
    """The trial of a winner on which the checks before a keep are still to be made."""
    wins = isinstance(experiment.decision, Keep) or bool(experiment.proposed.removes)
    if not wins or experiment.proposed.parent != state.incumbent:
        return None
    trials = (state.trials[trial] for trial in experiment.trials)
    scored = next((trial for trial in trials if trial.observation() is not None), None)
    return scored if scored is not None and scored.checked is None else None


# --- experiments --------------------------------------------------------------------------------------------------


def may_open(state: RunState) -> bool:
    """Whether the window has room for another experiment; the baseline is measured before anything is proposed."""
    claiming = state.open_milestone() is not None or state.open_ablation() is not None or milestones.planned(state)
    if claiming or state.to_remove or ablations.blame_wanted(state):
        return False
    return 0 not in state.open_numbers() and len(state.open_numbers()) < state.run.configuration.lookahead


def budget_left(state: RunState) -> bool:
    """Whether the budget has room for another proposal."""
    budget = state.budget
    if budget.experiments is not None and state.proposals >= budget.experiments:
        return False
    left = trials_left(state)
    if left is not None and left <= sum(x.wanted - state.slots(_number(x)) for x in state.open_experiments()):
        return False
    share = 1 - state.run.configuration.certify_share if state.run.configuration.certify else 1.0
    return budget.hours is None or state.session_seconds() < share * budget.hours * 3600


def draws_null(state: RunState, number: int) -> bool:
    """Whether an edit that changes nothing is slipped in as the experiment of that number."""
    return slips_in(drawn(state, "null", number), state.run.configuration.null_share)


def plan_holds(state: RunState, plan: records.Plan) -> bool:
    """Whether what the policy wants instead of a fresh proposal can be had."""
    match plan:
        case Certify():
            return state.run.configuration.certify and milestones.untried(state) and milestones.affordable(state)
        case TryAgain(experiment=number):
            entry = state.experiments.get(number)
            tried = any(x.proposed.again == number and x.proposed.parent == state.incumbent for x in _of(state))
            return number > 0 and entry is not None and entry.committed is not None and bool(entry.closed) and not tried
        case _:
            return False


def _of(state: RunState) -> Collection[ExperimentState]:
    return state.experiments.values()


def approved(state: RunState, experiment: ExperimentState) -> bool:
    """Whether it may be trained, as far as a person has to say so."""
    if not state.run.configuration.approve or _number(experiment) == 0:
        return True
    return experiment.reviewed is not None and experiment.reviewed.approved


def _parent(state: RunState, experiment: ExperimentState) -> ExperimentState:
    return state.experiments[experiment.proposed.parent]


def _number(experiment: ExperimentState) -> int:
    return experiment.proposed.experiment
