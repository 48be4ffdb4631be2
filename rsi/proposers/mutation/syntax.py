"""Small readings and rewritings of a libcst tree that the transformations share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import libcst as cst

_LAYOUT = ("whitespace", "lpar", "rpar", "lbracket", "rbracket", "leading_lines", "lines_after", "header", "footer")

Detail = dict[str, str | int | float | bool | None]


@dataclass(frozen=True)
class Move:
    """One transformation of one file: what it is called, and how to make it."""

    kind: str
    detail: Detail
    """Names it uniquely within the file; `direction` is there where a value moves up or down."""
    rewrite: Callable[[cst.Module], cst.Module] = field(repr=False, compare=False)


@lru_cache(maxsize=8192)
def source(node: cst.CSTNode) -> str:
    """The text of a node; kept, because writing it out is most of what finding the moves takes."""
    return cst.Module([]).code_for_node(node).strip()


@lru_cache(maxsize=64)
def file_text(module: cst.Module) -> str:
    """The text of a whole file, kept as well."""
    return module.code


@lru_cache(maxsize=2048)
def every(root: cst.CSTNode) -> tuple[cst.CSTNode, ...]:
    """The node and all below it but white space and brackets, outermost first, in a fixed order.

    Kept, because every transformation asks; and read from the fields, because `children` makes a visitor each time.
    """
    found = [root]
    for node in found:
        for name in node.__dataclass_fields__:
            if not name.startswith(_LAYOUT):
                value = getattr(node, name)
                if isinstance(value, cst.CSTNode):
                    found.append(value)
                elif isinstance(value, list | tuple):
                    found += [item for item in value if isinstance(item, cst.CSTNode)]
    return tuple(found)


def calls(root: cst.CSTNode) -> Iterator[tuple[str, cst.Call]]:
    """(dotted name, call) for every call of a plain dotted name: `nn.Linear`, `self.norm1`."""
    for node in every(root):
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name | cst.Attribute):
            yield source(node.func), node


def keyword(call: cst.Call, name: str) -> cst.Arg | None:
    """The keyword argument of that name."""
    return next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)


def with_keyword(call: cst.Call, name: str, value: str | None) -> cst.Call:
    """The call with that keyword argument set, or left out for None."""
    kept = [arg for arg in call.args if arg.keyword is None or arg.keyword.value != name]
    if value is None:
        return call.with_changes(
            args=[*kept[:-1], kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)] if kept else []
        )
    new = cst.Arg(
        cst.parse_expression(value),
        keyword=cst.Name(name),
        equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
    )
    index = next((i for i, arg in enumerate(call.args) if arg.keyword is not None and arg.keyword.value == name), None)
    if index is not None:
        return call.with_changes(
            args=[new.with_changes(comma=arg.comma) if i == index else arg for i, arg in enumerate(call.args)]
        )
    if kept and isinstance(kept[-1].comma, cst.MaybeSentinel):
        kept[-1] = kept[-1].with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
        return call.with_changes(args=[*kept, new])
    # The last argument's own trailing comma, perhaps with a line break after it, goes behind the new one.
    if kept:
        trailing = kept[-1].comma
        kept[-1] = kept[-1].with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
        new = new.with_changes(comma=trailing)
    return call.with_changes(args=[*kept, new])


def renamed(call: cst.Call, name: str) -> cst.Call:
    """The call with another last part of its dotted name: `nn.GELU()` → `nn.SiLU()`."""
    if isinstance(call.func, cst.Attribute):
        return call.with_changes(func=call.func.with_changes(attr=cst.Name(name)))
    return call.with_changes(func=cst.Name(name))


_Make = Callable[[cst.CSTNode], cst.CSTNode | cst.FlattenSentinel[cst.BaseStatement]]


class _Replacing(cst.CSTTransformer):
    def __init__(self, module: cst.Module, exchanges: dict[cst.CSTNode, _Make]) -> None:
        super().__init__()
        self.exchanges = {id(node): make for node, make in exchanges.items()}
        # Most of a file stays as it is: statements without a node to exchange are not walked through.
        self.untouched = {
            id(statement)
            for statement in module.body
            if self.exchanges.keys().isdisjoint(id(node) for node in every(statement))
        }

    def on_visit(self, node: cst.CSTNode) -> bool:
        return id(node) not in self.untouched

    def on_leave(self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT) -> cst.CSTNodeT:
        super().on_leave(original_node, updated_node)
        make = self.exchanges.get(id(original_node))
        return updated_node if make is None else make(updated_node)  # type: ignore[return-value]


def replaced(module: cst.Module, exchanges: Sequence[tuple[cst.CSTNode, cst.CSTNode]]) -> cst.Module:
    """The module with each first node, found by identity, exchanged for the second."""

    def making(new: cst.CSTNode) -> Callable[[cst.CSTNode], cst.CSTNode]:
        return lambda _: new

    return module.visit(_Replacing(module, {old: making(new) for old, new in exchanges}))


def inserted(module: cst.Module, beside: cst.CSTNode, statements: Sequence[str], *, after: bool = False) -> cst.Module:
    """The module with statements before, or after, the statement `beside`, in the same block."""
    new = [cst.parse_statement(text, module.config_for_parsing) for text in statements]

    def make(node: cst.CSTNode) -> cst.FlattenSentinel[cst.BaseStatement]:
        assert isinstance(node, cst.BaseStatement)
        return cst.FlattenSentinel([node, *new] if after else [*new, node])

    return module.visit(_Replacing(module, {beside: make}))


def statement_of(block: cst.CSTNode, node: cst.CSTNode) -> cst.SimpleStatementLine | None:
    """The simple statement below `block` that holds `node`."""
    for candidate in every(block):
        if isinstance(candidate, cst.SimpleStatementLine) and any(inner is node for inner in every(candidate)):
            return candidate
    return None


def assignment(statement: cst.BaseStatement) -> tuple[str, cst.BaseExpression] | None:
    """(name, value) of `NAME = value`, alone on its line; `self.name` included."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        inner = statement.body[0]
        if isinstance(inner, cst.Assign) and len(inner.targets) == 1:
            return source(inner.targets[0].target), inner.value
        if isinstance(inner, cst.AnnAssign) and inner.value is not None:
            return source(inner.target), inner.value
    return None


def assignments(module: cst.Module) -> dict[str, cst.BaseExpression]:
    """Name → value of the module's own assignments, those made once only."""
    found: dict[str, cst.BaseExpression] = {}
    twice: set[str] = set()
    for statement in module.body:
        pair = assignment(statement) if isinstance(statement, cst.BaseStatement) else None
        if pair is not None:
            if pair[0] in found:
                twice.add(pair[0])
            found[pair[0]] = pair[1]
    return {name: value for name, value in found.items() if name not in twice}


def imports(module: cst.Module) -> set[str]:
    """The names that the module's import statements bind."""
    bound: set[str] = set()
    for node in every(module):
        if isinstance(node, cst.Import | cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
            for alias in node.names:
                name = source(alias.asname.name) if alias.asname else source(alias.name).split(".")[0]
                bound.add(name)
    return bound


def with_import(module: cst.Module, name: str) -> cst.Module:
    """The module, `import name` in it."""
    if name in imports(module):
        return module
    for statement in module.body:
        if isinstance(statement, cst.SimpleStatementLine) and isinstance(
            statement.body[0], cst.Import | cst.ImportFrom
        ):
            if source(statement).startswith("from __future__"):
                continue
            return inserted(module, statement, [f"import {name}\n"])
    first = next((s for s in module.body if not _is_docstring(s)), None)
    return module if first is None else inserted(module, first, [f"import {name}\n"])


def _is_docstring(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Expr)


def with_constant(module: cst.Module, name: str, value: str) -> cst.Module:
    """The module with `NAME = value` after its last upper-case number, or above its first definition."""
    present = assignments(module)
    if name in present:
        return replaced(module, [(present[name], cst.parse_expression(value))])
    numbers = [s for s in module.body if isinstance(s, cst.SimpleStatementLine) and _is_number(s)]
    if numbers:
        return inserted(module, numbers[-1], [f"{name} = {value}\n"], after=True)
    first = next((s for s in module.body if isinstance(s, cst.FunctionDef | cst.ClassDef)), module.body[-1])
    return inserted(module, first, [f"{name} = {value}\n"])


def _is_number(statement: cst.SimpleStatementLine) -> bool:
    pair = assignment(statement)
    return pair is not None and pair[0].isupper() and isinstance(pair[1], cst.Integer | cst.Float)
