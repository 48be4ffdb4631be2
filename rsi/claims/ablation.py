"""Taking kept edits out and training what is left: the questions, the answers, and which edits come out at all.

Blame and attribution are procedures that ask the loop for two things: whether the code without some edits can be made
(free), and one training of it (a trial). They are written as generators that yield questions and are sent answers, and
`resume` replays the answers that are on record into them. So they hold no state, a killed run goes on where it was,
and `rsi verify` derives every question again.

Many edits are taken out at once, in subsets that change from trial to trial, and a regression tells the edits apart:
every trial then informs about every edit (R. A. Fisher, The Design of Experiments, 1935, chapter VI). Taking k edits
out one at a time needs about k/2 times as many trials for the same accuracy.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field, FiniteFloat

from rsi.records import Record

Edits = tuple[int, ...]
"""Numbers of kept edits (their experiments), in the order in which they were kept."""


class TryRemoval(Record):
    """Can the code be made without these edits? Costs no trial."""

    kind: Literal["try_removal"] = "try_removal"
    edits: Edits


class TrainWithout(Record):
    """One trial of the code without these edits (none: the code as it is), under the seed of this slot."""

    kind: Literal["train_without"] = "train_without"
    edits: Edits
    slot: int
    """Equal slots mean equal seeds; a slot's seed is fresh, used by no trial outside this procedure."""


Ask = Annotated[TryRemoval | TrainWithout, Field(discriminator="kind")]


class Removal(Record):
    """Answer to `TryRemoval`."""

    kind: Literal["removal"] = "removal"
    ask: TryRemoval
    applies: bool


class Trained(Record):
    """Answer to `TrainWithout`: the objective, larger is better; None where it crashed or was rejected."""

    kind: Literal["trained"] = "trained"
    ask: TrainWithout
    value: FiniteFloat | None


Answer = Annotated[Removal | Trained, Field(discriminator="kind")]


class Asks(Record):
    """Not finished: these are to be answered, in any order; they may run side by side."""

    kind: Literal["asks"] = "asks"
    asks: tuple[Ask, ...]


_Result = TypeVar("_Result")
Procedure = Generator[tuple[TryRemoval | TrainWithout, ...], tuple[Removal | Trained, ...], _Result]

_NEAREST = 8
"""An edit that does not come out alone is first tried together with so many later ones, then with all others."""
_FOR_THE_ENDING = 3
"""Trials kept for seeing that the code trains without what is to be taken out."""


def resume(procedure: Procedure[_Result], answers: Sequence[Removal | Trained]) -> Asks | _Result:
    """The procedure's result, or what it needs to know next; answers in any order."""
    known = {answer.ask: answer for answer in answers}
    try:
        wanted = next(procedure)
        while True:
            missing = tuple(ask for ask in wanted if ask not in known)
            if missing:
                return Asks(asks=missing)
            wanted = procedure.send(tuple(known[ask] for ask in wanted))
    except StopIteration as end:
        result: _Result = end.value
        return result


def applies(edits: Edits) -> Procedure[bool]:
    """Whether the code can be made without these edits; without none it can."""
    if not edits:
        return True
    (answer,) = yield (TryRemoval(edits=edits),)
    return isinstance(answer, Removal) and answer.applies


def find_units(edits: Edits) -> Procedure[tuple[Edits, ...]]:
    """The finest parts that come out one by one: single edits, and groups of entangled ones.

    A part that does not come out is joined to the nearest later one with which it does (later edits build on earlier
    ones), else to its neighbour. Every round leaves fewer parts; all edits together always come out, because that is
    the code from before them, which the loop checks out instead of undoing anything.
    """
    parts: list[Edits] = [(edit,) for edit in edits]
    known: dict[Edits, bool] = {}
    while len(parts) > 1:
        unknown = [part for part in parts if part not in known]
        if unknown:
            answers = yield tuple(TryRemoval(edits=part) for part in unknown)
            known |= {answer.ask.edits: isinstance(answer, Removal) and answer.applies for answer in answers}
        stuck = next((position for position, part in enumerate(parts) if not known[part]), None)
        if stuck is None:
            break
        partner = yield from _partner(parts, stuck, known, edits)
        joined = _ordered({*parts[stuck], *parts[partner]}, edits)
        parts = [part for position, part in enumerate(parts) if position not in (stuck, partner)]
        parts.append(joined)
        parts.sort(key=lambda part: edits.index(part[0]))
    return tuple(parts)


def joined(units: Sequence[Edits], chosen: Sequence[bool], edits: Edits) -> Edits:
    """The edits of the chosen units, in the order in which they were kept."""
    return _ordered({edit for unit, out in zip(units, chosen, strict=True) if out for edit in unit}, edits)


def _partner(parts: list[Edits], stuck: int, known: dict[Edits, bool], edits: Edits) -> Procedure[int]:
    """The part to join it to: the nearest later one with which it comes out, however far off that was kept."""
    later = range(stuck + 1, len(parts))
    for near in (later[:_NEAREST], later[_NEAREST:]):
        unions = {position: _ordered({*parts[stuck], *parts[position]}, edits) for position in near}
        asked = tuple(TryRemoval(edits=union) for union in unions.values() if union not in known)
        if asked:
            answers = yield asked
            known |= {answer.ask.edits: isinstance(answer, Removal) and answer.applies for answer in answers}
        fitting = next((position for position, union in unions.items() if known[union]), None)
        if fitting is not None:
            return fitting
    return stuck + 1 if stuck + 1 < len(parts) else stuck - 1


def _ordered(some: set[int], edits: Edits) -> Edits:
    return tuple(edit for edit in edits if edit in some)


def draw_removal(
    units: Sequence[Edits],
    uniforms: Sequence[Sequence[float]],
    shares: Sequence[float],
    refused: set[Edits],
    edits: Edits,
) -> Procedure[Edits]:
    """A subset of the units that comes out: unit i is in it where its number is below its share.

    `uniforms` holds one number a unit for each attempt. Where no attempt can be made, the unit most wanted out is
    taken alone, because units come out one by one; a subset in `refused` (it crashed before) is never drawn.
    """
    for numbers in uniforms:
        subset = joined(units, [number < share for number, share in zip(numbers, shares, strict=True)], edits)
        if subset not in refused and (yield from applies(subset)):
            return subset
        refused.add(subset)
    alone = sorted(range(len(units)), key=lambda position: (-shares[position], position))
    return next((units[position] for position in alone if units[position] not in refused), ())


def removable(
    units: Sequence[Edits], trained: Sequence[Trained], edits: Edits, trials: int
) -> Procedure[tuple[Edits, tuple[Trained, ...]]]:
    """The edits of as many units as come out together and train, the first unit the most wanted out; and all trials.

    What comes out one by one may crash together, so a subset that was never trained is trained once, while fewer than
    `trials` were asked for; `before_ending` says how many to leave for that.
    """
    known = {answer.ask.edits: answer.value is not None for answer in trained}
    done = tuple(trained)
    for number in range(len(units), 0, -1):
        subset = joined(units[:number], [True] * number, edits)
        if not known.get(subset, True) or not (yield from applies(subset)):
            continue
        if subset not in known and len(done) < trials:
            slot = max((answer.ask.slot for answer in done), default=-1) + 1
            answers = yield (TrainWithout(edits=subset, slot=slot),)
            done += tuple(answer for answer in answers if isinstance(answer, Trained))
            if done[-1].value is None:
                continue
        return subset, done
    return (), done


def before_ending(trials: int) -> int:
    """How many of the trials to spend before the ending, which tries what is to be taken out."""
    return trials - min(_FOR_THE_ENDING, trials // 8)
