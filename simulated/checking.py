"""Checks edits of simulated code in this process, quickly; the answers are those of the confined child.

Only for text that this program itself wrote. `rsi.session` never gives it to a loop: real runs are composed there,
simulated ones in `simulated.running`.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rsi.edits.child import applied
from rsi.edits.matching import split
from rsi.edits.outcome import CheckedEdit, NotAnEdit, Refusal, RefusalCode
from rsi.edits.transplant import as_edit
from rsi.edits.tree import canonical, parse, summary
from rsi.records import CodeFiles, Edit
from simulated.code import PREFIX
from simulated.merging import merged


class Trusting:
    """A `Checker` without a child process."""

    def check(self, edit: Edit, code: CodeFiles, editable: Sequence[str], max_bytes: int) -> CheckedEdit | Refusal:
        """Apply an edit to the editable files, the whole of it or nothing."""
        try:
            return _check(edit, {path: code.get(path, "") for path in editable}, max_bytes)
        except NotAnEdit as refusal:
            return Refusal(code=refusal.code, reason=refusal.reason)

    def inspect(self, code: CodeFiles) -> CheckedEdit | Refusal:
        """The digest and size of code as it stands."""
        try:
            digest, tokens = line_by_line(code)
        except NotAnEdit as refusal:
            return Refusal(code=refusal.code, reason=refusal.reason)
        return CheckedEdit(code=code, changed=(), tree_digest=digest, tree_tokens=tokens)

    def diff(self, old: CodeFiles, new: CodeFiles) -> str:
        """One hunk a file: the lines between the first and the last that differ."""
        return "".join(_hunk(path, old.get(path, ""), new[path]) for path in sorted(new) if new[path] != old.get(path))

    def null_edit(self, code: CodeFiles, seed: int) -> Edit | None:  # noqa: ARG002 - the protocol names them
        """None: simulated code has no random stream of its own; the surface holds edits that do nothing."""
        return None

    def transplant(self, before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> Edit | Refusal:
        """The change from `before` to `after` as an edit of `onto`."""
        try:
            return as_edit(merged(before, after, onto), onto)
        except NotAnEdit as refusal:
            return Refusal(code=refusal.code, reason=refusal.reason)


def _check(edit: Edit, before: CodeFiles, max_bytes: int) -> CheckedEdit:
    new = {**before, **applied(before, edit.model_dump(mode="json"))}
    changed = tuple(sorted(path for path in before if new[path] != before[path]))
    if not changed:
        raise NotAnEdit(RefusalCode.NO_CHANGE, "The edit leaves every file as it is; change something.")
    if sum(len(text.encode()) for text in new.values()) > max_bytes:
        raise NotAnEdit(RefusalCode.TOO_LARGE, f"The editable files would hold more than {max_bytes} bytes.")
    digest, tokens = line_by_line(new)
    if digest == _digest_or_none(before):
        raise NotAnEdit(RefusalCode.NO_CHANGE, "Only comments or layout would change; write another edit.")
    return CheckedEdit(code=new, changed=changed, tree_digest=digest, tree_tokens=tokens)


def line_by_line(code: CodeFiles) -> tuple[str, int]:
    """`rsi.edits.tree.summary`, from the lines' own trees where each is a statement by itself."""
    ((path, text),) = code.items()
    return _line_by_line(path, text)


@lru_cache(maxsize=64)
def _line_by_line(path: str, text: str) -> tuple[str, int]:
    try:
        lines = [_statement(line) for line in text.split("\n") if line and line[0] != "#"]
    except NotAnEdit:
        return summary({path: text})
    if not path.endswith(".py") or not lines or not lines[0].tokens or lines[0].is_text:
        return summary({path: text})
    body = "".join([line.tree for line in lines])
    digest = hashlib.sha256(f"\0{path}\0(Module(.body{body}))".encode("utf-8", "surrogatepass")).hexdigest()
    return digest, 2 + sum([line.tokens for line in lines])


def _digest_or_none(code: CodeFiles) -> str | None:
    try:
        return line_by_line(code)[0]
    except NotAnEdit:
        return None


class Statement(NamedTuple):
    """What a line of code adds to the tree of its file."""

    tree: str
    """In brackets, as `rsi.edits.tree.canonical` writes it."""
    tokens: int
    is_text: bool
    """Which may be a docstring, where it comes first."""


@lru_cache(maxsize=1 << 12)
def _statement(line: str) -> Statement:
    name, equals, expression = line.partition(" = ")
    if not (equals and name.startswith(PREFIX) and name.isidentifier() and name.isascii()):
        return _parsed(line)
    # Added lines differ in their names alone, so the tree of one stands for all of that expression.
    like = _parsed(f"{PREFIX} = {expression}")
    return like._replace(tree=like.tree.replace(f"(.idstr '{PREFIX}')", f"(.idstr '{name}')", 1))


@lru_cache(maxsize=1 << 12)
def _parsed(line: str) -> Statement:
    body = parse("line", line).body
    pieces = [piece for statement in body for piece in canonical(statement)]
    text = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return Statement("".join(pieces), sum(piece not in "()" for piece in pieces), text)


def _hunk(path: str, old: str, new: str) -> str:
    before, after = split(old), split(new)
    if not all(lines and lines[-1].endswith("\n") for lines in (before, after)):
        from rsi.edits import unified  # noqa: PLC0415 - difflib is slow to import and hardly ever needed here

        return unified.render({path: old}, {path: new})
    shortest = min(len(before), len(after))
    start = next((at for at in range(shortest) if before[at] != after[at]), shortest)
    tail = next((at for at in range(shortest - start) if before[-1 - at] != after[-1 - at]), shortest - start)
    head, foot = max(0, start - 3), min(3, tail)
    removed, added = before[start : len(before) - tail], after[start : len(after) - tail]
    context = before[head:start], before[len(before) - tail : len(before) - tail + foot]
    sizes = (start - head + len(removed) + foot, start - head + len(added) + foot)
    lines = [
        f"--- a/{path}\n+++ b/{path}\n@@ -{head + 1},{sizes[0]} +{head + 1},{sizes[1]} @@\n",
        *(f" {line}" for line in context[0]),
        *(f"-{line}" for line in removed),
        *(f"+{line}" for line in added),
        *(f" {line}" for line in context[1]),
    ]
    return "".join(lines)
