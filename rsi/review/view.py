"""What a live screen shows of a run, taken from its state at one moment, so that another thread can draw it."""

from __future__ import annotations

from rsi import confirmation
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.staircase import Point, points
from rsi.review.wording import duration, marks, number, one_line
from rsi.state import ExperimentState, RunState

ROWS = 10


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
    plotted: tuple[Point, ...]
    lines: tuple[Line, ...]
    counted: str
    spent: str
    left_seconds: float | None
    """Estimated until the end, the confirmation included; None where there is no end, or nothing to go by."""
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
        plotted=points(state),
        lines=tuple(_line(state, entry) for entry in entries[-ROWS:]),
        counted=", ".join(counted) or "nothing decided yet",
        spent=spent(state),
        left_seconds=seconds_left(state),
        confirming=_confirming(state),
    )


_COUNTED = [status for status in ExperimentStatus if status is not ExperimentStatus.OPEN]


def _line(state: RunState, entry: ExperimentState) -> Line:
    number_, closed = entry.proposed.experiment, entry.closed
    words = one_line(entry.proposed.rationale, 160)
    if closed is not None and entry.status not in {ExperimentStatus.KEPT, ExperimentStatus.DISCARDED}:
        words = f"{one_line(entry.proposed.rationale, 80)} ({one_line(closed.reason, 100)})"
    gain = closed.gain if closed else None
    return Line(experiment=number_, status=entry.status, value=state.mean(number_), gain=gain, words=words)


def spent(state: RunState) -> str:
    """The budget, as far as it is used: `7 of 14 experiments, 3 min 20 s of 1 h 00 min`."""
    proposed, limit = state.proposals, state.budget
    experiments = f"{proposed} of {limit.experiments} experiments" if limit.experiments else f"{proposed} experiments"
    time = duration(state.session_seconds())
    return f"{experiments}, {time}" + (f" of {duration(limit.hours * 3600)}" if limit.hours else "") + _paid(state)


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
    """An estimate from the mean time of an experiment so far and the mean time of a trial."""
    closed = sum(1 for entry in state.experiments.values() if entry.closed is not None)
    limit, used = state.budget, state.session_seconds()
    bounds = []
    if limit.experiments is not None and closed:
        bounds.append(max(0, limit.experiments + 1 + state.own - closed) * used / closed)
    if limit.hours is not None:
        bounds.append(max(0.0, limit.hours * 3600 - used))
    if not bounds:
        return None
    return min(bounds) + _confirmation_seconds(state)


def _confirmation_seconds(state: RunState) -> float:
    configuration = state.run.configuration
    if not configuration.confirm or state.confirmation is not None:
        return 0.0
    seconds: dict[str, float] = {}
    for trial, execution in state.executions():
        if trial:
            seconds[trial] = seconds.get(trial, 0.0) + execution.usage.wall_seconds
    mean = sum(seconds.values()) / len(seconds) if seconds else 0.0
    over = sum(1 for trial in state.confirming if state.trials[trial].over)
    return max(0, 2 * configuration.confirm - over) * mean / configuration.parallel


def _confirming(state: RunState) -> str:
    if not state.confirming or not (state.confirmation or confirmation.wanted(state)):
        return ""
    over = sum(1 for trial in state.confirming if state.trials[trial].over)
    wanted = 2 * state.run.configuration.confirm
    return (
        f"confirming baseline and experiment {state.incumbent} on fresh seeds: {min(over, wanted)} of {wanted} trials"
    )


def experiment_line(view: View, line: Line) -> str:
    """One experiment as one plain line, for a pipe."""
    value = "" if line.value is None else f"{view.metric} {number(line.value, view.noise)}"
    gain = "" if line.gain is None else f" ({line.gain:+.{_places(view.noise)}f})"
    became = "baseline" if line.experiment == 0 else line.status.value
    return f"{line.experiment:>4} {became:<9} {value + gain:<28} {line.words}".rstrip()


def _places(resolution: float) -> int:
    return len(number(0.0, resolution).partition(".")[2])
