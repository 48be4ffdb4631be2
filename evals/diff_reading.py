"""The diff-reading verifier: a static pass over what an edit adds that has no business in training code.

It raises findings and rejects nothing, because honest code can look odd. What it reads is hostile, so it is parsed in
a killable child; code that cannot be read there is itself a finding.
"""

from __future__ import annotations

from typing import Any

from evals.asking import Reads
from rsi import confined
from rsi.attempts import as_ascii
from rsi.evidence import Inspection, Material, Purpose
from rsi.records import Finding, Severity
from rsi.scrutiny import added_lines, pointer

READ_SECONDS = 10.0
MOST_FINDINGS = 16
"""Of one piece of code; further ones are counted in a last one."""

_RANK = {rank: number for number, rank in enumerate(Severity)}


class DiffReading(Reads):
    """What the candidate has and its parent has not, rule by rule and subject by subject.

    Args:
        seconds: how long reading may take; code that takes longer is reported as unreadable.
    """

    name = "diff-reading"
    grounded = True
    beside = True
    inspects_at: Purpose = "screen"
    of_code_alone = True

    def __init__(self, seconds: float = READ_SECONDS) -> None:
        self.seconds = seconds

    def inspect(self, material: Material) -> Inspection:
        """Findings on what the edit added; never a rejection, never an exception for what the code is like."""
        added = added_lines(material.diff)
        argument = {"code": material.code, "parent": material.parent, "added": [list(place) for place in added]}
        try:
            answer = confined.call("evals.reading.child:read", argument, seconds=self.seconds)
        except confined.ConfinedError as error:
            return Inspection(findings=(_unreadable(error),))
        found = sorted((_finding(entry, added) for entry in answer["new"]), key=lambda f: -_RANK[f.severity])
        kept, rest = found[:MOST_FINDINGS], found[MOST_FINDINGS:]
        further = len(rest) + int(answer["left_out"])
        if further:
            message = f"{further} further findings of at most this severity"
            severity = rest[0].severity if rest else Severity.WARNING
            kept.append(Finding(severity=severity, code="reading.further", message=message))
        return Inspection(findings=tuple(kept), measured={"findings": float(len(found) + int(answer["left_out"]))})


def _finding(entry: dict[str, Any], added: dict[tuple[str, int], int]) -> Finding:
    times = f", {entry['count']} times" if entry["count"] > 1 else ""
    quote = f": `{as_ascii(entry['quote'], 80)}`" if entry["quote"] else ""
    return Finding(
        severity=Severity(entry["severity"]),
        code=entry["rule"],
        message=f"{as_ascii(entry['message'], 240)}{times}{quote}",
        pointer=pointer(entry["file"], int(entry["line"]), added),
    )


def _unreadable(error: confined.ConfinedError) -> Finding:
    why = {
        confined.TooLong: "reading it takes too long",
        confined.OutOfMemory: "reading it takes too much memory",
        confined.TooMuchOutput: "there is too much to say about it",
    }.get(type(error), "it cannot be parsed")
    if isinstance(error, confined.TargetRaised):
        why = f"it cannot be parsed ({error.error})"
    return Finding(severity=Severity.WARNING, code="reading.unreadable", message=f"the code was not read: {why}")
