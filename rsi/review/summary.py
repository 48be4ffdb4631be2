"""What a run came to, as one record: the JSON of `rsi show --json`, from which every screen takes its numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rsi import audits
from rsi.claims.attribution import Attribution
from rsi.claims.calibration import KeptRate
from rsi.claims.holdout import GapPoint
from rsi.ledger import Event
from rsi.records import ExperimentStatus, Record, Rejected, Severity, VerifierError, Versioned
from rsi.review import claims
from rsi.review.liveness import is_being_written
from rsi.review.wording import mean, one_line
from rsi.review.worth import attribution_of
from rsi.runs import ReadRun
from rsi.sanitize import for_terminal
from rsi.state import RunState
from rsi.statistics import Interval

RunStatus = Literal["running", "paused", "finished"]
ENDED_WITHOUT_A_WORD = "its process ended without a word (killed, or the machine went down)"


class Value(Record):
    """The objective, measured on one experiment's code."""

    metric: str
    value: float | None
    """Mean over its scored trials on dev; None where nothing was scored."""
    experiment: int


class Confirmation(Record):
    """Baseline and best, trained again on fresh seeds and measured on the holdout: compared, not tested."""

    metric: str
    baseline_experiment: int
    best_experiment: int
    baseline_values: tuple[float, ...]
    best_values: tuple[float, ...]
    baseline_mean: float | None
    best_mean: float | None
    improvement: Interval | None
    """Positive is better, whichever way the metric goes."""
    unscored: int = 0
    """Trials that gave no score; with any, nothing is claimed."""
    established: bool
    """Whether the whole interval lies on the better side of zero."""


class Trouble(Record):
    """One kind of thing that went wrong."""

    kind: str
    count: int
    experiment: int | None
    """Of the first example; None where it belongs to the run as a whole."""
    example: str


class Calls(Record):
    """Calls to language models, and what the budget has left for them; None where it sets no limit."""

    made: int
    """Requests sent or about to be, repeated ones included."""
    cached_tokens: int
    """Of the input, served from a provider's cache."""
    unpriced: int
    """Calls to models of unknown price; their dollars are not in `cost_usd`."""
    left: int | None
    tokens_left: int | None
    cost_usd_left: float | None


class RunSummary(Versioned):
    """Everything a reader asks first. Times in seconds of wall clock, sizes in bytes."""

    run: str
    task: str
    grounded: bool
    isolated: bool
    sandbox: str
    proposer: str
    policy: str
    status: RunStatus
    reason: str
    experiments: int
    """Proposed so far, the baseline not counted."""
    kept: int
    discarded: int
    crashed: int
    rejected: int
    refused: int
    undecided: int
    reapplied: int
    """Won against a parent that was no longer the incumbent; counted again as the experiment that carried them over."""
    direction: str
    own: claims.Own
    """Of the experiments, those that the loop tried by itself."""
    trials: int
    """Trainings of every kind."""
    baseline: Value
    best: Value
    """The incumbent, by the numbers that chose it."""
    certify: bool
    """Whether the run tests what it gains."""
    certified: claims.Certified | None
    provisional: claims.Provisional | None
    milestones: tuple[claims.Milestone, ...]
    calibration: KeptRate | None
    """Null edits that were decided and kept; None where none are slipped in."""
    gap: tuple[claims.Gap, ...]
    audits: tuple[GapPoint, ...]
    """How far dev was ahead of the holdout besides milestones, as the Ladder released it."""
    attribution: Attribution | None
    """Which of the kept edits matter; None where nobody asked."""
    confirmation: Confirmation | None
    ledger_head: str
    events: int
    started: str
    wall_seconds: float
    train_seconds: float
    predict_seconds: float
    scoring_seconds: float
    overhead_seconds: float
    """Wall time in which nothing was trained, predicted or scored."""
    cost_usd: float
    """What calls to language models cost; one that was never settled counts at its worst case."""
    calls: Calls
    input_tokens: int
    output_tokens: int
    tokens: int
    problems: tuple[Trouble, ...]
    disk_bytes: int
    data: dict[str, Any] | None
    """`key` and `facts` of the prepared data, the corpus hash among them where the task gives one."""
    folder: str


def summarise(run: ReadRun) -> RunSummary:
    """The summary of a run, which may still be going on."""
    state = run.state
    started = state.run
    status, reason = _status(run)
    spending = state.spending()
    proposed = [entry.proposed.provenance for entry in state.experiments.values()]
    # A proposer that keeps no calls on record says itself what it used.
    input_tokens = spending.input_tokens or sum(provenance.input_tokens for provenance in proposed)
    output_tokens = spending.output_tokens or sum(provenance.output_tokens for provenance in proposed)
    wall = state.session_seconds()
    executions = [execution for _, execution in state.executions()]
    scoring = sum(_scoring(state))
    busy = _union(((_clock(x.started), x.usage.wall_seconds) for x in executions), _clock(state.first_time))
    return RunSummary(
        run=one_line(started.run),
        task=_task_name(run),
        grounded=started.grounded,
        isolated=started.sandbox.isolates,
        sandbox=one_line(started.sandbox.name),
        proposer=one_line(started.configuration.proposer.name),
        policy=one_line(started.configuration.policy.name),
        status=status,
        reason=reason,
        experiments=sum(1 for number in state.experiments if number > 0),
        kept=state.count(ExperimentStatus.KEPT),
        discarded=state.count(ExperimentStatus.DISCARDED),
        crashed=state.count(ExperimentStatus.CRASHED),
        rejected=state.count(ExperimentStatus.REJECTED),
        refused=state.count(ExperimentStatus.REFUSED),
        undecided=state.count(ExperimentStatus.UNDECIDED),
        reapplied=state.count(ExperimentStatus.REAPPLIED),
        direction=started.objective.direction.value,
        own=claims.own_of(state),
        trials=state.trainings,
        baseline=_value(state, 0),
        best=_value(state, state.incumbent),
        certify=started.configuration.certify,
        certified=claims.certified_of(state),
        provisional=claims.provisional_of(state),
        milestones=claims.milestones_of(state),
        calibration=claims.calibration_of(state),
        gap=claims.gaps_of(state),
        audits=audits.chart(state),
        attribution=attribution_of(state),
        confirmation=confirmation_of(state),
        ledger_head=state.head,
        events=state.events,
        started=state.first_time,
        wall_seconds=wall,
        train_seconds=sum(x.usage.wall_seconds for x in executions if x.purpose == "train"),
        predict_seconds=sum(x.usage.wall_seconds for x in executions if x.purpose == "predict"),
        scoring_seconds=scoring,
        overhead_seconds=max(0.0, wall - busy - scoring),
        cost_usd=spending.cost_usd or sum(provenance.cost_usd for provenance in proposed),
        calls=Calls(
            made=spending.calls,
            cached_tokens=spending.cached_tokens,
            unpriced=spending.unpriced_calls,
            **_left(state),
        ),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens=input_tokens + output_tokens,
        problems=troubles(state, run.events),
        disk_bytes=folder_bytes(run.folder),
        data=None if state.data is None else {"key": state.data.key, "facts": _harmless(state.data.facts)},
        folder=one_line(str(run.folder), 1000),
    )


def _left(state: RunState) -> dict[str, Any]:
    limits, spent = state.budget, state.spending()
    return {
        "left": None if limits.calls is None else max(0, limits.calls - spent.calls),
        "tokens_left": None if limits.tokens is None else max(0, limits.tokens - spent.tokens),
        "cost_usd_left": None if limits.cost_usd is None else max(0.0, limits.cost_usd - spent.cost_usd),
    }


def confirmation_of(state: RunState) -> Confirmation | None:
    """The confirmation, None where none was made (or the run has gone on since)."""
    finished = state.confirmation
    if finished is None:
        return None
    improvement = finished.improvement
    return Confirmation(
        metric=one_line(finished.metric),
        baseline_experiment=finished.baseline,
        best_experiment=finished.best,
        baseline_values=finished.baseline_values,
        best_values=finished.best_values,
        baseline_mean=mean(finished.baseline_values) if finished.baseline_values else None,
        best_mean=mean(finished.best_values) if finished.best_values else None,
        improvement=improvement,
        unscored=len(finished.unscored),
        established=improvement is not None and improvement.low is not None and improvement.low > 0,
    )


def troubles(state: RunState, events: Iterable[Event] = ()) -> tuple[Trouble, ...]:
    """What went wrong, counted by kind, most frequent first; each with its first example."""
    found: dict[str, Trouble] = {}

    def add(kind: str, experiment: int | None, example: str) -> None:
        before = found.get(kind)
        first = Trouble(kind=one_line(kind, 60), count=0, experiment=experiment, example=one_line(example))
        found[kind] = (before or first).model_copy(update={"count": (before.count if before else 0) + 1})

    for number, experiment in state.experiments.items():
        if experiment.status is ExperimentStatus.REFUSED and experiment.closed is not None:
            add("refused", number, experiment.closed.reason)
    for trial in state.trials.values():
        number = trial.started.experiment
        if trial.failed is not None:
            add(trial.failed.kind.value, number, trial.failed.reason)
        verdict = trial.verdict.verdict if trial.verdict is not None else None
        if isinstance(verdict, Rejected):
            add("rejected", number, verdict.reason)
        elif isinstance(verdict, VerifierError):
            add("verifier_error", number, verdict.message)
        for finding in (*trial.findings(), *(verdict.findings if verdict is not None else ())):
            if finding.severity in {Severity.WARNING, Severity.CRITICAL}:
                add(f"finding: {finding.code}", number, finding.message)
    for event in events:
        if event.kind == "run.paused":
            add("paused", None, str(event.body.get("reason", "")))
        elif event.kind == "run.resumed" and event.body.get("torn_tail"):
            add("torn_tail", None, "a crash had left an unfinished event at the end of the ledger; it was set aside")
    return tuple(sorted(found.values(), key=lambda trouble: -trouble.count))


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder, links not followed; what vanishes meanwhile counts nothing."""
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _status(run: ReadRun) -> tuple[RunStatus, str]:
    state = run.state
    if state.finished is not None:
        return "finished", one_line(state.finished.reason)
    if state.paused is not None:
        return "paused", one_line(state.paused.reason)
    if is_being_written(run.folder) is False:
        return "paused", ENDED_WITHOUT_A_WORD
    return "running", ""


def _value(state: RunState, experiment: int) -> Value:
    return Value(metric=one_line(state.run.objective.metric), value=state.mean(experiment), experiment=experiment)


def _task_name(run: ReadRun) -> str:
    """As the frozen task calls itself; as the command line named it where that blob is gone."""
    try:
        return one_line(run.task().spec.name)
    except Exception:  # a summary must be had of a damaged run too; `rsi verify` names the damage
        return one_line(run.state.run.configuration.task)


def _scoring(state: RunState) -> Iterable[float]:
    for trial in state.trials.values():
        yield from (answered.scoring_seconds for answered in trial.answered)
        yield from (inspected.seconds for inspected in trial.inspected)
        yield from (judged.verifying_seconds for judged in (trial.screened, trial.checked) if judged is not None)


def _clock(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0


def _union(intervals: Iterable[tuple[float, float]], earliest: float) -> float:
    """Seconds in which at least one of (start, length) was going on, those before `earliest` not counted."""
    total, reached = 0.0, earliest
    for start, length in sorted(intervals):
        end = start + length
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return for_terminal(value, 500)
    if isinstance(value, dict):
        return {for_terminal(str(key), 200): _harmless(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(item) for item in value]
    return value
