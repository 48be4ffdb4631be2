"""Rules about `predict` and what it uses: it answers from its artifact and its inputs, each input by itself.

Everything it reaches counts, the methods of the model it builds included; their constructors may draw chance.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.chance import follows_seed, is_seeder
from evals.reading.fingerprints import is_content
from evals.reading.module import FUNCTIONS
from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_GROWING = {"append", "extend", "add", "insert", "appendleft", "setdefault", "update", "__setitem__", "put"}
_CHANCE = frozenset(
    [
        "torch.rand",
        "torch.randn",
        "torch.randint",
        "torch.randperm",
        "torch.bernoulli",
        "torch.multinomial",
        "torch.normal",
        "torch.rand_like",
        "torch.randn_like",
        "torch.randint_like",
        "numpy.random",
        "random",
        "secrets",
        "os.urandom",
        "uuid",
    ]
)
_CHANCE_METHODS = {"uniform_", "normal_", "random_", "bernoulli_", "exponential_"}


def rules(reader: Reader) -> Iterator[Seen]:
    """All of them."""
    for function in reader.answering:
        inside = [node for node in ast.walk(function) if node is not function]
        yield from _state(reader, function, inside)
        yield from _chance(reader, function, inside)
    yield from _training(reader)


# --- state ------------------------------------------------------------------------------------------------------


def _state(reader: Reader, function: ast.AST, inside: list[ast.AST]) -> Iterator[Seen]:
    direct = reader.is_predict(function)
    for node in inside:
        if isinstance(node, ast.Global):
            message = "keeps something in a global name between calls of predict"
            yield reader.seen("predict-state", WARNING if direct else NOTICE, "global", node, message)
        for holder, key, value in _stores(node):
            kept = _outlives(reader, holder)
            if kept is None:
                continue
            told = direct or (key is not None and is_content(reader, key)) or (key is None and value is not None)
            message = f"keeps something in {kept} between calls of predict"
            yield reader.seen("predict-state", WARNING if told else NOTICE, "kept value", node, message)
    yield from _memoised(reader, function)


def _stores(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None, ast.AST | None]]:
    """(what is stored into, key, value) of a node."""
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    for target in targets:
        if isinstance(target, ast.Subscript):
            yield target.value, target.slice, None
        elif isinstance(target, ast.Attribute):
            yield target.value, ast.Constant(target.attr), None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWING and node.args:
        keyed = node.func.attr in ("setdefault", "__setitem__")
        yield node.func.value, node.args[0] if keyed else None, node.args[-1]


def _outlives(reader: Reader, holder: ast.AST) -> str | None:  # noqa: PLR0911 - one return a kind of holder
    """In words what outlives a call, where the holder does: a module's name, a function, a class, a default."""
    while isinstance(holder, (ast.Subscript, ast.Attribute)):
        if any(isinstance(reader.names.own.get(name), ast.ClassDef) for name in reader.names.of(holder)):
            return "a class"
        holder = holder.value
    if not isinstance(holder, ast.Name):
        return None
    scope = reader.module.scope_of.get(holder, reader.module.scope)
    for binding in reader.module.lookup(holder.id, scope):
        if binding.kind == "function":
            return "a function's attributes"
        if binding.kind == "class":
            return "a class"
        if binding.kind == "parameter":
            if holder.id in ("self", "cls"):
                continue
            function = binding.node
            assert isinstance(function, FUNCTIONS)
            defaults = [*function.args.defaults, *(d for d in function.args.kw_defaults if d is not None)]
            given = reader.names.given(binding)
            if any(value in defaults and _is_mutable(reader, value) for value in given):
                return "a default argument"
        outside = binding in reader.module.scope.bindings.get(holder.id, [])
        if binding.kind == "value" and outside and reader.module.function_around(binding.node) is None:
            return "a module's name"
    return None


def _is_mutable(reader: Reader, value: ast.AST) -> bool:
    if isinstance(value, (ast.Dict, ast.List, ast.Set)):
        return True
    return isinstance(value, ast.Call) and bool(
        reader.names.of(value.func) & {"builtins.dict", "builtins.list", "builtins.set", "collections.defaultdict"}
    )


def _memoised(reader: Reader, function: ast.AST) -> Iterator[Seen]:
    for decorator in getattr(function, "decorator_list", []):
        made = decorator.func if isinstance(decorator, ast.Call) else decorator
        if reader.names.of(made) & {"functools.lru_cache", "functools.cache"}:
            severity = WARNING if reader.is_predict(function) else NOTICE
            message = "remembers results between calls of predict"
            yield reader.seen("predict-state", severity, "memoised", decorator, message)


# --- chance -----------------------------------------------------------------------------------------------------


def _chance(reader: Reader, function: ast.AST, inside: list[ast.AST]) -> Iterator[Seen]:
    method = reader.module.class_of(function) is not None
    setting_up = method and getattr(function, "name", "") not in ("forward", "__call__")
    for node in inside:
        if not isinstance(node, ast.Call):
            continue
        for call in reader.names.called(node):
            plain = call.name.replace("()", "")
            drawn = any(plain == name or plain.startswith(f"{name}.") for name in _CHANCE)
            filled = call.name.rpartition(".")[2] in _CHANCE_METHODS and not call.name.startswith("torch.nn.init.")
            if not drawn and (setting_up or not filled):
                continue
            given = call.argument(0, "seed")
            fixed = is_seeder(call) and given is not None and (reader.fold.fold(given) or follows_seed(reader, given))
            fixed = fixed or setting_up or call.keyword("generator") is not None or "default_rng()" in call.name
            message = "draws chance while predicting" + (" from a generator of its own" if fixed else "")
            yield reader.seen("predict-chance", NOTICE if fixed else WARNING, plain, node, message)


# --- training while predicting ----------------------------------------------------------------------------------


def _training(reader: Reader) -> Iterator[Seen]:
    for function in reader.predicting:
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            names = reader.names.of(node.func)
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            given = reader.fold.fold(node.args[0]) if node.args else [True]
            steps = reader.takes_step(node) or any(reader.names.own.get(name) in reader.training for name in names)
            steps = steps or any(name.startswith("torch.optim.") for name in names) or "torch.enable_grad" in names
            if steps or (attribute == "requires_grad_" and given != [False]):
                message = "trains, or makes ready to train, while predicting"
                yield reader.seen("predict-trains", WARNING, "training", node, message)
            elif attribute == "train" and given != [False]:
                message = "puts the model into training mode while predicting, where batches can matter"
                yield reader.seen("predict-trains", WARNING, "training mode", node, message)
