"""The sentence that a person would write under a comparison: derived from its numbers, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rsi.compare.arms import short
from rsi.compare.differences import POWER, Compared, Difference, pairs_needed, size_shown
from rsi.compare.results import LoopResult
from rsi.review.wording import count, number, one_line
from rsi.statistics import Interval

NOT_GROUNDED = "UNGROUNDED"
MOST_TIMES = 10
"""As many seeds as these: what takes more is not proposed, but what twice as many would show."""
GAINS = {"certified": "certified gain", "confirmed": "confirmed gain", "grounded": "grounded gain"}


def sentences(found: Compared, results: Sequence[LoopResult]) -> tuple[str, ...]:
    """One for each difference, then what must be known to read them."""
    return (*(_sentence(difference, found) for difference in found.differences), *_notes(found, results))


def label(arm: str, *, grounded: bool = True) -> str:
    """An arm as it is shown, marked where its verifier is not grounded."""
    return one_line(short(arm), 80) + ("" if grounded else f" [{NOT_GROUNDED}]")


def _sentence(difference: Difference, found: Compared) -> str:
    arm, reference = labels(difference, found)
    gain = difference.gain
    if gain is None:
        return f"Nothing can be said of {arm} and {reference}: no pair of their loops is at its end."
    if not difference.grounded:
        return (
            f"Nothing is claimed of {arm} and {reference}: what a verifier that is not grounded calls a gain is no "
            "measurement; leave --truth above 0, so that final code is measured again."
        )
    if gain.low is None or gain.high is None:
        return f"No difference between {arm} and {reference} could be tested: {_why_not(gain)}."
    if not gain.excludes_zero:
        return _not_shown(difference, found, arm, reference)
    winner, loser = (arm, reference) if gain.estimate > 0 else (reference, arm)
    ratio = difference.compute_ratio
    if ratio is not None and gain.estimate < 0:
        ratio = 1 / ratio if ratio else None
    return f"{winner} beats {loser} by {_size(gain, found)}{_compute(ratio)} ({_how_sure(gain, found)})."


def labels(difference: Difference, found: Compared) -> tuple[str, str]:
    """The arm and the one that it is compared with, as they are shown."""
    grounded = {(arm.factor, arm.arm): arm.grounded for arm in found.arms}
    arm, reference = (
        label(name, grounded=grounded[difference.factor, name]) for name in (difference.arm, difference.reference)
    )
    return arm, reference


def _not_shown(difference: Difference, found: Compared, arm: str, reference: str) -> str:
    gain = difference.gain
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    step = gain.high - gain.low
    least = f"{number(gain.low, step)} to {number(gain.high, step)} {found.unit}"
    told = f"No difference between {arm} and {reference} could be shown ({least}, {_how_sure(gain, found)})"
    return f"{told}; {_more(difference, found)}."


def _more(difference: Difference, found: Compared) -> str:
    """How many more seeds would show a difference of one training's seed noise, or what twice as many would show."""
    gain, size = difference.gain, found.smallest
    assert gain is not None
    if size is None or not difference.spread:
        return "how many more seeds would show one is not known"
    needed = pairs_needed(difference.spread, size, gain.confidence)
    shown = f"{size:.2g} {found.unit}" if found.tasks == 1 else "a seed noise"
    if needed is None or needed > MOST_TIMES * gain.n:
        size = size_shown(difference.spread, 2 * gain.n, gain.confidence)
        shown = f"{number(size, size)} {found.unit}"
        needed = 2 * gain.n
    if needed <= gain.n:
        return f"one of {shown} would have shown with a probability of {POWER:.0%} or more"
    seeds = -(-(needed - gain.n) // found.tasks)
    return f"{seeds:,} more {'seed' if seeds == 1 else 'seeds'} would show one of {shown} with {POWER:.0%} probability"


def _why_not(gain: Interval) -> str:
    if gain.n < 2:
        return "one pair of loops has no spread; give more with --seeds"
    if gain.estimate == 0:
        return f"the gain is the same in all {count(gain.n, 'pair')}"
    return f"it is the same in all {count(gain.n, 'pair')}, so the seeds show nothing"


def _size(gain: Interval, found: Compared) -> str:
    assert gain.low is not None
    assert gain.high is not None
    half = (gain.high - gain.low) / 2
    return f"{number(abs(gain.estimate), half)} ± {number(half, half)} {found.unit}"


def _compute(ratio: float | None) -> str:
    if ratio is None:
        return ""
    percent = round(100 * (ratio - 1))
    if percent == 0:
        return " at the same compute"
    return f" at {abs(percent)}% {'more' if percent > 0 else 'less'} compute"


def _how_sure(gain: Interval, found: Compared) -> str:
    together = "" if found.comparisons == 1 else f", corrected for {found.comparisons} comparisons"
    return f"{GAINS[found.basis]}, {found.confidence * 100:g}% interval{together}, {count(gain.n, 'pair')}"


def _notes(found: Compared, results: Sequence[LoopResult]) -> Iterator[str]:
    undone = [result for result in results if result.status != "finished"]
    if undone:
        how_many = count(len(undone), "loop")
        told = f"{how_many[0].upper()}{how_many[1:]} of {len(results)} {_is(undone)} not at the end and left out"
        first = next((result for result in undone if result.reason), None)
        reason = one_line(first.reason).rstrip(".") if first is not None else ""
        why = f": {first.loop} paused because {reason}" if first is not None else ""
        yield f"{told}{why}."
    unknown = [
        r for r in results if r.status == "finished" and (r.truth if found.basis == "grounded" else r.gain) is None
    ]
    if unknown:
        yield (
            f"The gain of {count(len(unknown), 'loop')} is not known, because a trial of it gave no score; "
            f"{'it is' if len(unknown) == 1 else 'they are'} left out, which may be no accident."
        )
    for arm in found.arms:
        if not arm.grounded and arm.claimed is not None:
            true = arm.means["gain"] if found.basis == "grounded" else None
            told = f"{label(arm.arm, grounded=False)}: its loops claim {number(arm.claimed)} {found.unit} on average"
            yield f"{told}; " + (
                f"what they kept is worth {number(true)}."
                if true is not None
                else "what they kept was not measured again."
            )
        if arm.refused:
            code = count(arm.refused, "loop")
            yield f"The task's own verifier gives the final code of {code} of {label(arm.arm)} no score: worth 0."


def _is(undone: Sequence[LoopResult]) -> str:
    return "is" if len(undone) == 1 else "are"
