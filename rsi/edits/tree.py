"""Parse Python source, and reduce its syntax tree to a digest and a size.

Runs in the confined child only: the interpreter's parser itself can be brought down by what it reads.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache

from rsi.edits.matching import quoted
from rsi.edits.outcome import NotAnEdit, RefusalCode

MAX_DEPTH = 150
"""Of the tree. Code that people write stays below 40; libraries that walk trees by recursion fail near 300."""
MAX_LINE = 10_000

_TOO_DEEP = (
    "too many nested parentheses",
    "too complex",
    "nested too deeply",
    "too many statically nested",
    "parser stack overflow",
)
_TOO_BIG_NUMBER = "Exceeds the limit"


def check_text(path: str, text: str) -> None:
    """Refuse text that is no text: not UTF-8, with NUL, or with a line that nobody could read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotAnEdit(RefusalCode.MALFORMED, f"{path} would not be UTF-8 text; leave lone surrogates out.") from None
    if "\0" in text:
        raise NotAnEdit(RefusalCode.MALFORMED, f"{path} would hold a NUL character; leave it out.")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise NotAnEdit(
                RefusalCode.TOO_COMPLEX,
                f"Line {number} of {path} would have {len(line)} characters; {MAX_LINE} are allowed.",
            )


def parse(path: str, text: str) -> ast.Module:
    """The syntax tree, compiled once for the errors that only the compiler sees."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            depth = _depth(tree)
            if depth > MAX_DEPTH:
                raise NotAnEdit(
                    RefusalCode.TOO_COMPLEX,
                    f"{path} nests {depth} levels deep; {MAX_DEPTH} are allowed, so write it in steps.",
                )
            compile(tree, path, "exec", dont_inherit=True)
    except (RecursionError, MemoryError):
        raise NotAnEdit(RefusalCode.TOO_COMPLEX, f"{path} is nested too deeply to parse; write it in steps.") from None
    except SyntaxError as error:
        raise _refused(path, error) from None
    except ValueError as error:
        code = RefusalCode.TOO_COMPLEX if _TOO_BIG_NUMBER in str(error) else RefusalCode.SYNTAX_ERROR
        raise NotAnEdit(code, f"{path} does not parse: {error}.") from None
    return tree


def _refused(path: str, error: SyntaxError) -> NotAnEdit:
    message = (error.msg or "invalid syntax").split(" - Consider")[0]
    where = f"line {error.lineno} of {path}" if error.lineno else path
    if any(phrase in message for phrase in (*_TOO_DEEP, _TOO_BIG_NUMBER)):
        return NotAnEdit(RefusalCode.TOO_COMPLEX, f"{where[0].upper()}{where[1:]} cannot be parsed: {message}.")
    shown = f": {quoted(error.text.strip())}" if error.text and error.text.strip() else ""
    return NotAnEdit(RefusalCode.SYNTAX_ERROR, f"{where[0].upper()}{where[1:]} is not valid Python: {message}{shown}.")


def _depth(tree: ast.AST) -> int:
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return deepest


# --- digest and size --------------------------------------------------------------------------------------------


def summary(code: Mapping[str, str]) -> tuple[str, int]:
    """(digest, tokens) of all files; NotAnEdit where a `.py` does not parse."""
    return _summary(tuple(sorted(code.items())))


@lru_cache(maxsize=64)
def _summary(code: tuple[tuple[str, str], ...]) -> tuple[str, int]:
    """Kept, because the parent of every edit is asked about again, and a proposer may have asked about the edit."""
    state, tokens = hashlib.sha256(), 0
    for path, text in code:
        state.update(f"\0{path}\0".encode())
        if path.endswith(".py"):
            for piece in canonical(parse(path, text)):
                state.update(piece.encode("utf-8", "surrogatepass"))
                tokens += piece not in "()"
        else:
            state.update(text.encode())
    return state.hexdigest(), tokens


def canonical(node: object) -> Iterator[str]:
    """The tree in brackets, without positions, docstrings and empty fields: the same over Python versions."""
    if isinstance(node, ast.AST):
        yield "("
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or isinstance(value, ast.expr_context) or name in ("kind", "type_comment"):
                continue
            yield "("
            yield f".{name}"
            yield from canonical(_without_docstring(node, value) if name == "body" else value)
            yield ")"
        if isinstance(node, ast.Constant) and node.value is None:
            yield "None"
        yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from canonical(item)
    else:
        yield f"{type(node).__name__} {node!r}"


def _without_docstring(node: ast.AST, body: object) -> object:
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    if documented and isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        first = body[0].value
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return body[1:] or [ast.Pass()]
    return body
