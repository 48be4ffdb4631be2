"""What an expression stands for, as dotted names: `t.sleep` after `import time as t` is `time.sleep`.

What the file itself defines begins with a dot (`.train`, `.GPT.forward`); a call's result ends in `()`, an item in
`[]`; `?` is an attribute whose name is computed. An expression may stand for several things; nothing known is the
empty set.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from evals.reading.dotted import Called, NameSet, canonical
from evals.reading.folding import Folder
from evals.reading.module import FUNCTIONS, Binding, Function, Module

MOST_NAMES = 12
_BUILT_IN = frozenset(dir(builtins))
_NAMESPACE = ".__dict__"
_ITEM_METHODS = {"get", "pop", "setdefault", "__getitem__"}
_OBJECT_READS = {"object.__getattribute__", "type.__getattribute__"}


class Names:
    """Resolves the expressions of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.folder = Folder(module)
        self.folder.written = self.of
        self._known: dict[ast.AST, NameSet] = {}
        self._open: set[ast.AST] = set()
        self._defined: dict[ast.AST, str] = {
            node: self._path(node) for node in module.nodes if isinstance(node, (*FUNCTIONS, ast.ClassDef))
        }
        self.own: dict[str, ast.AST] = {path: node for node, path in self._defined.items()}

    def of(self, node: ast.AST | None) -> NameSet:
        """What it may stand for."""
        if node is None or node in self._open:
            return NameSet()
        if node not in self._known:
            self._open.add(node)
            found = NameSet(sorted(set(self._of(node)))[:MOST_NAMES])
            self._open.discard(node)
            if self._open:
                # Part of a circle may be missing here; only what was asked for first is sure to be whole.
                return found
            self._known[node] = found
        return self._known[node]

    def path(self, node: ast.AST) -> str:
        """The dotted name of a function or class of this file."""
        return self._defined[node]

    def origins(self, node: ast.AST | None, depth: int = 0) -> list[ast.AST]:
        """The expressions that a name leads to, itself where it is none."""
        if node is None or depth > 8:
            return []
        match node:
            case ast.Name():
                bound = self.module.lookup(node.id, self.module.scope_of.get(node, self.module.scope))
                values = [binding.node for binding in bound if binding.kind == "value"]
                values += [value for b in bound if b.kind == "parameter" for value in self.given(b)]
                values += [binding.node for binding in bound if binding.kind in ("function", "class")]
                return [origin for value in values[:8] for origin in self.origins(value, depth + 1)][:8]
            case ast.NamedExpr():
                return self.origins(node.value, depth + 1)
            case ast.IfExp():
                return self.origins(node.body, depth + 1) + self.origins(node.orelse, depth + 1)
            case ast.BoolOp():
                return [origin for part in node.values for origin in self.origins(part, depth + 1)][:8]
            case _:
                return [node]

    def given(self, binding: Binding) -> list[ast.expr]:
        """What a parameter is given: its default, and what the calls of this file pass."""
        function = binding.node
        assert isinstance(function, FUNCTIONS)
        listed = function.args
        names = [argument.arg for argument in (*listed.posonlyargs, *listed.args)]
        values: list[ast.expr] = []
        if binding.name in names:
            position = names.index(binding.name)
            default = position - (len(names) - len(listed.defaults))
            if default >= 0:
                values.append(listed.defaults[default])
        else:
            position = -1
            only = [argument.arg for argument in listed.kwonlyargs]
            if binding.name in only and (default_value := listed.kw_defaults[only.index(binding.name)]) is not None:
                values.append(default_value)
        for call in self._calls_of(function):
            shift = 1 if self.module.class_of(function) and isinstance(call.func, ast.Attribute) else 0
            shift = 1 if getattr(function, "name", "") == "__init__" else shift
            values += [keyword.value for keyword in call.keywords if keyword.arg == binding.name]
            at = position - shift
            if position >= 0 and 0 <= at < len(call.args) and not isinstance(call.args[at], ast.Starred):
                values.append(call.args[at])
        return values[:MOST_NAMES]

    def called(self, node: ast.Call) -> list[Called]:
        """The calls that this one comes to."""
        arguments = tuple(self._spread(node.args))
        found = [Called(name, arguments, tuple(node.keywords), node) for name in self.of(node.func)]
        for origin in self.origins(node.func):
            if not isinstance(origin, ast.Call):
                continue
            inside = tuple(self._spread(origin.args))
            makers = self.of(origin.func)
            if makers & {"functools.partial", "functools.partialmethod"} and inside:
                every = (*inside[1:], *arguments)
                keywords = (*origin.keywords, *node.keywords)
                found += [Called(name, every, keywords, node) for name in self.of(inside[0])]
            if "operator.methodcaller" in makers and inside and arguments:
                for method in self.folder.strings(inside[0]):
                    bases = self.of(arguments[0])
                    found += [Called(f"{b}.{method}", inside[1:], tuple(origin.keywords), node) for b in bases]
        return [Called(call.name.removesuffix(".__call__"), call.arguments, call.keywords, call.node) for call in found]

    # --- resolving ----------------------------------------------------------------------------------------------

    def _of(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Name():
                yield from self._name(node)
            case ast.Attribute():
                yield from self._attribute(node.value, node.attr)
            case ast.Call():
                yield from self._call(node)
            case ast.Subscript():
                yield from self._subscript(node.value, node.slice)
            case ast.NamedExpr() | ast.Await() | ast.Starred():
                yield from self.of(node.value)
            case ast.IfExp():
                yield from self.of(node.body) | self.of(node.orelse)
            case ast.BoolOp():
                for part in node.values:
                    yield from self.of(part)
            case ast.Lambda() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield self._defined[node]
            case _:
                return

    def _name(self, node: ast.Name) -> Iterator[str]:
        bound = self.module.lookup(node.id, self.module.scope_of.get(node, self.module.scope))
        for binding in bound[:MOST_NAMES]:
            yield from self._bound(binding)
        if not bound:
            if node.id in _BUILT_IN or node.id == "__builtins__":
                yield canonical(f"builtins.{node.id}" if node.id != "__builtins__" else "builtins")
            yield from (canonical(f"{star}.{node.id}") for star in self.module.stars)

    def _bound(self, binding: Binding) -> Iterator[str]:
        match binding.kind:
            case "import":
                yield canonical(binding.name)
            case "value":
                yield from self.of(binding.node)
            case "function" | "class":
                yield self._defined[binding.node]
            case "parameter":
                for value in self.given(binding):
                    yield from self.of(value)
            case "item":
                yield from self._items(binding.node)
            case "part":
                parts = binding.node.elts if isinstance(binding.node, (ast.Tuple, ast.List)) else []
                for part in parts:
                    yield from self.of(part)
            case "caught":
                yield "<exception>"

    def _items(self, iterated: ast.AST) -> Iterator[str]:
        """What a loop's variable goes through."""
        if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Attribute):
            iterated = iterated.func.value if iterated.func.attr in ("values", "items") else iterated
        for origin in self.origins(iterated):
            if isinstance(origin, (ast.Tuple, ast.List, ast.Set)):
                for part in origin.elts:
                    inner = part.elts if isinstance(part, (ast.Tuple, ast.List)) else [part]
                    for each in inner:
                        yield from self.of(each)
            elif isinstance(origin, ast.Dict):
                for value in origin.values:
                    yield from self.of(value)
            elif origin is not iterated or not isinstance(origin, ast.Name):
                yield from (f"{name}[]" for name in self.of(origin))

    def _attribute(self, base: ast.AST, attribute: str) -> Iterator[str]:
        names = self.of(base)
        for name in names:
            yield from self.member(name, attribute)
        if not any(name for name in names if not name.startswith(".")):
            for value in self.module.stored.get(attribute, [])[:MOST_NAMES]:
                yield from self.of(value)

    def member(self, name: str, attribute: str) -> Iterator[str]:
        """The attribute of what stands under a dotted name."""
        owner = self.own.get(name.removesuffix("()"))
        if isinstance(owner, ast.ClassDef):
            inner = self.module.inside.get(owner)
            for binding in inner.bindings.get(attribute, []) if inner else []:
                yield from self._bound(binding)
            return
        if name == _NAMESPACE or name.endswith(_NAMESPACE):
            yield f"{name}.{attribute}"
            return
        yield canonical(f"{name}.{attribute}")

    def _subscript(self, base: ast.AST, index: ast.AST) -> Iterator[str]:  # noqa: PLR0912 - a case a kind of holder
        keys = self.folder.fold(index)
        for origin in self.origins(base):
            if isinstance(origin, ast.Dict):
                chosen = [
                    value
                    for key, value in zip(origin.keys, origin.values, strict=True)
                    if not keys or (key is not None and set(map(repr, self.folder.fold(key))) & set(map(repr, keys)))
                ]
                for value in chosen:
                    yield from self.of(value)
            elif isinstance(origin, (ast.Tuple, ast.List)):
                places = [key for key in keys if isinstance(key, int) and -len(origin.elts) <= key < len(origin.elts)]
                for value in [origin.elts[place] for place in places] if places else origin.elts:
                    yield from self.of(value)
        for name in self.of(base):
            if name == "sys.modules":
                yield from (canonical(str(key)) for key in keys or ["?"])
            elif name == _NAMESPACE:
                for key in keys:
                    for binding in self.module.scope.bindings.get(str(key), []):
                        yield from self._bound(binding)
                    if key == "__builtins__":
                        yield "builtins"
            elif name.endswith((_NAMESPACE, ".__globals__")):
                holder = name.removesuffix(_NAMESPACE)
                for key in keys or ["?"]:
                    yield canonical(f"{holder}.{key}") if name.endswith(_NAMESPACE) else canonical(str(key))
            else:
                yield f"{name}[]"

    def _call(self, node: ast.Call) -> Iterator[str]:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _ITEM_METHODS and node.args:
            yield from (name for name in self._subscript(node.func.value, node.args[0]) if not name.endswith("[]"))
        for origin in self.origins(node.func):
            if isinstance(origin, ast.Lambda):
                yield from self.of(origin.body)
            elif isinstance(origin, ast.Call):
                yield from self._made(origin, node)
        for call in self.called(node):
            yield from self._result(call)

    def _made(self, maker: ast.Call, node: ast.Call) -> Iterator[str]:
        """The result of what `attrgetter` and `itemgetter` made."""
        makers = self.of(maker.func)
        if not node.args or not maker.args:
            return
        if "operator.attrgetter" in makers:
            for path in self.folder.strings(maker.args[0]) or ["?"]:
                yield from (canonical(f"{base}.{path}") for base in self.of(node.args[0]))
        if "operator.methodcaller" in makers:
            for method in self.folder.strings(maker.args[0]) or ["?"]:
                yield from (canonical(f"{base}.{method}") for base in self.of(node.args[0]))
        if "operator.itemgetter" in makers:
            yield from self._subscript(node.args[0], maker.args[0])

    def _result(self, call: Called) -> Iterator[str]:  # noqa: PLR0912 - a case a function
        first, second = call.argument(0), call.argument(1)
        short = call.name.removeprefix("builtins.")
        if short == "getattr" or short in _OBJECT_READS or call.name.endswith(".__getattribute__"):
            base = first if short == "getattr" or short in _OBJECT_READS else None
            called = call.node.func
            if base is None and isinstance(called, ast.Attribute):
                base, second = called.value, first
            if base is not None:
                for attribute in self.folder.strings(second) or ["?"]:
                    yield from self._attribute(base, attribute)
        elif short == "functools.reduce" and first is not None and "builtins.getattr" in self.of(first):
            for parts in self.folder.fold(second):
                yield from (canonical(".".join([base, *map(str, parts)])) for base in self.of(call.argument(2)))
        elif short in ("__import__", "importlib.import_module", "importlib.__import__"):
            for text in self.folder.strings(first) or ["?"]:
                yield canonical(text.split(".")[0] if short.endswith("__import__") else text)
                if short.endswith("__import__"):
                    yield canonical(text)
        elif short in ("vars", "globals", "locals"):
            yield from (f"{name}{_NAMESPACE}" for name in self.of(first)) if first is not None else (_NAMESPACE,)
        elif short == "type" and len(call.arguments) == 1:
            yield from (name.removesuffix("()") for name in self.of(first) if name.endswith("()"))
        elif short == "operator.getitem" and first is not None and second is not None:
            yield from self._subscript(first, second)
        elif call.name.startswith("."):
            yield from self._own_result(call.name)
        elif call.name != "?":
            yield f"{call.name}()"

    def _own_result(self, name: str) -> Iterator[str]:
        definition = self.own.get(name)
        if isinstance(definition, ast.ClassDef):
            yield f"{name}()"
        elif isinstance(definition, ast.Lambda):
            yield from self.of(definition.body)
        elif definition is not None:
            for part in self.returned(definition):
                yield from self.of(part)

    # --- the file's own definitions -----------------------------------------------------------------------------

    def returned(self, function: ast.AST) -> list[ast.expr]:
        """What a function of this file returns, expression by expression."""
        if isinstance(function, ast.Lambda):
            return [function.body]
        return [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value and self.module.function_around(node) is function
        ]

    def _calls_of(self, function: Function) -> list[ast.Call]:
        if isinstance(function, ast.Lambda):
            parent = self.module.parent_of.get(function)
            if isinstance(parent, ast.Call) and parent.func is function:
                return [parent]
            targets = parent.targets if isinstance(parent, ast.Assign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            return [call for name in names for call in self.module.calls.get(name, [])]
        owner = self.module.class_of(function)
        name = owner.name if owner is not None and function.name == "__init__" else function.name
        return self.module.calls.get(name, [])

    def _spread(self, arguments: list[ast.expr]) -> Iterator[ast.expr]:
        for argument in arguments:
            if isinstance(argument, ast.Starred):
                for origin in self.origins(argument.value):
                    if isinstance(origin, (ast.Tuple, ast.List)):
                        yield from origin.elts
            else:
                yield argument

    def _path(self, node: ast.AST) -> str:
        if isinstance(node, ast.Lambda):
            return f".<lambda {node.lineno}:{node.col_offset}>"
        around = [up.name for up in self.module.above(node) if isinstance(up, (ast.FunctionDef, ast.ClassDef))]
        return "." + ".".join([*reversed(around), getattr(node, "name", "")])
