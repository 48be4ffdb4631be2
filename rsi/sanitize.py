"""Untrusted text made fit to be shown to a person: no terminal control, nothing invisible, no overlong lines.

Sequences that steer a terminal are removed. Characters that reorder or hide text are shown by their number instead,
since their being there is itself worth a reviewer's look.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_LINE = 2000
"""Columns shown of a line where no width is given."""
LONGEST_PAGE_TEXT = 20_000
"""Characters shown of a text on a page where nothing else is said."""

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor movement
    # OSC, DCS, APC, PM, SOS with their payload: titles, links, clipboard. Only a short one that ends on its line:
    # one that is never ended must not swallow the evidence behind it.
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,1024}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,8}[0-~]"  # character sets, resets
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COMBINING = "[\u0300-\u036f\u0483-\u0489\u0e34-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_PILED_UP = re.compile(f"({_COMBINING}{{3}})({_COMBINING}+)")
"""Marks that pile up on one letter until they cover the lines around it; no language needs more than three."""


def for_terminal(text: str, width: int | None = None) -> str:
    """Plain text that a terminal shows as it is; lines longer than `width` columns are cut, ending in `…`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # what a carriage return would overwrite is shown
    text = _CONTROL.sub("", _SEQUENCE.sub("", text))
    text = _INVISIBLE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)
    return "\n".join(_cut(line, LONGEST_LINE if width is None else max(width, 1)) for line in text.split("\n"))


def for_page(text: str, width: int = LONGEST_LINE, whole: int = LONGEST_PAGE_TEXT) -> str:
    """Plain text for a web page, which must still escape it; lines longer than `width` and texts than `whole` are cut.

    Nothing is taken out, because nothing in it can act there: whatever steers a terminal, hides or reorders text is
    shown by its number, and what is cut off is counted.
    """
    if len(text) > whole:
        text, left = text[:whole], len(text) - whole
        return f"{for_page(text, width, whole)}… ({left:,} further characters)"
    text = text.replace("\r\n", "\n")
    lines = (
        line if len(line) <= width else f"{line[:width]}… ({len(line) - width:,} further characters)"
        for line in text.split("\n")
    )
    text = _INVISIBLE.sub(_numbered, _CONTROL.sub(_numbered, "\n".join(lines)))
    return _PILED_UP.sub(lambda match: match[1] + "".join(map(_number_of, match[2])), text)


def _numbered(match: re.Match[str]) -> str:
    return _number_of(match[0])


def _number_of(character: str) -> str:
    return f"<U+{ord(character):04X}>"


def _cut(line: str, width: int) -> str:
    if line.isascii() and len(line) <= width:
        return line
    columns = 0
    for index, character in enumerate(line):
        columns += _columns(character)
        if columns > width:
            return _fitting(line[:index], width - 1) + "…"
    return line


def _fitting(line: str, width: int) -> str:
    columns = sum(map(_columns, line))
    while columns > width:
        columns -= _columns(line[-1])
        line = line[:-1]
    return line


def _columns(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
