"""Rules about seeds: chance in training comes from RSI_SEED, one draw of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.dotted import Called
from evals.reading.module import COMPREHENSIONS, FUNCTIONS, Binding
from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_GLOBAL = {
    "torch.manual_seed",
    "torch.random.manual_seed",
    "numpy.random.seed",
    "random.seed",
    "torch.cuda.manual_seed",
}
_LOCAL = {
    *("numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.PCG64", "numpy.random.Philox"),
    *(
        "numpy.random.MT19937",
        "numpy.random.SFC64",
        "numpy.random.SeedSequence",
        "random.Random",
        "numpy.random.PCG64DXSM",
    ),
}
_UNSEEDED = {
    "torch.seed",
    "torch.initial_seed",
    "random.SystemRandom",
    "os.urandom",
    "secrets",
    "uuid.uuid4",
    "os.getrandom",
}


def rules(reader: Reader) -> Iterator[Seen]:
    """All of them."""
    for call in reader.calls:
        if not is_seeder(call):
            continue
        given = call.argument(0, "seed")
        if given is None:
            if not call.name.endswith("manual_seed"):
                message = f"draws chance that no seed decides ({call.name})"
                yield reader.seen("seed", WARNING, f"{call.name} unseeded", call.node, message)
            continue
        if follows_seed(reader, given):
            continue
        if reader.follows(given, lambda node: _is_clockwork(reader, node)):
            message = "seeds from the time or the machine instead of RSI_SEED"
            yield reader.seen("seed", WARNING, "seed from elsewhere", call.node, message)
        elif _from_loop(reader, given):
            message = "goes through seeds of its own choice"
            yield reader.seen("seed", WARNING, "seeds in a loop", call.node, message)
        elif reader.fold.fold(given) or reader.follows(given, lambda node: reader.is_setting(node, "RSI_SEED")):
            everywhere = call.name in _GLOBAL and not _only_predicts(reader, call.node)
            message = "fixes a seed of its own choice" + (" for everything that follows" if everywhere else "")
            yield reader.seen("seed", WARNING if everywhere else NOTICE, "fixed seed", call.node, message)
    for name, node in [*reader.mentions, *reader.imports]:
        plain = name.replace("()", "")
        if any(plain == each or plain.startswith(f"{each}.") for each in _UNSEEDED) and not name.endswith("()"):
            message = f"draws chance that no seed decides ({plain})"
            yield reader.seen("seed", WARNING, plain, node, message)


def is_seeder(call: Called) -> bool:
    """Whether a call sets or makes a generator."""
    return call.name.endswith("().manual_seed") or call.name in _GLOBAL | _LOCAL


def follows_seed(reader: Reader, node: ast.AST | None, depth: int = 0) -> bool:  # noqa: PLR0911 - one return a case
    """Whether a value depends on RSI_SEED whichever way the program goes; being compared with it is no dependence."""
    if node is None or depth > 12:
        return False
    if reader.is_setting(node, "RSI_SEED"):
        return True
    match node:
        case ast.IfExp():
            return follows_seed(reader, node.body, depth + 1) and follows_seed(reader, node.orelse, depth + 1)
        case ast.BoolOp():
            return all(follows_seed(reader, part, depth + 1) for part in node.values)
        case ast.Compare():
            return False
        case ast.Name():
            bound = reader.module.lookup(node.id, reader.module.scope_of.get(node, reader.module.scope))
            values = [v for b in bound for v in _values(reader, b)]
            return bool(values) and all(follows_seed(reader, value, depth + 1) for value in values)
        case ast.Attribute():
            values = reader.module.stored.get(node.attr, [])
            return any(follows_seed(reader, value, depth + 1) for value in values[:4])
        case ast.Call():
            definitions = [reader.names.own.get(name) for name in reader.names.of(node.func)]
            returned = [r for d in definitions if isinstance(d, FUNCTIONS) for r in reader.names.returned(d)]
            if any(follows_seed(reader, part, depth + 1) for part in returned):
                return True
    return any(
        follows_seed(reader, part, depth + 1) for part in ast.iter_child_nodes(node) if isinstance(part, ast.AST)
    )


def _values(reader: Reader, binding: Binding) -> list[ast.AST]:
    if binding.kind == "parameter":
        return list(reader.names.given(binding))
    return [binding.node] if binding.kind in ("value", "item", "part") else []


def seeded_draws(reader: Reader) -> int:
    """How many generators are seeded by RSI_SEED."""
    return sum(
        1
        for call in reader.calls
        if is_seeder(call) and (given := call.argument(0, "seed")) is not None and follows_seed(reader, given)
    )


def _is_clockwork(reader: Reader, node: ast.AST) -> bool:
    names = reader.names.of(node) if isinstance(node, (ast.Attribute, ast.Name, ast.Call)) else frozenset()
    return any(
        name.startswith(("time.", "datetime.", "os.urandom", "os.getpid", "secrets.", "uuid.")) for name in names
    )


def _from_loop(reader: Reader, given: ast.AST) -> bool:
    for part in reader.sources(given):
        if isinstance(part, ast.Name):
            bound = reader.module.lookup(part.id, reader.module.scope_of.get(part, reader.module.scope))
            if any(binding.kind == "item" for binding in bound):
                return True
    return any(isinstance(outer, COMPREHENSIONS) for outer in reader.module.above(given))


def _only_predicts(reader: Reader, node: ast.AST) -> bool:
    around = reader.module.functions_around(node)
    return any(function in reader.predicting and function not in reader.training for function in around)
