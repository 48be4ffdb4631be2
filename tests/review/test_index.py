"""The index tells what the whole ledger tells, is made once, and is of exactly the bytes that lie there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import make_run

from rsi import runs
from rsi.errors import IntegrityError, UsageError
from rsi.preparation import cache_folder
from rsi.records import Severity
from rsi.review import index, reading
from rsi.review.experiment import experiment_json
from rsi.review.findings import Finder
from rsi.review.lines import lines_of
from rsi.review.staircase import points
from rsi.review.summary import summarise
from rsi.state import RunState
from rsi.testing.altering import alter, load

sys.path.insert(0, str(Path(__file__).parent))
from oracle import experiment_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "review"


def test_what_it_tells_is_what_the_whole_ledger_tells(pristine: Path) -> None:
    whole, read = runs.read(pristine), reading.read(pristine)
    assert read.summary == summarise(whole)
    assert read.points == points(whole.state)
    finder = Finder()
    found = [item for event in whole.events for item in finder.take(event, RunState.validated(event))]
    assert read.findings == tuple(finder.ranked(found))
    assert found
    ranks = list(Severity)
    for line, expected in zip(read.lines, lines_of(whole.state, {}), strict=True):
        own = [item for item in found if item.experiment == line.experiment]
        assert read.findings_of(line.experiment) == own
        grave = [item.severity for item in own if item.severity is not Severity.INFO]
        gravest = max(grave, key=ranks.index, default=None)
        assert line == expected.model_copy(update={"findings": len(grave), "gravest": gravest})
    assert list(read.events()) == whole.events
    assert [read.experiment_of(event) for event in whole.events] == [experiment_of(x, whole) for x in whole.events]


def test_an_excerpt_tells_an_experiment_as_the_whole_run_does(pristine: Path) -> None:
    whole, read = runs.read(pristine), reading.read(pristine)
    for number in whole.state.experiments:
        excerpt = read.excerpt(number)
        assert experiment_json(excerpt, number) == experiment_json(whole, number)
        assert len(excerpt.events) < len(whole.events)
    with pytest.raises(UsageError, match=r"no experiment 99; it has 0 to 6"):
        read.excerpt(99)


def test_events_are_chosen_by_kind_time_and_experiment(pristine: Path) -> None:
    whole, read = runs.read(pristine), reading.read(pristine)
    trials = [event for event in whole.events if event.kind.startswith("trial.")]
    assert list(read.events(kinds=("trial",))) == trials
    assert list(read.events(kinds=("trial.", "run.started"))) == [whole.events[0], *trials]
    assert list(read.events(kinds=("tria",))) == []
    middle = whole.events[20].time
    assert list(read.events(since=middle)) == [event for event in whole.events if event.time >= middle]
    assert list(read.events(until=middle)) == [event for event in whole.events if event.time <= middle]
    own = [event for event in whole.events if experiment_of(event, whole) == 3]
    assert list(read.events(3)) == own


def test_it_is_made_once_and_anew_for_a_ledger_that_has_changed(run_folder: Path, own_cache: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    reading.read(run_folder)
    (made,) = own_cache.glob("*.sqlite")
    before = made.stat().st_ino
    assert len(reading.read(run_folder).lines) == 7
    assert [path.stat().st_ino for path in own_cache.iterdir()] == [before]
    ledger.write_bytes(b"".join(lines[:-1]))
    assert reading.read(run_folder).summary.events == len(lines) - 1
    assert len(list(own_cache.glob("*.sqlite"))) == 2
    # One byte altered, with the same size and times: another digest, so another index.
    times = ledger.stat()
    ledger.write_bytes(b"".join(lines[:-1]).replace(b'"seed":', b'"sEed":', 1))
    os.utime(ledger, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(IntegrityError, match=r"its hash does not match"):
        reading.read(run_folder)


def test_what_stands_before_an_altered_event_is_shown_when_asked_for(run_folder: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:40], lines[40].replace(b"a", b"b", 1), *lines[41:]]))
    with pytest.raises(IntegrityError, match=r"event 40.*`rsi verify"):
        reading.read(run_folder)
    shown = reading.read(run_folder, anyway=True)
    assert "event 40" in shown.problem
    assert shown.summary.events == 40
    assert shown.lines


def test_a_cache_that_cannot_be_written_is_done_without(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_CACHE", "/dev/null/nowhere")
    assert len(reading.read(pristine).lines) == 7


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_is_made_again(pristine: Path, own_cache: Path, content: bytes) -> None:
    reading.read(pristine)
    (made,) = own_cache.glob("*.sqlite")
    made.write_bytes(content)
    assert len(reading.read(pristine).lines) == 7


def test_old_indexes_go(tmp_path: Path, pristine: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MOST_KEPT", 2)
    whole = (pristine / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    for events in (30, 31, 32, 33):
        copy = tmp_path / f"copy-{events}"
        copy.mkdir()
        (copy / "ledger.jsonl").write_bytes(b"".join(whole[:events]))
        reading.read(copy)
    assert len(list(own_cache.iterdir())) == 2


def test_nothing_is_left_where_there_is_no_run(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "ledger.jsonl").touch()
    with pytest.raises(IntegrityError, match="it is no run"):
        reading.read(tmp_path / "empty")
    with pytest.raises(UsageError, match="not a run folder"):
        reading.read(tmp_path / "nowhere")
    assert list(own_cache.iterdir()) == []


def test_a_run_with_milestones_is_told_alike(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [("VALUE = 1.0", "VALUE = 2.8", "better")], policy="expected-gain", confirm=0)
    whole, read = runs.read(folder), reading.read(folder)
    for number in whole.state.experiments:
        assert experiment_json(read.excerpt(number), number) == experiment_json(whole, number)


def test_a_copy_elsewhere_says_where_it_lies(pristine: Path, tmp_path: Path) -> None:
    reading.read(pristine)
    copy = Path(shutil.copytree(pristine, tmp_path / "copy"))
    assert reading.read(copy).summary.folder == str(copy)
    assert str(cache_folder()) not in str(copy)


REFERENCES: list[tuple[str, dict[str, Any]]] = [
    ("trial.started", {"role": "certify", "milestone": 7}),
    ("trial.started", {"role": "certify", "milestone": 0}),
    ("trial.started", {"role": "ablate", "ablation": 10**30}),
    ("trial.started", {"role": "ablate", "ablation": -1}),
    ("trial.started", {"experiment": 2**63}),
    ("trial.started", {"role": "confirm", "weights_of": "nowhere"}),
    ("experiment.proposed", {"parent": -(10**30)}),
]


@pytest.mark.parametrize(("kind", "fields"), REFERENCES)
def test_a_number_that_names_nothing_is_said_and_what_stands_before_it_is_shown(
    run_folder: Path, kind: str, fields: dict[str, Any]
) -> None:
    places = [place for place, event in enumerate(load(run_folder)) if event["kind"] == kind]
    alter(run_folder, lambda events: events[places[-1]]["body"].update(fields))
    with pytest.raises(IntegrityError, match=f"Event {places[-1]} "):
        reading.read(run_folder)
    shown = reading.read(run_folder, anyway=True)
    assert shown.summary.events == places[-1]
    assert len(list(shown.events())) == places[-1]


def test_a_number_written_as_a_text_hides_no_event(run_folder: Path) -> None:
    """It is folded as the number that it stands for, so it must be found under it."""
    before = len(list(reading.read(run_folder).entries(5)))

    def as_texts(events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["body"].get("experiment") == 5:
                event["body"]["experiment"] = "5"

    alter(run_folder, as_texts)
    read = reading.read(run_folder)
    assert len(list(read.entries(5))) == before
    assert [item.experiment for item in read.findings_of(5)]
    whole = runs.read(run_folder)
    assert experiment_json(read.excerpt(5), 5) == experiment_json(whole, 5)


@pytest.mark.parametrize("kind", ["describe", "summarise"])
def test_whatever_a_record_makes_fail_is_said_in_a_sentence(
    run_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def fails(*_: object) -> str:
        raise ZeroDivisionError("by a hostile number")

    monkeypatch.setattr(index, kind, fails)
    with pytest.raises(IntegrityError, match="by a hostile number"):
        reading.read(run_folder)
    assert list(own_cache.iterdir()) == []


def test_numbers_that_nobody_has_are_said(run_folder: Path) -> None:
    read = reading.read(run_folder)
    for number in (-1, 10**30, -(10**30), 2**63):
        with pytest.raises(UsageError, match="has no experiment"):
            read.excerpt(number)


FULL = """
import resource, signal, sys
from pathlib import Path
from rsi.review import reading
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
print(len(reading.read(Path(sys.argv[1])).lines))
"""


def test_a_cache_without_room_is_done_without(pristine: Path, own_cache: Path) -> None:
    command = [sys.executable, "-c", FULL, str(pristine)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("7\n", "", 0)
    assert list(own_cache.iterdir()) == []


def test_several_that_make_the_same_index_do_not_disturb_each_other(pristine: Path, own_cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(reading.read(pristine).lines), range(24)))
    assert found == [7] * 24
    assert len(list(own_cache.iterdir())) == 1


def test_what_a_crash_left_of_an_index_goes(pristine: Path, own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    old, new = own_cache / "old.making", own_cache / "new.making"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    reading.read(pristine)
    assert new.exists()
    assert not old.exists()


def test_a_ledger_that_is_replaced_while_it_is_read_is_noticed(run_folder: Path) -> None:
    read = reading.read(run_folder)
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    for other in (b"".join(reversed(lines)), b"{}\n" * len(lines), b"", b"[" * len(b"".join(lines))):
        ledger.write_bytes(other)
        with pytest.raises(IntegrityError, match="was changed while it was read"):
            list(read.events())


def test_a_trial_that_answers_very_often_is_read_in_no_time(run_folder: Path) -> None:
    def often(events: list[dict[str, Any]]) -> None:
        place = next(n for n, event in enumerate(events) if event["kind"] == "trial.answered")
        one = events[place]
        many = [{**one, "body": {**one["body"], "answer": f"{number:064x}"}} for number in range(8000)]
        events[place:] = many

    alter(run_folder, often)
    begin = time.process_time()
    assert reading.read(run_folder).summary.events > 8000
    assert time.process_time() - begin < 7
