"""Streams: the worker's line is taken out, the rest kept up to the cap, however it arrives in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandboxes.streams import LINE_BYTES, Streams, WorkerLine

NONCE = "0123abcd"
MARK = b"\x1e0123abcd "
TEXT = st.binary(max_size=60) | st.sampled_from([b"\x1e", MARK[:-1], b"\x1e0123", b"\n", b"\x1e\x1e0123abc"])


@st.composite
def in_pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(before=st.lists(TEXT, max_size=5).map(b"".join), line=st.binary(max_size=30), data=st.data())
def test_a_line_is_found_and_all_before_it_kept_however_it_is_cut(
    before: bytes, line: bytes, data: st.DataObject
) -> None:
    line = line.replace(b"\n", b"")
    before = before.replace(MARK, b"")
    pieces = data.draw(in_pieces(before + MARK + line + b"\n"))
    streams = Streams(NONCE, 10_000)
    for piece in pieces:
        streams.feed("stderr", piece)
    streams.finish()
    assert streams.trailer == line
    assert streams.stderr == before


@given(chunks=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), TEXT), max_size=12), limit=st.integers(0, 200))
def test_kept_and_discarded_add_up_to_what_was_seen(chunks: list[tuple[str, bytes]], limit: int) -> None:
    watched = {"stdout": b"", "stderr": b""}

    def watch(stream: str, data: bytes) -> None:
        watched[stream] += data

    streams = Streams(NONCE, limit, watch)
    for name, data in chunks:
        streams.feed(name, data)  # type: ignore[arg-type]
    streams.finish()
    whole = {name: b"".join(data for one, data in chunks if one == name) for name in watched}
    kept = len(streams.stdout) + len(streams.stderr)
    if streams.trailer is None:
        assert kept + streams.discarded == sum(map(len, whole.values()))
        assert kept == min(limit, sum(map(len, whole.values())))
    assert kept <= limit
    assert whole["stdout"].startswith(streams.stdout)
    assert watched == {"stdout": streams.stdout, "stderr": streams.stderr}


def test_streams_are_complete_once_the_worker_said_so_on_both() -> None:
    streams = Streams(NONCE, 10_000)
    streams.feed("stderr", b"e" + MARK + b"{}\n")
    assert (streams.trailer, streams.complete) == (b"{}", False)  # the other stream may lag behind
    streams.feed("stdout", b"o" + MARK[:4])
    assert not streams.complete
    streams.feed("stdout", MARK[4:] + b"\n")
    streams.finish()
    assert (streams.complete, streams.stdout, streams.stderr) == (True, b"o", b"e")


def test_a_mark_whose_line_never_ends_is_the_programs_own_output() -> None:
    line = WorkerLine(NONCE)
    endless = MARK + b"x" * (LINE_BYTES + 1)
    passed = line.feed(endless) + line.feed(MARK + b"real\n")
    assert line.found == b"real"
    assert passed == endless


def test_ordinary_output_reaches_the_watcher_at_once() -> None:
    seen: list[bytes] = []
    streams = Streams(NONCE, 1000, lambda _, data: seen.append(data))
    streams.feed("stderr", b"loss 3.2\n")
    assert seen == [b"loss 3.2\n"]


def test_output_behind_the_last_line_is_kept_as_output() -> None:
    streams = Streams(NONCE, 1000)
    streams.feed("stderr", MARK + b"{}\nlate")
    streams.finish()
    assert (streams.trailer, streams.stderr) == (b"{}", b"late")
