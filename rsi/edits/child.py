"""What runs in the confined child for `rsi.edits`: JSON in, JSON out, no state."""

from __future__ import annotations

from typing import Any

from rsi.edits import blocks, unified
from rsi.edits.outcome import NotAnEdit, RefusalCode
from rsi.edits.transplant import merged
from rsi.edits.tree import check_text, summary
from rsi.records import CodeFiles, EditFormat

_EDIT_FACTOR = 4
_EDIT_SLACK = 65536


def check(argument: dict[str, Any]) -> dict[str, Any]:
    """`{format, text, files, code, max_bytes}` → the fields of a `CheckedEdit`, or of a `Refusal`."""
    try:
        return _check(argument["code"], argument)
    except NotAnEdit as refusal:
        return {"refused": refusal.code, "reason": refusal.reason}


def inspect(code: CodeFiles) -> dict[str, Any]:
    """The fields of a `CheckedEdit` that changes nothing, or of a `Refusal`."""
    try:
        return _inspect(code)
    except NotAnEdit as refusal:
        return {"refused": refusal.code, "reason": refusal.reason}


def transplant(argument: dict[str, CodeFiles]) -> dict[str, Any]:
    """`{before, after, onto}` → `{code}`, or the fields of a `Refusal`."""
    try:
        return {"code": merged(argument["before"], argument["after"], argument["onto"])}
    except NotAnEdit as refusal:
        return {"refused": refusal.code, "reason": refusal.reason}


def diff(argument: dict[str, CodeFiles]) -> str:
    """`{old, new}` → a unified diff."""
    return unified.render(argument["old"], argument["new"])


def _check(code: CodeFiles, edit: dict[str, Any]) -> dict[str, Any]:
    max_bytes: int = edit["max_bytes"]
    if len(edit["text"]) > _EDIT_FACTOR * max_bytes + _EDIT_SLACK:
        raise NotAnEdit(RefusalCode.TOO_LARGE, f"The edit has {len(edit['text'])} characters; write a smaller one.")
    new = {**code, **applied(code, edit)}
    changed = sorted(path for path in code if new[path] != code[path])
    if not changed:
        raise NotAnEdit(RefusalCode.NO_CHANGE, "The edit leaves every file as it is; change something.")
    for path in changed:
        check_text(path, new[path])
    size = sum(len(text.encode()) for text in new.values())
    if size > max_bytes:
        raise NotAnEdit(
            RefusalCode.TOO_LARGE, f"The editable files would hold {size} bytes together; {max_bytes} are allowed."
        )
    checked = {**_inspect(new), "changed": changed}
    if checked["tree_digest"] == _digest_or_none(code):
        raise NotAnEdit(
            RefusalCode.NO_CHANGE, "Only comments, layout or docstrings would change; the training would be the same."
        )
    return checked


def applied(code: CodeFiles, edit: dict[str, Any]) -> CodeFiles:
    """The files that an edit writes, by path; NotAnEdit where it does not fit the code."""
    match EditFormat(edit["format"]):
        case EditFormat.UNIFIED_DIFF:
            return dict(unified.apply(edit["text"], code))
        case EditFormat.SEARCH_REPLACE:
            return dict(blocks.apply(edit["text"], code))
        case EditFormat.WHOLE_FILE:
            outside = sorted(set(edit["files"]) - set(code))
            if outside:
                raise NotAnEdit(
                    RefusalCode.OUTSIDE_EDITABLE, f"{outside[0]} is not editable; editable are {', '.join(code)}."
                )
            return dict(edit["files"])


def _inspect(code: CodeFiles) -> dict[str, Any]:
    for path, text in code.items():
        check_text(path, text)
    digest, tokens = summary(code)
    return {"code": code, "changed": [], "tree_digest": digest, "tree_tokens": tokens}


def _digest_or_none(code: CodeFiles) -> str | None:
    try:
        return summary(code)[0]
    except NotAnEdit:
        return None
