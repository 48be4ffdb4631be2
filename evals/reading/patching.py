"""Rules about changing what is not the file's own: modules, classes and functions that it imports, the environment."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_SETTERS = {"builtins.setattr": 0, "builtins.delattr": 0, "object.__setattr__": 0, "type.__setattr__": 0}
_SETTERS |= {"object.__delattr__": 0, "type.__delattr__": 0, "operator.setitem": 0, "operator.delitem": 0}
_SETTERS |= {f"builtins.{name}": 0 for name in ("object.__setattr__", "type.__setattr__", "object.__delattr__")}
_SETTING_METHODS = {"__setattr__", "__delattr__"}
_NAMESPACE_METHODS = {"update", "setdefault", "pop", "clear", "popitem", "__setitem__", "__delitem__", "__ior__"}
_LIST_METHODS = {"insert", "append", "extend", "remove", "clear", "reverse", "sort"}
_SWITCHES = ("torch.backends.", "torch.set_", "numpy.random.", "torch.autograd.")
_THREAD_SETTINGS = (
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMEXPR_",
    "VECLIB_",
    "KMP_",
    "TORCH",
    "CUDA_",
    "CUBLAS_",
    "PYTHONHASH",
)
_IDENTITY = {"__class__", "__bases__", "__code__", "__defaults__", "__kwdefaults__", "__globals__", "__wrapped__"}


def rules(reader: Reader) -> Iterator[Seen]:
    """Every store, deletion or call that changes something imported."""
    for node in reader.module.nodes:
        for target in _targets(node):
            yield from _target(reader, target)
    for call in reader.calls:
        yield from _call(reader, call.name, call.arguments, call.node)
    yield from _shadows(reader)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Assign() | ast.Delete():
            yield from node.targets
        case ast.AugAssign() | ast.AnnAssign() | ast.For() | ast.AsyncFor() | ast.comprehension():
            yield node.target
        case ast.withitem(optional_vars=ast.expr() as target):
            yield target
        case ast.Tuple(ctx=ast.Store()) | ast.List(ctx=ast.Store()):
            yield from (part for part in node.elts if not isinstance(part, ast.Name))
        case _:
            return


def _target(reader: Reader, target: ast.expr) -> Iterator[Seen]:
    match target:
        case ast.Attribute():
            yield from _stored(reader, target.value, target.attr, target)
            if target.attr in _IDENTITY and not isinstance(reader.module.class_of(target), ast.ClassDef):
                message = f"changes {target.attr}, so that an object becomes another than it was made"
                yield reader.seen("patching", WARNING, target.attr, target, message)
        case ast.Subscript():
            keys = reader.fold.strings(target.slice) or ["?"]
            for name in reader.names.of(target.value):
                if name == ".__dict__":
                    yield from _own_namespace(reader, keys, target)
                elif name == "os.environ":
                    yield from _environment(reader, keys, target)
                elif name.endswith(".__dict__"):
                    yield from _changed(reader, name.removesuffix(".__dict__"), keys[0], target)
                elif _is_imported(name):
                    yield from _changed(reader, name, "[]", target)
        case _:
            return


def _stored(reader: Reader, base: ast.AST, attribute: str, node: ast.AST) -> Iterator[Seen]:
    for name in reader.names.of(base):
        yield from _changed(reader, name.removesuffix(".__dict__"), attribute, node)


def _changed(reader: Reader, name: str, attribute: str, node: ast.AST) -> Iterator[Seen]:
    if not _is_imported(name):
        return
    changed = f"{name}.{attribute}"
    if changed.startswith(_SWITCHES) or name.startswith("warnings"):
        yield reader.seen("switch", NOTICE, changed, node, f"sets {changed}, a switch of a library")
    elif name == "os.environ":
        yield from _environment(reader, [attribute], node)
    else:
        message = f"changes {changed}, which belongs to an imported module; whoever uses that meets something else"
        yield reader.seen("patching", WARNING, changed, node, message)


def _is_imported(name: str) -> bool:
    """Whether a dotted name is a module or belongs to one, not something that a call of this file has made."""
    return bool(name) and not name.startswith((".", "<")) and "()" not in name and "[]" not in name


def _own_namespace(reader: Reader, keys: list[str], node: ast.AST) -> Iterator[Seen]:
    message = "writes into the module's own namespace by name instead of assigning"
    severity = WARNING if any(key in ("?", "__builtins__") or key in _BUILT_IN for key in keys) else NOTICE
    yield reader.seen("patching", severity, f"globals()[{keys[0]}]", node, message)


def _environment(reader: Reader, keys: list[str], node: ast.AST) -> Iterator[Seen]:
    for key in keys:
        severity = NOTICE if key.startswith(_THREAD_SETTINGS) else WARNING
        message = f"changes the environment variable {key}, which other code reads"
        yield reader.seen("environment", severity, f"set {key}", node, message)


def _call(  # noqa: PLR0912 - a case a way of storing
    reader: Reader, name: str, arguments: tuple[ast.expr, ...], node: ast.Call
) -> Iterator[Seen]:
    if name in _SETTERS and arguments:
        texts = reader.fold.strings(arguments[1]) if len(arguments) > 1 else []
        for attribute in texts or ["?"]:
            for base in reader.names.of(arguments[0]):
                if base == ".__dict__":
                    yield from _own_namespace(reader, [attribute], node)
                yield from _changed(reader, base.removesuffix(".__dict__"), attribute, node)
            if attribute in _IDENTITY:
                message = f"changes {attribute}, so that an object becomes another than it was made"
                yield reader.seen("patching", WARNING, attribute, node, message)
    if name in ("os.putenv", "os.unsetenv") and arguments:
        yield from _environment(reader, reader.fold.strings(arguments[0]) or ["?"], node)
    holder, _, method = name.rpartition(".")
    if method in _SETTING_METHODS and arguments and not name.startswith(("object.", "type.", "builtins.")):
        yield from _changed(reader, holder, (reader.fold.strings(arguments[0]) or ["?"])[0], node)
    if method in _NAMESPACE_METHODS and holder.endswith(".__dict__"):
        keys = [keyword.arg or "?" for keyword in node.keywords] or _keys(reader, arguments)
        for key in keys:
            if holder == ".__dict__":
                yield from _own_namespace(reader, [key], node)
            else:
                yield from _changed(reader, holder.removesuffix(".__dict__"), key, node)
    if method in _NAMESPACE_METHODS and holder == "os.environ":
        keys = [keyword.arg or "?" for keyword in node.keywords] or _keys(reader, arguments)
        yield from _environment(reader, keys, node)
    held = _is_imported(holder) and _is_member(reader, holder) and not holder.endswith(".__dict__")
    if held and method in _NAMESPACE_METHODS | _LIST_METHODS:
        yield from _changed(reader, holder, "[]", node)


def _is_member(reader: Reader, name: str) -> bool:
    """Whether it is something in a module rather than a module or class; those have no such methods of their own."""
    parts = name.split(".")
    return (
        len(parts) > 1 and parts[0] in reader.imported and parts[0] not in ("torch", "numpy") and name != "os.environ"
    )


def _keys(reader: Reader, arguments: tuple[ast.expr, ...]) -> list[str]:
    keys: list[str] = []
    for argument in arguments[:1]:
        if isinstance(argument, ast.Dict):
            keys += [text for key in argument.keys for text in (reader.fold.strings(key) or ["?"])]
        else:
            keys += reader.fold.strings(argument)
    return keys or ["?"]


def _shadows(reader: Reader) -> Iterator[Seen]:
    """A module of the file's own whose name is one of the library's is found first by every import."""
    stem = reader.path.rsplit("/", 1)[-1].removesuffix(".py")
    if stem in ("sitecustomize", "usercustomize", "conftest", "guest"):
        message = f"is called {stem}.py, which the interpreter or a tool runs by itself"
        yield reader.seen("patching", WARNING, f"file {stem}", reader.module.tree, message)


_BUILT_IN = frozenset(dir(builtins))
