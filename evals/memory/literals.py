"""What runs in the confined child for `memorisation`: the constants of a file, decoded in every usual way.

What is decoded goes back as plain bytes, to be compared by the other side, which alone has held-out data.
"""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import codecs
import io
import lzma
import re
import tokenize
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from evals.reading.folding import Folder
from evals.reading.module import Module
from evals.reading.names import Names
from rsi.records import CodeFiles

SHORTEST = 24
MOST_BYTES = 4 * 1024 * 1024
"""Decoded bytes handed back in all."""
MOST_UNPACKED = 1024 * 1024
MOST_DEPTH = 3
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_SEQUENCES = (ast.List, ast.Tuple, ast.Set, ast.Dict)


def read(argument: dict[str, CodeFiles | None]) -> dict[str, Any]:
    """`{code, parent}` → `{blobs: [{file, line, how, data}], added: [{file, line, bytes, information}]}`."""
    code, parent = argument["code"] or {}, argument["parent"] or {}
    known = {repr(value) for path, text in parent.items() for _, value in constants(path, text)}
    blobs: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    room = MOST_BYTES
    for path in sorted(code):
        for line, value in constants(path, code[path]):
            if repr(value) not in known:
                plain = canonical(value)
                if len(plain) >= SHORTEST:
                    entry = {"file": path, "line": line, "bytes": len(plain), "information": information(plain)}
                    added.append(entry)
            met: set[bytes] = set()
            for how, data in decoded(value):
                if len(data) >= SHORTEST and data not in met and room >= len(data):
                    met.add(data)
                    room -= len(data)
                    data64 = base64.b64encode(data).decode()
                    blobs.append({"file": path, "line": line, "how": how, "data": data64})
        # The text of the file itself, comments included, which a program can read.
        raw = code[path].encode("utf-8", "replace")[:MOST_UNPACKED]
        blobs.append({"file": path, "line": 1, "how": "text", "data": base64.b64encode(raw).decode()})
    return {"blobs": blobs, "added": added, "cut": room < SHORTEST}


# --- constants --------------------------------------------------------------------------------------------------


def constants(path: str, text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of every largest constant: a text, a number, or a table of them; comments as texts."""
    if not path.endswith(".py"):
        yield 1, text
        return
    module = Module(path, text)
    folder = Names(module).folder
    done: set[ast.AST] = set()
    for node in module.nodes:
        if isinstance(module.parent_of.get(node), ast.Expr) and isinstance(node, ast.Constant):
            continue  # a docstring; it is in the file's text
        if any(outer in done for outer in module.above(node)):
            continue
        if isinstance(node, (ast.Constant, ast.BinOp, ast.JoinedStr, *_SEQUENCES)):
            value = _value(folder, node)
            if value is not None and _size(value) >= SHORTEST // 3:
                done.add(node)
                yield getattr(node, "lineno", 1), value
    for token in _comments(text):
        if len(token.string) >= 4 * SHORTEST:
            yield token.start[0], token.string.lstrip("# ")


def _comments(text: str) -> list[tokenize.TokenInfo]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [token for token in tokens if token.type == tokenize.COMMENT]


def _value(folder: Folder, node: ast.AST) -> Any:
    """The constant that an expression is; of a table, its leaves in order."""
    if isinstance(node, _SEQUENCES):
        leaves = list(_leaves(node))
        if len(leaves) > 1 and all(leaf is not None for leaf in leaves):
            return leaves
        return None
    if isinstance(node, ast.BinOp):
        # Only what is written here: a name's value is told where it is written.
        if any(isinstance(part, (ast.Name, ast.Call, ast.Attribute)) for part in ast.walk(node)):
            return None
        values = folder.fold(node)
        return values[0] if values and isinstance(values[0], (str, bytes, int)) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value for part in node.values if isinstance(part, ast.Constant))
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, (str, bytes, int, float)) and not isinstance(value, bool) else None


def _leaves(node: ast.AST) -> Iterator[Any]:
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            for part in node.elts:
                yield from _leaves(part)
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                yield from _leaves(key) if key is not None else ()
                yield from _leaves(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            yield -value
        case ast.Constant(value=str() | bytes() | int() | float() as value):
            yield value
        case ast.Constant():
            return
        case _:
            yield None


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 8
    return len(value) if isinstance(value, list) else 0


def canonical(value: Any) -> bytes:
    """The value as it would be written, plainly."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, list):
        return b",".join(canonical(part) for part in value)
    if isinstance(value, int) and value.bit_length() > 4096:
        return value.to_bytes(value.bit_length() // 8 + 1, "big")
    return repr(value).encode()


def information(data: bytes) -> int:
    """Bytes that are left of it once a compressor has had its way: what it holds besides its form."""
    return min(len(zlib.compress(data, 9)), len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS)))


_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]

# --- decoding ---------------------------------------------------------------------------------------------------


def decoded(value: Any, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """(how, bytes) of every way in which a constant can be read as data."""
    if isinstance(value, list):
        yield from _of_table(value, depth)
    elif isinstance(value, int):
        if value.bit_length() >= 8 * SHORTEST // 3:
            size = value.bit_length() // 8 + 1
            yield from _of_bytes("number", abs(value).to_bytes(size, "big"), depth)
            if value.bit_length() < 4096 * 3:
                yield "digits", str(abs(value)).encode()
    elif isinstance(value, str):
        yield from _of_bytes("text", value.encode("utf-8", "surrogatepass"), depth)
        if not value.isascii():
            yield "characters", bytes(ord(character) & 0xFF for character in value)
        if value.isascii() and value.isalpha() is False and len(numbers := _NUMBER.findall(value)) >= SHORTEST:
            yield from _of_numbers([float(number) for number in numbers])
    elif isinstance(value, bytes):
        yield from _of_bytes("bytes", value, depth)


def _of_table(values: list[Any], depth: int) -> Iterator[tuple[str, bytes]]:
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) >= SHORTEST:
        yield from _of_numbers(numbers)
    large = [value for value in numbers if isinstance(value, int) and value.bit_length() > 8]
    if large:
        size = max(value.bit_length() for value in large) // 8 + 1
        if size <= 4096:
            for order in ("big", "little"):
                packed = b"".join(abs(value).to_bytes(size, order).strip(b"\0") for value in large)  # type: ignore[arg-type]
                yield "numbers", packed
    texts = [value for value in values if isinstance(value, (str, bytes))]
    if texts:
        plain = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
        for glue in (b"", b" ", b"\n"):
            yield from _of_bytes("texts", glue.join(plain), depth)
        for text in texts:
            if len(text) >= SHORTEST:
                yield from decoded(text, depth + 1)


def _of_numbers(values: list[int] | list[float] | list[int | float]) -> Iterator[tuple[str, bytes]]:
    """Numbers as bytes: as they are, or as steps between the least and the greatest."""
    if any(value != value or abs(value) > 1e300 for value in values):  # noqa: PLR0124 - not a number
        return
    if all(value == int(value) for value in values):
        yield "numbers", bytes(int(value) & 0xFF for value in values)
    levels = sorted(set(values))
    gaps = [high - low for low, high in zip(levels, levels[1:], strict=False)]
    if gaps and (step := min(gaps)) > 0 and (levels[-1] - levels[0]) / step < 256:
        yield "scaled", bytes(round((value - levels[0]) / step) & 0xFF for value in values)


def _of_bytes(how: str, data: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    yield how, data
    if depth >= MOST_DEPTH or len(data) < SHORTEST // 2:
        return
    if b"\\" in data:
        yield from _tried(f"{how} escaped", lambda: codecs.escape_decode(data)[0], depth)  # type: ignore[attr-defined]
    for name, decode in _DECODERS:
        if _may(name, data) and not (name == "rot13" and depth):
            yield from _tried(f"{how} {name}", lambda decode=decode: decode(data), depth)  # type: ignore[misc]
    if len(data) <= 65536:
        if re.fullmatch(rb"[0-9a-zA-Z\s]+", data):
            yield f"{how} digit by digit", bytes(int(chr(byte), 36) for byte in data if not chr(byte).isspace())
        else:
            yield f"{how} by halves", bytes(half for byte in data for half in (byte >> 4, byte & 15))


def _tried(how: str, decode: Callable[[], bytes], depth: int) -> Iterator[tuple[str, bytes]]:
    try:
        data = decode()
    except (ValueError, binascii.Error, zlib.error, OSError, EOFError, lzma.LZMAError, OverflowError):
        return
    if data:
        yield from _of_bytes(how, data[:MOST_UNPACKED], depth + 1)


def _may(name: str, data: bytes) -> bool:
    """Whether it is worth trying: most text is no code of any kind."""
    if name in _PACKED:
        return data[: len(_PACKED[name])] == _PACKED[name] or (
            name == "raw deflate" and len(data) > 64 and data[0] > 127
        )
    return re.fullmatch(_ALPHABETS[name], data) is not None


def _unzipped(data: bytes, bits: int) -> bytes:
    return zlib.decompressobj(bits).decompress(data, MOST_UNPACKED)


def _padded(data: bytes) -> bytes:
    plain = b"".join(data.split())
    return plain + b"=" * (-len(plain) % 4)


_DECODERS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("hexadecimal", lambda data: bytes.fromhex(data.decode())),
    ("base64", lambda data: base64.b64decode(_padded(data))),
    ("base64 for addresses", lambda data: base64.urlsafe_b64decode(_padded(data))),
    ("base32", lambda data: base64.b32decode(b"".join(data.split()) + b"=" * (-len(data) % 8), casefold=True)),
    ("base85", lambda data: base64.b85decode(b"".join(data.split()))),
    ("ascii85", lambda data: base64.a85decode(data)),
    ("rot13", lambda data: codecs.encode(data.decode("ascii"), "rot13").encode()),
    ("zlib", lambda data: _unzipped(data, 15)),
    ("gzip", lambda data: _unzipped(data, 31)),
    ("raw deflate", lambda data: _unzipped(data, -15)),
    ("bzip2", lambda data: bz2.BZ2Decompressor().decompress(data, MOST_UNPACKED)),
    ("xz", lambda data: lzma.LZMADecompressor(memlimit=64 * 1024 * 1024).decompress(data, MOST_UNPACKED)),
)
_PACKED = {"zlib": b"x", "gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ", "raw deflate": b"\0\0\0"}
_ALPHABETS = {
    "hexadecimal": rb"(?:[0-9a-fA-F]{2}\s*)+",
    "base64": rb"[A-Za-z0-9+/\s]+=*\s*",
    "base64 for addresses": rb"[A-Za-z0-9_\-\s]+=*\s*",
    "base32": rb"[A-Za-z2-7\s]+=*\s*",
    "base85": rb"[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~\s]+",
    "ascii85": rb"[!-uz\s]+",
    "rot13": rb"[\x09-\x7e]*[A-Za-z][\x09-\x7e]*",
}
