"""What may be asked of the holdout outside milestones, and when its distance from dev ends a run.

Every answer about the holdout that steers anything wears it out. The Ladder (Blum and Hardt, ICML 2015, algorithm 1)
answers a question "how much better than the baseline is this incumbent?" with the best answer so far, and with a new
one only where that is passed by more than a step; and it answers in whole steps. So what leaves is a staircase: for q
questions and at most r steps it is one of C(q + r, r), which bounds what can be learned from it (`leaked_bits`). The
number of questions is limited. State is folded from the questions asked.

For the chart, dev and holdout are scored on the same trials of the incumbent, fresh ones, so that seed noise is common
to both and the gap is that of the data. The gap uses released answers only: it may lag by a step, never leak more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field, FiniteFloat, model_validator

from rsi.errors import IntegrityError, UsageError
from rsi.records import Record


class HoldoutPlan(Record):
    """What a run may ask; part of its frozen configuration."""

    step: FiniteFloat
    """In the objective's units; about the seed noise of a difference: finer answers would be noise and leak more."""
    questions: int
    limit: FiniteFloat
    """The run halts where dev is ahead of the holdout by more than this."""

    @model_validator(mode="after")
    def _makes_sense(self) -> HoldoutPlan:
        if not self.step > 0 or not self.limit > self.step:
            raise UsageError("The holdout's step is positive and the limit of the gap above it; set both.")
        if self.questions < 0:
            raise UsageError("The number of questions to the holdout is 0 or more.")
        return self


class Question(Record):
    """One incumbent, measured on both splits in the same trials. `holdout_gain` is raw: it stays in the record."""

    trials_spent: int
    dev_gain: FiniteFloat
    """Over the baseline; positive is better."""
    holdout_gain: FiniteFloat


class GapPoint(Record):
    """One point of the chart: what may be shown."""

    trials_spent: int
    dev_gain: float
    holdout_gain: float
    """As the Ladder released it."""
    gap: float = Field(description="dev less holdout")


def usual_plan(noise: float, questions: int = 50) -> HoldoutPlan:
    """From the seed noise of a paired difference: steps of one, and a limit that honest runs do not reach by luck."""
    if not (noise > 0 and math.isfinite(noise)):
        raise UsageError("The seed noise is a positive number; measure it or set it in task.toml.")
    return HoldoutPlan(step=noise, questions=questions, limit=5 * noise)


def may_ask(plan: HoldoutPlan, asked: Sequence[Question]) -> bool:
    """Whether the budget has a question left."""
    return len(asked) < plan.questions


def gap_points(plan: HoldoutPlan, asked: Sequence[Question]) -> tuple[GapPoint, ...]:
    """The Ladder's answers to the questions, in order, beside dev; IntegrityError for more than were allowed."""
    if len(asked) > plan.questions:
        raise IntegrityError(
            f"The holdout was asked {len(asked)} times, {plan.questions} were allowed; distrust this run."
        )
    best, points = 0.0, []
    for question in asked:
        if question.holdout_gain > best + plan.step:
            best = round(question.holdout_gain / plan.step) * plan.step
        points.append(
            GapPoint(
                trials_spent=question.trials_spent,
                dev_gain=question.dev_gain,
                holdout_gain=best,
                gap=question.dev_gain - best,
            )
        )
    return tuple(points)


def reason_to_halt(plan: HoldoutPlan, points: Sequence[GapPoint]) -> str | None:
    """Why the run must halt, or None. Told of the latest point only: an earlier one had its chance."""
    if not points or points[-1].gap <= plan.limit:
        return None
    last = points[-1]
    return (
        f"Dev says the incumbent gained {last.dev_gain:.4g}, the holdout no more than "
        f"{last.holdout_gain + plan.step:.4g}; the search fits the dev split: "
        "look at the latest kept edits, and give the task more or other dev data."
    )


def leaked_bits(plan: HoldoutPlan, most_gain: float) -> float:
    """At most so many bits of the holdout leave through the Ladder, for gains up to `most_gain`: log2 C(q + r, r)."""
    if not (most_gain >= 0 and math.isfinite(most_gain)):
        raise UsageError("The largest gain that could be is a finite number, 0 or more.")
    return math.log2(math.comb(plan.questions + math.ceil(most_gain / plan.step), plan.questions))
