"""What each loop of a comparison came to, from the summary of its run alone, as it was at its first end."""

from __future__ import annotations

from typing import Literal

from rsi.begun import at_its_first_end
from rsi.compare.folder import Comparison
from rsi.compare.matrix import FACTORS, Loop
from rsi.execution import ExitKind
from rsi.records import Direction, ExperimentStatus, Record
from rsi.review.reading import Reading
from rsi.review.summary import RunSummary
from rsi.review.wording import one_line


class LoopResult(Record):
    """One loop. Times in seconds; positive gains are better, in the units of the task's metric."""

    loop: str
    task: str
    """By its name; by its path where two are called the same."""
    seed: int
    arms: dict[str, str]
    """By `verifier`, `policy` and `proposer`."""
    status: Literal["missing", "running", "paused", "finished"]
    reason: str = ""
    run: str = ""
    folder: str = ""
    grounded: bool = True
    metric: str = ""
    noise: float | None = None
    """Of the metric over seeds, as the task states it."""
    certified: bool = False
    gain: float | None = None
    """What the loop may claim on the holdout: certified, or confirmed where it has no milestones; 0 where it claims
    nothing, None where that is not known."""
    truth: float | None = None
    """What its final code gained on fresh seeds of the holdout by the word of the task's own verifier; 0 where it ends
    with the baseline, or with code that this verifier rejects, None where its wall time ran out."""
    refused: str = ""
    """Why the task's own verifier gives its final code no score."""
    gap: float | None = None
    """Gain on dev less gain on the holdout of the code that was measured on both."""
    experiments: int = 0
    kept: int = 0
    blamed: int = 0
    """Kept edits that were taken back after a milestone had failed."""
    trials: int = 0
    compute: float = 0.0
    """In which trials were trained and answered."""
    wall: float = 0.0
    cost_usd: float = 0.0


def results_of(comparison: Comparison) -> tuple[LoopResult, ...]:
    """Every loop, in the order in which they run."""
    return tuple(_result(comparison, loop) for loop in comparison.loops)


def _result(comparison: Comparison, loop: Loop) -> LoopResult:
    arms, task = dict(zip(FACTORS, loop.cell, strict=True)), comparison.matrix.named(loop.task)
    reading = comparison.run_of(loop)
    if reading is None:
        return LoopResult(loop=loop.name, task=task, seed=loop.seed, arms=arms, status="missing")
    summary = at_its_first_end(reading)
    truth, refused = _truth(comparison, loop, summary) if comparison.matrix.truth else (None, "")
    return LoopResult(
        loop=loop.name,
        task=task,
        seed=loop.seed,
        arms=arms,
        status=summary.status,
        reason=summary.reason,
        run=summary.run,
        folder=summary.folder,
        grounded=summary.grounded,
        metric=summary.baseline.metric,
        noise=reading.objective.noise,
        certified=summary.certified is not None,
        gain=_claimed(summary),
        truth=truth,
        refused=refused,
        gap=_gap(summary),
        experiments=summary.experiments,
        kept=summary.kept,
        blamed=sum(len(milestone.taken_back) for milestone in summary.milestones),
        trials=summary.trials,
        compute=summary.train_seconds + summary.predict_seconds,
        wall=summary.wall_seconds,
        cost_usd=summary.cost_usd,
    )


def _claimed(summary: RunSummary) -> float | None:
    if summary.certify:
        if summary.certified is None:
            return 0.0 if summary.status == "finished" else None
        improvement = summary.certified.improvement
        return None if improvement is None else improvement.estimate
    if summary.confirmation is None:
        return 0.0 if summary.status == "finished" and summary.best.experiment == 0 else None
    return _confirmed(summary)


def _confirmed(summary: RunSummary) -> float | None:
    """The difference of the means: with one seed a side there is no interval, but a number."""
    found = summary.confirmation
    if found is None or found.baseline_mean is None or found.best_mean is None or found.unscored:
        return None
    sign = -1.0 if Direction(summary.direction) is Direction.MINIMIZE else 1.0
    return sign * (found.best_mean - found.baseline_mean)


def _gap(summary: RunSummary) -> float | None:
    if summary.gap:
        return summary.gap[-1].gap
    confirmed, baseline, best = _confirmed(summary), summary.baseline.value, summary.best.value
    if confirmed is None or baseline is None or best is None:
        return None
    sign = -1.0 if Direction(summary.direction) is Direction.MINIMIZE else 1.0
    return sign * (best - baseline) - confirmed


def _truth(comparison: Comparison, loop: Loop, summary: RunSummary) -> tuple[float | None, str]:
    if summary.status != "finished":
        return None, ""
    if summary.best.experiment == 0:
        return 0.0, ""
    reading = comparison.truth_of(loop)
    measured = at_its_first_end(reading) if reading is not None else None
    if reading is None or measured is None or measured.status != "finished":
        return None, ""
    if measured.best.experiment == 0:
        refused = _refused(reading)
        return (0.0, refused) if refused else (None, "")
    return _confirmed(measured), ""


def _refused(reading: Reading) -> str:
    """Why the task's own verifier gives final code no score; empty where that says nothing of the code.

    So it is where its wall time ran out: in its loop it was quick enough, which says more of a busy machine. So it is
    where the verifier itself failed, or nothing was trained.
    """
    if not reading.summary.experiments:
        return ""
    closed = reading.excerpt(1).state.experiments[1].closed
    if closed is None or closed.status not in {ExperimentStatus.REJECTED, ExperimentStatus.CRASHED}:
        return ""
    timed_out = any(
        trial.failed is not None and trial.failed.kind is ExitKind.TIMED_OUT
        for trial in reading.excerpt(1).state.trials.values()
        if trial.started.experiment == 1
    )
    return "" if timed_out else one_line(closed.reason) or "it gave no score"
