"""Endings: the worker's word carries no message, and every ending has one name."""

from __future__ import annotations

import builtins
import json
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.execution import ExitKind, Fault, Usage
from sandboxes.ending import Trailer, classify, read_trailer
from sandboxes.place import PlaceEnd
from sandboxes.supervise import Watched

INPUTS = ("code/train.py", "data/tokens")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FAULTS = st.fixed_dictionaries(
    {},
    optional={
        "error": JSON | st.sampled_from(["ValueError", "print", "__import__", "Label5", "OSError"]),
        "file": JSON | st.sampled_from([*INPUTS, "../etc/passwd"]),
        "line": JSON,
        "errno": JSON,
    },
)


def watched(**changes: Any) -> Watched:
    return Watched(**{"usage": Usage(wall_seconds=1.0, cpu_seconds=1.0), "ended": 0.0, **changes})


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_without_harm(text: bytes) -> None:
    trailer = read_trailer(text, INPUTS)
    classify(watched(), trailer)


@given(exit_code=JSON, number=JSON, fault=FAULTS, full=JSON)
def test_a_forged_line_says_only_what_the_record_has_words_for(
    exit_code: object, number: object, fault: dict[str, Any], full: object
) -> None:
    line = json.dumps({"exit_code": exit_code, "signal": number, "fault": fault, "disk_full": full}).encode()
    trailer = read_trailer(line, INPUTS)
    assert trailer is not None
    assert trailer.exit_code is None or 0 <= trailer.exit_code <= 255
    assert trailer.fault is not None
    assert trailer.fault.file in ("", *INPUTS)
    assert issubclass(getattr(builtins, trailer.fault.error), BaseException)


def test_deep_nesting_is_no_trailer() -> None:
    assert read_trailer(b"[" * 8000, INPUTS) is None
    assert read_trailer(b'{"exit_code":' * 1000 + b"0" + b"}" * 1000, INPUTS) in (None, Trailer())


SCORED = Trailer(exit_code=0)
MEMORY = Trailer(exit_code=1, fault=Fault(error="MemoryError"))


@pytest.mark.parametrize(
    ("seen", "trailer", "kind"),
    [
        (watched(), SCORED, ExitKind.COMPLETED),
        (watched(end=PlaceEnd(out_of_memory=True)), SCORED, ExitKind.COMPLETED),
        (watched(), Trailer(exit_code=1), ExitKind.CRASHED),
        (watched(), Trailer(), ExitKind.CRASHED),
        (watched(), Trailer(signal=signal.SIGKILL), ExitKind.CRASHED),
        (watched(memory_at_limit=True), Trailer(signal=signal.SIGKILL), ExitKind.OUT_OF_MEMORY),
        (watched(memory_at_limit=True), Trailer(exit_code=1), ExitKind.CRASHED),
        (watched(end=PlaceEnd(out_of_memory=True)), Trailer(exit_code=1), ExitKind.OUT_OF_MEMORY),
        (watched(), MEMORY, ExitKind.OUT_OF_MEMORY),
        (watched(), Trailer(exit_code=1, errno=28), ExitKind.DISK_FULL),
        (watched(), Trailer(exit_code=1, errno=27), ExitKind.DISK_FULL),
        (watched(), Trailer(exit_code=1, errno=2), ExitKind.CRASHED),
        (watched(), Trailer(exit_code=1, disk_full=True), ExitKind.DISK_FULL),
        (watched(), Trailer(exit_code=0, disk_full=True), ExitKind.COMPLETED),
        (watched(), Trailer(signal=signal.SIGXFSZ), ExitKind.DISK_FULL),
        (watched(end=PlaceEnd(from_outside=True)), None, ExitKind.LOST),
        (watched(end=PlaceEnd(exit_code=137, out_of_memory=True, from_outside=True)), None, ExitKind.OUT_OF_MEMORY),
        (watched(end=PlaceEnd(exit_code=1)), None, ExitKind.CRASHED),
        (watched(stopped=ExitKind.TIMED_OUT, reason="Late."), None, ExitKind.TIMED_OUT),
        (watched(stopped=ExitKind.TIMED_OUT, reason="Late."), Trailer(signal=signal.SIGKILL), ExitKind.TIMED_OUT),
        (watched(stopped=ExitKind.TIMED_OUT, reason="Late."), SCORED, ExitKind.COMPLETED),  # told late by the engine
        (watched(stopped=ExitKind.CPU_EXCEEDED, reason="Much."), SCORED, ExitKind.CPU_EXCEEDED),
        (watched(stopped=ExitKind.INTERRUPTED, reason="Asked."), None, ExitKind.INTERRUPTED),
    ],
)
def test_every_ending_has_one_name_and_a_sentence(seen: Watched, trailer: Trailer | None, kind: ExitKind) -> None:
    named, sentence = classify(seen, trailer)
    assert named is kind
    assert bool(sentence) == (kind is not ExitKind.COMPLETED)
