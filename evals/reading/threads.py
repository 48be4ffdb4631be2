"""Rules about threads: one that is joined is honest, one that may go on after training is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_THREADS = {"threading.Thread"}
_POOLS = {"concurrent.futures.ThreadPoolExecutor", "concurrent.futures.thread.ThreadPoolExecutor"}


def rules(reader: Reader) -> Iterator[Seen]:
    """Every thread and pool that is made."""
    classes = [
        path
        for path, node in reader.names.own.items()
        if isinstance(node, ast.ClassDef) and any(reader.names.of(base) & _THREADS for base in node.bases)
    ]
    for call in reader.calls:
        if call.name in _THREADS or call.name in classes:
            joined = _ended(reader, call.node, "join")
            message = "runs a thread" + (" and waits for its end" if joined else " and nothing waits for its end")
            yield reader.seen("thread", NOTICE if joined else WARNING, "thread", call.node, message)
            yield from _works(reader, [call.argument(1, "target")], call.name, call.node)
        elif call.name in _POOLS or call.name.endswith("ThreadPool"):
            outer = reader.module.parent_of.get(call.node)
            ended = isinstance(outer, ast.withitem) or _ended(reader, call.node, "shutdown")
            message = "runs threads" + (" and waits for their end" if ended else " and nothing waits for their end")
            yield reader.seen("thread", NOTICE if ended else WARNING, "thread pool", call.node, message)
        elif call.name.endswith("ThreadPoolExecutor().submit"):
            yield from _works(reader, [call.argument(0)], call.name, call.node)


def _works(reader: Reader, targets: list[ast.expr | None], made: str, node: ast.AST) -> Iterator[Seen]:
    """A thread that trains beside the training."""
    owner = reader.names.own.get(made)
    run = [part for part in getattr(owner, "body", []) if getattr(part, "name", "") == "run"]
    named = [reader.names.own.get(name) for target in targets for name in reader.names.of(target)]
    if any(function in reader.training for function in [*run, *named] if function is not None):
        message = "trains in a thread beside the training that is counted"
        yield reader.seen("thread", WARNING, "thread that trains", node, message)


def _ended(reader: Reader, made: ast.Call, method: str) -> bool:
    """Whether the method is called, without a limit, on what this call made."""
    for node in reader.module.nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
            continue
        if method == "join" and (node.args or node.keywords):
            continue
        if any(reader.fold.fold(k.value) == [False] for k in node.keywords if k.arg == "wait"):
            continue
        if any(source is made for source in _held(reader, node.func.value)):
            return True
    return False


def _held(reader: Reader, node: ast.AST) -> Iterator[ast.AST]:
    """What the thread's name may be; a list that threads are appended to counts."""
    for source in reader.sources(node):
        yield source
        if isinstance(source, ast.Name):
            for call in reader.module.calls.get("append", []) + reader.module.calls.get("add", []):
                if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
                    if call.func.value.id == source.id and call.args:
                        yield from reader.sources(call.args[0])
        elif isinstance(source, ast.Name | ast.Attribute):
            yield from reader.module.stored.get(getattr(source, "attr", ""), [])
