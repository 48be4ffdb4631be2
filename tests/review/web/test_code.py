"""A diff's lines on a page are the ones that findings count, and none passes for what it is not."""

from __future__ import annotations

from rsi.review.web.code import DiffLine, Left, diff_lines
from rsi.scrutiny import added_lines


def shown(text: str) -> list[DiffLine]:
    return [line for line in diff_lines(text, 1000) if isinstance(line, DiffLine)]


def test_lines_are_counted_as_findings_count_them() -> None:
    odd = "a = '\u2028'; b = '\x0b\x0c\x1c\x85'\r"
    text = f"--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,3 @@\n x\n+{odd}\n+found = 1\n y\n"
    lines = shown(text)
    assert [line.number for line in lines] == list(range(1, 8))
    number = added_lines(text)["train.py", 3]
    assert "found" in lines[number - 1].html
    assert "&lt;U+2028&gt;" in lines[number - 2].html


def test_an_added_line_that_looks_like_a_header_is_shown_as_added() -> None:
    text = "--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,3 @@\n+++ evil()\n--- gone()\n+@@ -1,9 +1,9 @@\n+x\n--- a/b.py\n"
    assert [line.look for line in shown(text)] == ["file", "file", "hunk", "add", "del", "add", "add", "file"]


def test_an_empty_line_of_context_may_have_lost_its_blank() -> None:
    text = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n\n+x\n y\n"
    assert [line.look for line in shown(text)][3:] == ["", "add", ""]


def test_what_is_left_out_is_counted_and_what_is_wanted_is_not() -> None:
    text = "--- a/x.py\n+++ b/x.py\n@@ -0,0 +1,96 @@\n" + "".join(f"+x{n}\n" for n in range(96))
    parts = list(diff_lines(text, 10, {50}))
    assert [part.lines for part in parts if isinstance(part, Left)] == [36, 46]
    assert {47, 50, 53} <= {part.number for part in parts if isinstance(part, DiffLine)}
    assert sum(part.lines if isinstance(part, Left) else 1 for part in parts) == 99
