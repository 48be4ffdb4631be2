from __future__ import annotations

import ast
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.edits import CheckedEdit, Refusal, RefusalCode, check, inspect_code, render_diff, transplant
from rsi.edits.tree import summary
from rsi.records import Edit, EditFormat

CODE = {"train.py": "RATE = 1e-3\n\n\ndef train():\n    return RATE * 2\n", "program.md": "Be bold.\n"}
EDITABLE = ("train.py", "program.md")


def whole(text: str, path: str = "train.py", max_bytes: int = 65536) -> CheckedEdit | Refusal:
    return check(Edit(format=EditFormat.WHOLE_FILE, files={path: text}), CODE, EDITABLE, max_bytes)


def refused(result: CheckedEdit | Refusal) -> RefusalCode:
    assert isinstance(result, Refusal), result
    assert result.reason.endswith(".")
    assert result.reason.isprintable()
    return result.code


def test_a_good_edit_gives_the_whole_new_code() -> None:
    result = whole("RATE = 3e-3\n")
    assert isinstance(result, CheckedEdit)
    assert result.code == {"train.py": "RATE = 3e-3\n", "program.md": "Be bold.\n"}
    assert result.changed == ("train.py",)
    assert result.tree_tokens > 0


def test_an_edit_that_fails_in_its_second_half_changes_nothing() -> None:
    text = "".join(
        f"train.py\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
        for old, new in (("RATE = 1e-3", "RATE = 3e-3"), ("nowhere", "x"))
    )
    before = dict(CODE)
    assert refused(check(Edit(format=EditFormat.SEARCH_REPLACE, text=text), CODE, EDITABLE, 65536)) is (
        RefusalCode.NOT_APPLICABLE
    )
    assert before == CODE


def test_a_file_in_another_language_is_not_parsed_and_counts_by_its_text() -> None:
    result = whole("if (((", "program.md")
    assert isinstance(result, CheckedEdit)
    baseline = inspect_code(CODE)
    assert isinstance(baseline, CheckedEdit)
    assert result.tree_digest != baseline.tree_digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("RATE = (\n", RefusalCode.SYNTAX_ERROR),
        ("return 1\n", RefusalCode.SYNTAX_ERROR),
        (CODE["train.py"], RefusalCode.NO_CHANGE),
        ("# a comment\n" + CODE["train.py"], RefusalCode.NO_CHANGE),
        ("x = 1\n" * 20000, RefusalCode.TOO_LARGE),
        ("x = '\0'\n", RefusalCode.MALFORMED),
        ("x = '\ud800'\n", RefusalCode.MALFORMED),
        ("x = '" + "a" * 10001 + "'\n", RefusalCode.TOO_COMPLEX),
    ],
)
def test_text_that_must_not_run_is_refused(text: str, code: RefusalCode) -> None:
    assert refused(whole(text)) is code


BOMBS = {
    "parentheses": "x = " + "(" * 100_000 + ")" * 100_000,
    "parentheses on lines": "(\n" * 100_000 + "1" + "\n)" * 100_000,
    "attributes": "x = (a" + "\n.b" * 100_000 + ")",
    "calls": "x = (a" + "\n()" * 100_000 + ")",
    "minus": "x = " + "-\\\n" * 100_000 + "1",
    "nots": "x = " + "not \\\n" * 100_000 + "1",
    "sum": "x = (1" + "\n+ 1" * 100_000 + ")",
    "elifs": "if x:\n pass\n" + "elif x:\n pass\n" * 20_000,
    "lambdas": "x = " + "lambda: \\\n" * 5_000 + "1",
    "number": "x = " + "9" * 9_000,
    "format string": 'x = f"' + "{1:" * 200 + "1" + "}" * 200 + '"',
    "brackets": "x = " + "[" * 5_000,
    "blocks": "".join(" " * depth + "if x:\n" for depth in range(99)) + " " * 99 + "pass\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_code_that_chokes_a_parser_is_refused_within_seconds(name: str) -> None:
    start = time.monotonic()
    result = whole(BOMBS[name], max_bytes=1 << 22)
    if name == "blocks":  # 99 levels are what the interpreter allows
        assert isinstance(result, CheckedEdit)
    else:
        assert refused(result) is RefusalCode.TOO_COMPLEX
    assert time.monotonic() - start < 6
    assert isinstance(whole("RATE = 2\n"), CheckedEdit)


def test_nesting_that_the_parser_bears_but_other_readers_do_not_is_refused() -> None:
    assert isinstance(whole("x = a" + ".b" * 100), CheckedEdit)
    assert refused(whole("x = a" + ".b" * 200)) is RefusalCode.TOO_COMPLEX


def test_an_edit_that_takes_too_long_to_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsi.edits.CHECK_SECONDS", 0.5)
    hunk = " \n" * 30_000 + "-x\n"
    diff = f"--- a/program.md\n+++ b/program.md\n@@ -1,30001 +1,30000 @@\n{hunk}"
    code = {**CODE, "program.md": "\n" * 60_000 + "y\n"}
    edit = Edit(format=EditFormat.UNIFIED_DIFF, text=diff)
    assert refused(check(edit, code, EDITABLE, 1 << 22)) is RefusalCode.TOO_COMPLEX


def test_only_editable_files_may_change() -> None:
    assert refused(whole("x = 1\n", "prepare.py")) is RefusalCode.OUTSIDE_EDITABLE
    assert refused(whole("x = 1\n", "../train.py")) is RefusalCode.OUTSIDE_EDITABLE


def test_a_diff_too_slow_to_find_replaces_the_file_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsi.edits.DIFF_SECONDS", 0.2)
    old = {"train.py": "".join(f"x = {n % 7}\n" for n in range(6_000))}
    new = {"train.py": "".join(f"x = {n % 5}\n" for n in range(6_000))}
    diff = render_diff(old, new)
    result = check(Edit(format=EditFormat.UNIFIED_DIFF, text=diff), old, ("train.py",), 1 << 20)
    assert isinstance(result, CheckedEdit)
    assert result.code == new


# --- the digest -------------------------------------------------------------------------------------------------

EXPRESSIONS = st.recursive(
    st.one_of(
        st.integers(0, 10**6),
        st.floats(0, 1e6, allow_nan=False),
        st.sampled_from(["a", "b", True, None]),
        st.text("ab'\n#", max_size=4),
    ).map(ast.Constant),
    lambda inner: st.builds(lambda left, right: ast.BinOp(left, ast.Add(), right), inner, inner),
    max_leaves=8,
)


def digest(text: str) -> str:
    return summary({"train.py": text})[0]


@settings(max_examples=150, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=5))
def test_layout_comments_and_docstrings_do_not_change_the_digest(values: list[ast.expr]) -> None:
    lines = [f"V{number} = {ast.unparse(value)}" for number, value in enumerate(values)]
    plain = "def f():\n    return 1\n" + "\n".join(lines) + "\n"
    noisy = '"""What it is."""\n\n# why\ndef f():\n  """Says so."""\n\n  return (1)  # one\n\n'
    noisy += "\n\n\n".join(line.replace(" = ", "=( ", 1) + " )  # comment" for line in lines)
    assert digest(plain) == digest(noisy)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, st.data())
def test_any_change_of_a_constant_changes_the_digest(value: ast.expr, data: st.DataObject) -> None:
    before = digest(f"x = {ast.unparse(value)}\n")
    constants = [node for node in ast.walk(value) if isinstance(node, ast.Constant)]
    chosen = data.draw(st.sampled_from(constants))
    chosen.value = data.draw(
        st.one_of(st.integers(0, 99), st.floats(0, 9), st.booleans(), st.text("ab")).filter(
            lambda new: (type(new), new) != (type(chosen.value), chosen.value)
        )
    )
    assert digest(f"x = {ast.unparse(value)}\n") != before


@pytest.mark.parametrize(
    ("one", "other"), [("1", "'1'"), ("1", "True"), ("1", "1.0"), ("None", "'None'"), ("a", "'a'")]
)
def test_values_that_look_alike_have_different_digests(one: str, other: str) -> None:
    assert digest(f"x = {one}\n") != digest(f"x = {other}\n")


def test_the_size_of_the_tree_grows_with_code_not_with_comments() -> None:
    small, same, larger = (summary({"t.py": text})[1] for text in ("x = 1\n", "# why\nx = (1)\n", "x = 1 + 2\n"))
    assert small == same < larger


# --- carrying a change over ---------------------------------------------------------------------------------------


def at_lines(**changed: str) -> dict[str, str]:
    lines = [f"LINE_{number} = 0" for number in range(12)]
    for number, text in changed.items():
        lines[int(number.removeprefix("line"))] = text
    return {"train.py": "\n".join(lines) + "\n"}


def test_a_change_is_carried_over_to_code_that_changed_elsewhere() -> None:
    edit = transplant(at_lines(), at_lines(line2="LINE_2 = 1"), at_lines(line9="LINE_9 = 5"))
    assert isinstance(edit, Edit)
    assert edit.files == at_lines(line2="LINE_2 = 1", line9="LINE_9 = 5")


def test_a_change_is_taken_back_and_nothing_else() -> None:
    kept = at_lines(line2="LINE_2 = 1")
    edit = transplant(kept, at_lines(), at_lines(line2="LINE_2 = 1", line9="LINE_9 = 5"))
    assert isinstance(edit, Edit)
    assert edit.files == at_lines(line9="LINE_9 = 5")


def test_a_change_of_the_same_lines_is_refused_whole() -> None:
    edit = transplant(at_lines(), at_lines(line2="LINE_2 = 1", line9="A = 1"), at_lines(line2="LINE_2 = 2"))
    assert isinstance(edit, Refusal)
    assert edit.code is RefusalCode.NOT_APPLICABLE
    assert "train.py" in edit.reason


def test_a_change_that_is_there_already_is_none() -> None:
    edit = transplant(at_lines(), at_lines(line2="LINE_2 = 1"), at_lines(line2="LINE_2 = 1"))
    assert isinstance(edit, Refusal)
    assert edit.code is RefusalCode.NO_CHANGE


@given(st.dictionaries(st.sampled_from(range(0, 12, 4)), st.integers(1, 9)), st.sampled_from(range(2, 12, 4)))
def test_carried_over_and_taken_back_gives_the_code_before(others: dict[int, int], mine: int) -> None:
    onto = at_lines(**{f"line{number}": f"LINE = {value}" for number, value in others.items()})
    before, after = at_lines(), at_lines(**{f"line{mine}": "MINE = 1"})
    edit = transplant(before, after, onto)
    assert isinstance(edit, Edit)
    back = transplant(after, before, edit.files)
    assert isinstance(back, Edit)
    assert back.files == onto
