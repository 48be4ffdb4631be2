"""`rsi log`: filters, several runs, notes between the events, a run that goes on; hostile text and expressions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Rsi
from hypothesis import given
from hypothesis import strategies as st

from rsi.chain import read_events
from rsi.errors import UsageError
from rsi.ledger import Ledger
from rsi.redaction import Redactor
from rsi.review import notes
from rsi.review.filtering import MOST_GIVEN_UP, SECONDS_A_SEARCH, Filter, Search, moment
from rsi.review.following import Belonging, Follower
from rsi.review.log_lines import follow_log
from rsi.review.reading import read
from rsi.testing.altering import alter, load, store

ROOT = Path(__file__).parents[2]


def seqs(out: str) -> list[int]:
    return [json.loads(line)["seq"] for line in out.splitlines()]


def test_each_line_of_json_is_the_recorded_event_with_what_it_belongs_to(rsi: Rsi, pristine: Path) -> None:
    done = rsi("log", pristine, "--json")
    recorded = load(pristine)
    lines = [json.loads(line) for line in done.out.splitlines()]
    beside = ("run", "file", "experiment", "severity")
    assert [{key: value for key, value in line.items() if key not in beside} for line in lines] == recorded
    assert {line["run"] for line in lines} == {pristine.name}
    judged = [line for line in lines if line["kind"] == "trial.judged" and line["experiment"] == 5]
    assert "critical" in {line["severity"] for line in judged}


def test_kinds_can_be_given_several_times_and_begin_so(rsi: Rsi, pristine: Path) -> None:
    done = rsi("log", pristine, "--kind", "trial", "--kind", "run.finished", "--json")
    wanted = [e["seq"] for e in load(pristine) if e["kind"].startswith("trial.") or e["kind"] == "run.finished"]
    assert seqs(done.out) == wanted
    assert rsi("log", pristine, "--kind", "trail").code == 2


def test_severity_leaves_only_events_that_say_something_so_grave(rsi: Rsi, pristine: Path) -> None:
    critical = rsi("log", pristine, "--severity", "critical", "--json").out
    warning = rsi("log", pristine, "--severity", "warning", "--json").out
    assert 0 < len(seqs(critical)) <= len(seqs(warning)) < len(load(pristine))
    assert all(json.loads(line)["severity"] == "critical" for line in critical.splitlines())
    assert "none of info, notice, warning, critical" in rsi("log", pristine, "--severity", "grave").err


def test_since_and_until_are_times_of_events_both_included(rsi: Rsi, pristine: Path) -> None:
    events = load(pristine)
    since, until = events[5]["time"], events[20]["time"]
    found = seqs(rsi("log", pristine, "--since", since, "--until", until, "--json").out)
    assert found == [e["seq"] for e in events if since <= e["time"] <= until]
    assert rsi("log", pristine, "--since", "0s").out == ""
    assert len(seqs(rsi("log", pristine, "--since", "2h", "--json").out)) == len(events)


NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2h", "2026-03-04T03:06:07.000000Z"),
        ("90s", "2026-03-04T05:04:37.000000Z"),
        ("15min", "2026-03-04T04:51:07.000000Z"),
        ("1w", "2026-02-25T05:06:07.000000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500000Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
        ("", ""),
    ],
)
def test_a_time_is_iso_or_a_span_before_now(given: str, meant: str) -> None:
    assert moment(given, "--since", NOW) == meant


@pytest.mark.parametrize(
    "given", ["yesterday", "2x", "-2h", "999999w", "2026-13-01", "0001-01-01T00:00+14:00", "\x1b[2J"]
)
def test_what_is_no_time_is_told_by_its_flag(given: str) -> None:
    with pytest.raises(UsageError, match="--until") as told:
        moment(given, "--until", NOW)
    assert "\x1b" not in str(told.value)


def test_text_is_found_in_the_words_and_in_what_is_recorded(rsi: Rsi, pristine: Path) -> None:
    in_words = rsi("log", pristine, "--text", "NEARLY there").out
    assert "Raise VALUE: nearly there" in in_words
    image = load(pristine)[0]["body"]["randomness"]
    assert seqs(rsi("log", pristine, "--text", image, "--json").out) == [0]  # never in the line
    assert rsi("log", pristine, "--text", "no such words anywhere").out == ""


def test_a_regular_expression_is_looked_for_in_the_same_places(rsi: Rsi, pristine: Path) -> None:
    found = rsi("log", pristine, "--regex", r"trial \d\.1 trained: (crashed|completed)").out
    assert found.count(" trained: ") == len(found.splitlines()) > 4
    bad = rsi("log", pristine, "--regex", "(unclosed")
    assert (bad.code, "no regular expression" in bad.err) == (2, True)


def test_an_expression_that_never_ends_is_given_up_and_said(rsi: Rsi, run_folder: Path) -> None:
    def evil(events: list[dict[str, object]]) -> None:
        for event in events[3:5]:
            event["body"]["rationale" if event["kind"] == "experiment.proposed" else "commit"] = "a" * 5000 + "!"  # type: ignore[index]

    alter(run_folder, evil)
    begin = time.monotonic()
    done = rsi("log", run_folder, "--regex", r"^(a|aa|a?)+$", "--event", "3", "--event", "4")
    assert time.monotonic() - begin < 20 * SECONDS_A_SEARCH
    assert done.code == 1
    assert "took too long on" in done.err


def test_an_expression_that_takes_long_on_many_events_is_refused() -> None:
    search = Search(Filter(pattern=r"^(a|aa|a?)+$"))
    body = {"text": "a" * 5000 + "!"}
    assert not any(search.finds(body, str) for _ in range(MOST_GIVEN_UP))
    with pytest.raises(UsageError, match="use --text"):
        search.finds(body, str)


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.text() | st.none() | st.integers(), st.lists, max_leaves=5))
)
def test_every_recorded_text_is_searched_and_nothing_raises(body: dict[str, object]) -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [text for part in parts for text in texts(part)]

    for text in texts(body):
        assert Search(Filter(text=text)).finds(body, str)


def test_several_runs_come_in_the_order_of_time_and_each_line_says_which(
    rsi: Rsi, pristine: Path, run_folder: Path
) -> None:
    other = run_folder.rename(run_folder.with_name("20990101-000000-other-0001"))
    done = rsi("log", pristine, other, "--kind", "experiment.closed")
    lines = done.out.splitlines()
    assert sum(pristine.name in line for line in lines) == sum(other.name in line for line in lines) == len(lines) // 2
    times = [json.loads(line)["time"] for line in rsi("log", pristine, other, "--json").out.splitlines()]
    assert times == sorted(times)
    assert pristine.name not in rsi("log", pristine, "--kind", "experiment.closed").out
    assert "None of these runs has an experiment 99" in rsi("log", pristine, other, "--experiment", "99").err


def test_notes_stand_between_the_events_at_their_time(rsi: Rsi, run_folder: Path) -> None:
    notes.write_on(run_folder, 3, "what\nis \x1b[2J this", "suspicious", "Ann")
    done = rsi("log", run_folder)
    assert "experiment 3 is suspicious, says Ann: what is this" in done.out.splitlines()[-1]
    assert "\x1b" not in done.out
    only = rsi("log", run_folder, "--kind", "note", "--experiment", "3", "--severity", "warning", "--json")
    (line,) = [json.loads(line) for line in only.out.splitlines()]
    assert (line["run"], line["file"], line["seq"], line["experiment"]) == (run_folder.name, "notes.jsonl", 0, 3)
    assert rsi("log", run_folder, "--kind", "note", "--experiment", "2").out == ""
    notes_file = run_folder / "notes.jsonl"
    notes_file.write_bytes(notes_file.read_bytes().replace(b"Ann", b"Bob"))
    broken = rsi("log", run_folder, "--kind", "run")
    assert broken.code == 1
    assert "notes do not hold" in broken.err
    assert "run.finished" in broken.out


def test_events_are_of_the_same_experiment_whether_read_whole_or_as_they_come(pristine: Path) -> None:
    reading, belonging = read(pristine), Belonging()
    from rsi.review.log_lines import _body  # noqa: PLC0415

    for event in read_events(pristine / "ledger.jsonl"):
        assert belonging.take(event, _body(event)) == reading.experiment_of(event), event.kind


# --- following ------------------------------------------------------------------------------------------------------


def copy_of(folder: Path, to: Path, events: int) -> tuple[list[bytes], Path]:
    """A run whose ledger holds only the first events; the lines that are still to come."""
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    to.mkdir()
    (to / "ledger.jsonl").write_bytes(b"".join(lines[:events]))
    return lines[events:], to


def test_a_follower_reads_each_event_once_and_waits_for_the_end_of_a_line(pristine: Path, tmp_path: Path) -> None:
    rest, folder = copy_of(pristine, tmp_path / "run", 3)
    follower = Follower(folder / "ledger.jsonl")
    assert [event.seq for event in follower.news()] == [0, 1, 2]
    assert list(follower.news()) == []
    with (folder / "ledger.jsonl").open("ab", buffering=0) as file:
        file.write(rest[0][:50])
        assert list(follower.news()) == []
        assert follower.torn_bytes == 50
        file.write(rest[0][50:] + rest[1])
        assert [event.seq for event in follower.news()] == [3, 4]
        file.write(rest[3])
        assert list(follower.news()) == []
    assert "event 5" in follower.problem
    follower.close()


def test_a_ledger_that_becomes_shorter_is_said(pristine: Path, tmp_path: Path) -> None:
    _, folder = copy_of(pristine, tmp_path / "run", 3)
    follower = Follower(folder / "ledger.jsonl")
    list(follower.news())
    os.truncate(folder / "ledger.jsonl", 100)
    assert list(follower.news()) == []
    assert "became shorter" in follower.problem
    follower.close()


def test_following_ends_when_the_run_does_and_misses_nothing(
    pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real writer holds the run's lock in another process and appends the rest while it is followed."""
    from rsi.output import console  # noqa: PLC0415

    rest, folder = copy_of(pristine, tmp_path / "run", 10)
    said: list[list[str]] = []
    followed = threading.Thread(target=lambda: said.append(follow_log([folder], Filter(), console(), as_json=True)))
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        followed.start()
        writer.stdin.write(b"".join(rest))
        writer.stdin.close()
        followed.join(timeout=60)
    assert not followed.is_alive()
    assert writer.returncode == 0
    assert said == [[]]
    assert seqs(capsys.readouterr().out) == list(range(10 + len(rest)))


WRITER = """
import fcntl, os, sys
folder = sys.argv[1]
lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, f"{os.getpid()}\\n".encode())
print("locked", flush=True)
with open(folder + "/ledger.jsonl", "ab", buffering=0) as file:
    for line in sys.stdin.buffer:
        file.write(line)
"""


def test_following_a_run_that_nobody_writes_shows_it_and_ends(rsi: Rsi, run_folder: Path) -> None:
    store(run_folder, load(run_folder)[:-1])  # killed
    notes.write_on(run_folder, 1, "seen", by="Ann")
    done = rsi("log", run_folder, "--follow")
    assert done.code == 0
    assert "says Ann: seen" in done.out
    assert len(done.out.splitlines()) == len(load(run_folder)) + 1


def test_following_says_where_the_chain_breaks(rsi: Rsi, run_folder: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:7], *lines[8:]]))
    done = rsi("log", run_folder, "-f", "--json")
    assert done.code == 1
    assert "event 7" in done.err
    assert seqs(done.out) == list(range(7))


def test_a_note_that_is_written_while_a_run_goes_on_is_followed_too(
    pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rsi.output import console  # noqa: PLC0415

    rest, folder = copy_of(pristine, tmp_path / "run", len(load(pristine)) - 1)
    with Ledger.open(folder / "ledger.jsonl", Redactor.none()):
        notes.write_on(folder, 1, "meanwhile", by="Ann")
        followed = threading.Thread(target=lambda: follow_log([folder], Filter(), console()))
        followed.start()
        with (folder / "ledger.jsonl").open("ab", buffering=0) as file:
            file.write(rest[0])
        followed.join(timeout=60)
    assert not followed.is_alive()
    assert "meanwhile" in capsys.readouterr().out


def test_an_interrupt_while_following_is_no_error(pristine: Path, tmp_path: Path) -> None:
    _, folder = copy_of(pristine, tmp_path / "run", 4)
    command = [sys.executable, "-m", "cli", "log", str(folder), "--follow"]
    with (
        Ledger.open(folder / "ledger.jsonl", Redactor.none()),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as followed,
    ):
        assert followed.stdout is not None
        assert followed.stderr is not None
        assert "run.started" in followed.stdout.readline()
        followed.send_signal(signal.SIGINT)
        assert followed.wait(timeout=60) == 130
        assert followed.stderr.read() == ""
