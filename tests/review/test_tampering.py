"""Every flipped byte, removed, swapped, repeated or cut-off line of a ledger is found, and the right event is named.

The one exception is a clean cut at the end, which only a head kept elsewhere shows. The chain is checked at every
place (a sample of them in `make test`); that `rsi verify` says the same is checked at a few.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_run

from rsi.chain import Scan, check_chain
from rsi.review import anchoring, notes
from rsi.review.beside import Outside
from rsi.review.verify import VerifyReport, verify

SEED = random.SystemRandom().randrange(2**32)
"""Drawn anew for each run of the tests and shown where one fails."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few hundred events, with notes; only its ledger and its notes are altered, and put back."""
    patches = [("VALUE = 1.0", "VALUE = 2.0", "better")]
    patches += [("VALUE = 2.0", f"VALUE = {5 + n / 10}", f"worse, number {n}") for n in range(26)]
    folder = make_run(tmp_path_factory.mktemp("long"), patches)
    for experiment in range(1, 9):
        notes.write_on(folder, experiment, f"note {experiment}", "fine", "Ann")
    return folder


@pytest.fixture(params=["ledger.jsonl", "notes.jsonl"])
def file(request: pytest.FixtureRequest, whole: Path) -> Iterator[Path]:
    path = whole / request.param
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


@pytest.fixture
def nobody_kept_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "elsewhere"))


def verified(path: Path, outside: Outside | None = None) -> VerifyReport:
    return verify(path.parent, verdicts=False, trust_paths=True, outside=outside)


def named(report: VerifyReport, path: Path) -> int:
    """The line that the report names first for this file, from 1."""
    assert not report.ok
    if path.name == "ledger.jsonl":
        return report.problems[0].line
    (words,) = [problem.sentence for problem in report.problems if problem.sentence.startswith("notes.jsonl, line ")][
        :1
    ]
    return int(words.split()[2].rstrip(":"))


def problems_of_flips(content: bytes, positions: range, bits: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Position and bit of every flip after which the chain holds, or breaks at another line than the flipped one.

    What stands before that line is not read again for every flip: it is unchanged, and holds.
    """
    lines = content.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    before, file = [], io.BytesIO(content)
    scan = Scan(Path("ledger.jsonl"), file)
    reading = iter(scan)
    for _ in lines:
        before.append(scan.at)
        next(reading)
    number = 0
    for position in positions:
        while position >= starts[number + 1]:
            number += 1
        for bit in bits:
            altered = bytearray(b"".join(lines[number : number + 3]))
            altered[position - starts[number]] ^= bit
            scan = Scan(Path("ledger.jsonl"), io.BytesIO(bytes(altered)))
            scan.at = before[number]
            for _ in scan:
                pass
            if scan.problem is None or scan.problem.line != number + 1:
                yield position, bit


def test_a_flipped_byte_at_any_of_many_places_is_found_and_named(file: Path) -> None:
    content = file.read_bytes()
    stride = max(1, len(content) // 4000)
    positions = range(random.Random(SEED).randrange(stride), len(content), stride)
    assert list(problems_of_flips(content, positions, (1, 128))) == [], SEED


@pytest.mark.long
def test_a_flipped_byte_at_every_place_is_found_and_named(file: Path) -> None:
    content = file.read_bytes()
    assert list(problems_of_flips(content, range(len(content)), (1, 2, 4, 8, 16, 32, 64, 128))) == []


def test_the_end_of_the_file_is_no_blind_spot(file: Path) -> None:
    """The last two lines, where what is altered can look like what a crash leaves."""
    content = file.read_bytes()
    last_two = content[: content[:-1].rfind(b"\n")].rfind(b"\n") + 1
    assert list(problems_of_flips(content, range(last_two, len(content)), (1, 4, 32))) == []


def test_verify_reports_flips_at_the_right_line(file: Path, nobody_kept_a_head: None) -> None:
    content, draw = file.read_bytes(), random.Random(SEED)
    for position in [*draw.sample(range(len(content)), 6), len(content) - 1, len(content) - 2]:
        altered = bytearray(content)
        altered[position] ^= 1
        file.write_bytes(bytes(altered))
        assert named(verified(file), file) == content[:position].count(b"\n") + 1, (SEED, position)


def alterations(lines: list[bytes], at: int) -> Iterator[tuple[str, list[bytes], int]]:
    """What can be done to a line, what comes of it, and the line (from 1) at which it must show."""
    last = len(lines) - 1
    if at < last:
        yield "removed", [*lines[:at], *lines[at + 1 :]], at + 1
        yield "swapped", [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], at + 1
        yield "cut short", [*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]], at + 1
        yield "without its end", [*lines[:at], lines[at][:-1], *lines[at + 1 :]], at + 1
    yield "repeated", [*lines[: at + 1], *lines[at:]], at + 2
    yield "repeated at the end", [*lines, lines[at]], last + 2
    yield "emptied", [*lines[:at], b"\n", *lines[at + 1 :]], at + 1


def check_lines(file: Path, places: range) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    for at in places:
        for what, altered, line in alterations(lines, at):
            file.write_bytes(b"".join(altered))
            problem = check_chain(file).problem
            assert problem is not None, (what, at, SEED)
            assert problem.line == line, (what, at, SEED)


def test_lines_removed_swapped_repeated_or_cut_short_are_found_and_named(file: Path) -> None:
    count = len(file.read_bytes().splitlines())
    check_lines(file, range(random.Random(SEED).randrange(max(1, count // 12)), count, max(1, count // 12)))


@pytest.mark.long
def test_every_line_removed_swapped_repeated_or_cut_short_is_found_and_named(file: Path) -> None:
    check_lines(file, range(len(file.read_bytes().splitlines())))


def test_verify_reports_altered_lines(file: Path, nobody_kept_a_head: None) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    at = random.Random(SEED).randrange(len(lines) - 1)
    for what, altered, line in alterations(lines, at):
        file.write_bytes(b"".join(altered))
        assert named(verified(file), file) == line, (what, at, SEED)


def test_a_clean_cut_at_the_end_shows_only_against_a_head_kept_elsewhere(whole: Path, nobody_kept_a_head: None) -> None:
    ledger, said = whole / "ledger.jsonl", whole / "notes.jsonl"
    content, kept_notes = ledger.read_bytes(), said.read_bytes()
    anchor = anchoring.head_of(whole)
    lines = content.splitlines(keepends=True)
    closed = max(n for n, line in enumerate(lines) if b'"kind":"blobs.dropped"' in line)
    try:
        said.unlink()  # its notes name heads too
        for left in (len(lines) - 1, closed + 1):
            ledger.write_bytes(b"".join(lines[:left]))
            assert check_chain(ledger).problem is None
            report = verified(ledger, Outside(anchors=tuple(anchoring.load(anchor.line()))))
            assert [problem.kind for problem in report.problems] == ["anchor"], left
            assert "its end was cut off" in report.problems[0].sentence
            assert report.problems[0].seq == left - 1
        ledger.write_bytes(b"".join(lines[:-1]))
        assert verified(ledger).ok  # what nobody can see from within
        said.write_bytes(kept_notes)
        assert "notes.jsonl, line 1" in verified(ledger).problems[0].sentence
    finally:
        ledger.write_bytes(content)
        said.write_bytes(kept_notes)


def test_a_torn_end_is_told_apart_from_an_altered_one(file: Path, nobody_kept_a_head: None) -> None:
    content = file.read_bytes()
    start = content[:-1].rfind(b"\n") + 1
    file.write_bytes(content[: start + 40])
    if file.name == "ledger.jsonl":
        (file.parent / "notes.jsonl").rename(file.parent / "aside")
    try:
        report = verified(file)
    finally:
        if file.name == "ledger.jsonl":
            (file.parent / "aside").rename(file.parent / "notes.jsonl")
    assert report.ok
    assert len(report.torn) == 1
    assert "40 bytes" in report.torn[0]
    file.write_bytes(content[: start + 40] + b"\n")
    report = verified(file)
    assert not report.ok
    assert report.torn == ()
