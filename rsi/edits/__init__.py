"""Edit formats: parse, validate, apply. All reading of an edit's text happens in a killable child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsi import confined
from rsi.edits import unified
from rsi.edits.outcome import CheckedEdit, Refusal, RefusalCode
from rsi.edits.transplant import as_edit
from rsi.records import CodeFiles, Edit

__all__ = ["CheckedEdit", "Refusal", "RefusalCode", "check", "inspect_code", "render_diff", "transplant"]

CHECK_SECONDS = 8.0
DIFF_SECONDS = 3.0


def check(edit: Edit, code: CodeFiles, editable: Sequence[str], max_bytes: int) -> CheckedEdit | Refusal:
    """Apply an edit to `code`, the editable files as they are; the whole edit or nothing.

    Args:
        edit: What the proposer wrote; hostile.
        code: Path → text before the edit. An editable path that is missing counts as an empty file.
        editable: The paths that may change, however the edit names others.
        max_bytes: Of all editable files together, after the edit, in UTF-8.
    """
    before = {path: code.get(path, "") for path in editable}
    return _asked(
        "rsi.edits.child:check",
        {**edit.model_dump(mode="json"), "code": before, "max_bytes": max_bytes},
        "the edit",
    )


def inspect_code(code: CodeFiles) -> CheckedEdit | Refusal:
    """The digest and size of code as it stands (a baseline), `changed` empty; a refusal where it would not run."""
    return _asked("rsi.edits.child:inspect", code, "the code")


def transplant(before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
    """The change from `before` to `after` as an edit of `onto`: a three-way merge, whole or not at all.

    To take a change back, swap `before` and `after`. A refusal where `onto` differs from `before` in the same lines.
    """
    argument = {"before": before, "after": after, "onto": onto}
    answer = _confined("rsi.edits.child:transplant", argument, "the edit")
    return answer if isinstance(answer, Refusal) else as_edit(answer["code"], onto)


def render_diff(old: CodeFiles, new: CodeFiles) -> str:
    """A unified diff (`a/…`, `b/…`) that `check` applies to `old` to give exactly `new`; empty where they are equal.

    Where the shortest diff takes too long to find, changed files are removed and added whole.
    """
    try:
        return str(confined.call("rsi.edits.child:diff", {"old": old, "new": new}, seconds=DIFF_SECONDS))
    except confined.ConfinedError:
        return unified.render(old, new, whole=True)


def _asked(target: str, argument: Any, subject: str) -> CheckedEdit | Refusal:
    answer = _confined(target, argument, subject)
    if isinstance(answer, Refusal):
        return answer
    return CheckedEdit.model_validate({**answer, "changed": tuple(answer["changed"])})


def _confined(target: str, argument: Any, subject: str) -> dict[str, Any] | Refusal:
    try:
        answer: dict[str, Any] = confined.call(target, argument, seconds=CHECK_SECONDS)
    except confined.TargetRaised:
        raise
    except confined.TooLong:
        return Refusal(
            code=RefusalCode.TOO_COMPLEX,
            reason=f"Checking {subject} took more than {CHECK_SECONDS:g} seconds; write something plainer.",
        )
    except confined.OutOfMemory:
        return Refusal(
            code=RefusalCode.TOO_COMPLEX, reason=f"Checking {subject} took too much memory; write something plainer."
        )
    except confined.ConfinedError:
        return Refusal(
            code=RefusalCode.TOO_COMPLEX,
            reason=f"The parser crashed on {subject}: it is nested or chained too deeply; write it in steps.",
        )
    if "refused" in answer:
        return Refusal(code=answer["refused"], reason=answer["reason"])
    return answer
