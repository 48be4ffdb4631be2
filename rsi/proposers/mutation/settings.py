"""All constants of a file at once: which can be set, to what `mutate` would move each, and setting several together."""

from __future__ import annotations

import json
from typing import Any

import libcst as cst

from rsi.proposers.mutation.constants import divides, divisors, moves, numbers, with_texts, written

Value = str | int | float | bool


def knobs(module: cst.Module) -> list[dict[str, Any]]:
    """`{name, kind, value, values}` of every constant that moves set; `values` are the moves', in order."""
    found: dict[str, dict[str, Any]] = {}
    for move in moves(module):
        if move.kind == "shape":  # two constants at once, each a knob of its own
            continue
        name = str(move.detail["name"])
        knob: dict[str, Any] = {"name": name, "kind": move.kind, "value": move.detail["from"], "values": []}
        found.setdefault(name, knob)["values"].append(move.detail["to"])
    return list(found.values())


def configured(module: cst.Module, values: dict[str, Value]) -> cst.Module | None:
    """The module with those constants set, as few of them written anew as need be.

    Names that are no such constants are left alone. None where numbers that divide each other now would not any more.
    """
    known = numbers(module)
    present = {**{knob["name"]: knob["value"] for knob in knobs(module)}, **{n: k.value for n, k in known.items()}}
    changes = {name: value for name, value in values.items() if name in present and value != present[name]}
    after = {**{name: number.value for name, number in known.items()}, **changes}
    for whole, parts in divisors(module, known).items():
        if not all(divides(after[part], after[whole]) for part in parts):  # type: ignore[arg-type]
            return None
    texts = {}
    for name, value in changes.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and name in known
        texts[name] = written(known[name], value) if number else _literal(value)  # type: ignore[arg-type]
    return with_texts(module, texts)


def _literal(value: Value) -> str:
    return json.dumps(value) if isinstance(value, str) else str(value)
