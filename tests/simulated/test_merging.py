"""The short way to merge ends as the full three-way merge does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.edits.outcome import NotAnEdit
from rsi.edits.transplant import merged as merge_fully
from simulated.checking import Trusting
from simulated.code import FILE, addition, baseline, lines_of, name_of, removal
from simulated.merging import merged

REGIONS = 3
STEPS = st.lists(st.tuples(st.integers(0, 2**20), st.booleans()), min_size=2, max_size=8)


def grown(steps: list[tuple[int, bool]]) -> list[dict[str, str]]:
    """Code after each step: a line added, or one taken out."""
    code = [{FILE: baseline(REGIONS)}]
    for number, (draw, remove) in enumerate(steps):
        lines = lines_of(code[-1][FILE])
        edit = removal(lines[draw % len(lines)]) if lines and remove else addition(name_of(draw, number), draw, REGIONS)
        checked = Trusting().check(edit, code[-1], [FILE], 100_000)
        code.append(checked.code)  # type: ignore[union-attr]
    return code


def result(merge: object, *codes: dict[str, str]) -> object:
    try:
        return merge(*codes)  # type: ignore[operator]
    except NotAnEdit:
        return "refused"


@settings(deadline=None, max_examples=150)
@given(STEPS, st.data())
def test_changes_are_carried_over_and_taken_back_as_the_full_merge_does(
    steps: list[tuple[int, bool]], data: st.DataObject
) -> None:
    code = grown(steps)
    at = data.draw(st.integers(0, len(code) - 2))
    onto = data.draw(st.sampled_from(code))
    forth, back = (code[at], code[at + 1], onto), (code[at + 1], code[at], onto)
    assert result(merged, *forth) == result(merge_fully, *forth)
    assert result(merged, *back) == result(merge_fully, *back)
