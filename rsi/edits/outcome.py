"""What checking an edit leads to: the complete new code, or a refusal that its author can act on."""

from __future__ import annotations

from enum import StrEnum

from rsi.records import CodeFiles, Record


class RefusalCode(StrEnum):
    """Why an edit was refused before anything ran."""

    NOT_APPLICABLE = "not_applicable"
    """The text that the edit replaces is not there, or is there more than once."""
    OUTSIDE_EDITABLE = "outside_editable"
    SYNTAX_ERROR = "syntax_error"
    TOO_LARGE = "too_large"
    TOO_COMPLEX = "too_complex"
    """A parser gave up or took too long: deep nesting, endless chains, enormous numbers or lines."""
    MALFORMED = "malformed"
    """Not readable as the format that it says it is."""
    NO_CHANGE = "no_change"
    """The code would train exactly as before."""


class CheckedEdit(Record):
    """Code that may be run: every editable file, complete, within its limits, each `.py` of it parsed."""

    code: CodeFiles
    changed: tuple[str, ...]
    """Paths whose text differs from before, sorted."""
    tree_digest: str
    """sha256 of the syntax trees: comments, layout and docstrings do not count. Editable files in another language
    count by their text."""
    tree_tokens: int
    """Nodes, names and constants in the syntax trees: the size of the code, however it is laid out."""


class Refusal(Record):
    """Why an edit was refused, in a sentence that helps to write a better one."""

    code: RefusalCode
    reason: str


class NotAnEdit(Exception):
    """Raised while reading or applying an edit; becomes a `Refusal`."""

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
