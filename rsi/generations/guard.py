"""Two things that the field warns of when a loop improves itself, and when each of them ends the generations.

*Specialising*: what gains on the inner tasks by which programs are chosen does not carry over to held-out ones. The
gain that a search believes in is the best of many noisy ones, so some of it is luck: with K experiments the luckiest of
K programs that gain nothing is ahead by about sqrt(2 ln K) standard errors. What is left after that, less
two standard errors more, is believed beyond luck; where held-out tasks grant even at the upper end of their interval
less than `CARRIES` of it, the programs have learned the inner tasks and not the craft, and more generations would learn
more of the same.

*Stalled*: so many generations in a row were not promoted.

Pure: from outcomes alone, so that whoever reads the record comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rsi.generations.outcome import Outcome
from rsi.records import Record
from rsi.review.wording import count, number

CARRIES = 0.25
"""The least share of a believed gain that held-out tasks must grant, at the upper end of their interval."""
CERTAIN = 2.0
"""Standard errors that are taken off a believed gain, besides what luck explains."""
PATIENCE = 2


class Halt(Record):
    """Why no further generation begins."""

    reason: Literal["specialising", "stalled"]
    generation: int
    """The last one."""
    sentence: str
    advice: str


def guard(outcomes: Sequence[Outcome], patience: int = PATIENCE) -> Halt | None:
    """Whether the generations so far end it; outcomes in order, those that are over."""
    over = [outcome for outcome in outcomes if outcome.promoted is not None]
    if not over:
        return None
    return _specialising(over[-1]) or _stalled(over, patience)


def believed(outcome: Outcome) -> float | None:
    """The gain on the inner tasks that luck does not explain; None where nothing was kept or measured."""
    if outcome.dev_gain is None or outcome.dev_error is None or not outcome.kept:
        return None
    luck = math.sqrt(2 * math.log(max(2, outcome.experiments)))
    return max(0.0, outcome.dev_gain - (luck + CERTAIN) * outcome.dev_error)


def _specialising(last: Outcome) -> Halt | None:
    gain, granted = believed(last), last.carried
    if not gain or granted is None or granted.high is None or granted.high >= CARRIES * gain:
        return None
    at_most = number(max(0.0, granted.high), gain)
    return Halt(
        reason="specialising",
        generation=last.generation,
        sentence=(
            f"Generation {last.generation} gained {number(last.dev_gain, gain)} {last.unit} on its inner tasks, of "
            f"which luck explains no more than {number((last.dev_gain or 0.0) - gain, gain)}, and at most {at_most} on "
            "held-out ones: what it learned is about the inner tasks and does not carry over."
        ),
        advice=(
            "Begin again with other inner tasks among dev (another task folder, or more --learn-from), or with fewer "
            "--experiments a generation."
        ),
    )


def _stalled(over: Sequence[Outcome], patience: int) -> Halt | None:
    row = 0
    for outcome in reversed(over):
        if outcome.promoted:
            break
        row += 1
    if row < patience:
        return None
    last = over[-1]
    kept = next((outcome.generation for outcome in reversed(over) if outcome.promoted), 0)
    return Halt(
        reason="stalled",
        generation=last.generation,
        sentence=(
            f"{count(row, 'generation').capitalize()} in a row promoted nothing, so proposer@{kept} stays and the "
            "generations end here."
        ),
        advice=(
            "A larger budget a generation (--experiments, --trials) shows smaller gains; --patience waits longer; "
            "another --proposer, or `--learn-from RUN`, may find what this one did not."
        ),
    )
