"""Where a path lies, as far as the syntax tells: below which folder, how deep, under which name."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from evals.reading.folding import HOLE
from evals.reading.reader import Reader

MOST_PLACES = 6
_SAME_PLACE = {
    *(
        "resolve",
        "absolute",
        "as_posix",
        "with_suffix",
        "with_stem",
        "with_name",
        "expanduser",
        "__str__",
        "__fspath__",
    ),
    *("relative_to", "open", "encode"),
}
_SAME_PLACE_CALLS = {
    *("builtins.str", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.normpath", "os.fsencode"),
    *("os.path.expanduser", "builtins.repr", "os.path.normcase", "builtins.open"),
}
_PATH_CLASSES = {"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath"}
_ELSEWHERE = {
    "pathlib.Path.home": "home",
    "pathlib.Path.cwd": "cwd",
    "os.getcwd": "cwd",
    "tempfile.gettempdir": "tmp",
    "tempfile.mkdtemp": "tmp",
    "tempfile.mkstemp": "tmp",
}
_LISTINGS = {"iterdir", "glob", "rglob", "walk"}
_LISTING_CALLS = {"os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob"}


@dataclass(frozen=True)
class Place:
    """`root` is RSI_DATA, RSI_OUT, here, artifact, cwd, home, tmp, absolute or another setting's name."""

    root: str
    depth: int = 0
    """Folders below the root; less than none is above it."""
    name: str = ""
    """What is known of the path below the root."""

    def below(self, text: str) -> Place:
        """The place that a further piece of a path leads to."""
        if text.startswith("/"):
            return Place("absolute", 0, text)
        at, lowest = self.depth, self.depth
        for part in text.split("/"):
            at += -1 if part == ".." else 0 if part in ("", ".") else 1
            lowest = min(lowest, at)
        return Place(self.root, min(at, lowest) if lowest < 0 else at, f"{self.name}/{text}".strip("/"))

    def above(self, levels: int = 1) -> Place:
        """The folder so many levels up."""
        return replace(self, depth=self.depth - levels, name=self.name + "/.." * levels)


def places(reader: Reader, node: ast.AST | None, depth: int = 0) -> list[Place]:
    """The places that a path expression may mean; empty where nothing is known."""
    if node is None or depth > 12:
        return []
    found = _places(reader, node, depth + 1)
    unique: dict[Place, None] = dict.fromkeys(found)
    return list(unique)[:MOST_PLACES]


def _places(reader: Reader, node: ast.AST, depth: int) -> list[Place]:  # noqa: PLR0911, PLR0912 - a case a form
    setting = _setting(reader, node)
    if setting:
        return [Place(setting)]
    match node:
        case ast.Name(id="__file__"):
            return [Place("here", 1, "__file__")]
        case ast.Name():
            return _of_name(reader, node, depth)
        case ast.BinOp(op=ast.Div() | ast.Add()):
            return [
                place.below(reader.fold.text(node.right) or HOLE) for place in places(reader, node.left, depth)
            ] or _of_text(reader.fold.text(node))
        case ast.Attribute(attr="parent"):
            return [place.above() for place in places(reader, node.value, depth)]
        case ast.Subscript(value=ast.Attribute(attr="parents", value=base)):
            levels = int((reader.fold.numbers(node.slice) or [0])[0]) + 1
            return [place.above(levels) for place in places(reader, base, depth)]
        case ast.Subscript(value=base):
            return places(reader, base, depth)
        case ast.Call():
            return _of_call(reader, node, depth)
        case ast.IfExp():
            return places(reader, node.body, depth) + places(reader, node.orelse, depth)
        case ast.BoolOp():
            return [place for part in node.values for place in places(reader, part, depth)]
        case ast.NamedExpr() | ast.Starred():
            return places(reader, node.value, depth)
        case ast.Attribute():
            values = reader.module.stored.get(node.attr, [])[:4]
            return [place for value in values for place in places(reader, value, depth)]
        case ast.JoinedStr(values=[ast.FormattedValue(value=first), *rest]):
            roots = places(reader, first, depth)
            tail = "".join(reader.fold.text(part) or HOLE for part in rest)
            if roots:
                return [root.below(tail.removeprefix("/")) for root in roots]
            return []
        case _:
            return _of_text(reader.fold.text(node))


def _of_text(text: str) -> list[Place]:
    if not text or text.startswith(HOLE):
        return []
    if text.startswith("~"):
        return [Place("home", 0, text)]
    return [Place("cwd").below(text)]


def _setting(reader: Reader, node: ast.AST) -> str:
    """The environment variable that an expression reads, if it does."""
    texts: list[str] = []
    if isinstance(node, ast.Call) and node.args and reader.names.of(node.func) & {"os.environ.get", "os.getenv"}:
        texts = reader.fold.strings(node.args[0])
    elif isinstance(node, ast.Subscript) and "os.environ" in reader.names.of(node.value):
        texts = reader.fold.strings(node.slice)
    return texts[0] if texts else ""


def _of_name(reader: Reader, node: ast.Name, depth: int) -> list[Place]:
    found: list[Place] = []
    for binding in reader.module.lookup(node.id, reader.module.scope_of.get(node, reader.module.scope))[:6]:
        match binding.kind:
            case "value" | "part":
                found += places(reader, binding.node, depth)
            case "item":
                found += places(reader, binding.node, depth)
                found += [p for o in _elements(binding.node) for p in places(reader, o, depth)]
            case "parameter":
                function = binding.node
                if function in reader.predicting and reader.names.path(function) == ".predict":
                    first = function.args.args[0].arg if function.args.args else ""  # type: ignore[attr-defined]
                    found += [Place("artifact")] if binding.name == first else []
                for value in reader.names.given(binding):
                    found += places(reader, value, depth)
            case _:
                pass
    return found


def _elements(node: ast.AST) -> list[ast.expr]:
    return node.elts if isinstance(node, (ast.Tuple, ast.List)) else []


def _of_call(reader: Reader, node: ast.Call, depth: int) -> list[Place]:
    names = reader.names.of(node.func)
    for name in names & _ELSEWHERE.keys():
        return [Place(_ELSEWHERE[name])]
    if names & (_PATH_CLASSES | {"os.path.join"}) and node.args:
        found = places(reader, node.args[0], depth)
        for argument in node.args[1:]:
            found = [place.below(reader.fold.text(argument) or HOLE) for place in found]
        return found
    if names & (_SAME_PLACE_CALLS | _LISTING_CALLS) and node.args:
        found = places(reader, node.args[0], depth)
        return [place.below(HOLE) for place in found] if names & _LISTING_CALLS else found
    if "os.path.dirname" in names and node.args:
        return [place.above() for place in places(reader, node.args[0], depth)]
    if isinstance(node.func, ast.Attribute):
        base = places(reader, node.func.value, depth)
        if node.func.attr == "joinpath":
            for argument in node.args:
                base = [place.below(reader.fold.text(argument) or HOLE) for place in base]
            return base
        if node.func.attr in _LISTINGS:
            pattern = reader.fold.text(node.args[0]) if node.args else HOLE
            return [place.below(pattern or HOLE) for place in base]
        if node.func.attr in _SAME_PLACE:
            return base
    for name in names:
        definition = reader.names.own.get(name)
        if definition is not None and not isinstance(definition, ast.ClassDef):
            return [p for part in reader.names.returned(definition) for p in places(reader, part, depth)]
    return _of_text(reader.fold.text(node)) if node.func and not node.keywords else []
