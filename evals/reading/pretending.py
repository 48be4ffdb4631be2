"""Rules about objects that pretend: equal to anything, a number that is none, another class than they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.module import FUNCTIONS, Function
from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_COMPARING = {
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__float__", "__int__", "__index__"),
    *("__complex__", "__round__", "__instancecheck__", "__subclasscheck__", "__contains__", "__getattribute__"),
    *("__array__", "__array_ufunc__", "__array_function__", "__torch_function__", "__torch_dispatch__", "__abs__"),
    *("__array_interface__", "__array_struct__", "__format__", "__sub__", "__rsub__"),
}
_TELLING = {"__array_ufunc__", "__array_function__", "__torch_function__", "__torch_dispatch__", "__array__"}
_TELLING |= {"__getattribute__", "__instancecheck__", "__subclasscheck__", "__array_interface__", "__array_struct__"}
_PICKLING = {"__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__"}
_LATE = {"__del__"}
_NUMBERS = {
    *("builtins.float", "builtins.int", "builtins.complex", "builtins.str", "builtins.bytes", "numpy.ndarray"),
    *("torch.Tensor", "numpy.float32", "numpy.float64", "numpy.generic", "builtins.type"),
}
_OPERATORS = {
    f"__{name}__"
    for name in [
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "add",
        "radd",
        "sub",
        "rsub",
        "mul",
        "rmul",
        "truediv",
        "rtruediv",
        "floordiv",
        "mod",
        "pow",
        "neg",
        "abs",
        "float",
        "int",
        "bool",
        "hash",
        "round",
        "format",
        "repr",
        "str",
        "index",
        "getitem",
        "len",
        "contains",
        "matmul",
    ]
}


def rules(reader: Reader) -> Iterator[Seen]:
    """Of every class, however it is made."""
    for node in reader.module.nodes:
        if isinstance(node, ast.ClassDef):
            bases = [name for base in node.bases for name in reader.names.of(base)]
            yield from _members(reader, bases, _body(node), node)
        elif isinstance(node, ast.Call) and "builtins.type" in reader.names.of(node.func) and len(node.args) == 3:
            bases = [name for origin in _parts(node.args[1]) for name in reader.names.of(origin)]
            yield from _members(reader, bases, _dictionary(reader, node.args[2]), node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in _COMPARING | _PICKLING | _LATE:
                    yield from _members(reader, [], {target.attr: node.value}, node)
        elif isinstance(node, ast.Call):
            for call in reader.names.called(node):
                if call.name in ("builtins.setattr", "type.__setattr__") and len(call.arguments) == 3:
                    for name in reader.fold.strings(call.arguments[1]):
                        yield from _members(reader, [], {name: call.arguments[2]}, node)


def _parts(node: ast.AST) -> list[ast.expr]:
    return node.elts if isinstance(node, (ast.Tuple, ast.List)) else []


def _body(node: ast.ClassDef) -> dict[str, ast.AST]:
    members: dict[str, ast.AST] = {}
    for part in ast.walk(node):
        match part:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if part in node.body or _conditional(node, part):
                members[part.name] = part
            case ast.Assign() if part in node.body:
                for target in part.targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    members |= {name.id: part.value for name in names if isinstance(name, ast.Name)}
            case _:
                pass
    return members


def _conditional(owner: ast.ClassDef, part: ast.AST) -> bool:
    return any(
        part in getattr(inner, "body", []) for inner in owner.body if isinstance(inner, (ast.If, ast.Try, ast.With))
    )


def _dictionary(reader: Reader, node: ast.AST) -> dict[str, ast.AST]:
    members: dict[str, ast.AST] = {}
    for origin in reader.names.origins(node):
        if isinstance(origin, ast.Dict):
            for key, value in zip(origin.keys, origin.values, strict=True):
                members |= dict.fromkeys(reader.fold.strings(key), value)
        elif isinstance(origin, ast.DictComp):
            for keys in reader.fold.fold(origin.generators[0].iter):
                members |= {str(key): origin.value for key in keys}
        elif isinstance(origin, ast.Call) and "builtins.dict" in reader.names.of(origin.func):
            members |= {keyword.arg: keyword.value for keyword in origin.keywords if keyword.arg}
    return members


def _members(reader: Reader, bases: list[str], members: dict[str, ast.AST], node: ast.AST) -> Iterator[Seen]:
    for name, value in members.items():
        at = value if hasattr(value, "lineno") else node
        if name in _PICKLING:
            message = f"defines {name}, which decides what unpickling runs"
            yield reader.seen("pretends", WARNING, name, at, message)
        elif name in _LATE:
            yield reader.seen("hook", WARNING, name, at, f"defines {name}, code that runs when an object goes away")
        elif name in _COMPARING and _is_constant(reader, value):
            message = f"defines {name} so that it answers the same whatever it is asked"
            yield reader.seen("pretends", WARNING, name, at, message)
        elif name in _TELLING:
            message = f"defines {name}, by which an object decides what others compute with it"
            yield reader.seen("pretends", NOTICE, name, at, message)
    overridden = sorted(members.keys() & _OPERATORS)
    numbers = [base for base in bases if base in _NUMBERS]
    if numbers and overridden and not (numbers == ["builtins.type"] and not set(overridden) & {"__eq__", "__hash__"}):
        base = numbers[0].removeprefix("builtins.")
        message = (
            f"makes a kind of {base} with {', '.join(overridden[:4])} of its own, which passes for one and is none"
        )
        yield reader.seen("pretends", WARNING, f"{base} with operators", node, message)


def _is_constant(reader: Reader, value: ast.AST) -> bool:
    """Whether a method's answer does not depend on what it is given."""
    for origin in reader.names.origins(value) if not isinstance(value, FUNCTIONS) else [value]:
        if isinstance(origin, FUNCTIONS):
            answers = reader.names.returned(origin)
            if answers and all(_mentions_none(origin, answer, reader) for answer in answers):
                return True
    return False


def _mentions_none(function: Function, answer: ast.expr, reader: Reader) -> bool:
    listed = function.args
    names = {argument.arg for argument in (*listed.posonlyargs, *listed.args, *listed.kwonlyargs)}
    names |= {argument.arg for argument in (listed.vararg, listed.kwarg) if argument is not None}
    if isinstance(answer, ast.Name) and answer.id == "NotImplemented":
        return False
    if reader.fold.fold(answer):
        return True
    for source in reader.sources(answer):
        if isinstance(source, ast.Name) and source.id in names:
            return False
    return True
