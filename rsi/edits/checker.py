"""What looks at an edit before anything runs: a component, because hostile text is never read in the loop's process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rsi import edits
from rsi.claims.null_edit import null_edit
from rsi.edits.outcome import CheckedEdit, Refusal
from rsi.records import CodeFiles, Edit


class Checker(Protocol):
    """Reads edits and code that may be hostile."""

    def check(self, edit: Edit, code: CodeFiles, editable: Sequence[str], max_bytes: int) -> CheckedEdit | Refusal:
        """Apply an edit to the editable files, the whole of it or nothing."""
        ...

    def inspect(self, code: CodeFiles) -> CheckedEdit | Refusal:
        """The digest and size of code as it stands, `changed` empty."""
        ...

    def diff(self, old: CodeFiles, new: CodeFiles) -> str:
        """A unified diff that `check` applies to `old` to give `new`."""
        ...

    def transplant(self, before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
        """The change from `before` to `after` as an edit of `onto`."""
        ...

    def null_edit(self, code: CodeFiles, seed: int) -> Edit | None:
        """An edit that moves the random stream and does nothing else; None where the code has none to move."""
        ...


class Confined:
    """Everything in a killable child; what every run but a simulated one uses."""

    def check(self, edit: Edit, code: CodeFiles, editable: Sequence[str], max_bytes: int) -> CheckedEdit | Refusal:
        """`rsi.edits.check`."""
        return edits.check(edit, code, editable, max_bytes)

    def inspect(self, code: CodeFiles) -> CheckedEdit | Refusal:
        """`rsi.edits.inspect_code`."""
        return edits.inspect_code(code)

    def diff(self, old: CodeFiles, new: CodeFiles) -> str:
        """`rsi.edits.render_diff`."""
        return edits.render_diff(old, new)

    def transplant(self, before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
        """`rsi.edits.transplant`."""
        return edits.transplant(before, after, onto)

    def null_edit(self, code: CodeFiles, seed: int) -> Edit | None:
        """`rsi.claims.null_edit.null_edit`."""
        return null_edit(code, seed)
