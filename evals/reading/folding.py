"""Constants that an expression comes to: strings put together, turned round, decoded or spelt by their numbers."""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
import operator
import zlib
from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any

from evals.reading.module import Module

MOST_VALUES = 4
"""Alternatives of one expression; a name that is bound more often is followed no further."""
MOST_CHARACTERS = 65_536
MOST_ITEMS = 4096
MOST_DEPTH = 40
HOLE = "\ufffc"
"""Stands in a text for a part that is not known."""

Environment = dict[str, Any]

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_PLAIN_METHODS = {
    *("join", "replace", "lower", "upper", "strip", "lstrip", "rstrip", "swapcase", "title", "capitalize", "split"),
    *("removeprefix", "removesuffix", "translate", "decode", "encode", "hex", "casefold", "splitlines", "rsplit"),
    *("format", "partition", "rpartition", "to_bytes", "get", "index", "count"),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "chr": chr,
    "ord": ord,
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "bytes": bytes,
    "bytearray": lambda *given: bytes(bytearray(*given)),
    "list": list,
    "tuple": tuple,
    "reversed": lambda value: list(reversed(value)),
    "sorted": sorted,
    "len": len,
    "hex": hex,
    "repr": repr,
    "ascii": ascii,
    "abs": abs,
    "round": round,
    "sum": sum,
    "range": lambda *given: list(islice(range(*given), MOST_ITEMS)),
    "enumerate": lambda *given: list(enumerate(*given)),
    "zip": lambda *given: list(zip(*given, strict=False)),
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "int.from_bytes": int.from_bytes,
    "base64.b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.a2b_hex,
    "binascii.a2b_base64": binascii.a2b_base64,
    "codecs.decode": codecs.decode,
    "codecs.encode": codecs.encode,
    "zlib.decompress": lambda data: zlib.decompressobj().decompress(data, MOST_CHARACTERS),
}
_ENVIRONMENT_READS = {"os.environ.get", "os.getenv"}


class Folder:
    """Folds expressions of one module. Work and size are bounded; what is too much is not known."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.written: Callable[[ast.AST], frozenset[str]] = lambda _: frozenset()
        """What a callee resolves to; set by the resolver, which in turn folds."""
        self._known: dict[ast.AST, list[Any]] = {}
        self._open: set[ast.AST] = set()

    def fold(self, node: ast.AST | None, environment: Environment | None = None, depth: int = 0) -> list[Any]:
        """The constants that an expression may be; empty where that is not known."""
        if node is None or depth > MOST_DEPTH or node in self._open:
            return []
        if not environment and node in self._known:
            return self._known[node]
        self._open.add(node)
        try:
            found = [
                value for value in islice(self._fold(node, environment or {}, depth + 1), MOST_VALUES) if _small(value)
            ]
        except Exception:  # a constant expression that fails is the program's business
            found = []
        finally:
            self._open.discard(node)
        if not environment:
            self._known[node] = found
        return found

    def strings(self, node: ast.AST | None) -> list[str]:
        """Those of its constants that are text; bytes are read as Latin-1."""
        texts = []
        for value in self.fold(node):
            if isinstance(value, bytes):
                texts.append(value.decode("latin-1"))
            elif isinstance(value, str):
                texts.append(value)
        return texts

    def numbers(self, node: ast.AST | None) -> list[float]:
        """Those of its constants that are numbers."""
        return [value for value in self.fold(node) if isinstance(value, (int, float)) and not isinstance(value, bool)]

    def text(self, node: ast.AST | None, depth: int = 0) -> str:
        """The text with a hole for each part that is not known; empty where it is no text at all."""
        if node is None or depth > MOST_DEPTH:
            return ""
        known = self.strings(node)
        if known:
            return known[0]
        match node:
            case ast.JoinedStr():
                return "".join(self.text(part, depth + 1) or HOLE for part in node.values)
            case ast.FormattedValue():
                return self.text(node.value, depth + 1) or HOLE
            case ast.BinOp(op=ast.Add()):
                left, right = self.text(node.left, depth + 1), self.text(node.right, depth + 1)
                return (left or HOLE) + (right or HOLE) if left or right else ""
            case ast.BinOp(op=ast.Mod()):
                return self.text(node.left, depth + 1)
            case ast.Call(func=ast.Attribute(value=base, attr="format")):
                return self.text(base, depth + 1)
            case _:
                return ""

    # --- the cases ----------------------------------------------------------------------------------------------

    def _fold(self, node: ast.AST, env: Environment, depth: int) -> Iterator[Any]:  # noqa: PLR0912 - a case a form
        def inner(part: ast.AST | None) -> list[Any]:
            return self.fold(part, env, depth)

        match node:
            case ast.Constant():
                yield node.value
            case ast.Name():
                if node.id in env:
                    yield env[node.id]
                else:
                    scope = self.module.scope_of.get(node, self.module.scope)
                    for binding in self.module.lookup(node.id, scope)[:MOST_VALUES]:
                        if binding.kind == "value":
                            yield from self.fold(binding.node, None, depth)
                        elif binding.kind == "item":
                            for items in self.fold(binding.node, None, depth):
                                yield from list(items)[:MOST_VALUES]
            case ast.Tuple() | ast.List() | ast.Set():
                # Nothing whose order depends on the hash of a string is made here.
                for chosen in islice(product(*(inner(part) for part in node.elts)), MOST_VALUES):
                    yield list(chosen)
            case ast.Dict() if all(key is not None for key in node.keys):
                keys, values = [inner(key)[:1] for key in node.keys], [inner(value)[:1] for value in node.values]
                if all(keys) and all(values):
                    yield {key[0]: value[0] for key, value in zip(keys, values, strict=True)}
            case ast.BinOp():
                for left, right in product(inner(node.left), inner(node.right)):
                    yield from _binary(node.op, left, right)
            case ast.UnaryOp():
                for value in inner(node.operand):
                    match node.op:
                        case ast.USub():
                            yield -value
                        case ast.Invert():
                            yield ~value
                        case ast.Not():
                            yield not value
                        case _:
                            yield +value
            case ast.JoinedStr():
                for parts in product(*(inner(part) for part in node.values)):
                    yield "".join(str(part) for part in parts)
            case ast.FormattedValue():
                for value in inner(node.value):
                    spec = inner(node.format_spec)[0] if node.format_spec else ""
                    yield format(value, spec) if len(spec) < 8 else str(value)
            case ast.IfExp():
                yield from inner(node.body)
                yield from inner(node.orelse)
            case ast.NamedExpr():
                yield from inner(node.value)
            case ast.BoolOp():
                for part in node.values:
                    yield from inner(part)
            case ast.Subscript():
                yield from self._item(node, inner)
            case ast.Call():
                yield from self._call(node, inner, env, depth)
            case ast.ListComp() | ast.GeneratorExp():
                yield from self._comprehension(node, env, depth)
            case _:
                return

    def _item(self, node: ast.Subscript, inner: Callable[[ast.AST | None], list[Any]]) -> Iterator[Any]:
        if isinstance(node.slice, ast.Slice):
            cuts = [inner(part)[0] if part else None for part in (node.slice.lower, node.slice.upper, node.slice.step)]
            for value in inner(node.value):
                yield value[slice(*cuts)]
            return
        for value, key in product(inner(node.value), inner(node.slice)):
            yield value[key]

    def _call(
        self, node: ast.Call, inner: Callable[[ast.AST | None], list[Any]], env: Environment, depth: int
    ) -> Iterator[Any]:
        names = {name.removeprefix("builtins.") for name in self.written(node.func)}
        if names & _ENVIRONMENT_READS:
            # What the harness sets is whatever stands in for it by hand.
            if len(node.args) > 1:
                yield from inner(node.args[1])
            return
        if "map" in names and len(node.args) == 2:
            mapped = {name.removeprefix("builtins.") for name in self.written(node.args[0])} & _FUNCTIONS.keys()
            origin = node.args[0]
            for items in inner(node.args[1]):
                if mapped:
                    yield [_FUNCTIONS[next(iter(mapped))](item) for item in items]
                elif isinstance(origin, ast.Lambda) and len(origin.args.args) == 1:
                    name = origin.args.args[0].arg
                    results = [self.fold(origin.body, {**env, name: item}, depth) for item in items[:MOST_ITEMS]]
                    if all(results):
                        yield [result[0] for result in results]
            return
        arguments = list(islice(product(*(inner(argument) for argument in node.args)), MOST_VALUES))
        for name in names & _FUNCTIONS.keys():
            for given in arguments:
                if name in ("bytes", "bytearray") and given and isinstance(given[0], int):
                    return
                yield _FUNCTIONS[name](*given)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _PLAIN_METHODS:
            named = {keyword.arg: inner(keyword.value)[0] for keyword in node.keywords if keyword.arg}
            for value, given in product(inner(node.func.value), arguments):
                if isinstance(value, (str, bytes, int, dict, list)):
                    yield getattr(value, node.func.attr)(*given, **named)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, env: Environment, depth: int) -> Iterator[Any]:
        if len(node.generators) != 1 or node.generators[0].ifs:
            return
        target = node.generators[0].target
        for items in self.fold(node.generators[0].iter, env, depth):
            results: list[Any] = []
            for item in list(items)[:MOST_ITEMS]:
                bound = dict(env)
                if isinstance(target, ast.Name):
                    bound[target.id] = item
                elif isinstance(target, ast.Tuple) and all(isinstance(part, ast.Name) for part in target.elts):
                    bound |= {part.id: value for part, value in zip(target.elts, item, strict=True)}  # type: ignore[attr-defined]
                value = self.fold(node.elt, bound, depth)
                if not value:
                    return
                results.append(value[0])
            yield results


def _binary(sign: ast.operator, left: Any, right: Any) -> Iterator[Any]:
    if isinstance(sign, ast.Mult):
        sizes = [len(value) for value in (left, right) if isinstance(value, (str, bytes, list))]
        counts = [abs(value) for value in (left, right) if isinstance(value, int)]
        if sizes and counts and sizes[0] * counts[0] > MOST_CHARACTERS:
            return
    if isinstance(sign, ast.Mod) and isinstance(left, (str, bytes)):
        if len(left) < 4096 and "*" not in str(left) and not any(c.isdigit() for c in str(left)):
            yield left % (tuple(right) if isinstance(right, list) else right)
        return
    if isinstance(sign, ast.Pow):
        if all(isinstance(value, (int, float)) and abs(value) < 1000 for value in (left, right)):
            yield left**right
    elif isinstance(sign, ast.LShift):
        if 0 <= right < 64:
            yield left << right
    elif type(sign) in _BINARY:
        yield _BINARY[type(sign)](left, right)


def _small(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return len(value) <= MOST_CHARACTERS
    if isinstance(value, (list, tuple, dict)):
        return len(value) <= MOST_ITEMS
    return not isinstance(value, int) or value.bit_length() <= 4096
