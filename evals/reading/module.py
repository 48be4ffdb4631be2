"""The scopes of one Python file: which name is bound to what, wherever that happens; order does not matter."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Kind = Literal["import", "value", "item", "part", "parameter", "function", "class", "caught"]


@dataclass(eq=False)
class Scope:
    """One module, class body, function, lambda or comprehension."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer: set[str] = field(default_factory=set)
    """Names declared global or nonlocal here."""


@dataclass(frozen=True, eq=False)
class Binding:
    """One way in which a name comes by a value."""

    kind: Kind
    node: ast.AST
    """The value; for `item` what is iterated, for `part` what is taken apart, for a parameter its function."""
    name: str = ""
    """The dotted name that is imported, the parameter's, or the position of a part."""


class Module:
    """A parsed file with its scopes, and the way up from every node."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self.tree = ast.parse(text)
        self.scope = Scope(self.tree, None)
        self.scope_of: dict[ast.AST, Scope] = {}
        self.inside: dict[ast.AST, Scope] = {}
        """Function, class or comprehension → the scope that it opens."""
        self.parent_of: dict[ast.AST, ast.AST] = {}
        self.stars: list[str] = []
        self.stored: dict[str, list[ast.AST]] = {}
        """Attribute name → every value that is stored under it, on whatever object or class."""
        self.calls: dict[str, list[ast.Call]] = {}
        """Last part of the callee's written name → calls."""
        self.nodes: list[ast.AST] = []
        self._visit(self.tree, self.scope)

    # --- walking ------------------------------------------------------------------------------------------------

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the nearest first."""
        while (parent := self.parent_of.get(node)) is not None:
            yield parent
            node = parent

    def function_around(self, node: ast.AST) -> Function | None:
        """The function or lambda that a node stands in."""
        return next((outer for outer in self.above(node) if isinstance(outer, FUNCTIONS)), None)

    def functions_around(self, node: ast.AST) -> list[ast.AST]:
        """All of them, the innermost first."""
        return [outer for outer in self.above(node) if isinstance(outer, FUNCTIONS)]

    def class_of(self, function: ast.AST) -> ast.ClassDef | None:
        """The class whose method this is."""
        parent = self.parent_of.get(function)
        return parent if isinstance(parent, ast.ClassDef) else None

    def lookup(self, name: str, scope: Scope) -> list[Binding]:
        """The bindings that a name may have where it is read; empty for a built-in or a star import's."""
        at: Scope | None = scope
        while at is not None:
            visible = at is scope or not isinstance(at.node, ast.ClassDef)
            if visible and name in at.bindings and name not in at.outer:
                return at.bindings[name]
            at = at.parent
        return []

    # --- building -----------------------------------------------------------------------------------------------

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        self.scope_of[node] = scope
        self.nodes.append(node)
        self._bind_statement(node, scope)
        inner = scope
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, *COMPREHENSIONS)):
            inner = self.inside[node] = Scope(node, scope)
            if isinstance(node, FUNCTIONS):
                self._bind_parameters(node, inner)
            # A name that is declared global anywhere in a function belongs outside from its first line on.
            declared = node.body if isinstance(getattr(node, "body", None), list) else []
            for part in declared:
                for found in ast.walk(part):
                    if isinstance(found, (ast.Global, ast.Nonlocal)):
                        inner.outer.update(found.names)
        for name, value in ast.iter_fields(node):
            outside = name in ("decorator_list", "bases", "keywords", "returns") or isinstance(value, ast.arguments)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.parent_of[child] = node
                    self._visit(child, scope if outside and not isinstance(node, COMPREHENSIONS) else inner)

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        at = scope
        if name in scope.outer:
            at = self.scope
            above = scope.parent
            while above is not None:
                if name in above.bindings and not isinstance(above.node, ast.ClassDef):
                    at = above
                    break
                above = above.parent
        at.bindings.setdefault(name, []).append(binding)
        if isinstance(scope.node, ast.ClassDef):
            self.stored.setdefault(name, []).append(binding.node)

    def _bind_statement(self, node: ast.AST, scope: Scope) -> None:  # noqa: PLR0912 - one case a form of binding
        match node:
            case ast.Import():
                for alias in node.names:
                    dotted = alias.name if alias.asname else alias.name.split(".")[0]
                    self._bind(scope, alias.asname or dotted, Binding("import", node, dotted))
            case ast.ImportFrom():
                base = "." * node.level + (node.module or "")
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(base)
                    else:
                        binding = Binding("import", node, f"{base}.{alias.name}")
                        self._bind(scope, alias.asname or alias.name, binding)
            case ast.Assign():
                for target in node.targets:
                    self._bind_target(target, node.value, "value", scope)
            case ast.AnnAssign(value=ast.expr() as value) | ast.AugAssign(value=value):
                self._bind_target(node.target, value, "value", scope)
            case ast.NamedExpr():
                # A walrus in a comprehension binds outside of it.
                at = scope
                while isinstance(at.node, COMPREHENSIONS) and at.parent is not None:
                    at = at.parent
                self._bind_target(node.target, node.value, "value", at)
            case ast.For() | ast.AsyncFor():
                self._bind_target(node.target, node.iter, "item", scope)
            case ast.comprehension():
                self._bind_target(node.target, node.iter, "item", scope)
            case ast.withitem(optional_vars=ast.expr() as target):
                self._bind_target(target, node.context_expr, "value", scope)
            case ast.ExceptHandler(name=str() as name):
                self._bind(scope, name, Binding("caught", node))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._bind(scope, node.name, Binding("function", node))
            case ast.ClassDef():
                self._bind(scope, node.name, Binding("class", node))
            case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
                subject = next((up.subject for up in self.above(node) if isinstance(up, ast.Match)), node)
                self._bind(scope, name, Binding("part", subject))
            case ast.Call():
                called = node.func
                written = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                self.calls.setdefault(written, []).append(node)
            case _:
                pass

    def _bind_target(self, target: ast.AST, value: ast.expr, kind: Kind, scope: Scope, position: str = "") -> None:
        match target:
            case ast.Name():
                self._bind(scope, target.id, Binding(kind, value, position))
            case ast.Attribute():
                self.stored.setdefault(target.attr, []).append(value)
            case ast.Starred():
                self._bind_target(target.value, value, "part", scope)
            case ast.Tuple() | ast.List():
                parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
                paired = kind == "value" and len(parts) == len(target.elts)
                for index, part in enumerate(target.elts):
                    if paired:
                        self._bind_target(part, parts[index], "value", scope)
                    else:
                        self._bind_target(part, value, "item" if kind == "item" else "part", scope, str(index))
            case _:
                pass

    def _bind_parameters(self, function: Function, scope: Scope) -> None:
        given = function.args
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if argument is not None:
                self._bind(scope, argument.arg, Binding("parameter", function, argument.arg))
