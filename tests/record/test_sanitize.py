"""Untrusted text: nothing in it steers a terminal, hides, or is taken for markup."""

from __future__ import annotations

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.sanitize import for_page, for_terminal

CONTROLS = ("\x1b", "\x1b[", "\x1b]0;", "\x07", "\x9b", "\x1bP", "\x1b\\", "31m", "\x7f", "\x85", "\r", "\n", "\t")
MARKUP = ("[red]", "[/red]", "[/]", "\\", "[", "]", "[link=x]", "[bold", "[@click=x]")
TEXT = ("\u202e", "\u200b", "text", "\ud800", "é", "漢")
PIECES = st.sampled_from((*CONTROLS, *MARKUP, *TEXT))
HOSTILE = st.lists(PIECES | st.text(max_size=4) | st.text(alphabet="\\[]/ab@", max_size=6), max_size=20).map("".join)


@given(text=HOSTILE, width=st.none() | st.integers(1, 40))
def test_what_comes_out_holds_no_control_character_but_newline_and_tab(text: str, width: int | None) -> None:
    out = for_terminal(text, width)
    assert not [c for c in out if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c not in "\n\t"]
    out.encode()


@given(text=HOSTILE)
def test_sanitising_twice_changes_nothing_more(text: str) -> None:
    assert for_terminal(for_terminal(text)) == for_terminal(text)


def test_every_character_that_controls_formats_or_is_half_a_pair_is_removed_or_shown_by_number() -> None:
    kept = set()
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character in for_terminal(character):
            kept.add(character)
    assert kept == {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#payload\x1b\\after", "after"),
        ("\x9b2Jafter", "after"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("a\bb\x7f\x00", "ab"),
        ("abc\u202edef", "abc<U+202E>def"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("\U000e0041", "<U+E0041>"),
        ("half \ud800", "half <U+D800>"),
        ("plain [text] with \\ and é 漢 🙂\tand tabs\n", "plain [text] with \\ and é 漢 🙂\tand tabs\n"),
    ],
)
def test_known_tricks(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


def test_a_sequence_that_never_ends_hides_nothing() -> None:
    assert "evidence" in for_terminal("\x1b]0;evidence")
    assert "evidence" in for_terminal("\x1b]0;title\nevidence\x07")
    assert "evidence" in for_terminal("\x1b[" + ";" * 500 + "evidence")


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("漢漢漢", 6, "漢漢漢"),
        ("漢漢漢漢", 6, "漢漢…"),
        ("ab\nabcdefg", 3, "ab\nab…"),
        ("x" * 3000, None, "x" * 1999 + "…"),
    ],
)
def test_overlong_lines_are_cut_and_marked(text: str, width: int | None, shown: str) -> None:
    assert for_terminal(text, width) == shown


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[", "\x1b[;", "\x1bP\x1b", "\\[", "漢", "\u202e"])
def test_a_megabyte_of_anything_takes_less_than_seconds(piece: str) -> None:
    begin = time.process_time()
    for_terminal(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begin < 3


@given(text=HOSTILE, width=st.integers(1, 40), whole=st.integers(1, 200))
def test_a_page_shows_by_its_number_whatever_hides(text: str, width: int, whole: int) -> None:
    out = for_page(text, width, whole)
    assert not [c for c in out if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c not in "\n\t"]
    out.encode()


@given(text=HOSTILE)
def test_nothing_is_taken_out_of_what_a_page_shows(text: str) -> None:
    plain = text.replace("\r\n", "\n")
    out = for_page(plain)
    assert len(out) >= len(plain)
    for character in set(plain):
        assert character in out or f"<U+{ord(character):04X}>" in out


def test_what_a_page_cuts_is_counted() -> None:
    assert for_page("a" * 30, width=10) == "a" * 10 + "… (20 further characters)"
    assert for_page("ab\n" * 10, whole=6) == "ab\nab\n… (24 further characters)"
    assert for_page("e\u0301" + "\u0301" * 4) == "e\u0301\u0301\u0301<U+0301><U+0301>"
