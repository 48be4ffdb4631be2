"""Attempts become findings: ranked by what was attempted, both grades side by side, pointing into the diff."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.attempts import MOST_RECORDED, Attempt, AttemptKind, Coverage, Grade, most_telling_first, recorded, severity
from rsi.edits import unified
from rsi.execution import Execution, ExitKind, Limits, Usage
from rsi.records import Severity
from rsi.scrutiny import MOST_FINDINGS, added_lines, findings

OBSERVED, TRACED = Grade.OBSERVED, Grade.TRACED
INFO, NOTICE, WARNING, CRITICAL = Severity


def attempt(kind: str, target: str, detail: str = "", grade: Grade = OBSERVED, **changes: object) -> Attempt:
    return Attempt.model_validate({"grade": grade, "kind": kind, "target": target, "detail": detail, **changes})


def execution(
    *attempts: Attempt, kind: ExitKind = ExitKind.COMPLETED, coverage: tuple[Coverage, ...] = ()
) -> Execution:
    return Execution(
        sandbox="fake",
        purpose="train",
        argv=("code/train.py",),
        environment_names=(),
        limits=Limits(),
        started="2026-01-01T00:00:00Z",
        kind=kind,
        usage=Usage(wall_seconds=1, cpu_seconds=1),
        attempts=attempts,
        coverage=coverage,
    )


@pytest.mark.parametrize(
    ("kind", "target", "detail", "expected"),
    [
        ("connection", "192.0.2.1:80", "connect", CRITICAL),
        ("connection", "example.com", "lookup", CRITICAL),
        ("connection", "127.0.0.1:53", "connect", CRITICAL),
        ("connection", "unix:/var/run/docker.sock", "connect", CRITICAL),
        ("connection", "127.0.0.1:8000", "connect", WARNING),
        ("connection", "unix:@name", "connect", WARNING),
        ("connection", "0.0.0.0:8000", "bind", WARNING),
        ("connection", "unix:/var/run/nscd/socket", "connect", INFO),
        ("connection", "unix:scratch/pymp/listener", "connect", INFO),
        ("process", "/bin/sh", "sh -c id", WARNING),
        ("process", "a copy of itself", "vfork", INFO),
        ("file", "/etc/shadow", "read", WARNING),
        ("file", "/usr/lib/x", "write", WARNING),
        ("file", "inputs/code/train.py", "write", WARNING),
        ("file", "/proc/1/status", "read", WARNING),
        ("file", "/proc/self/mem", "write", WARNING),
        ("file", "/proc/77/environ", "read", WARNING),
        ("file", "/var/run/docker.sock", "read", WARNING),
        ("file", "/data/secret.txt", "read", NOTICE),
        ("file", "/", "list", NOTICE),
        ("file", "/proc/meminfo", "read", INFO),
        ("file", "/proc/self/status", "read", INFO),
        ("file", "/sys/devices/system/cpu/possible", "read", INFO),
        ("file", "/etc/passwd", "read", INFO),
        ("file", "/dev/null", "write", INFO),
        ("code", "<string>", "exec", NOTICE),
        ("code", "builtins.print", "unpickle", NOTICE),
        ("code", "scratch/x.py", "from a writable folder", WARNING),
        ("code", "libc.so.6", "native library", WARNING),
        ("code", "what libraries make for themselves", "library", INFO),
        ("evasion", "ptrace", "EPERM", WARNING),
        ("evasion", "CLONE_UNTRACED", "clone", CRITICAL),
        ("evasion", "io_uring_setup", "succeeded", CRITICAL),
    ],
    ids=lambda value: str(value).replace("/", "|"),
)
def test_attempts_are_ranked(kind: str, target: str, detail: str, expected: Severity) -> None:
    found = attempt(kind, target, detail)
    assert severity(found) is expected
    assert [finding.severity for finding in findings(execution(found))] == ([] if expected is INFO else [expected])


def test_the_same_thing_in_both_grades_is_one_finding_that_names_both_and_the_line() -> None:
    inside = attempt("connection", "192.0.2.1:80", "connect", file="code/train.py", line=2, count=3)
    outside = attempt("connection", "192.0.2.1:80", "connect", TRACED, count=3)
    diff = "--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,2 @@\n x\n+connect()\n"
    (finding,) = findings(execution(inside, outside), diff)
    assert finding.pointer == "diff:5 (train.py:2)"
    assert finding.message == "tried to reach `192.0.2.1:80` (observed: connect 3 times; traced: connect 3 times)"
    (elsewhere,) = findings(execution(inside.model_copy(update={"line": 1})), diff)
    assert elsewhere.pointer == "train.py:1"
    (unknown,) = findings(execution(outside), diff)
    assert unknown.pointer == ""


def test_a_program_is_the_same_by_its_name_and_by_its_path() -> None:
    found = findings(execution(attempt("process", "gcc"), attempt("process", "/usr/bin/gcc", grade=TRACED)))
    assert len(found) == 1


def test_the_same_from_two_lines_is_two_findings() -> None:
    lines = [attempt("process", "/bin/sh", file="code/train.py", line=line) for line in (3, 9)]
    assert [finding.pointer for finding in findings(execution(*lines))] == ["train.py:3", "train.py:9"]


def test_what_was_forged_crowds_out_nothing_that_was_traced() -> None:
    forged = [attempt("connection", f"192.0.2.{number}:80") for number in range(200)]
    traced = attempt("process", "/bin/sh", grade=TRACED)
    kept = recorded(most_telling_first([*forged, traced]))
    assert traced in kept
    assert len(kept) == MOST_RECORDED + 1
    real = attempt("connection", "198.51.100.1:80", grade=TRACED)
    doubt = Coverage(grade=OBSERVED, complete=False, disputed=True, detail="forged")
    found = findings(execution(*recorded(most_telling_first([*forged, real, traced])), coverage=(doubt,)))
    assert "198.51.100.1" in found[0].message
    assert {"attempt.process", "attempts.observed", "attempt.further"} <= {finding.code for finding in found}
    assert len(found) == MOST_FINDINGS + 4


@pytest.mark.parametrize(
    ("grade", "changes", "kind", "expected"),
    [
        (OBSERVED, {"complete": True}, ExitKind.COMPLETED, []),
        (OBSERVED, {"complete": False, "detail": "no last word"}, ExitKind.COMPLETED, [NOTICE]),
        (OBSERVED, {"complete": False, "detail": "ended"}, ExitKind.TIMED_OUT, []),
        (OBSERVED, {"complete": False, "disputed": True, "detail": "forged"}, ExitKind.TIMED_OUT, [WARNING]),
        (OBSERVED, {"complete": True, "left_out": 5}, ExitKind.COMPLETED, [NOTICE]),
        (TRACED, {"complete": False, "detail": "the tracer was ended"}, ExitKind.TIMED_OUT, [WARNING]),
        (TRACED, {"complete": False, "disputed": True, "detail": "untraced"}, ExitKind.COMPLETED, [CRITICAL]),
    ],
    ids=range(7),
)
def test_a_list_that_cannot_be_relied_on_is_a_finding_of_its_own(
    grade: Grade, changes: dict[str, object], kind: ExitKind, expected: list[Severity]
) -> None:
    coverage = Coverage.model_validate({"grade": grade, **changes})
    found = findings(execution(kind=kind, coverage=(coverage,)))
    assert [finding.severity for finding in found] == expected
    assert all(str(grade) in finding.message for finding in found)


def test_an_execution_of_an_earlier_version_has_no_findings() -> None:
    before = execution().model_dump(mode="json", exclude={"attempts", "coverage"})
    assert findings(Execution.model_validate(before)) == ()


LINES = st.lists(st.sampled_from(["x", "y", "++ b/other.py", "@@ -1,1 +1,1 @@", "-- a/x", "", " "]), max_size=12)


@given(old=LINES, new=LINES, ended=st.booleans())
def test_every_added_line_is_found_at_its_place_whatever_it_looks_like(
    old: list[str], new: list[str], ended: bool
) -> None:
    before = "\n".join(old) + ("\n" if old and ended else "")
    after = "\n".join(new) + ("\n" if new else "")
    diff = unified.render({"train.py": before}, {"train.py": after})
    added = added_lines(diff)
    written = diff.split("\n")
    for (path, line), at in added.items():
        assert path == "train.py"
        assert written[at - 1] == "+" + after.split("\n")[line - 1]
    in_hunks = sum(text.startswith("+") for text in written) - sum(text == "+++ b/train.py" for text in written)
    assert len(added) >= in_hunks


def test_every_kind_of_attempt_is_put_into_words() -> None:
    for kind in AttemptKind:
        found = findings(execution(attempt(kind.value, "/x", "write")))
        assert found[0].code == f"attempt.{kind.value}"
