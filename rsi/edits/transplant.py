"""Carry one change over to other code: a three-way merge of every file, whole or not at all.

Of hostile text this is done in the confined child, like all reading of it (`rsi.edits.transplant`).
"""

from __future__ import annotations

from merge3 import Merge3

from rsi.edits.outcome import NotAnEdit, Refusal, RefusalCode
from rsi.records import CodeFiles, Edit, EditFormat


def merged(before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> CodeFiles:
    """`onto` with the change from `before` to `after` made to it; NotAnEdit where the two touch the same lines."""
    return {path: _merged(path, before.get(path, ""), after.get(path, ""), text) for path, text in onto.items()}


def _merged(path: str, before: str, after: str, onto: str) -> str:
    if before == after:
        return onto
    if before == onto:
        return after
    lines: list[str] = []
    base, here, there = (text.splitlines(keepends=True) for text in (before, onto, after))
    for kind, *groups in Merge3(base, here, there).merge_groups():
        if kind == "conflict":
            line = len(lines) + 1
            raise NotAnEdit(RefusalCode.NOT_APPLICABLE, f"It changes the same lines of {path} as another, near {line}.")
        lines.extend(groups[0])
    return "".join(lines)


def carried_over(before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
    """The merge as an edit of `onto`, in this process."""
    try:
        return as_edit(merged(before, after, onto), onto)
    except NotAnEdit as refusal:
        return Refusal(code=refusal.code, reason=refusal.reason)


def as_edit(code: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
    """What was merged as an edit of `onto`; a refusal where nothing is left to change."""
    changed = {path: text for path, text in code.items() if text != onto[path]}
    if not changed:
        return Refusal(code=RefusalCode.NO_CHANGE, reason="The code has that change already.")
    return Edit(format=EditFormat.WHOLE_FILE, files=changed)
