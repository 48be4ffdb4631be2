"""Constants named in capitals at the top of a file: numbers on a log scale, booleans, keys of a table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import libcst as cst

from rsi.proposers.mutation.syntax import Detail, Move, assignments, every, replaced, source

_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")

# The first row whose words share one with the constant's name says what sort of number it is.
_SORTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("fixed", frozenset({"SEED", "LOG", "PRINT", "EVERY", "VERBOSE", "VERSION", "THREADS", "WORKERS", "BUDGET"})),
    ("warmup", frozenset({"WARMUP", "WARM"})),
    ("decay", frozenset({"FLOOR", "COOLDOWN"})),
    ("weight_decay", frozenset({"WD", "L2"})),
    ("learning_rate", frozenset({"LR", "RATE"})),
    ("batch_size", frozenset({"BATCH"})),
    ("regularisation", frozenset({"SMOOTHING", "NOISE", "JITTER"})),
    ("dropout", frozenset({"DROPOUT", "DROP"})),
    ("betas", frozenset({"BETA", "BETA1", "BETA2", "BETAS", "MOMENTUM"})),
    ("eps", frozenset({"EPS", "EPSILON"})),
    ("clip", frozenset({"CLIP", "CLIPPING"})),
    ("heads", frozenset({"HEAD", "HEADS"})),
    ("mlp_ratio", frozenset({"RATIO", "MULTIPLIER", "EXPANSION"})),
    ("depth", frozenset({"LAYERS", "LAYER", "DEPTH", "BLOCKS"})),
    ("width", frozenset({"WIDTH", "HIDDEN", "DIM", "EMBD", "UNITS", "MODEL", "CHANNELS"})),
    ("initialisation", frozenset({"INIT", "STD", "SCALE"})),
    # What the data or the verifier fixes: moving it breaks the answer's shape, or what is measured.
    (
        "fixed",
        frozenset(
            {"VOCAB", "VOCABULARY", "CLASSES", "FEATURES", "INPUTS", "OUTPUTS", "PIXELS", "CONTEXT", "WINDOW",
             "SEQUENCE", "SEQ", "BLOCK", "TARGETS", "IMAGE", "SIDE", "LABELS", "DIGITS", "BYTES", "TOKENS", "MAX"}
        ),
    ),
)  # fmt: skip

_FACTORS: dict[str, tuple[float, ...]] = {
    "learning_rate": (1.5, 2, 3, 5),
    "weight_decay": (3, 10),
    "batch_size": (2, 4),
    "width": (4 / 3, 1.5, 2),
    "initialisation": (1.5, 2.5),
    "eps": (10, 100),
    "clip": (3, 10, 100),
}
_CHOICES: dict[str, tuple[float, ...]] = {
    "dropout": (0.0, 0.05, 0.1, 0.2, 0.3),
    "regularisation": (0.0, 0.05, 0.1, 0.2),
    "warmup": (0.0, 0.02, 0.05, 0.1, 0.2, 0.3),
    "decay": (0.0, 0.01, 0.05, 0.1, 0.2, 0.3),
    "mlp_ratio": (1, 2, 3, 4, 6, 8),
    "heads": (1, 2, 4, 8, 16),
}


@dataclass(frozen=True)
class Number:
    """A module-level number and how it is written."""

    name: str
    value: float | int
    node: cst.BaseExpression
    sort: str


def sort_of(name: str) -> str:
    """What a constant is about, by the words of its name; `constant` where they do not say."""
    words = set(name.strip("_").split("_"))
    if {"WEIGHT", "DECAY"} <= words:
        return "weight_decay"
    return next((sort for sort, known in _SORTS if words & known), "constant")


def numbers(module: cst.Module) -> dict[str, Number]:
    """Name → number, for every upper-case number that is also used somewhere."""
    used = [node.value for node in every(module) if isinstance(node, cst.Name)]
    found: dict[str, Number] = {}
    for name, value in assignments(module).items():
        literal = value.expression if isinstance(value, cst.UnaryOperation) else value
        if _NAME.fullmatch(name) and isinstance(literal, cst.Integer | cst.Float) and used.count(name) > 1:
            number = literal.evaluated_value
            if isinstance(value, cst.UnaryOperation):
                if not isinstance(value.operator, cst.Minus):
                    continue
                number = -number
            if math.isfinite(number) and abs(number) < 1e12:
                found[name] = Number(name, number, value, sort_of(name))
    return found


def divisors(module: cst.Module, known: dict[str, Number]) -> dict[str, set[str]]:
    """Name → names that must divide it: `WIDTH // HEADS` and `width % HEADS` say so, where it holds now."""
    upper = {name.upper(): name for name in known}
    pairs: dict[str, set[str]] = {}
    for node in every(module):
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.FloorDivide | cst.Modulo):
            left, right = (upper.get(source(side).upper()) for side in (node.left, node.right))
            if left and right and left != right and divides(known[right].value, known[left].value):
                pairs.setdefault(left, set()).add(right)
    for width in (n for n in known.values() if n.sort == "width"):
        for heads in (n for n in known.values() if n.sort == "heads"):
            if divides(heads.value, width.value):
                pairs.setdefault(width.name, set()).add(heads.name)
    return pairs


def divides(small: float, large: float) -> bool:
    """Whether both are whole numbers and the first divides the second."""
    return isinstance(small, int) and isinstance(large, int) and small > 0 and large % small == 0


def respects(name: str, value: float, known: dict[str, Number], pairs: dict[str, set[str]]) -> bool:
    """Whether every divisibility that holds now still holds with `name = value`."""
    for whole, parts in pairs.items():
        for part in parts:
            large = value if whole == name else known[whole].value
            small = value if part == name else known[part].value
            if not divides(small, large):
                return False
    return True


def targets(number: Number, known: dict[str, Number], pairs: dict[str, set[str]]) -> list[float | int]:
    """The values that a number may move to, nearest first, ints staying ints."""
    value, sort = number.value, number.sort
    if sort == "fixed":
        return []
    raw: list[float]
    if sort == "betas" and 0 < value < 1:
        # 1 - beta is one over the number of steps remembered: that is what lies on a log scale.
        raw = [1 - (1 - value) * factor for factor in (0.5, 2, 5, 10, 20, 50) if (1 - value) * factor <= 0.3]
    elif sort in _CHOICES:
        raw = list(_CHOICES[sort])
    elif sort == "depth":
        raw = [value - 1, value + 1, value - 2, value + 2, value / 2, value * 2]
    elif value == 0:
        raw = [0.001, 0.01, 0.1] if isinstance(value, float) else [1.0]
    else:
        factors = _FACTORS.get(sort, (1.5, 2, 4))
        raw = [value * f for f in factors] + [value / f for f in factors]
        raw += [0.0] * (sort == "weight_decay")
    rounded = [_rounded(number, candidate, known, pairs) for candidate in raw]
    kept = {v for v in rounded if v != value and (v > 0 or value <= 0 or (v == 0.0 and isinstance(value, float)))}
    return sorted(
        (v for v in kept if respects(number.name, v, known, pairs)), key=lambda v: (abs(_logarithm(v, value)), v)
    )


def _rounded(number: Number, value: float, known: dict[str, Number], pairs: dict[str, set[str]]) -> float | int:
    if isinstance(number.value, float):
        return float(f"{value:.2g}") if number.sort != "betas" or not 0 < value < 1 else round(value, 5)
    whole = max(1, round(value)) if number.value > 0 else round(value)
    step = math.lcm(*(int(known[part].value) for part in pairs.get(number.name, ())))
    if number.sort == "width" and number.value >= 32:
        step = math.lcm(step, 8)
    return max(step, round(whole / step) * step) if step > 1 else whole


def _logarithm(value: float, base: float) -> float:
    if value > 0 and base > 0:
        return math.log(value / base)
    return math.copysign(10.0, value - base)


def written(number: Number, value: float) -> str:
    """The new value in the manner of the old literal: `1e-3` → `3e-3`, `0.01` → `0.03`."""
    if isinstance(number.value, int):
        return str(int(value))
    if "e" in source(number.node).lower() and value != 0:
        mantissa, exponent = f"{value:.5e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    text = f"{value:.6g}"
    return text if "." in text or "e" in text else f"{text}.0"


# --- moves ------------------------------------------------------------------------------------------------------


def moves(module: cst.Module) -> Iterator[Move]:
    """Every constant, moved to every value that it may take; depth exchanged for width."""
    known = numbers(module)
    pairs = divisors(module, known)
    for number in known.values():
        for value in targets(number, known, pairs):
            new = written(number, value)
            detail: Detail = {
                "name": number.name,
                "from": number.value,
                "to": value,
                "direction": "up" if value > number.value else "down",
            }
            yield Move(number.sort, detail, partial(with_texts, values={number.name: new}))
    yield from _shapes(known, pairs)
    yield from _switches(module)
    yield from _keys(module)


def with_texts(module: cst.Module, values: dict[str, str]) -> cst.Module:
    """The module with those constants written so."""
    present = assignments(module)
    return replaced(module, [(present[name], cst.parse_expression(text)) for name, text in values.items()])


def _shapes(known: dict[str, Number], pairs: dict[str, set[str]]) -> Iterator[Move]:
    """Fewer, wider layers or more, narrower ones: depth times the square of the width stays about the same."""
    depths = [n for n in known.values() if n.sort == "depth" and isinstance(n.value, int) and n.value > 0]
    widths = [n for n in known.values() if n.sort == "width" and isinstance(n.value, int) and n.value >= 8]
    if len(depths) != 1 or len(widths) != 1:
        return
    depth, width = depths[0], widths[0]
    for layers in sorted(
        {max(1, int(depth.value) // 2), int(depth.value) - 1, int(depth.value) + 1, 2 * int(depth.value)}
    ):
        wide = _rounded(width, width.value * math.sqrt(depth.value / max(1, layers)), known, pairs)
        if layers < 1 or layers == depth.value or wide == width.value or not respects(width.name, wide, known, pairs):
            continue
        detail: Detail = {
            "name": f"{depth.name} x {width.name}",
            "from": f"{depth.value} x {width.value}",
            "to": f"{layers} x {wide}",
            "direction": "up" if layers > depth.value else "down",
        }
        values = {depth.name: str(layers), width.name: str(wide)}
        yield Move("shape", detail, partial(with_texts, values=values))


def _switches(module: cst.Module) -> Iterator[Move]:
    used = [node.value for node in every(module) if isinstance(node, cst.Name)]
    for name, value in assignments(module).items():
        if _NAME.fullmatch(name) and source(value) in ("True", "False") and used.count(name) > 1:
            new = "False" if source(value) == "True" else "True"
            detail: Detail = {"name": name, "from": source(value) == "True", "to": new == "True"}
            yield Move("switch", detail, partial(with_texts, values={name: new}))


def _keys(module: cst.Module) -> Iterator[Move]:
    """A string constant that picks from a table of the module, `TABLE[NAME]`, picks something else."""
    present = assignments(module)
    offered: dict[str, dict[str, str]] = {}
    for node in every(module):
        if isinstance(node, cst.Subscript) and len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
            table, name = present.get(source(node.value)), source(node.slice[0].slice.value)
            if isinstance(table, cst.Dict) and _NAME.fullmatch(name):
                offered.setdefault(name, {}).update(_string_keys(table))
    for name, keys in offered.items():
        chosen = present.get(name)
        if isinstance(chosen, cst.SimpleString):
            for new, text in keys.items():
                if new != chosen.evaluated_value:
                    detail: Detail = {"name": name, "from": str(chosen.evaluated_value), "to": new}
                    yield Move(_key_kind(name), detail, partial(with_texts, values={name: text}))


def _string_keys(table: cst.Dict) -> dict[str, str]:
    """Key → its literal."""
    keys = [element.key for element in table.elements if isinstance(element, cst.DictElement)]
    return {str(key.evaluated_value): source(key) for key in keys if isinstance(key, cst.SimpleString)}


def _key_kind(name: str) -> str:
    beginnings = {"ACTIV": "activation", "OPTIM": "optimizer", "SCHED": "decay", "INIT": "initialisation"}
    words = name.strip("_").split("_")
    return next((kind for start, kind in beginnings.items() if any(word.startswith(start) for word in words)), "choice")
