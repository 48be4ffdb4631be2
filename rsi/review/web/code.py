"""A diff as numbered lines in colours, each with an anchor of its own; what is too long is cut, and said to be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

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
_HUNK = re.compile(r"@@ -[0-9]{1,9}(?:,([0-9]{1,9}))? \+[0-9]{1,9}(?:,([0-9]{1,9}))? @@")
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
    # Only a line feed ends a line, as where findings count; what else ends one on a screen may stand in code.
    lines = text.removesuffix("\n").split("\n")
    for number, (line, look) in enumerate(zip(lines, _looks(lines), strict=True), start=1):
        if number > most and number not in near:
            left += 1
            continue
        if left:
            yield Left(lines=left)
            left = 0
        yield DiffLine(number=number, look=look, html=_coloured(line, look))
    if left:
        yield Left(lines=left)


def _looks(lines: Iterable[str]) -> Iterator[str]:
    """Inside a hunk its counts decide, so that no added line passes for a header by beginning with `++`."""
    old = new = 0
    for line in lines:
        if old > 0 or new > 0:
            sign = line[:1]
            old, new = old - (sign in {"-", " ", ""}), new - (sign in {"+", " ", ""})
            yield {"+": "add", "-": "del"}.get(sign, "")
        elif hunk := _HUNK.match(line):
            old, new = int(hunk[1] or 1), int(hunk[2] or 1)
            yield "hunk"
        else:
            yield "file" if line else ""


def _coloured(line: str, look: str) -> Markup:
    text = for_page(line, LONGEST_LINE)
    if look in {"file", "hunk"} or len(text) > _LEXED:
        return escape(text)
    parts = [escape(text[:1])]
    for token, piece in _LEXER.get_tokens(text[1:]):
        name = next((name for kind, name in _COLOURS if token in kind), "")
        parts.append(Markup('<span class="h{}">{}</span>').format(name, piece) if name else escape(piece))
    return Markup("").join(parts)
