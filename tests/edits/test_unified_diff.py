from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.edits import unified
from rsi.edits.outcome import NotAnEdit, RefusalCode

LINES = st.sampled_from(
    ["", "a", "b", " a", "-a", "+a", "-- x", "++ y", "@@ -1 +1 @@", "\\ z", "x\r", "tab\t", "\x0c", "\u2028", "é"]
)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=12), st.sampled_from(["", "\n"]))


def apply(diff: str, code: dict[str, str]) -> dict[str, str]:
    return {**code, **dict(unified.apply(diff, code))}


@settings(max_examples=400, deadline=None)
@given(TEXTS, TEXTS, st.booleans())
def test_a_diff_applied_to_the_old_text_gives_exactly_the_new_one(old: str, new: str, whole: bool) -> None:
    diff = unified.render({"a.py": old}, {"a.py": new}, whole=whole)
    if old == new:
        assert diff == ""
    else:
        assert apply(diff, {"a.py": old}) == {"a.py": new}


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_a_diff_over_several_files_changes_each_of_them(a: str, b: str, new_a: str, new_b: str) -> None:
    old, new = {"a.py": a, "d/b.py": b}, {"a.py": new_a, "d/b.py": new_b}
    if old != new:
        assert apply(unified.render(old, new), old) == new


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(), min_size=3, max_size=30, unique=True), st.data())
def test_line_numbers_may_be_off_where_the_context_stands_once(numbers: list[int], data: st.DataObject) -> None:
    old = "".join(f"line {n}\n" for n in numbers)
    place = data.draw(st.integers(0, len(numbers) - 1))
    new = old.replace(f"line {numbers[place]}\n", "other\n")
    off = data.draw(st.integers(1, 500))
    diff = unified.render({"a.py": old}, {"a.py": new})
    header = next(line for line in diff.splitlines() if line.startswith("@@"))
    shifted = diff.replace(
        header, f"@@ -{off},{header.split(',')[1].split()[0]} +{off},{header.split(',')[2].split()[0]} @@"
    )
    assert apply(shifted, {"a.py": old}) == {"a.py": new}


def test_numbers_that_are_off_by_as_much_as_before_choose_between_equal_places() -> None:
    old = "top\na\nx\na\nx\na\nx\n"
    diff = "--- a/t.py\n+++ b/t.py\n@@ -11,1 +11,1 @@\n-top\n+TOP\n@@ -14,2 +14,2 @@\n-a\n+A\n x\n"
    assert apply(diff, {"t.py": old}) == {"t.py": "TOP\na\nx\nA\nx\na\nx\n"}


def test_a_header_without_numbers_or_with_wrong_counts_is_read_by_its_lines() -> None:
    code = {"train.py": "a\nb\n\nc\n"}
    for header in ("@@ @@", "@@ -1,9 +1,1 @@", "@@ -2,1 +2,7 @@ def f():"):
        diff = f"Here it is:\n```diff\n--- a/train.py\n+++ b/train.py\n{header}\n a\n-b\n+B\n\n c\n```\nGood luck.\n"
        assert apply(diff, code) == {"train.py": "a\nB\n\nc\n"}


def test_crlf_throughout_is_read_as_plain_line_ends() -> None:
    diff = "--- a/t.py\n+++ b/t.py\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n".replace("\n", "\r\n")
    assert apply(diff, {"t.py": "a\nb\n"}) == {"t.py": "A\nb\n"}


def test_a_missing_final_newline_need_not_be_marked() -> None:
    diff = "--- a/t.py\n+++ b/t.py\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n"
    assert apply(diff, {"t.py": "a\nb"}) == {"t.py": "A\nb"}


@pytest.mark.parametrize(
    ("diff", "code", "words"),
    [
        ("--- a/t.py\n+++ b/t.py\n@@ -9,1 +9,1 @@\n-x\n+y\n", RefusalCode.NOT_APPLICABLE, "fits at lines 1, 3"),
        ("--- a/t.py\n+++ b/t.py\n@@ -1,1 +1,1 @@\n-rate = 2\n+y\n", RefusalCode.NOT_APPLICABLE, "nearest is line 2"),
        ("--- a/o.py\n+++ b/o.py\n@@ -1,1 +1,1 @@\n-x\n+y\n", RefusalCode.OUTSIDE_EDITABLE, "o.py is not editable"),
        ("--- a/t.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n", RefusalCode.NOT_APPLICABLE, "cannot be deleted"),
        ("please make it faster", RefusalCode.MALFORMED, "no hunk"),
        ("--- a/t.py\n+++ b/t.py\n@@ @@\n+y\n", RefusalCode.NOT_APPLICABLE, "gives no place"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused_with_the_place(diff: str, code: RefusalCode, words: str) -> None:
    with pytest.raises(NotAnEdit, match=words) as refusal:
        apply(diff, {"t.py": "x\nrate = 1\nx\n"})
    assert refusal.value.code is code
