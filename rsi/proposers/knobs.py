"""The constants of a task's code as one configuration: their ranges, what each experiment had, and setting them all."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ValidationError

from rsi.proposers.mutation.proposing import asked
from rsi.protocols import Exhausted
from rsi.records import Brief, CodeFiles, HistoryEntry, Record

Value = str | int | float | bool
Configuration = dict[str, Value]

SPACE = "space"
"""The detail that holds the space as JSON, of a run's first proposal alone; every other is a constant's value."""
REACH = 100.0
"""The factor beyond which no number is moved, up or down."""
_LINEAR = frozenset({"betas", "dropout", "regularisation", "warmup", "decay"})


class Knob(Record):
    """One constant and the range that is searched: a number's, or a list of choices."""

    path: str
    kind: Literal["float", "int", "choice"]
    start: Value
    """As the task has it."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: int = 1
    choices: tuple[Value, ...] = ()


class Space(Record):
    """The knobs of a run by name, the same from its first proposal to its last."""

    knobs: dict[str, Knob]


def space_of(brief: Brief) -> Space:
    """The space that the run's first proposal wrote down, or that of the code before there is one.

    Numbers reach two of `mutate`'s longest steps from where the task has them, at most a factor of 100, on a log scale;
    over the values of the moves where those are shares or lie near one. Exhausted where no constant can be set.
    """
    told = _told(brief)
    if told is not None:
        return told
    found = asked("knobs", brief.code)
    if not found:
        raise Exhausted("No constant of this code can be set: name its hyperparameters in capitals at the top.")
    several = len({knob["path"] for knob in found}) > 1
    names = [f"{knob['path']}:{knob['name']}" if several else knob["name"] for knob in found]
    return Space(knobs={name: _knob(knob) for name, knob in zip(names, found, strict=True)})


def detail(brief: Brief, space: Space, wanted: Configuration) -> dict[str, str | int | float | bool | None]:
    """A configuration as the detail of a proposal, with the space where no earlier proposal tells it."""
    return {**wanted, **({} if _told(brief) else {SPACE: space.model_dump_json(exclude_defaults=True)})}


def _told(brief: Brief) -> Space | None:
    for entry in sorted((*brief.history, *brief.pending), key=lambda entry: entry.experiment):
        if isinstance(text := entry.detail.get(SPACE), str):
            try:
                return Space.model_validate_json(text)
            except ValidationError:
                continue
    return None


def _knob(found: dict[str, Any]) -> Knob:
    path, kind, start = found["path"], found["kind"], found["value"]
    values = [*found["values"], start]
    if any(isinstance(value, str | bool) for value in values) or kind == "heads":
        return Knob(path=path, kind="choice", start=start, choices=tuple(dict.fromkeys(values)))
    number: Literal["float", "int"] = "float" if isinstance(start, float) else "int"
    positive = [value for value in values if value > 0]
    if kind in _LINEAR:
        return Knob(path=path, kind=number, start=start, low=min(values), high=max(values))
    if start <= 0:
        return Knob(path=path, kind="choice", start=start, choices=tuple(sorted(set(values))))
    low, high = max(min(positive) ** 2, start**2 / REACH) / start, min(max(positive) ** 2, start**2 * REACH) / start
    if number == "float":
        return Knob(path=path, kind="float", start=start, low=float(f"{low:.2g}"), high=float(f"{high:.2g}"), log=True)
    step = 8 if kind == "width" and all(value % 8 == 0 for value in values) else 1
    low, high = max(step, low // step * step), high // step * step
    return Knob(path=path, kind="int", start=start, low=low, high=high, log=step == 1, step=step)


def rounded(knob: Knob, value: Any) -> Value:
    """As a person would write it; within the range."""
    if knob.kind != "float":
        return value  # type: ignore[no-any-return]
    return min(max(float(f"{value:.3g}" if knob.log else f"{value:.4f}"), knob.low), knob.high)


def configurations(entries: list[HistoryEntry], space: Space) -> dict[int, Configuration]:
    """Experiment → configuration; of one that repeats an edit on a later incumbent that one's, with the edit's changes.

    Those that cannot be told are left out.
    """
    known: dict[int, Configuration] = {0: {name: knob.start for name, knob in space.knobs.items()}}
    parents = {entry.experiment: entry.parent for entry in entries}
    for entry in entries:
        own = {name: entry.detail[name] for name in space.knobs if name in entry.detail}
        told = {name: value for name, value in own.items() if value is not None}
        if len(told) != len(space.knobs):
            continue
        if entry.repairs is not None:
            before, base = known.get(parents.get(entry.repairs, -1)), known.get(entry.parent)
            if before is None or base is None:
                continue
            told = {**base, **{name: value for name, value in told.items() if value != before.get(name)}}
        known[entry.experiment] = told
    return known


def fits(configuration: Configuration, space: Space) -> bool:
    """Whether every value lies in its range."""
    return all(_within(space.knobs[name], value) for name, value in configuration.items())


def _within(knob: Knob, value: Value) -> bool:
    if knob.kind == "choice":
        return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in knob.choices)
    return isinstance(value, int | float) and not isinstance(value, bool) and knob.low <= value <= knob.high


def made(code: CodeFiles, space: Space, wanted: Configuration) -> dict[str, Any] | None:
    """`{code, digest}` with the constants set; None where they break what must divide each other."""
    values: dict[str, Configuration] = {}
    for name, value in wanted.items():
        path = space.knobs[name].path
        if path in code:
            values.setdefault(path, {})[name.removeprefix(f"{path}:")] = value
    answer: dict[str, Any] | None = asked("configured", {"code": code, "values": values})
    return answer


def present(brief: Brief, space: Space) -> Configuration:
    """What the incumbent's constants are."""
    found = {(knob["path"], knob["name"]): knob["value"] for knob in asked("knobs", brief.code)}
    named = ((name, (knob.path, name.removeprefix(f"{knob.path}:"))) for name, knob in space.knobs.items())
    return {name: found[key] for name, key in named if key in found}


def shown(value: Value) -> str:
    """A value as it is written."""
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, str) else str(value)
