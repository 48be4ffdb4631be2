"""A diff as numbered lines in colours, each with an anchor of its own; what is too long is cut, and said to be."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from markupsafe import Markup, escape
from pygments.lexers.python import PythonLexer
from pygments.token import Token

from rsi.records import Record
from rsi.sanitize import for_page

LONGEST_LINE = 600
"""Characters of a line that are shown."""
_LEXED = 300
"""Characters of a line that are coloured: a lexer's expressions must have no chance to take long."""
_COLOURS = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "m"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Builtin, "b"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
    (Token.Name.Decorator, "f"),
)
_LEXER = PythonLexer(stripnl=False, ensurenl=False)


class DiffLine(Record):
    """One line of a unified diff."""

    number: int
    """From 1, as findings count them."""
    look: str
    """`add`, `del`, `hunk`, `file` or empty."""
    html: Markup
    """Its text, escaped, in spans that carry colours."""

    model_config = {"arbitrary_types_allowed": True, "frozen": True}


class Left(Record):
    """Lines that are not shown."""

    lines: int


def diff_lines(text: str, most: int, wanted: Collection[int] = ()) -> Iterator[DiffLine | Left]:
    """The first `most` lines and, of what follows, those that are wanted with three lines around each."""
    near = {line + step for line in wanted for step in range(-3, 4)}
    left = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if number > most and number not in near:
            left += 1
            continue
        if left:
            yield Left(lines=left)
            left = 0
        yield DiffLine(number=number, look=_look(line), html=_coloured(line))
    if left:
        yield Left(lines=left)


def _look(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "file"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "")


def _coloured(line: str) -> Markup:
    text = for_page(line, LONGEST_LINE)
    if _look(line) in {"file", "hunk"} or len(text) > _LEXED:
        return escape(text)
    parts = [escape(text[:1])]
    for token, piece in _LEXER.get_tokens(text[1:]):
        name = next((name for kind, name in _COLOURS if token in kind), "")
        parts.append(Markup('<span class="h{}">{}</span>').format(name, piece) if name else escape(piece))
    return Markup("").join(parts)
