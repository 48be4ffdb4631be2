"""What a live screen shows of a run, taken from its state at one moment, so that another thread can draw it."""

from __future__ import annotations

from rsi import confirmation, milestones
from rsi.derive import trials_left
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.claims import Milestone, under_way
from rsi.review.improvement import headline, under_test
from rsi.review.staircase import Point, points
from rsi.review.standing import tried
from rsi.review.wording import duration, marks, number, one_line
from rsi.review.worth import ablation_under_way
from rsi.state import ExperimentState, RunState

ROWS = 10
_USUAL_PAIRS = 6
"""Of a milestone's test that has not shown yet how many it takes."""


class Line(Record):
    """One experiment: what it tried and what became of it."""

    experiment: int
    status: ExperimentStatus
    value: float | None
    gain: float | None
    words: str


class View(Record):
    """Everything on the screen but the trials under way."""

    run: str
    task: str
    sandbox: str
    marks: tuple[str, ...]
    metric: str
    direction: Direction
    noise: float
    baseline: float | None
    best: float | None
    incumbent: int
    headline: str
    """What is certified and what is provisional; empty for a run that tests nothing."""
    certified: bool
    plotted: tuple[Point, ...]
    lines: tuple[Line, ...]
    counted: str
    spent: str
    left_seconds: float | None
    """Estimated until the end, what is tested there included; None where there is no end, or nothing to go by."""
    milestone: str
    """What the milestone or the ablation under way is at; empty where there is none."""
    confirming: str


def view_of(state: RunState) -> View:
    """The view of this moment; reads the state from the thread that folds it."""
    started = state.run
    entries = list(state.experiments.values())
    counted = [f"{state.count(status)} {status.value}" for status in _COUNTED if state.count(status)]
    return View(
        run=one_line(started.run, 80),
        task=one_line(started.configuration.task, 60),
        sandbox=one_line(started.sandbox.name, 40),
        marks=marks(started.grounded, started.sandbox.isolates),
        metric=one_line(started.objective.metric, 30),
        direction=started.objective.direction,
        noise=started.objective.noise,
        baseline=state.mean(0),
        best=state.mean(state.incumbent),
        incumbent=state.incumbent,
        headline=headline(state),
        certified=state.certified != 0,
        plotted=points(state),
        lines=tuple(line_of(state, entry) for entry in entries[-ROWS:]),
        counted=", ".join(counted) or "nothing decided yet",
        spent=spent(state),
        left_seconds=seconds_left(state),
        milestone=milestone_under_way(state) or ablation_under_way(state),
        confirming=_confirming(state),
    )


_COUNTED = [status for status in ExperimentStatus if status is not ExperimentStatus.OPEN]


def line_of(state: RunState, entry: ExperimentState) -> Line:
    """One experiment as it stands."""
    number_, closed = entry.proposed.experiment, entry.closed
    words = tried(entry.proposed, 160)
    if closed is not None and entry.status not in {ExperimentStatus.KEPT, ExperimentStatus.DISCARDED}:
        words = f"{tried(entry.proposed, 80)} ({one_line(closed.reason, 100)})"
    gain = closed.gain if closed else None
    return Line(experiment=number_, status=entry.status, value=state.mean(number_), gain=gain, words=words)


def spent(state: RunState) -> str:
    """The budget, as far as it is used: `7 of 14 experiments, 40 of 90 trials, 3 min 20 s of 1 h 00 min`."""
    proposed, limit = state.proposals, state.budget
    experiments = f"{proposed} of {limit.experiments} experiments" if limit.experiments else f"{proposed} experiments"
    trials = f", {state.trainings} of {limit.trials} trials" if limit.trials else ""
    time = duration(state.session_seconds())
    return (
        f"{experiments}{trials}, {time}" + (f" of {duration(limit.hours * 3600)}" if limit.hours else "") + _paid(state)
    )


def _paid(state: RunState) -> str:
    """What language models cost so far; empty where none was asked."""
    used, limit = state.spending(), state.budget
    if not used.calls:
        return ""
    parts = [f"${used.cost_usd:.2f}" + (f" of ${limit.cost_usd:g}" if limit.cost_usd is not None else "")]
    parts += [f"{used.tokens:,}" + (f" of {limit.tokens:,}" if limit.tokens is not None else "") + " tokens"]
    parts += [f"{used.calls}" + (f" of {limit.calls}" if limit.calls is not None else "") + " calls"]
    return ", " + ", ".join(parts)


def seconds_left(state: RunState) -> float | None:
    """An estimate from the mean time of an experiment so far and the mean time of a trial; None without a limit."""
    closed = sum(1 for entry in state.experiments.values() if entry.closed is not None)
    limit, used = state.budget, state.session_seconds()
    bounds = []
    if limit.experiments is not None and closed:
        bounds.append(max(0, limit.experiments + 1 + state.own - closed) * used / closed)
    if limit.hours is not None:
        bounds.append(max(0.0, limit.hours * 3600 - used))
    of_trial = _seconds_of_trial(state) / state.run.configuration.parallel
    search = trials_left(state)
    if search is not None:
        bounds.append(search * of_trial)
    if state.finished is not None:
        return 0.0
    return min(bounds) + _trials_for_claims(state) * of_trial if bounds else None


def _seconds_of_trial(state: RunState) -> float:
    seconds: dict[str, float] = {}
    for trial, execution in state.executions():
        if trial:
            seconds[trial] = seconds.get(trial, 0.0) + execution.usage.wall_seconds
    return sum(seconds.values()) / len(seconds) if seconds else 0.0


def _trials_for_claims(state: RunState) -> int:
    """How many the confirmation, the ablation and the milestone under way, or the one at the end, may still take."""
    configuration = state.run.configuration
    confirming = 0
    if configuration.confirm and state.confirmation is None:
        confirming = 2 * configuration.confirm - sum(1 for trial in state.confirming if state.trials[trial].over)
    current = under_way(state)
    pairs = 0
    if current is not None:
        testing = 0 if current.passed else max(1, _USUAL_PAIRS - current.pairs)
        pairs = testing + current.estimate_pairs - current.estimated
    elif milestones.due_at_the_end(state):
        pairs = _USUAL_PAIRS + milestones.ESTIMATE_PAIRS
    ablation = state.open_ablation()
    ablating = 0 if ablation is None else max(0, ablation.begun.plan.trials - len(ablation.trials))
    return max(0, confirming) + 2 * pairs + ablating


def milestone_under_way(state: RunState) -> str:
    """What the milestone under way is at; empty where there is none."""
    current: Milestone | None = under_way(state)
    return under_test(current) if current is not None else ""


def _confirming(state: RunState) -> str:
    if not state.confirming or not (state.confirmation or confirmation.wanted(state)):
        return ""
    over = sum(1 for trial in state.confirming if state.trials[trial].over)
    wanted = 2 * state.run.configuration.confirm
    return (
        f"confirming baseline and experiment {state.incumbent} on fresh seeds: {min(over, wanted)} of {wanted} trials"
    )


def experiment_line(state: RunState, entry: ExperimentState) -> str:
    """One experiment as one plain line, for a pipe."""
    line, objective = line_of(state, entry), state.run.objective
    value = "" if line.value is None else f"{one_line(objective.metric, 30)} {number(line.value, objective.noise)}"
    gain = "" if line.gain is None else f" ({line.gain:+.{_places(objective.noise)}f})"
    became = "baseline" if line.experiment == 0 else line.status.value
    return f"{line.experiment:>4} {became:<9} {value + gain:<28} {line.words}".rstrip()


def _places(resolution: float) -> int:
    return len(number(0.0, resolution).partition(".")[2])
