"""What got better, by how much and how sure that is, in one sentence that does not claim more than the record."""

from __future__ import annotations

from rsi.records import Direction, Objective
from rsi.review.summary import Confirmation, RunSummary
from rsi.review.wording import better, count, moved, number


def statement(summary: RunSummary) -> str:
    """One sentence: confirmed with its interval, provisional, or that nothing was found."""
    if summary.confirmation is not None:
        return confirmed(summary.confirmation, Direction(summary.direction))
    baseline, best = summary.baseline, summary.best
    if baseline.value is None:
        return "The baseline has not been measured yet."
    if best.experiment == 0 or best.value is None:
        tried = count(summary.experiments, "experiment")
        return f"Nothing was kept: after {tried} the baseline's {baseline.metric} of {number(baseline.value)} stands."
    direction = Direction(summary.direction)
    gain = Objective(metric=baseline.metric, direction=direction).gain(best.value, baseline.value)
    step = abs(gain) / 2
    return (
        f"{baseline.metric} on dev {moved(direction, gain)} from {number(baseline.value, step)} to "
        f"{number(best.value, step)}: {better(gain, step)}. Provisional: measured on the seeds by which it was chosen."
    )


def confirmed(confirmation: Confirmation, direction: Direction) -> str:
    """What baseline and best came to on fresh seeds and the holdout."""
    old, new, improvement = confirmation.baseline_mean, confirmation.best_mean, confirmation.improvement
    seeds = min(len(confirmation.baseline_values), len(confirmation.best_values))
    if old is None or new is None:
        return "The confirmation gave no score for one of the two sides, so nothing can be said."
    if improvement is None or improvement.low is None or improvement.high is None:
        gain = Objective(metric=confirmation.metric, direction=direction).gain(new, old)
        why = improvement.method.removeprefix("none: ") if improvement else "too few trials gave a score"
        if confirmation.unscored:
            why = f"{count(confirmation.unscored, 'trial')} gave no score, and which ones do may be no accident"
        return (
            f"{confirmation.metric} on the holdout went from {number(old)} to {number(new)} ({better(gain, 0.01)}), "
            f"but there is no interval: {why}."
        )
    # One figure of the interval's half width says how far the digits can be trusted.
    width = 10 * (improvement.high - improvement.low) / 2
    low, high = (number(bound, min(width, abs(bound)) or width) for bound in (improvement.low, improvement.high))
    percent = f"{improvement.confidence * 100:g}%"
    each = f"{count(seeds, 'fresh seed')} each"
    if not improvement.excludes_zero:
        return (
            f"{confirmation.metric} on the holdout went from {number(old, width)} to {number(new, width)}, but the "
            f"{percent} interval of the improvement, {low} to {high}, includes zero: no improvement is shown ({each})."
        )
    return (
        f"{confirmation.metric} on the holdout {moved(direction, improvement.estimate)} from {number(old, width)} to "
        f"{number(new, width)}: {better(improvement.estimate, width)} ({percent} interval {low} to {high}), {each}."
    )


def how_sure(summary: RunSummary) -> str:
    """`confirmed`, `not confirmed`, `provisional` or `nothing kept`."""
    if summary.confirmation is not None:
        return "confirmed" if summary.confirmation.established else "not confirmed"
    return "provisional" if summary.best.experiment else "nothing kept"
