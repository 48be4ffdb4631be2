"""What the audit hook tells: taken out of the stream however it is cut, bounded, and doubted where it must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.attempts import MOST_LISTED, TARGET_CHARACTERS, AttemptKind, Coverage
from sandboxes.observed import Observed
from sandboxes.streams import LINE_BYTES, Streams, ToldLines

WORD = "feed"
MARK = b"\x1efeed "
INPUTS = ("code/train.py", "data/tokens")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["file", "code/train.py"]),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def told(*lines: Any) -> Observed:
    observed = Observed(INPUTS)
    for line in lines:
        observed.take(json.dumps(line).encode())
    return observed


def connection(target: str = "192.0.2.1:80", file: str = "code/train.py", line: int = 3, count: int = 1) -> list[Any]:
    return [1, "connection", target, "connect", file, line, count]


def coverage(observed: Observed, *, flooded: bool = False, cut_off: bool = False) -> Coverage:
    return observed.coverage(flooded=flooded, cut_off=cut_off)


@given(lines=st.lists(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), max_size=20))
def test_any_lines_are_read_or_doubted_without_harm(lines: list[bytes]) -> None:
    observed = Observed(INPUTS)
    for line in lines:
        observed.take(line)
    coverage(observed)
    for attempt in observed.attempts:
        assert attempt.file in ("", *INPUTS)
        assert attempt.target.isascii()
        assert attempt.target.isprintable()
        assert len(attempt.target) <= TARGET_CHARACTERS


def test_a_deeply_nested_line_is_doubted() -> None:
    observed = Observed(INPUTS)
    observed.take(b"[" * 8000)
    assert coverage(observed).disputed


def test_the_same_attempt_counts_up_and_an_unknown_file_is_no_place() -> None:
    observed = told(connection(), connection(count=10), connection("b:1", file="/etc/passwd", line=9), [0, 3, 0])
    first, second = observed.attempts
    assert (first.kind, first.target, first.count, first.file, first.line) == (
        AttemptKind.CONNECTION,
        "192.0.2.1:80",
        10,
        "code/train.py",
        3,
    )
    assert (second.file, second.line) == ("", 0)
    assert coverage(observed).complete


@pytest.mark.parametrize(
    ("lines", "flooded"),
    [
        pytest.param([connection(), [0, 2, 0]], False, id="a line that did not arrive"),
        pytest.param([connection(), connection("forged:1"), [0, 1, 0]], False, id="a line more than were written"),
        pytest.param([[0, 0, 0], [0, 0, 0]], False, id="two last words"),
        pytest.param([{"kind": "connection"}, [0, 0, 0]], False, id="a line of another form"),
        pytest.param([[1, "holiday", "x", "", "", 0, 1], [0, 1, 0]], False, id="an unknown kind"),
        pytest.param([[1, "file", "x", "", "", 0, -5], [0, 1, 0]], False, id="a count below one"),
        pytest.param([[0, 0, 0]], True, id="too many"),
    ],
)
def test_what_the_hook_does_not_write_makes_the_list_disputable(lines: list[Any], flooded: bool) -> None:
    found = coverage(told(*lines), flooded=flooded)
    assert found.disputed
    assert not found.complete


def test_a_missing_last_word_is_told_from_an_end_from_outside() -> None:
    silent = coverage(told(connection()))
    assert (silent.complete, silent.disputed) == (False, False)
    assert "silenced" in silent.detail
    assert coverage(told(connection()), cut_off=True).detail == "the program was ended"


def test_what_is_told_apart_is_bounded() -> None:
    observed = told(*(connection(f"host{number}:1") for number in range(MOST_LISTED + 7)))
    assert len(observed.attempts) == MOST_LISTED
    assert coverage(observed).left_out == 7


TEXT = st.binary(max_size=40).map(lambda data: data.replace(MARK, b"")) | st.sampled_from([b"\x1e", MARK[:-1], b"\n"])


@given(parts=st.lists(st.tuples(TEXT, st.binary(max_size=30)), max_size=6), rest=TEXT, data=st.data())
def test_every_line_is_taken_and_all_else_kept_however_it_is_cut(
    parts: list[tuple[bytes, bytes]], rest: bytes, data: st.DataObject
) -> None:
    # A piece of a mark before a mark is the program's own; it must not swallow the line behind it.
    parts = [(before, line.replace(b"\n", b"")) for before, line in parts]
    whole = b"".join(before + MARK + line + b"\n" for before, line in parts) + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    taken: list[bytes] = []
    streams = Streams("0123abcd", 10**6, told=ToldLines(WORD, taken.append))
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        streams.feed("stderr", whole[start:end])
    streams.finish()
    expected = ToldLines(WORD, lambda _: None)
    assert streams.stderr == expected.feed(whole) + expected.rest()
    if not any(b"\x1e" in before for before, _ in parts):
        assert taken == [line for _, line in parts]
        assert streams.stderr == b"".join(before for before, _ in parts) + rest


def test_a_flood_of_lines_becomes_output_and_is_noted() -> None:
    taken: list[bytes] = []
    lines = ToldLines(WORD, taken.append, limit=1000)
    passed = b"".join(lines.feed(MARK + b"x" * 90 + b"\n") for _ in range(100))
    assert lines.flooded
    assert len(taken) <= 11
    assert passed.count(MARK) == 100 - len(taken)


def test_a_mark_whose_line_never_ends_holds_back_no_more_than_a_line() -> None:
    lines = ToldLines(WORD, lambda _: None)
    assert len(lines.feed(MARK + b"x" * (LINE_BYTES + 1))) == len(MARK) + LINE_BYTES + 1
    assert lines.feed(b"loss 3\n") == b"loss 3\n"
