"""What got better, by how much and how sure that is, in sentences that do not claim more than the record.

What was certified comes first, what was tested and not shown comes next, and what is only hoped for comes last.
"""

from __future__ import annotations

from collections.abc import Iterator

from rsi.records import Direction, Objective
from rsi.review.claims import Certified, Gap, Milestone, Provisional, certified_of, provisional_of
from rsi.review.standing import listed
from rsi.review.summary import Confirmation, RunSummary
from rsi.review.wording import better, count, moved, number
from rsi.state import RunState
from rsi.statistics import Interval


def statement(summary: RunSummary) -> str:
    """All that may be said of the improvement, as one line."""
    return " ".join(sentences(summary))


def sentences(summary: RunSummary) -> tuple[str, ...]:
    """What is certified, or that nothing is; what failed; what is provisional; what was compared without a test."""
    return tuple(_certifying(summary)) if summary.certify else (_untested(summary),)


def how_sure(summary: RunSummary) -> str:
    """`certified`, `not certified`; of a run that tests nothing: `confirmed`, `not confirmed`, `provisional`.

    `nothing kept` for either.
    """
    if summary.certified is not None:
        return "certified"
    if summary.confirmation is not None and not summary.certify:
        return "confirmed" if summary.confirmation.established else "not confirmed"
    if summary.best.experiment == 0 and not summary.milestones:
        return "nothing kept"
    return "not certified" if summary.certify else "provisional"


# --- a run that tests what it gains -------------------------------------------------------------------------------


def _certifying(summary: RunSummary) -> Iterator[str]:
    direction = Direction(summary.direction)
    failed = _failed_since(summary)
    if summary.certified is not None:
        yield certified_words(summary.certified, summary.baseline.metric, direction)
        if failed is not None:
            yield f"Milestone {failed.number} failed: {_not_shown(failed)}; nothing more is claimed.{_back(failed)}"
    elif failed is not None:
        yield f"Nothing is certified: {_not_shown(failed)}; nothing is claimed.{_back(failed)}"
    else:
        yield _nothing_yet(summary)
    if summary.provisional is not None:
        yield from _provisional(summary.provisional, summary, direction)
    if summary.confirmation is not None:
        yield f"Compared, not tested: {confirmed(summary.confirmation, direction)}"


def certified_words(certified: Certified, metric: str, direction: Direction) -> str:
    """What a passed milestone lets the run claim, and how far the size of it is known."""
    who = f"experiment {certified.experiment}"
    rate = f"error rate {certified.alpha * 100:g}% over the run"
    improvement = certified.improvement
    shown = f"Certified: {who} is better than {_code(certified.reference)} on the holdout ({rate})"
    if certified.measuring:
        return f"{shown}; by how much is being measured."
    if improvement is None:
        return f"{shown}; by how much is not known, because a trial gave no score."
    pairs = count(improvement.n, "fresh pair")
    if improvement.low is None or improvement.high is None:
        return f"{shown}; by how much is not known: {improvement.method.removeprefix('none: ')}."
    size, low, high = figures(improvement)
    bounds = f"{improvement.confidence * 100:g}% interval {low} to {high}"
    if improvement.low > 0:
        went = moved(direction, improvement.estimate)
        return f"Certified: {metric} on the holdout {went} by {size} ({bounds}; {who}, {pairs}; {rate})."
    if improvement.high < 0:
        return f"{shown}, but {pairs} measured it worse than the baseline by {size} ({bounds}): distrust it."
    return f"{shown}; by how much is uncertain: {size} better than the baseline ({bounds}, {pairs})."


def _nothing_yet(summary: RunSummary) -> str:
    going_on = summary.milestones[-1] if summary.milestones and not summary.milestones[-1].closed else None
    ended = summary.status == "finished"
    if summary.baseline.value is None:
        return "Nothing is certified: the baseline has not been measured yet."
    if going_on is not None:
        return f"Nothing is certified yet: {under_test(going_on)}."
    if summary.best.experiment == 0:
        tried = count(summary.experiments, "experiment")
        stands = f"after {tried} the baseline's {summary.baseline.metric} of {number(summary.baseline.value)} stands"
        kept = "Nothing was kept, so nothing is certified" if ended else "Nothing is certified yet, for nothing is kept"
        return f"{kept}: {stands}."
    return "Nothing is certified: no milestone was tested." if ended else "Nothing is certified yet."


def under_test(milestone: Milestone) -> str:
    """What a milestone under way is at: `milestone 1 compares experiment 12 with the baseline …, pair 3 of …`."""
    name = f"milestone {milestone.number}"
    if milestone.passed:
        pair = min(milestone.estimated + 1, milestone.estimate_pairs)
        return f"{name} passed, and by how much is measured: pair {pair} of {milestone.estimate_pairs}"
    pair = min(milestone.pairs + 1, milestone.most_pairs)
    who = f"experiment {milestone.candidate} with {_code(milestone.reference)}"
    return f"{name} compares {who} on fresh seeds, pair {pair} of at most {milestone.most_pairs}"


def milestone_words(milestone: Milestone) -> str:
    """A milestone in one line, whatever became of it."""
    if not milestone.closed:
        return under_test(milestone)
    who = f"milestone {milestone.number}: experiment {milestone.candidate} against {_code(milestone.reference)}"
    became = f"{'passed' if milestone.passed else 'failed'} after {count(milestone.pairs, 'pair')}"
    improvement = milestone.improvement
    if not milestone.passed:
        return f"{who} {became} ({milestone.reason}).{_back(milestone)}"
    if improvement is None or improvement.low is None or improvement.high is None:
        return f"{who} {became}; by how much is not known"
    size, low, high = figures(improvement)
    sign = "-" if improvement.estimate < 0 else ""
    return (
        f"{who} {became}; over the baseline {sign}{size} ({improvement.confidence * 100:g}% interval {low} to {high})"
    )


def _failed_since(summary: RunSummary) -> Milestone | None:
    """The last milestone that failed, unless a later one passed."""
    last = next((m for m in reversed(summary.milestones) if m.passed is not None), None)
    return last if last is not None and not last.passed else None


def _not_shown(milestone: Milestone) -> str:
    why = "" if milestone.reason.startswith("not shown") else f" ({milestone.reason})"
    than = f"experiment {milestone.candidate} was not shown to be better than {_code(milestone.reference)}"
    return f"{than} on fresh seeds, after {count(milestone.pairs, 'pair')}{why}"


def _back(milestone: Milestone) -> str:
    """What a failure led to."""
    edits = milestone.taken_back
    if not edits:
        return ""
    one = len(edits) == 1
    return f" {'The edit' if one else 'The edits'} of {listed(edits)} {'was' if one else 'were'} taken back."


def _provisional(provisional: Provisional, summary: RunSummary, direction: Direction) -> Iterator[str]:
    tested = "not tested" if provisional.failed is None else "which the test did not bear out"
    if provisional.gain is None:
        return
    who = f"experiment {provisional.experiment}"
    if provisional.over:
        gain = provisional.gain
        size = number(abs(gain), abs(gain) / 2)
        if gain > 0:
            yield f"Provisional: a further {size} on dev since ({who}), {tested}."
        else:
            yield f"Provisional: {who} stands in since, {better(gain, _step(gain))} on dev than what was certified."
        return
    yield f"Provisional: {_on_dev(summary, direction)} ({who}), {tested}."


def _step(gain: float) -> float:
    """The resolution at which a gain shows two figures."""
    return abs(gain) / 2


def _on_dev(summary: RunSummary, direction: Direction) -> str:
    old, new = summary.baseline.value, summary.best.value
    assert old is not None
    assert new is not None
    gain = Objective(metric=summary.baseline.metric, direction=direction).gain(new, old)
    step = _step(gain)
    went = f"{moved(direction, gain)} from {number(old, step)} to {number(new, step)}"
    return f"{summary.baseline.metric} on dev {went}, {better(gain, step)}"


def _code(experiment: int) -> str:
    return f"experiment {experiment}" if experiment else "the baseline"


# --- a run that tests nothing ---------------------------------------------------------------------------------------


def _untested(summary: RunSummary) -> str:
    """Confirmed with its interval, provisional, or that nothing was found."""
    direction = Direction(summary.direction)
    if summary.confirmation is not None:
        return confirmed(summary.confirmation, direction)
    baseline, best = summary.baseline, summary.best
    if baseline.value is None:
        return "The baseline has not been measured yet."
    if best.experiment == 0 or best.value is None:
        tried = count(summary.experiments, "experiment")
        return f"Nothing was kept: after {tried} the baseline's {baseline.metric} of {number(baseline.value)} stands."
    return f"{_on_dev(summary, direction)}. Provisional: measured on the seeds by which it was chosen."


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
    _, low, high = figures(improvement)
    width = _resolution(improvement)
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


# --- shorter ----------------------------------------------------------------------------------------------------------


def headline(state: RunState) -> str:
    """What is certified and what is provisional, in half a line; empty for a run that tests nothing."""
    started = state.run
    if not started.configuration.certify:
        return ""
    certified, provisional = certified_of(state), provisional_of(state)
    words = (
        f"certified {certified_briefly(certified)}, experiment {certified.experiment}"
        if certified
        else "nothing certified"
    )
    if provisional is None or provisional.gain is None:
        return words
    gain = provisional.gain
    size = number(abs(gain), _step(gain)) if certified and gain > 0 else ""
    more = f"{size} more" if size else better(gain, _step(gain))
    return f"{words}; provisional {more} on dev, experiment {provisional.experiment}"


def certified_briefly(certified: Certified) -> str:
    """`0.20 better (0.17 to 0.23)`."""
    improvement = certified.improvement
    if improvement is None or improvement.low is None or improvement.high is None:
        return "better, by how much is being measured" if certified.measuring else "better, by how much is not known"
    size, low, high = figures(improvement)
    return f"{size} {'better' if improvement.estimate > 0 else 'worse'} ({low} to {high})"


def calibration_words(summary: RunSummary) -> str:
    """How often luck was kept for progress; empty where no null edits are slipped in."""
    found = summary.calibration
    if found is None:
        return ""
    if found.rate is None:
        return "no null edit was decided yet"
    interval = f"{found.confidence * 100:g}% interval {found.low:.0%} to {found.high:.0%}"
    return f"{count(found.kept, 'null edit')} of {found.decided} kept: {found.rate:.0%} ({interval})"


def gap_words(gap: Gap) -> str:
    """How far dev is ahead of the holdout."""
    step = max(abs(gap.dev_gain), abs(gap.holdout_gain)) / 10
    gains = f"{number(gap.dev_gain, step)} gained on dev, {number(gap.holdout_gain, step)} on the holdout"
    return f"{gains} at milestone {gap.milestone}"


def figures(improvement: Interval) -> tuple[str, str, str]:
    """Size of the estimate, low and high, with the digits that the interval warrants; the bounds must be there."""
    assert improvement.low is not None
    assert improvement.high is not None
    width = _resolution(improvement)
    low, high = (number(bound, min(width, abs(bound)) or width) for bound in (improvement.low, improvement.high))
    return number(abs(improvement.estimate), width), low, high


def _resolution(improvement: Interval) -> float:
    """One figure of the interval's half width says how far the digits can be trusted."""
    assert improvement.low is not None
    assert improvement.high is not None
    return 10 * (improvement.high - improvement.low) / 2
