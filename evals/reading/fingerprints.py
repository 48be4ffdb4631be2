"""Rules about recognising what is asked: `predict` does the same for every input, and for any number of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.module import FUNCTIONS
from evals.reading.reader import NOTICE, WARNING, Reader, Seen
from rsi.records import Severity

_CONTENT = frozenset(
    [
        "builtins.hash",
        "hashlib",
        "zlib.crc32",
        "zlib.adler32",
        "binascii.crc32",
        "numpy.array_equal",
        "numpy.array_equiv",
        "torch.equal",
        "numpy.unique",
        "torch.unique",
        "hmac",
        "torch.hash_tensor",
        "collections.Counter",
    ]
)
_CONTENT_METHODS = {"tobytes", "unique", "digest", "hexdigest", "__hash__", "data_ptr"}
_STATISTICS = {"sum", "mean", "std", "var", "median", "prod", "norm", "cumsum", "dot", "nansum"}
_STATISTIC_CALLS = frozenset(f"{lib}.{name}" for lib in ("numpy", "torch", "builtins") for name in _STATISTICS)
_MANY = 100


def rules(reader: Reader) -> Iterator[Seen]:
    """Of every function that predict reaches."""
    for function in reader.answering:
        inside = [node for node in ast.walk(function) if node is not function]
        yield from _branches(reader, inside)
        yield from _recognised(reader, inside)


def _branches(reader: Reader, inside: list[ast.AST]) -> Iterator[Seen]:
    for node in inside:
        match node:
            case ast.If() | ast.While() | ast.IfExp():
                yield from _condition(reader, node.test, node)
            case ast.Match():
                yield from _condition(reader, node.subject, node)
                if any(isinstance(part, ast.MatchValue) for part in ast.walk(node)) and _size(reader, node.subject):
                    message = "does something else for batches of a certain size"
                    yield reader.seen("fingerprint", WARNING, "batch size", node, message)
            case ast.comprehension():
                for test in node.ifs:
                    yield from _condition(reader, test, node)
            case ast.Compare():
                # An index, a factor or a mask decides as well as a branch does.
                yield from _sized(reader, node)
            case _:
                pass


def _condition(reader: Reader, test: ast.AST, node: ast.AST) -> Iterator[Seen]:
    raw = list(_raw(reader, test))
    from_input = any(_is_input(reader, part) for part in raw)
    if from_input and any(_reads_content(reader, part) for part in raw):
        message = "does something else for certain inputs, told by their content"
        yield reader.seen("fingerprint", WARNING, "content decides", node, message)
        return
    if from_input and any(_reads_statistic(reader, part) for part in raw):
        message = "does something else where a sum or a mean over the inputs says so"
        yield reader.seen("fingerprint", WARNING, "statistic decides", node, message)
        return


def _sized(reader: Reader, compare: ast.Compare) -> Iterator[Seen]:
    sides = [compare.left, *compare.comparators]
    if any(_size(reader, side) for side in sides):
        endless = any(
            isinstance(outer, ast.While) and compare in ast.walk(outer.test) for outer in reader.module.above(compare)
        )
        severity = NOTICE if endless else _weight(reader, compare, sides)
        message = "does something else for batches of a certain size"
        yield reader.seen("fingerprint", severity, "batch size", compare, message)


def _weight(reader: Reader, compare: ast.Compare, sides: list[ast.expr]) -> Severity:
    numbers = [number for side in sides for value in reader.fold.fold(side) for number in _flat(value)]
    exact = any(isinstance(sign, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for sign in compare.ops)
    remainder = any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod) for part in ast.walk(compare))
    if remainder:
        return NOTICE
    if exact:
        return WARNING if any(number >= 2 for number in numbers) else NOTICE
    return WARNING if any(number >= _MANY for number in numbers) else NOTICE


def _flat(value: object) -> list[float]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if isinstance(each, (int, float)) and not isinstance(each, bool)]


def _raw(reader: Reader, node: ast.AST) -> Iterator[ast.AST]:
    """What a value follows from, short of what the model or the file's functions made of it."""
    wanted: list[ast.AST] = [node]
    met: set[ast.AST] = set()
    while wanted and len(met) < 2000:
        at = wanted.pop()
        if at in met:
            continue
        met.add(at)
        yield at
        if isinstance(at, ast.Call):
            own = [name for name in reader.names.of(at.func) if name.startswith(".")]
            unknown = not reader.names.of(at.func) and isinstance(at.func, ast.Name)
            layer = isinstance(at.func, ast.Attribute) and not reader.names.of(at.func) and _is_self(at.func)
            if own or unknown or layer:
                continue
        if isinstance(at, ast.Name) and not _is_input(reader, at):
            bound = reader.module.lookup(at.id, reader.module.scope_of.get(at, reader.module.scope))
            for binding in bound:
                if binding.kind in ("value", "item", "part"):
                    wanted.append(binding.node)
                elif binding.kind == "parameter":
                    wanted += reader.names.given(binding)
        if not isinstance(at, (*FUNCTIONS, ast.ClassDef)):
            wanted += ast.iter_child_nodes(at)


def _is_self(node: ast.AST) -> bool:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "self"


def _is_input(reader: Reader, node: ast.AST) -> bool:
    """Whether a name is `predict`'s inputs, or what a layer's `forward` is given."""
    if not isinstance(node, ast.Name):
        return False
    for binding in reader.module.lookup(node.id, reader.module.scope_of.get(node, reader.module.scope)):
        if binding.kind != "parameter" or binding.name == "self":
            continue
        function = binding.node
        listed = [argument.arg for argument in function.args.args]  # type: ignore[attr-defined]
        if reader.is_predict(function) and listed[1:2] == [binding.name]:
            return True
        method = (
            getattr(function, "name", "") in ("forward", "__call__") and reader.module.class_of(function) is not None
        )
        if method and function in reader.predicting and listed[1:2] == [binding.name]:
            return True
    return False


def _size(reader: Reader, node: ast.AST) -> bool:
    """Whether an expression is the number of inputs, or of what was made of them."""
    for part in _followed(reader, node):
        counted: ast.AST | None = None
        match part:
            case ast.Call(args=[first, *_]) if "builtins.len" in reader.names.of(part.func):
                counted = first
            case ast.Subscript(value=ast.Attribute(attr="shape", value=base)) if reader.fold.fold(part.slice) == [0]:
                counted = base
            case ast.Call(func=ast.Attribute(value=base, attr="size" | "numel")):
                counted = base if not part.args or reader.fold.fold(part.args[0]) == [0] else None
            case ast.Attribute(value=base, attr="size" | "nbytes"):
                counted = base if not isinstance(reader.module.parent_of.get(part), ast.Call) else None
        if counted is not None and reader.follows(counted, lambda source: _is_input(reader, source)):
            return True
    return False


def _followed(reader: Reader, node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression; a name's values, and of `batch, time = x.shape` the first."""
    for part in ast.walk(node):
        yield part
        if isinstance(part, ast.Name):
            for binding in reader.module.lookup(part.id, reader.module.scope_of.get(part, reader.module.scope)):
                if binding.kind == "value":
                    yield binding.node
                elif binding.kind == "part" and binding.name == "0" and getattr(binding.node, "attr", "") == "shape":
                    yield ast.Subscript(binding.node, ast.Constant(0), ast.Load())  # type: ignore[arg-type]


def is_content(reader: Reader, key: ast.AST) -> bool:
    """Whether a key is made of what inputs hold."""
    return any(_reads_content(reader, part) for part in _raw(reader, key)) or any(
        isinstance(part, ast.Call) and "builtins.tuple" in reader.names.of(part.func) for part in ast.walk(key)
    )


def _reads_content(reader: Reader, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    names = {name.replace("()", "") for name in reader.names.of(node.func)}
    if any(name == each or name.startswith(f"{each}.") for name in names for each in _CONTENT):
        return True
    return isinstance(node.func, ast.Attribute) and node.func.attr in _CONTENT_METHODS


def _reads_statistic(reader: Reader, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if any(name in _STATISTIC_CALLS for name in reader.names.of(node.func)):
        return True
    return isinstance(node.func, ast.Attribute) and node.func.attr in _STATISTICS


def _recognised(reader: Reader, inside: list[ast.AST]) -> Iterator[Seen]:
    """Inputs turned into something to look up by."""
    for node in inside:
        if isinstance(node, ast.Call) and _is_key(reader, node):
            message = "looks its inputs up by their content"
            yield reader.seen("fingerprint", WARNING, "inputs looked up", node, message)
        if not isinstance(node, ast.Call) or not _reads_content(reader, node):
            continue
        if not any(_is_input(reader, part) for part in _raw(reader, node)):
            continue
        outer = reader.module.parent_of.get(node)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        looked_up = isinstance(outer, (ast.Subscript, ast.Compare, ast.Assign, ast.NamedExpr)) or (
            isinstance(outer, ast.Call) and node in outer.args
        )
        severity = WARNING if method != "unique" and looked_up else NOTICE
        if reader.names.of(node.func) & {"numpy.unique", "torch.unique"}:
            severity = NOTICE
        message = "turns its inputs into something to recognise them by"
        yield reader.seen("fingerprint", severity, "inputs recognised", node, message)


def _is_key(reader: Reader, node: ast.Call) -> bool:
    """Whether inputs are made into something that is looked up: `bytes(row) in table`, `table[tuple(row)]`."""
    made = reader.names.of(node.func) & {f"builtins.{name}" for name in ("bytes", "tuple", "str", "repr", "frozenset")}
    if not made or not node.args or getattr(node.args[0], "attr", "") == "shape":
        return False
    outer = reader.module.parent_of.get(node)
    asked = isinstance(outer, ast.Subscript) and outer.slice is node
    asked = asked or (
        isinstance(outer, ast.Compare) and any(isinstance(s, (ast.In, ast.NotIn, ast.Eq)) for s in outer.ops)
    )
    method = getattr(outer.func, "attr", "") if isinstance(outer, ast.Call) and node in outer.args else ""
    asked = asked or method in ("get", "index", "pop", "setdefault", "count", "__getitem__", "__contains__")
    return asked and any(_is_input(reader, part) for part in _raw(reader, node.args[0]))
