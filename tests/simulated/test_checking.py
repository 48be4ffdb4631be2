"""The checker of simulated code answers as the confined child does, and its diffs apply."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.edits import child, unified
from rsi.edits.outcome import CheckedEdit, Refusal
from rsi.edits.tree import summary
from rsi.records import Edit, EditFormat
from simulated.checking import Trusting, line_by_line
from simulated.code import FILE, addition, baseline, lines_of, name_of, removal

REGIONS = 5
LINES = st.sampled_from(
    ["", "# region 7", "effect_a1 = 1", "effect_a1 = 1 + 1", "effect_b2 = 'effect_'", "effect_ = effect_", '"text"']
) | st.sampled_from(
    ["import random", "random.random()", "x = [1,", "]", "if x: y = 1; z = 2", "  ", "effect_c = 1 = 2", "é = 1"]
)
CODES = st.lists(LINES, max_size=8).map("\n".join)
EDITS = st.builds(lambda draw, remove: (draw, remove), st.integers(min_value=0, max_value=2**31 - 1), st.integers(0, 3))


def of_the_child(edit: Edit, code: dict[str, str], max_bytes: int) -> dict[str, object]:
    return child.check({**edit.model_dump(mode="json"), "code": code, "max_bytes": max_bytes})


@settings(deadline=None, max_examples=60)
@given(st.lists(EDITS, min_size=1, max_size=12))
def test_edits_of_simulated_code_are_checked_as_the_child_checks_them(draws: list[tuple[int, int]]) -> None:
    code = {FILE: baseline(REGIONS)}
    for number, (draw, remove) in enumerate(draws):
        lines = lines_of(code[FILE])
        edit = (
            removal(lines[draw % len(lines)])
            if lines and not remove
            else addition(name_of(draw, number), draw, REGIONS)
        )
        checked = Trusting().check(edit, code, [FILE], 4000)
        expected = of_the_child(edit, code, 4000)
        assert isinstance(checked, CheckedEdit)
        assert {**expected, "changed": tuple(expected["changed"])} == checked.model_dump()  # type: ignore[arg-type]
        assert dict(unified.apply(Trusting().diff(code, checked.code), code)) == checked.code
        code = checked.code


@settings(deadline=None, max_examples=200)
@given(CODES, CODES)
def test_other_code_is_summed_up_refused_and_shown_as_the_child_does(old: str, new: str) -> None:
    edit = Edit(format=EditFormat.WHOLE_FILE, files={FILE: new})
    checked, expected = Trusting().check(edit, {FILE: old}, [FILE], 100), of_the_child(edit, {FILE: old}, 100)
    if isinstance(checked, Refusal):
        assert checked.code == expected.get("refused"), new
    else:
        assert (checked.tree_digest, checked.tree_tokens) == (expected["tree_digest"], expected["tree_tokens"])
        assert line_by_line({FILE: new}) == summary({FILE: new})
    if old != new:
        assert dict(unified.apply(Trusting().diff({FILE: old}, {FILE: new}), {FILE: old})) == {FILE: new}
