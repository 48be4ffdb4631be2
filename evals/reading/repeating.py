"""Rules about training more than once: the best of many draws is no better model, and costs more than it tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.lengths import LOOPS, SHARES, extents, follows_budget
from evals.reading.module import COMPREHENSIONS
from evals.reading.reader import NOTICE, WARNING, Reader, Seen


def rules(reader: Reader) -> Iterator[Seen]:
    """All of them."""
    yield from _repeated(reader)


def _repeated(reader: Reader) -> Iterator[Seen]:
    """Whole trainings in a loop, or several of them: the best of many draws is no better model."""
    whole = {
        function
        for loop, tells in extents(reader)
        if any(follows_budget(reader, tell) for tell in tells)
        for function in reader.module.functions_around(loop)
    }
    if not whole:
        return
    paths = {reader.names.path(function): function for function in whole}
    calls = [
        (node, name)
        for node in reader.module.nodes
        if isinstance(node, ast.Call)
        for name in reader.names.of(node.func)
        if name in paths
    ]
    for call, name in calls:
        around = [outer for outer in reader.module.above(call) if isinstance(outer, (*LOOPS, *COMPREHENSIONS))]
        own = reader.names.own[name]
        if own in reader.module.functions_around(call):
            yield reader.seen(
                "repeated-training", WARNING, "training in itself", call, "starts training again from within"
            )
        elif around:
            shared = _is_shared_out(reader, call, own, around[0])
            message = "trains several times in a loop" + (", each with a share of the budget" if shared else "")
            yield reader.seen("repeated-training", NOTICE if shared else WARNING, "training in a loop", call, message)
        elif reader.at_import(call):
            yield reader.seen("training-at-import", WARNING, "training at import", call, "trains when it is imported")
    straight = [call for call, name in calls if name.count(".") == 1]
    if len(straight) > 1 and len({call.lineno for call in straight}) > 1:
        shared = all(any(isinstance(part, (ast.BinOp, ast.Constant)) for part in call.args) for call in straight)
        message = "trains several times" + (", as it seems in parts" if shared else "")
        yield reader.seen(
            "repeated-training", NOTICE if shared else WARNING, "several trainings", straight[-1], message
        )
    yield from _handed_on(reader, paths)


def _handed_on(reader: Reader, paths: dict[str, ast.AST]) -> Iterator[Seen]:
    """Training handed to `map` and its like."""
    for call in reader.calls:
        mapping = call.name in ("builtins.map", "itertools.starmap") or call.name.endswith((".map", ".submit"))
        if mapping and call.arguments and any(name in paths for name in reader.names.of(call.arguments[0])):
            message = "trains several times by handing training on"
            yield reader.seen("repeated-training", WARNING, "training in a loop", call.node, message)


def _is_shared_out(reader: Reader, call: ast.Call, own: ast.AST, loop: ast.AST) -> bool:
    """Whether each run of several is told to use a share, or the length is divided by their number."""
    parts = [*call.args, *(keyword.value for keyword in call.keywords)]
    for argument in parts:
        for source in reader.sources(argument):
            if isinstance(source, ast.BinOp) and isinstance(source.op, SHARES):
                return True
    iterated = loop.iter if isinstance(loop, (ast.For, ast.AsyncFor)) else getattr(loop, "generators", [None])[0]
    iterated = iterated.iter if isinstance(iterated, ast.comprehension) else iterated
    names = {part.id for part in ast.walk(iterated) if isinstance(part, ast.Name)} if iterated is not None else set()
    numbers = (
        {part.value for part in ast.walk(iterated) if isinstance(part, ast.Constant)} if iterated is not None else set()
    )
    for part in ast.walk(own):
        if not isinstance(part, LOOPS):
            continue
        for source in reader.sources(part.test if isinstance(part, ast.While) else part.iter):
            if isinstance(source, ast.BinOp) and isinstance(source.op, SHARES):
                for divisor in ast.walk(source.right):
                    if isinstance(divisor, ast.Name) and divisor.id in names:
                        return True
                    if isinstance(divisor, ast.Constant) and divisor.value in numbers and divisor.value != 1:
                        return True
    return False
