"""The ledger: what is appended is on disk, what a crash tears is recovered, what anyone alters is found."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi import chain
from rsi import ledger as ledger_module
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.events import TrialStarted
from rsi.ledger import GENESIS, Event, Ledger, check_chain, read_events
from rsi.memory import MemoryLedger
from rsi.redaction import Redactor
from rsi.storage import EventLog

NONE = Redactor.none()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(st.text(), VALUES, max_size=4)


def write(folder: Path, bodies: list[dict[str, Any]]) -> Path:
    path = folder / "ledger.jsonl"
    with Ledger.create(path, NONE) as ledger:
        for number, body in enumerate(bodies):
            ledger.append(f"kind.{number % 3}", body)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path / "run-1", [{"n": n, "text": "é \u202e", "x": [n / 7, None, True]} for n in range(5)])


@pytest.fixture(params=["disk", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger | MemoryLedger]:
    with make_log(request.param, tmp_path) as log:
        yield log


def make_log(kind: str, folder: Path, redactor: Redactor = NONE) -> Ledger | MemoryLedger:
    return MemoryLedger(redactor) if kind == "memory" else Ledger.create(folder / "ledger.jsonl", redactor)


def seal(**changes: Any) -> bytes:
    """A first line with changed fields and a hash that fits them."""
    fields = {
        "seq": 0,
        "time": "2026-01-01T00:00:00.000000Z",
        "schema": 1,
        "kind": "a",
        "body": {},
        "previous": GENESIS,
    }
    return chain.seal({**fields, **changes})[0].encode() + b"\n"


# --- what is appended -------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(BODIES, max_size=6))
def test_events_read_back_equal_to_what_append_returned(
    bodies: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "ledger.jsonl"
    with Ledger.create(path, NONE) as ledger:
        returned = [ledger.append("kind", body) for body in bodies]
        head = ledger.head
    assert [event.body for event in returned] == bodies
    assert list(read_events(path)) == returned
    with Ledger.open(path, NONE) as again:
        assert again.events == returned == list(again)
        assert (again.head, again.recovered) == (head, b"")
    report = check_chain(path)
    assert (report.events, report.head, report.problem, report.torn_bytes) == (len(bodies), head, None, 0)


def test_a_line_is_canonical_json_whose_hash_covers_all_other_fields(written: Path) -> None:
    previous = "0" * 64
    for number, line in enumerate(written.read_text("ascii").splitlines()):
        event = json.loads(line)
        digest = event.pop("hash")
        canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        assert digest == hashlib.sha256(canonical.encode()).hexdigest()
        assert (event["seq"], event["previous"], event["schema"]) == (number, previous, 1)
        previous = digest


def test_keys_that_are_numbers_and_tuples_come_back_as_json_holds_them(log: EventLog) -> None:
    event = log.append("kind", {"a": (1, 2), "b": {1: "x", 10: "y", 2: "z"}})
    assert event.body == {"a": [1, 2], "b": {"1": "x", "10": "y", "2": "z"}}
    assert list(log.events) == [event]
    if isinstance(log, Ledger):
        assert list(read_events(log.path)) == [event]


def test_an_append_is_on_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (fsync(descriptor), synced.append(os.fstat(descriptor).st_size))
    )
    with Ledger.create(tmp_path / "ledger.jsonl", NONE) as ledger:
        synced.clear()
        ledger.append("kind", {})
        assert synced == [(tmp_path / "ledger.jsonl").stat().st_size]


def test_appends_from_many_threads_make_one_chain_and_are_told_in_order(log: Ledger | MemoryLedger) -> None:
    told: list[int] = []
    log.on_append.append(lambda event: told.append(event.seq))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: log.append("kind", {"n": n}), range(200)))
    assert told == list(range(200))
    assert_a_chain(log.events)
    assert {event.body["n"] for event in log.events} == set(range(200))
    if isinstance(log, Ledger):
        report = check_chain(log.path)
        assert (report.events, report.problem) == (200, None)
        assert list(read_events(log.path)) == log.events


def assert_a_chain(events: Sequence[Event]) -> None:
    """Numbered from 0, each hashed over all of it and over the one before."""
    previous = GENESIS
    for number, event in enumerate(events):
        fields = event.model_dump()
        assert (event.seq, event.previous) == (number, previous)
        assert chain.seal(fields)[1] == event.hash
        previous = event.hash


@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(BODIES, max_size=6))
def test_the_ledger_in_memory_makes_the_same_events_as_the_one_on_disk(
    bodies: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with make_log("disk", tmp_path_factory.mktemp("run")) as disk:
        for body in bodies:
            disk.append("kind", body)
    times = iter([event.time for event in disk.events])
    memory = MemoryLedger(NONE, clock=lambda: next(times))
    for body in bodies:
        memory.append("kind", body)
    assert memory.events == disk.events
    assert (memory.head, len(memory)) == (disk.head, len(disk))


def test_records_entered_in_memory_read_as_the_events_that_append_would_have_made() -> None:
    started = TrialStarted(trial="1.1", experiment=1, slot=0, role="measure", split="dev", seed=7)
    entered, appended = (MemoryLedger(NONE, clock=lambda: "2026-01-01T00:00:00.000000Z") for _ in range(2))
    for _ in range(2):
        assert entered.enter(started).kind == "trial.started"
        appended.append("trial.started", started.model_dump(mode="json"))
    told = [(e.seq, e.time, e.kind, e.body) for e in entered.events]
    assert told == [(e.seq, e.time, e.kind, e.body) for e in appended.events]
    assert [e.previous for e in entered.events] == [GENESIS, entered.events[0].hash]
    assert entered.head == entered.events[-1].hash


def test_time_does_not_go_backwards_when_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.create(tmp_path / "ledger.jsonl", NONE) as ledger:
        first = ledger.append("kind", {})
        monkeypatch.setattr(ledger_module, "now", lambda: "2001-01-01T00:00:00.000000Z")
        assert ledger.append("kind", {}).time == first.time
    assert check_chain(tmp_path / "ledger.jsonl").problem is None
    times = iter(["2026-01-01T00:00:00.000000Z", "2001-01-01T00:00:00.000000Z"])
    memory = MemoryLedger(NONE, clock=lambda: next(times))
    assert memory.append("kind", {}).time == memory.append("kind", {}).time


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_secrets_never_reach_the_record(tmp_path: Path, kind: str) -> None:
    secret = 'sk-"quoted"/and+more=='
    with make_log(kind, tmp_path, Redactor({"API_KEY": secret})) as log:
        event = log.append("kind", {"text": f"key is {secret}", secret: 1, "nested": [{"password": "hunter2"}]})
        content = log.path.read_text() if isinstance(log, Ledger) else str(log.events)
    assert "quoted" not in content
    assert "hunter2" not in content
    assert event.body["text"] == "key is [redacted API_KEY]"


@pytest.mark.parametrize(
    "body",
    [{"x": float("nan")}, {"x": float("inf")}, {"x": "y" * (5 << 20)}, {"x": 10**5000}],
    ids=["nan", "inf", "long", "huge"],
)
def test_a_body_that_no_reader_would_accept_is_refused_and_nothing_written(
    log: Ledger | MemoryLedger, body: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        log.append("kind", body)
    assert log.append("kind", {}).seq == 0
    assert len(log) == 1
    if isinstance(log, Ledger):
        assert check_chain(log.path).events == 1


def test_a_body_nested_too_deeply_is_refused(log: EventLog) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested"):
        log.append("kind", deep)
    while deep:  # taken apart step by step: the interpreter itself recurses when it frees it
        deep = deep["a"]


# --- one writer -------------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_has_the_run(written: Path) -> None:
    with (
        Ledger.open(written, NONE),
        pytest.raises(UsageError, match=rf"run run-1 is .*another process \(pid {os.getpid()}\)"),
    ):
        Ledger.open(written, NONE)
    Ledger.open(written, NONE).close()


def test_the_lock_goes_with_a_killed_process(written: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        from rsi.ledger import Ledger
        from rsi.redaction import Redactor
        held = Ledger.open(Path({str(written)!r}), Redactor.none())
        print("held", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"pid {holder.pid}\)"):
            Ledger.open(written, NONE)
        holder.kill()
        holder.wait()
        Ledger.open(written, NONE).close()


def test_a_reader_needs_no_lock(written: Path) -> None:
    with Ledger.open(written, NONE) as ledger:
        assert list(read_events(written)) == ledger.events


def test_what_is_there_is_not_overwritten_and_what_is_not_is_said(written: Path, tmp_path: Path) -> None:
    content = written.read_bytes()
    with pytest.raises(UsageError, match="there already"):
        Ledger.create(written, NONE)
    assert written.read_bytes() == content
    for attempt in (lambda path: Ledger.open(path, NONE), lambda path: list(read_events(path)), check_chain):
        with pytest.raises(UsageError, match="not a run folder"):
            attempt(tmp_path / "nothing" / "ledger.jsonl")


def test_a_closed_ledger_takes_nothing_more(log: EventLog) -> None:
    log.append("kind", {})
    log.close()
    log.close()
    with pytest.raises(EnvironmentFault, match="closed"):
        log.append("kind", {})


def test_a_ledger_changed_under_its_writer_is_noticed(written: Path) -> None:
    with Ledger.open(written, NONE) as ledger:
        with written.open("ab") as file:
            file.write(b"x")
        with pytest.raises(IntegrityError, match="changed while"):
            ledger.append("kind", {})


# --- crashes ----------------------------------------------------------------------------------------------------


def test_a_tail_torn_at_any_byte_is_cut_off_and_kept_aside(written: Path) -> None:
    content = written.read_bytes()
    start = content[:-1].rfind(b"\n") + 1
    for end in range(start + 1, len(content)):
        written.write_bytes(content[:end])
        report = check_chain(written)
        assert (report.events, report.problem, report.torn_bytes) == (4, None, end - start)
        reader = read_events(written)
        assert len(list(reader)) == 4
        assert reader.torn_bytes == end - start
        with Ledger.open(written, NONE) as ledger:
            assert ledger.recovered == content[start:end]
            assert written.read_bytes() == content[:start]


def test_work_goes_on_after_a_torn_tail(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-7])
    with Ledger.open(written, NONE) as ledger:
        assert ledger.append("kind", {}).seq == 4
    assert check_chain(written).problem is None


def test_a_last_line_of_zeros_from_a_crashed_file_system_is_recovered(written: Path) -> None:
    content = written.read_bytes()
    for tail in (b"\0" * 300, b"\0" * 300 + b"\n", b'{"body":' + b"\0" * 9):
        written.write_bytes(content + tail)
        with Ledger.open(written, NONE) as ledger:
            assert (len(ledger), ledger.recovered) == (5, tail)


def test_a_last_line_that_no_crash_leaves_is_an_alteration(written: Path) -> None:
    """A crash leaves the beginning of a line or zeros: not a line that ends, nor an event with something behind it."""
    content = written.read_bytes()
    for altered in (content + b'{"body":\xff\n', content[:-1] + b"x", content[:-9] + b"\n", content + b'{"b\xff'):
        written.write_bytes(altered)
        assert check_chain(written).problem is not None
        with pytest.raises(IntegrityError):
            Ledger.open(written, NONE)
        assert written.read_bytes() == altered


KILLED = """
    import sys
    from pathlib import Path
    from rsi.ledger import Ledger
    from rsi.redaction import Redactor
    path = Path(sys.argv[1])
    ledger = (Ledger.open if path.exists() else Ledger.create)(path, Redactor.none())
    while True:
        print(ledger.append("kind", {"x": "y" * 3000}).seq, flush=True)
"""


def test_a_writer_killed_at_any_moment_loses_nothing_that_append_returned(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    acknowledged = -1
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            first = int(writer.stdout.readline())
            assert first > acknowledged
            time.sleep(0.003 + 0.017 * round_)
            writer.send_signal(signal.SIGKILL)
            numbers = [int(line) for line in writer.stdout.read().splitlines() if line]
        acknowledged = max([first, *numbers])
        report = check_chain(path)
        assert report.problem is None
        assert report.events > acknowledged
    with Ledger.open(path, NONE) as ledger:
        assert [event.seq for event in ledger] == list(range(len(ledger)))


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from rsi.errors import EnvironmentFault
    from rsi.ledger import Ledger, check_chain
    from rsi.redaction import Redactor
    path = Path(sys.argv[1])
    ledger = Ledger.create(path, Redactor.none())
    ledger.append("kind", {"x": "y" * 1000})
    good = path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) + 500, hard))
    try:
        ledger.append("kind", {"x": "y" * 1000})
    except EnvironmentFault as fault:
        print(fault)
    assert path.read_bytes() == good, "something was half-written"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert ledger.append("kind", {"room": "again"}).seq == 1
    assert check_chain(path).problem is None
"""


def test_a_full_disk_leaves_nothing_half_written_and_work_goes_on_once_there_is_room(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "ledger.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "ledger.jsonl cannot be written: File too large" in result.stdout


def test_after_a_failed_fsync_the_ledger_must_be_opened_again(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = written.read_bytes()
    fsync, failed = os.fsync, threading.Event()

    def fail_once(descriptor: int) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    with Ledger.open(written, NONE) as ledger:
        monkeypatch.setattr(os, "fsync", fail_once)
        with pytest.raises(EnvironmentFault, match="Input/output error"):
            ledger.append("kind", {})
        with pytest.raises(EnvironmentFault, match="resume"):
            ledger.append("kind", {})
    assert written.read_bytes() == content


# --- alterations ------------------------------------------------------------------------------------------------


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def assert_found(path: Path) -> None:
    """An alteration is a problem; where it cut the last line short, at least a torn tail."""
    report = check_chain(path)
    assert report.problem is not None or report.torn_bytes > 0


def test_any_flipped_bit_anywhere_is_found(written: Path) -> None:
    content = written.read_bytes()
    for position in range(len(content)):
        for bit in (1, 2, 32):
            altered = bytearray(content)
            altered[position] ^= bit
            written.write_bytes(bytes(altered))
            report = check_chain(written)
            assert report.problem is not None, (position, bit)
            assert report.problem.seq == content[:position].count(b"\n"), (position, bit)


EDITS: dict[str, Callable[[list[bytes], int, int], list[bytes]]] = {
    "removed": lambda lines, i, j: lines[:i] + lines[i + 1 :],
    "repeated": lambda lines, i, j: lines[: i + 1] + lines[i:],
    "swapped": lambda lines, i, j: [lines[{i: j, j: i}.get(n, n)] for n in range(len(lines))],
    "overwritten": lambda lines, i, j: [lines[j] if n == i else line for n, line in enumerate(lines)],
    "blank": lambda lines, i, j: [*lines[:i], b"\n", *lines[i:]],
    "spaced": lambda lines, i, j: [line.replace(b",", b", ", 1) if n == i else line for n, line in enumerate(lines)],
}


@pytest.mark.parametrize("edit", EDITS)
def test_any_line_removed_repeated_moved_or_reformatted_is_found(written: Path, edit: str) -> None:
    lines = lines_of(written)
    for i in range(len(lines) - 1):
        for j in range(len(lines)):
            if i == j and edit in {"swapped", "overwritten"}:
                continue
            written.write_bytes(b"".join(EDITS[edit](lines, i, j)))
            report = check_chain(written)
            assert report.problem is not None
            assert report.problem.line == min(i, j) + 1 if edit == "swapped" else report.problem.line in {i + 1, i + 2}
            with pytest.raises(IntegrityError, match=rf"ledger.jsonl, line {report.problem.line} \(event"):
                Ledger.open(written, NONE)


def test_a_clean_cut_at_the_end_is_the_one_thing_a_chain_cannot_show(written: Path) -> None:
    lines = lines_of(written)
    for count in range(len(lines) + 1):
        written.write_bytes(b"".join(lines[:count]))
        report = check_chain(written)
        assert (report.events, report.problem, report.torn_bytes) == (count, None, 0)


def test_a_line_altered_in_the_middle_is_refused_and_left_as_it_is(written: Path) -> None:
    content = written.read_bytes().replace(b'"n":2', b'"n":9')
    written.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"ledger\.jsonl, line 3 \(event 2\): its hash does not match"):
        Ledger.open(written, NONE)
    with pytest.raises(IntegrityError, match="line 3"):
        list(read_events(written))
    assert written.read_bytes() == content
    Ledger.create(written.parent / "other.jsonl", NONE).close()  # the refusal let go of the lock


def test_a_forged_last_line_is_refused_not_recovered(written: Path) -> None:
    written.write_bytes(b"".join(lines_of(written)[:-1]) + seal(seq=4))
    with pytest.raises(IntegrityError, match="line 5"):
        Ledger.open(written, NONE)


HOSTILE: dict[str, bytes] = {
    "deep": b'{"body":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
    "long": b'{"body":"' + b"x" * (5 << 20) + b'"}\n',
    "long without end": b"x" * (5 << 20),
    "number": b"1\n",
    "duplicate key": seal().replace(b'{"body"', b'{"kind":"b","body"'),
    "duplicate key inside": seal(body={"a": 1}).replace(b'{"a":1}', b'{"a":2,"a":1}'),
    "NaN": seal(body={"a": 1}).replace(b'{"a":1}', b'{"a":NaN}'),
    "overflow": seal(body={"a": 1}).replace(b'{"a":1}', b'{"a":1e999}'),
    "boolean seq": seal(seq=False),
    "float seq": seal(seq=0.0),
    "wrong seq": seal(seq=7),
    "schema": seal(schema=2),
    "time": seal(time="2026-01-01"),
    "kind": seal(kind=7),
    "body": seal(body=[]),
    "extra field": seal().replace(b'"kind":"a"', b'"kind":"a","more":1'),
    "previous": seal(previous="1" * 64),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(HOSTILE[name] + seal())
    begin = time.monotonic()
    report = check_chain(path)
    assert time.monotonic() - begin < 2
    assert report.problem is not None
    assert (report.problem.line, report.problem.seq, report.events) == (1, 0, 0)
    assert len(report.problem.sentence) < 300 + len(str(path))


@pytest.mark.parametrize("number", [b"1" * 100_000, b"-" + b"9" * 5000])
def test_a_number_too_long_to_convert_is_refused(tmp_path: Path, number: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(seal(body={"a": 1}).replace(b'{"a":1}', b'{"a":' + number + b"}") + seal())
    assert check_chain(path).problem is not None


@settings(max_examples=150, deadline=None)
@given(garbage=st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(garbage: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("run") / "ledger.jsonl"
    path.write_bytes(garbage)
    report = check_chain(path)
    assert report.events == 0
    assert report.problem is not None or report.torn_bytes == len(garbage)


@pytest.fixture
def not_plain(tmp_path: Path, written: Path) -> Path:
    folder = tmp_path / "foreign"
    folder.mkdir()
    return folder / "ledger.jsonl"


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_a_ledger_that_is_no_plain_file_is_refused_at_once(not_plain: Path, written: Path, kind: str) -> None:
    match kind:
        case "link":
            not_plain.symlink_to(written)
        case "dangling":
            not_plain.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(not_plain)
        case "folder":
            not_plain.mkdir()
    for attempt in (lambda path: Ledger.open(path, NONE), lambda path: list(read_events(path)), check_chain):
        with pytest.raises(IntegrityError, match="no plain file"):
            attempt(not_plain)


def test_a_hundred_thousand_events_are_verified_in_under_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    body = {"trial": "1.1", "limits": {f"limit_{n}": n * 1.5 for n in range(8)}, "stdout": "ab" * 32}
    head = GENESIS
    with path.open("w") as file:
        for seq in range(100_000):
            time_ = "2026-01-01T00:00:00.000000Z"
            fields = {"seq": seq, "time": time_, "schema": 1, "kind": "trial.trained", "body": body, "previous": head}
            line, head = chain.seal(fields)
            file.write(line + "\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    report = check_chain(path)
    assert (report.events, report.head) == (100_000, head)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 10
