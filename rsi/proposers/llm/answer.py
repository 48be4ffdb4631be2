"""What a model's answer says: an edit with its reason, or the name of what it is instead. Reading is lenient.

Nothing is parsed here that could crash or hang: lines are looked at, and `rsi.edits` reads the edit in a child.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from rsi.calls import Answer
from rsi.calls.request import TOO_LONG
from rsi.proposers.llm.quoting import clean
from rsi.records import Edit, EditFormat

RATIONALE_LENGTH = 1000


class Outcome(StrEnum):
    """What an answer turned out to be."""

    EDIT = "edit"
    EMPTY = "empty"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    TOO_LONG = "too_long"
    """Longer than the tokens that it was allowed can be; the rest was not read."""
    NO_EDIT = "no_edit"
    NOT_APPLICABLE = "not_applicable"
    """Its edit does not apply, does not parse, or touches what it may not."""
    DUPLICATE = "duplicate"
    """Its code was tried before, up to formatting."""


class Reading(NamedTuple):
    """An answer, read."""

    outcome: Outcome
    reason: str
    """For the model, where there is no edit."""
    edit: Edit | None = None
    rationale: str = ""
    kind: str = "edit"


_WITHHELD = Reading(Outcome.REFUSAL, "it was withheld or declined; the task is to edit training code, nothing more.")
_ENDED = {
    "length": Reading(Outcome.TRUNCATED, "it was cut off at the longest answer that is allowed; be shorter."),
    TOO_LONG: Reading(Outcome.TOO_LONG, "it was longer than is allowed, and was not read to the end; be shorter."),
    "content_filter": _WITHHELD,
    "refusal": _WITHHELD,
}
"""By an answer's finish, what needs no reading."""
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_SEARCH = re.compile(r"^[ \t]*<{5,9} ?SEARCH\b", re.MULTILINE)
_DIFF = re.compile(r"^--- .*\n\+\+\+ .*\n@@", re.MULTILINE)
_WHY = re.compile(r"^[ \t>#*_-]*(?:why|rationale|reason)[ \t*_]*:[ \t*_]*(\S.*)$", re.MULTILINE | re.IGNORECASE)
_KIND = re.compile(r"^[ \t>#*_-]*kind[ \t*_`]*:[ \t*_`]*(\w[\w /-]*)", re.MULTILINE | re.IGNORECASE)
_SORRY = re.compile(r"\s*(?:(?:I'm|I am) (?:sorry|unable)|Sorry|I (?:cannot|can't|can not|won't|will not)|As an AI)\b")
_PATH = re.compile(r"[\w./-]*\.\w+")


def read(answer: Answer, asked: EditFormat, editable: Collection[str]) -> Reading:
    """The edit of an answer, in the asked form or another that can be told apart from prose."""
    if answer.finish in _ENDED:
        return _ENDED[answer.finish]
    text = _THOUGHT.sub("", answer.text).replace("\x00", "")
    if not text.strip():
        return Reading(Outcome.EMPTY, "it is empty.")
    edit, prose = _edit(text, asked, editable)
    if edit is None:
        if _SORRY.match(text.replace("\u2019", "'")):
            return Reading(Outcome.REFUSAL, "it declines; the task is to edit training code, nothing more.")
        return Reading(Outcome.NO_EDIT, "there is no edit in it; write one in the asked form.")
    return Reading(Outcome.EDIT, "", edit, _rationale(text, prose), _kind(text))


def _edit(text: str, asked: EditFormat, editable: Collection[str]) -> tuple[Edit | None, str]:
    """The edit and the prose before it."""
    unix = text.replace("\r\n", "\n")
    found = {EditFormat.SEARCH_REPLACE: _SEARCH.search(unix), EditFormat.UNIFIED_DIFF: _DIFF.search(unix)}
    for form in sorted(found, key=lambda form: form is not asked):
        match = found[form]
        if match is not None:
            return Edit(format=form, text=unix), unix[: match.start()]
    if asked is EditFormat.WHOLE_FILE:
        files, start = _whole_files(unix, editable)
        if files:
            return Edit(format=asked, files=files), unix[:start]
    return None, ""


def _whole_files(text: str, editable: Collection[str]) -> tuple[dict[str, str], int]:
    """Path → text of every fenced block whose path stands above it or on its fence, and where the first begins."""
    lines = text.split("\n")
    files: dict[str, str] = {}
    start, index = len(text), 0
    while index < len(lines):
        fence = re.match(r"\s*(`{3,}|~{3,})(.*)", lines[index])
        if fence is None:
            index += 1
            continue
        end = next((n for n in range(index + 1, len(lines)) if lines[n].strip() == fence[1]), len(lines))
        path = _path_of(lines, index, fence[2], editable)
        if path is not None:
            if not files:
                start = sum(len(line) + 1 for line in lines[:index])
            files[path] = "\n".join(lines[index + 1 : end]) + "\n"
        index = end + 1
    return files, start


def _path_of(lines: list[str], index: int, info: str, editable: Collection[str]) -> str | None:
    above = next((line for line in reversed(lines[max(0, index - 2) : index]) if line.strip()), "")
    for words in (info.split(), above.strip().strip("*`#: ").split()):
        for word in words:
            name = word.strip("`*:").removeprefix("./")
            if _PATH.fullmatch(name):
                return name
    return next(iter(editable)) if len(editable) == 1 else None


def _rationale(text: str, prose: str) -> str:
    match = _WHY.search(text)
    told = match[1] if match else _last_paragraph(prose)
    return " ".join(clean(told).split())[:RATIONALE_LENGTH] or "no reason given"


def _last_paragraph(prose: str) -> str:
    """The last paragraph that is more than a path, a fence or a heading."""
    for paragraph in reversed(prose.split("\n\n")):
        lines = (line.strip() for line in paragraph.split("\n"))
        told = [
            x for x in lines if x and not x.startswith(("```", "~~~", "#")) and not _PATH.fullmatch(x.strip("`*: "))
        ]
        if told:
            return " ".join(told)
    return ""


def _kind(text: str) -> str:
    match = _KIND.search(text)
    words = re.findall(r"[a-z0-9]+", match[1].lower()) if match else []
    return "_".join(words[:4])[:40] or "edit"
