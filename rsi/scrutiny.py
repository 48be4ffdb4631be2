"""Attempts become findings: ranked, both grades side by side, pointing at the line of the diff where that can be told.

Pure: the same execution and diff give the same findings, so `rsi verify` derives them again. Nothing here is decided
by a program's text; it is only quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from rsi.attempts import Attempt, AttemptKind, Coverage, Grade, most_telling_first, severity
from rsi.execution import Execution, ExitKind
from rsi.records import Finding, Severity

MOST_FINDINGS = 12
"""Of one execution and grade; further ones are counted in a last one."""

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_RANK = {rank: number for number, rank in enumerate(Severity)}

_SENTENCES = {
    AttemptKind.CONNECTION: "tried to reach {target}",
    AttemptKind.PROCESS: "started the process {target}",
    AttemptKind.FILE: "used {target}, outside its folders",
    AttemptKind.CODE: "ran code from data: {target}",
    AttemptKind.EVASION: "tried to get out of sight or into another process: {target}",
}
_OWN_SENTENCE = "used {target} as honest code does not"


def findings(execution: Execution, diff: str = "") -> tuple[Finding, ...]:
    """What a reviewer should see of an execution's attempts, the gravest first; nothing that honest training does.

    Args:
        execution: With its attempts and what is known about who was looking.
        diff: The unified diff that made the candidate, empty for the baseline.
    """
    added = added_lines(diff)
    found = [doubt for coverage in execution.coverage if (doubt := _doubt(coverage, execution.kind)) is not None]
    # Each grade has its own room, and what was traced comes first: what was forged crowds out nothing.
    for traced in (True, False):
        of_grade = [group for group in _groups(execution.attempts) if bool(_of(Grade.TRACED, group)) is traced]
        ranked = _gravest_first(finding for group in of_grade if (finding := _finding(group, added)) is not None)
        found += ranked[:MOST_FINDINGS]
        if rest := ranked[MOST_FINDINGS:]:
            message = f"{len(rest)} further findings of at most this severity; the record lists what was attempted"
            found.append(Finding(severity=rest[0].severity, code="attempt.further", message=message))
    return tuple(_gravest_first(found))


def _gravest_first(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: -_RANK[finding.severity])


def added_lines(diff: str) -> dict[tuple[str, int], int]:
    """(path, line in the new file) → line of the diff, both from 1, for every line that the diff adds."""
    added: dict[tuple[str, int], int] = {}
    path, line, old_left, new_left = "", 0, 0, 0
    for number, text in enumerate(diff.split("\n"), start=1):
        if old_left > 0 or new_left > 0:
            # Inside a hunk the counts decide: an added line may itself look like a header.
            sign = text[:1]
            if sign == "+":
                added[path, line] = number
            if sign in ("+", " "):
                line, new_left = line + 1, new_left - 1
            if sign in ("-", " "):
                old_left -= 1
        elif text.startswith("+++ "):
            path = text[4:].split("\t", 1)[0].removeprefix("b/")
        elif hunk := _HUNK.match(text):
            old, start, new = hunk.groups()
            line, old_left, new_left = int(start), int(old or 1), int(new or 1)
    return added


def _groups(attempts: Iterable[Attempt]) -> Iterator[tuple[Attempt, ...]]:
    """The same thing attempted in both grades belongs together; the same from another line of the code does not."""
    places: dict[tuple[str, str], dict[tuple[str, int], list[Attempt]]] = {}
    ordered = most_telling_first(attempts)
    for attempt in ordered:
        if attempt.grade is Grade.OBSERVED:
            by_place = places.setdefault(_subject(attempt), {})
            by_place.setdefault((attempt.file, attempt.line), []).append(attempt)
    for attempt in ordered:
        if attempt.grade is Grade.TRACED:
            # A system call has no line; where several lines are known to do the same, it goes with the first.
            by_place = places.setdefault(_subject(attempt), {})
            by_place.setdefault(next(iter(by_place), ("", 0)), []).append(attempt)
    for by_place in places.values():
        yield from (tuple(group) for group in by_place.values() if group)


def _subject(attempt: Attempt) -> tuple[str, str]:
    """A program is known inside by what was asked for, outside by its path; both end in its name."""
    name = attempt.target.rsplit("/", 1)[-1] if attempt.kind is AttemptKind.PROCESS else attempt.target
    return attempt.kind.value, name


def _finding(group: tuple[Attempt, ...], added: dict[tuple[str, int], int]) -> Finding | None:
    rank = max((severity(attempt) for attempt in group), key=_RANK.__getitem__)
    if rank is Severity.INFO:
        return None
    first = group[0]
    own = first.kind is AttemptKind.FILE and not first.target.startswith("/")
    sentence = (_OWN_SENTENCE if own else _SENTENCES[first.kind]).format(target=_quoted(first.target))
    seen = "; ".join(f"{grade}: {_how(members)}" for grade in Grade if (members := _of(grade, group)))
    return Finding(
        severity=rank,
        code=f"attempt.{first.kind.value}",
        message=f"{sentence} ({seen})",
        pointer=pointer(first.file.removeprefix("code/"), first.line, added),
    )


def _quoted(text: str) -> str:
    return f"`{text}`"


def _of(grade: Grade, group: tuple[Attempt, ...]) -> list[Attempt]:
    return [attempt for attempt in group if attempt.grade is grade]


def _how(attempts: list[Attempt]) -> str:
    parts = (f"{a.detail or 'seen'}{f' {a.count} times' if a.count > 1 else ''}" for a in attempts)
    return ", ".join(dict.fromkeys(parts))


def pointer(path: str, line: int, added: Mapping[tuple[str, int], int]) -> str:
    """`diff:12 (train.py:31)` where the diff added that line, else `train.py:31`; nothing where no file is known."""
    if not path:
        return ""
    place = f"{path}:{line}"
    in_diff = added.get((path, line))
    return place if in_diff is None else f"diff:{in_diff} ({place})"


def _doubt(coverage: Coverage, kind: ExitKind) -> Finding | None:
    """What must be said about a grade's list itself."""
    words = f"the {coverage.grade} list of attempts"
    code = f"attempts.{coverage.grade}"
    if coverage.disputed:
        rank = Severity.CRITICAL if coverage.grade is Grade.TRACED else Severity.WARNING
        return Finding(severity=rank, code=code, message=f"{words} is disputable: {coverage.detail}")
    # What was ended from outside has no last word; that is no one's doing.
    if not coverage.complete and (kind is ExitKind.COMPLETED or coverage.grade is Grade.TRACED):
        rank = Severity.WARNING if coverage.grade is Grade.TRACED else Severity.NOTICE
        return Finding(severity=rank, code=code, message=f"{words} may be short: {coverage.detail}")
    if coverage.left_out:
        message = f"{words} leaves out {coverage.left_out}: more different ones than are told apart"
        return Finding(severity=Severity.NOTICE, code=code, message=message)
    return None
