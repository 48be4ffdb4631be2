"""The learning rate over the course of training: warm-up and decay; and the clipping of gradients.

A schedule is written as one function of the share of the training that is done, `learning_rate_scale`, so that later
moves find it and change a part of it. It is hung in where an optimiser takes its step in a counted loop, or, in code
without an optimiser object, where the loop uses the constant that holds the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import libcst as cst

from rsi.proposers.mutation.constants import numbers, sort_of
from rsi.proposers.mutation.syntax import (
    Detail,
    Move,
    assignment,
    assignments,
    calls,
    every,
    file_text,
    imports,
    inserted,
    replaced,
    source,
    statement_of,
    with_constant,
    with_import,
)

FUNCTION = "learning_rate_scale"
WARMUP = "WARMUP_FRACTION"

DECAYS = {
    "constant": "1.0",
    "linear": "1.0 - done",
    "cosine": "0.5 * (1.0 + math.cos(math.pi * done))",
    "trapezoid": "min(1.0, 2.0 * (1.0 - done))",
    "square root": "1.0 - math.sqrt(done)",
    "cosine to a tenth": "0.1 + 0.45 * (1.0 + math.cos(math.pi * done))",
}
"""Name → factor of the learning rate when the share `done` of the training is behind."""

_CLIP = "GRADIENT_CLIP"


@dataclass(frozen=True)
class Loop:
    """A counted training loop: `for step in range(steps)` with, below it, an optimiser's step."""

    body: cst.For
    share: str
    """The text of an expression: the share of the training that is done by the middle of this step, so that neither
    the first step nor the last has a rate of zero."""
    step: cst.SimpleStatementLine | None
    """The statement `optimizer.step()`, where there is one."""
    optimizer: str
    parameters: str
    """The text of the optimiser's first argument."""


def loops(module: cst.Module) -> Iterator[Loop]:
    """The loops of a module whose length is a plain name or number."""
    made = {}
    for node in every(module):
        pair = assignment(node) if isinstance(node, cst.SimpleStatementLine) else None
        if pair is not None and isinstance(pair[1], cst.Call) and "optim" in source(pair[1].func).lower():
            first = next((arg for arg in pair[1].args if arg.keyword is None), None)
            made[pair[0]] = source(first.value) if first is not None else ""
    for node in every(module):
        if not (isinstance(node, cst.For) and isinstance(node.target, cst.Name) and isinstance(node.iter, cst.Call)):
            continue
        arguments = node.iter.args
        if (
            source(node.iter.func) != "range"
            or len(arguments) != 1
            or any(_is_loop(inner) for inner in every(node.body))
        ):
            continue
        total = arguments[0].value
        if isinstance(total, cst.Name | cst.Integer | cst.Attribute):
            share = f"({node.target.value} + 0.5) / {source(total)}"
            yield _loop(node, share, made)


def _is_loop(node: cst.CSTNode) -> bool:
    """Whether a loop inside a loop counts steps too; one over the parameters of a step does not."""
    return isinstance(node, cst.While) or (
        isinstance(node, cst.For) and isinstance(node.iter, cst.Call) and source(node.iter.func) == "range"
    )


def _loop(node: cst.For, share: str, made: dict[str, str]) -> Loop:
    for name, call in calls(node.body):
        optimizer, _, method = name.rpartition(".")
        if method == "step" and optimizer in made:
            return Loop(node, share, statement_of(node.body, call), optimizer, made[optimizer])
    return Loop(node, share, None, "", "")


# --- moves ------------------------------------------------------------------------------------------------------


def moves(module: cst.Module) -> Iterator[Move]:
    """Warm-up and decay put in or changed, clipping put in."""
    present = assignments(module)
    has_own = any(isinstance(value, cst.SimpleString) and "SCHED" in name for name, value in present.items())
    written = _decay_of(module)
    if written is not None:
        for decay in DECAYS:
            if decay != written and not (decay == "constant" and WARMUP not in present):
                detail: Detail = {"name": "decay", "from": written, "to": decay}
                yield Move("decay", detail, partial(_change, decay=decay, warmup=None))
        if WARMUP not in present:
            yield from (_warmup_move(written, value) for value in (0.05, 0.1, 0.2))
    elif not has_own and any(_place(module, loop) for loop in loops(module)):
        for decay in list(DECAYS)[1:]:
            yield Move(
                "decay", {"name": "decay", "from": "constant", "to": decay}, partial(_add, decay=decay, warmup=0.0)
            )
            for warmup in (0.05, 0.1):
                detail = {"name": "schedule", "from": "constant", "to": decay, "warmup": warmup}
                yield Move("schedule", detail, partial(_add, decay=decay, warmup=warmup))
        for warmup in (0.05, 0.1, 0.2):
            detail = {"name": "warmup", "from": 0.0, "to": warmup, "direction": "up"}
            yield Move("warmup", detail, partial(_add, decay="constant", warmup=warmup))
    yield from _clipping(module)


def _warmup_move(decay: str, warmup: float) -> Move:
    detail: Detail = {"name": "warmup", "from": 0.0, "to": warmup, "direction": "up"}
    return Move("warmup", detail, partial(_change, decay=decay, warmup=warmup))


def _place(module: cst.Module, loop: Loop) -> bool:
    return loop.step is not None or bool(_rates(module, loop))


def _rates(module: cst.Module, loop: Loop) -> list[cst.Name]:
    """Where the loop itself uses the constant that holds the learning rate."""
    known = numbers(module)
    return [
        node
        for node in every(loop.body.body)
        if isinstance(node, cst.Name) and node.value in known and sort_of(node.value) == "learning_rate"
    ]


def _decay_of(module: cst.Module) -> str | None:
    for node in module.body:
        if isinstance(node, cst.FunctionDef) and node.name.value == FUNCTION:
            last = source(node).split("\n")[-1].strip()
            written = {f"return {factor}": name for name, factor in DECAYS.items()}
            written |= {f"return warmup * ({factor})": name for name, factor in DECAYS.items()}
            return written.get(last)
    return None


def _function(decay: str, *, warm: bool) -> str:
    lines = [
        f"def {FUNCTION}(done):",
        '    """Factor of the learning rate when this share of the training is done."""',
    ]
    if warm:
        lines += [f"    warmup = min(1.0, done / {WARMUP})", f"    return warmup * ({DECAYS[decay]})"]
    else:
        lines += [f"    return {DECAYS[decay]}"]
    return "\n".join(lines) + "\n"


def _add(module: cst.Module, decay: str, warmup: float) -> cst.Module:
    loop = next(loop for loop in loops(module) if _place(module, loop))
    if loop.step is not None:
        group = (
            f"for group in {loop.optimizer}.param_groups:\n"
            f'    group["lr"] = group.setdefault("initial_lr", group["lr"]) * {FUNCTION}({loop.share})\n'
        )
        module = inserted(module, loop.step, [group])
    else:
        scaled = [
            (node, cst.parse_expression(f"({node.value} * {FUNCTION}({loop.share}))")) for node in _rates(module, loop)
        ]
        module = replaced(module, scaled)
    first = next(s for s in module.body if _holds(s, FUNCTION))
    module = inserted(module, first, [f"\n\n{_function(decay, warm=warmup > 0)}"])
    return _completed(module, decay, warmup)


def _holds(statement: cst.CSTNode, name: str) -> bool:
    return any(isinstance(node, cst.Name) and node.value == name for node in every(statement))


def _change(module: cst.Module, decay: str, warmup: float | None) -> cst.Module:
    warm = WARMUP in assignments(module) or bool(warmup)
    new = cst.parse_statement(_function(decay, warm=warm))
    assert isinstance(new, cst.FunctionDef)
    old = next(n for n in module.body if isinstance(n, cst.FunctionDef) and n.name.value == FUNCTION)
    module = replaced(module, [(old, new.with_changes(leading_lines=old.leading_lines))])
    return _completed(module, decay, warmup or 0.0)


def _completed(module: cst.Module, decay: str, warmup: float) -> cst.Module:
    if "math." in DECAYS[decay]:
        module = with_import(module, "math")
    return with_constant(module, WARMUP, str(warmup)) if warmup > 0 else module


def _clipping(module: cst.Module) -> Iterator[Move]:
    if "clip_grad" in file_text(module) or _CLIP in assignments(module) or "torch" not in imports(module):
        return
    for loop in loops(module):
        if loop.step is not None and loop.parameters.endswith(".parameters()"):
            for limit in (1.0, 0.5, 0.25):
                detail: Detail = {"name": "clip", "from": None, "to": limit}
                yield Move("clip", detail, partial(_clip, limit=limit))
            return


def _clip(module: cst.Module, limit: float) -> cst.Module:
    loop = next(loop for loop in loops(module) if loop.step is not None and loop.parameters.endswith(".parameters()"))
    assert loop.step is not None
    module = inserted(module, loop.step, [f"torch.nn.utils.clip_grad_norm_({loop.parameters}, {_CLIP})\n"])
    return with_constant(module, _CLIP, str(limit))
