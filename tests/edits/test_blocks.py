from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.edits import blocks
from rsi.edits.outcome import NotAnEdit, RefusalCode

LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12).filter(
    lambda line: not line.strip().startswith(("<<<<<", "=====", ">>>>>"))
)


def apply(text: str, code: dict[str, str]) -> dict[str, str]:
    return {**code, **dict(blocks.apply(text, code))}


def block(search: str, replace: str, path: str = "train.py\n") -> str:
    return f"{path}<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=8, unique=True), st.lists(LINE, max_size=4), st.data())
def test_a_block_replaces_exactly_the_lines_it_names(old: list[str], new: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(old) - 1))
    end = data.draw(st.integers(start + 1, len(old)))
    lines, replace = [f"{n}\n" for n in old], "".join(f"{n}\n" for n in new)
    result = apply(block("".join(lines[start:end]), replace), {"train.py": "".join(lines)})
    assert result == {"train.py": "".join(lines[:start]) + replace + "".join(lines[end:])}


def test_blocks_are_read_through_fences_prose_crlf_and_indentation() -> None:
    code = {"train.py": "a = 1\nb = 2\n", "other.py": "c = 3\n"}
    plain = "I suggest:\n\n**train.py**\n```python\n" + block("a = 1\n", "a = 9\n", "") + "```\nand then\n"
    plain += block("b = 2\n", "b = 8\n", "") + "`other.py`\n\n" + block("c = 3\n", "c = 7\n", "")
    wanted = {"train.py": "a = 9\nb = 8\n", "other.py": "c = 7\n"}
    assert apply(plain, code) == wanted
    assert apply(plain.replace("\n", "\r\n"), code) == wanted
    assert apply("".join(f"   {line}\n" for line in plain.splitlines()), code) == wanted


def test_a_search_at_another_depth_of_indentation_moves_the_replacement_with_it() -> None:
    code = {"train.py": "def f():\n    x = 1\n    return x\n"}
    assert apply(block("x = 1\nreturn x\n", "x = 2\nif x:\n    return x\n"), code) == {
        "train.py": "def f():\n    x = 2\n    if x:\n        return x\n"
    }


def test_an_empty_search_fills_an_empty_file_only() -> None:
    assert apply(block("", "x = 1\n"), {"train.py": ""}) == {"train.py": "x = 1\n"}
    with pytest.raises(NotAnEdit, match="fits an empty file only"):
        apply(block("", "x = 1\n"), {"train.py": "y = 1\n"})


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (block("x = 1\n", "y\n"), RefusalCode.NOT_APPLICABLE, "stands at lines 1, 3"),
        (block("x = 2\nz\n", "y\n"), RefusalCode.NOT_APPLICABLE, "its line 2, 'z', meets 'x = 1' at line 3"),
        (block("rate = 4\n", "y\n"), RefusalCode.NOT_APPLICABLE, "no line of the file reads 'rate = 4'"),
        (block("x = 2\n", "y\n", "/etc/passwd.txt\n"), RefusalCode.OUTSIDE_EDITABLE, "is not editable"),
        ("train.py\n<<<<<<< SEARCH\nx\n", RefusalCode.MALFORMED, "no line `=======`"),
        ("train.py\n<<<<<<< SEARCH\nx\n=======\ny\n", RefusalCode.MALFORMED, "no line `>>>>>>> REPLACE`"),
        ("x = 2", RefusalCode.MALFORMED, "no block"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused_with_the_place(text: str, code: RefusalCode, words: str) -> None:
    with pytest.raises(NotAnEdit, match=words) as refusal:
        apply(text, {"train.py": "x = 1\nx = 2\nx = 1\n"})
    assert refusal.value.code is code
