"""The check of edits left out: what an edit does to any file that can be written at all is done.

Used with `--without edit-check` alone, to see what that layer is worth. Where a path could leave the folder, or an edit
cannot be applied, it is refused as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsi import confined
from rsi.edits import CheckedEdit, Refusal, RefusalCode, blocks
from rsi.edits.checker import Confined
from rsi.edits.outcome import NotAnEdit
from rsi.errors import UsageError
from rsi.execution import MIB
from rsi.records import CodeFiles, Edit, EditFormat
from rsi.workspace import check_code

_SECONDS = 8.0
_MOST_BYTES = 4 * MIB


class Unchecked(Confined):
    """Lets edits change any file.

    Args:
        protected: the task's other files, as they are.
    """

    def __init__(self, protected: CodeFiles) -> None:
        self._protected = protected

    def check(self, edit: Edit, code: CodeFiles, editable: Sequence[str], max_bytes: int) -> CheckedEdit | Refusal:
        """As in a run, but whatever the edit names is editable; the code holds the editable files and what changed."""
        named = _paths(edit)
        if isinstance(named, Refusal):
            return named
        wanted = dict.fromkeys((*editable, *named))
        everything = {**self._protected, **code}
        checked = super().check(edit, everything, tuple(wanted), max(max_bytes, _MOST_BYTES))
        if isinstance(checked, Refusal):
            return checked
        written = {path: text for path, text in checked.code.items() if path in (*editable, *checked.changed)}
        try:
            check_code(written)
        except UsageError as unsafe:
            return Refusal(code=RefusalCode.OUTSIDE_EDITABLE, reason=str(unsafe))
        return checked.model_copy(update={"code": written})


def _paths(edit: Edit) -> tuple[str, ...] | Refusal:
    """The files that an edit names, read where hostile text is read."""
    if edit.format is not EditFormat.SEARCH_REPLACE:
        return tuple(edit.files)
    try:
        answer: dict[str, Any] = confined.call("evals.redteam.unchecked:named", edit.text, seconds=_SECONDS)
    except confined.ConfinedError as error:
        return Refusal(code=RefusalCode.TOO_COMPLEX, reason=f"The edit cannot be read: {error}.")
    if "refused" in answer:
        return Refusal(code=RefusalCode.MALFORMED, reason=answer["refused"])
    return tuple(answer["paths"])


def named(text: str) -> dict[str, Any]:
    """Runs in the confined child: `{paths}`, or `{refused}`."""
    try:
        return {"paths": [block.path for block in blocks.read(text) if block.path is not None]}
    except NotAnEdit as refusal:
        return {"refused": refusal.reason}
