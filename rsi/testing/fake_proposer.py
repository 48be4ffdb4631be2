"""A deterministic proposer for tests: sets the constant `VALUE` of the code to another number, by the brief's seed."""

from __future__ import annotations

import re

from rsi.edits import CheckedEdit, inspect_code
from rsi.protocols import Exhausted
from rsi.records import Brief, CodeFiles, Edit, EditFormat, Proposal, Provenance

_CONSTANT = re.compile(r"^VALUE = (-?\d+)$", re.MULTILINE)


class FakeProposer:
    """Keeps the proposers' contract with the least machinery: `VALUE = n`, n from 0 to `values` - 1."""

    name = "fake"

    def __init__(self, values: int = 1000) -> None:
        self.values = values

    def propose(self, brief: Brief) -> Proposal:
        """The first value, counted from the seed, that is not the present one and was not tried."""
        path = next((path for path in sorted(brief.code) if _CONSTANT.search(brief.code[path])), None)
        if path is None:
            raise Exhausted("No line of the code reads `VALUE = n`.")
        match = _CONSTANT.search(brief.code[path])
        assert match is not None
        for offset in range(self.values):
            value = (brief.seed + offset) % self.values
            if str(value) != match[1] and _is_new(brief, path, _with_value(brief.code[path], value)):
                return _proposal(path, match[1], value)
        raise Exhausted(f"Every VALUE below {self.values} was tried.")


def _with_value(text: str, value: int) -> str:
    return _CONSTANT.sub(f"VALUE = {value}", text, count=1)


def _is_new(brief: Brief, path: str, text: str) -> bool:
    code: CodeFiles = {**brief.code, path: text}
    checked = inspect_code(code)
    return isinstance(checked, CheckedEdit) and checked.tree_digest not in brief.tried


def _proposal(path: str, old: str, new: int) -> Proposal:
    block = f"{path}\n<<<<<<< SEARCH\nVALUE = {old}\n=======\nVALUE = {new}\n>>>>>>> REPLACE\n"
    return Proposal(
        edit=Edit(format=EditFormat.SEARCH_REPLACE, text=block),
        rationale=f"Set VALUE from {old} to {new}: the fake proposer counts from its seed",
        kind="value",
        detail={"name": "VALUE", "from": int(old), "to": new},
        provenance=Provenance(proposer=FakeProposer.name),
    )
