"""`rsi diff`: which lines and words changed, whatever the code looks like; any two experiments; JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from conftest import Rsi, written
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rsi.edits import render_diff
from rsi.review.diff import print_diff
from rsi.review.diff_lines import counts_of, lines_of
from rsi.review.highlight import highlighted
from rsi.review.reading import read

CODE = st.text(st.sampled_from("ab \n+-@\\'\"{"), max_size=60)


@pytest.mark.long
def test_any_two_experiments_and_the_baseline_are_compared(rsi: Rsi, pristine: Path) -> None:
    value = json.loads(rsi("diff", pristine, "6", "baseline", "--json").out)
    assert (value["schema"], value["experiment"], value["against"]) == (1, 6, 0)
    assert value["files"] == {"train.py": [1, 1]}
    assert value["diff"] == rsi("diff", pristine, "best").out
    assert json.loads(rsi("diff", pristine, "3", "4", "--json").out)["against"] == 4
    assert rsi("diff", pristine, "2").code == 2  # refused: it has no code
    assert "the same code" in rsi("diff", pristine, "0", "baseline").out


def test_changed_words_are_set_off_from_the_rest_of_a_changed_line(pristine: Path, console: Console) -> None:
    print_diff(read(pristine), "best", "", console)
    text = written(console)
    assert "\x1b[31m-VALUE = " in text
    assert "\x1b[1;7;31m" in text
    assert "\x1b[1;7;32m" in text
    old, new = (list(highlighted("@@ -1 +1 @@\n-rate = 0.1  # slow\n+rate = 0.5  # slow\n")))[1:]
    marked = [line.plain[span.start : span.end] for line in (old, new) for span in line.spans]
    assert marked == ["1", "5"]


def test_lines_that_have_little_in_common_are_not_compared() -> None:
    _, old, new = highlighted("@@ -1 +1 @@\n-import os\n+value = compute(x, y)\n")
    assert not old.spans
    assert not new.spans


@given(old=CODE, new=CODE)
def test_every_line_of_a_diff_is_shown_as_it_is_and_in_order(old: str, new: str) -> None:
    diff = render_diff({"a.py": old}, {"a.py": new})
    assert sorted(line.plain for line in highlighted(diff)) == sorted(diff.rstrip("\n").split("\n"))
    counts = counts_of(lines_of(diff))
    added, removed = counts.get("a.py", (0, 0))
    balance = len(new.splitlines()) - len(old.splitlines())
    assert added - removed == balance
    assert counts.keys() <= {"a.py"}


def test_code_that_looks_like_a_diff_is_told_as_code() -> None:
    diff = render_diff({"a.py": "-- x\n"}, {"a.py": "++ b/other.py\n@@ -1 +1 @@\n"})
    kinds = [line.kind for line in lines_of(diff)]
    assert kinds == ["file", "file", "hunk", "removed", "added", "added"]
    assert counts_of(lines_of(diff)) == {"a.py": (2, 1)}


def test_a_hostile_diff_takes_no_time() -> None:
    wide = "@@ -1 +1 @@\n-" + "ab " * 200_000 + "\n+" + "ba " * 200_000 + "\n"
    deep = "@@ -1,3000 +1,3000 @@\n" + "-a b c d\n" * 3000 + "+a c b d\n" * 3000
    begin = time.process_time()
    for diff in (wide, deep):
        assert sum(1 for _ in highlighted(diff)) == len(diff.splitlines())
    assert time.process_time() - begin < 2
