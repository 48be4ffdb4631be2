"""The order of two streams is remembered, whole or in coarser pieces, and never grows without bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rsi.course import Course, Stream, StreamOrder, interleaved, read_course
from sandboxes.arrivals import MOST_PIECES, TOGETHER_SECONDS, Arrivals

CHUNKS = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=5)), max_size=60)


def arrived(chunks: list[tuple[Stream, bytes]], apart: float) -> tuple[StreamOrder, bytes, bytes]:
    arrivals = Arrivals()
    for number, (name, data) in enumerate(chunks):
        arrivals.add(number * apart, name, len(data))
    stdout, stderr = (b"".join(data for name, data in chunks if name == one) for one in ("stdout", "stderr"))
    return arrivals.order(), stdout, stderr


@given(CHUNKS, st.sampled_from([0.0, TOGETHER_SECONDS / 3, 1.0]))
def test_few_pieces_give_the_exact_order_back(chunks: list[tuple[Stream, bytes]], apart: float) -> None:
    def single(pieces: list[tuple[Stream, bytes]]) -> list[tuple[Stream, bytes]]:
        return [(name, data[at : at + 1]) for name, data in pieces for at in range(len(data))]

    order, stdout, stderr = arrived(chunks, apart)
    assert single(list(interleaved(order, stdout, stderr))) == single(chunks)


@given(CHUNKS, st.sampled_from([1, 100, 400]))
def test_many_pieces_keep_every_byte_and_a_bounded_length(chunks: list[tuple[Stream, bytes]], repeated: int) -> None:
    order, stdout, stderr = arrived(chunks * repeated, 1.0)
    assert len(order.seconds) <= MOST_PIECES
    assert list(order.seconds) == sorted(order.seconds)
    assert (sum(order.stdout_bytes), sum(order.stderr_bytes)) == (len(stdout), len(stderr))
    pieces = list(interleaved(order, stdout, stderr))
    for one, whole in (("stdout", stdout), ("stderr", stderr)):
        assert b"".join(data for name, data in pieces if name == one) == whole


def test_an_alternation_too_long_to_keep_is_kept_roughly() -> None:
    chunks: list[tuple[Stream, bytes]] = [("stdout", b"a"), ("stderr", b"b")] * MOST_PIECES
    order, stdout, stderr = arrived(chunks, 1.0)
    pieces = list(interleaved(order, stdout, stderr))
    assert len(order.seconds) >= MOST_PIECES / 2
    assert max(len(data) for _, data in pieces) <= 4


@pytest.mark.parametrize("order", [None, StreamOrder(seconds=(0.0,), stdout_bytes=(1,), stderr_bytes=(0,))])
def test_where_the_order_is_not_known_one_stream_follows_the_other(order: StreamOrder | None) -> None:
    assert list(interleaved(order, b"out", b"err")) == [("stdout", b"out"), ("stderr", b"err")]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_course_are_none(data: bytes) -> None:
    assert read_course(data) is None or data.strip() == b"{}"


def test_a_course_of_unequal_columns_or_without_end_is_refused() -> None:
    for bad in ('{"seconds":[1.0],"cpu_seconds":[]}', '{"seconds":[],"cpu_seconds":[],"memory_bytes":[1]}'):
        assert read_course(f'{{"series":{bad}}}'.encode()) is None
    assert read_course(b'{"order":{"seconds":[0],"stdout_bytes":[-1],"stderr_bytes":[0]}}') is None
    assert read_course(b"[" * 100_000) is None
    assert read_course(Course().model_dump_json().encode()) == Course()
    with pytest.raises(ValidationError):
        StreamOrder(seconds=(0.0,))
