"""Kept edits taken out of code that builds on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsi.edits.outcome import CheckedEdit, Refusal, RefusalCode
from rsi.records import CodeFiles, Edit

Transplant = Callable[[CodeFiles, CodeFiles, CodeFiles], Edit | Refusal]
Inspect = Callable[[CodeFiles], CheckedEdit | Refusal]
Change = tuple[CodeFiles, CodeFiles]
"""Code before and after a kept edit."""


def without(
    code: CodeFiles, changes: Sequence[Change], transplant: Transplant, inspect: Inspect
) -> CodeFiles | Refusal:
    """`code` without those changes, the last kept taken out first; a refusal where later code builds on one of them."""
    left = dict(code)
    for before, after in reversed(changes):
        edit = transplant(after, before, left)
        if isinstance(edit, Edit):
            left.update(edit.files)
        elif edit.code is not RefusalCode.NO_CHANGE:
            return edit
    sound = inspect(left)
    return sound if isinstance(sound, Refusal) else left
