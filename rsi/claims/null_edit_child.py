"""What runs in the confined child for null edits: find where random streams begin, and draw from them once."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rsi.edits.outcome import NotAnEdit
from rsi.edits.tree import canonical, parse
from rsi.records import CodeFiles

_REWRITES_ITSELF = {"exec", "eval", "compile", "globals", "locals", "vars", "setattr", "delattr", "__import__"}
_MOST_DRAWS = 16


class _Place(NamedTuple):
    line: int
    indent: str
    statement: str


def draw_and_drop(argument: dict[str, Any]) -> CodeFiles | None:
    """`{code, seed}` → the files that change, or None where there is no place."""
    draws = random.Random(argument["seed"])  # noqa: S311 - no secret is drawn
    changed = {}
    for path, text in sorted(argument["code"].items()):
        count = draws.randint(1, _MOST_DRAWS)
        if path.endswith(".py") and text.strip() and "\r" not in text.replace("\r\n", ""):
            new = _changed(path, text, count)
            if new is not None:
                changed[path] = new
    return changed or None


def _changed(path: str, text: str, count: int) -> str | None:
    try:
        tree = parse(path, text)
    except NotAnEdit:
        return None
    lines = text.split("\n")
    places = {place.line: place for place in _places(tree, lines, count)}
    if not places:
        return None
    ending = "\r" if lines[0].endswith("\r") else ""
    new: list[str] = []
    added: set[int] = set()
    for number, line in enumerate(lines, start=1):
        new.append(line)
        if number in places:
            if number == len(lines):
                new[-1] += ending
            new.append(places[number].indent + places[number].statement + ending)
            added.add(len(new))
    result = "\n".join(new)
    without = _Without(added).visit(parse(path, result))
    if list(canonical(without)) != list(canonical(tree)):
        raise AssertionError(f"{path}: the null edit would change more than it adds")
    return result


class _Without(ast.NodeTransformer):
    """Drops the statements that begin on these lines."""

    def __init__(self, lines: set[int]) -> None:
        self.lines = lines

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """None for an added statement."""
        return None if node.lineno in self.lines else node


# --- where random streams begin -------------------------------------------------------------------------------


def _places(tree: ast.Module, lines: list[str], count: int) -> Iterator[_Place]:
    modules = _modules(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and _alone(node, lines):
            statement = _statement(node, modules, count)
            if statement is not None:
                line = lines[node.lineno - 1]
                yield _Place(node.end_lineno or node.lineno, line[: len(line) - len(line.lstrip())], statement)


def _alone(node: ast.stmt, lines: list[str]) -> bool:
    """Whether nothing but space stands before the statement on its line, and nothing but a comment after it."""
    before = lines[node.lineno - 1].encode()[: node.col_offset]
    after = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset :].strip()
    return not before.strip() and (not after or after.startswith(b"#"))


def _statement(node: ast.stmt, modules: Mapping[str, str], count: int) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _global_draw(_dotted(node.value.func, modules), modules, count)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return _generator_draw(node.targets[0].id, node.value, modules, count)
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return _generator_draw(node.target.id, node.value, modules, count)
    return None


def _global_draw(seeder: str | None, modules: Mapping[str, str], count: int) -> str | None:
    """A draw from the stream that this call has just seeded."""
    match seeder:
        case "torch.manual_seed" | "torch.random.manual_seed":
            torch = _called("torch", modules)
            return f"{torch}.rand({count})" if torch else None
        case "numpy.random.seed":
            numpy, numpy_random = _called("numpy", modules), _called("numpy.random", modules)
            stream = numpy_random or (f"{numpy}.random" if numpy else None)
            return f"{stream}.random({count})" if stream else None
        case "random.seed":
            standard = _called("random", modules)
            return f"{standard}.getrandbits({32 * count})" if standard else None
    return None


def _generator_draw(name: str, value: ast.expr, modules: Mapping[str, str], count: int) -> str | None:
    """A draw from the generator that this assignment has just named."""
    match value:
        case ast.Call(func=ast.Attribute(value=ast.Call(args=[], keywords=[], func=made), attr="manual_seed")):
            maker = _dotted(made, modules)  # torch.Generator().manual_seed(…) is the generator itself
            maker = maker if maker == "torch.Generator" else None
        case ast.Call(func=made, args=arguments, keywords=keywords):
            maker = _dotted(made, modules)
            if maker == "torch.Generator" and (arguments or keywords):
                maker = None  # perhaps of another device
        case _:
            maker = None
    torch = _called("torch", modules)
    if maker == "torch.Generator" and torch:
        return f"{torch}.rand({count}, generator={name})"
    draws = {
        "numpy.random.default_rng": f"{name}.random({count})",
        "numpy.random.Generator": f"{name}.random({count})",
        "numpy.random.RandomState": f"{name}.random_sample({count})",
        "random.Random": f"{name}.getrandbits({32 * count})",
    }
    return draws.get(maker or "")


# --- what names mean ------------------------------------------------------------------------------------------


def _modules(tree: ast.Module) -> dict[str, str]:
    """Name → what it was imported as, for names that mean nothing else anywhere in the file."""
    imported: dict[str, str] = {}
    bound: Counter[str] = Counter()
    for node in ast.walk(tree):
        bound.update(_binds(node))
        if isinstance(node, ast.Name) and node.id in _REWRITES_ITSELF:
            return {}
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return {}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                name = alias.asname or alias.name.split(".", maxsplit=1)[0]
                imported[name] = alias.name if alias.asname else name
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                imported[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    return {name: meaning for name, meaning in imported.items() if bound[name] == 1}


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            root = _root(node)
            if root is not None:
                yield from (root, root)  # something of it is replaced: no longer what was imported
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.split(".", maxsplit=1)[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _dotted(node: ast.expr, modules: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return modules.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, modules)
        return f"{base}.{node.attr}" if base is not None else None
    return None


def _called(module: str, modules: Mapping[str, str]) -> str | None:
    return next((name for name, meaning in modules.items() if meaning == module), None)
