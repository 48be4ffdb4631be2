"""The corpus of hostile texts in a real terminal: the program on a pseudo-terminal, read by a terminal emulator."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pyte
import pytest
from conftest import make_run

from rsi.testing.hostile_text import plant

ROOT = Path(__file__).parents[2]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""All that our own output may steer a terminal with."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class Terminal(pyte.Screen):
    """Keeps what a program has asked of it besides showing text."""

    acts: list[str]

    def __init__(self) -> None:
        self.acts = []
        super().__init__(120, 50)
        self.acts.clear()  # a screen begins by resetting itself

    def set_title(self, param: str) -> None:
        self.acts.append(f"title {param}")

    def set_icon_name(self, param: str) -> None:
        self.acts.append(f"icon {param}")

    def erase_in_display(self, how: int = 0, *args: object, **kwargs: object) -> None:
        self.acts.append(f"erase {how}")

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self.acts.append(f"move {line} {column}")

    def bell(self, *args: object) -> None:
        self.acts.append("bell")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(
        tmp_path_factory.mktemp("planted"),
        [("VALUE = 1.0", "VALUE = 2.0", "better"), ("VALUE = 2.0", "VALUE = 9.0\nX = 1  # fake: crash", "crash")],
    )
    plant(folder, metric="val_loss", challenge="points")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("list", "{runs}"),
        ("show", "{run}"),
        ("show", "{run}", "1", "--output", "--prompt", "--code"),
        ("show", "{run}", "2"),
        ("log", "{run}"),
        ("findings", "{run}"),
        ("diff", "{run}", "1"),
        ("verify", "{run}"),
        ("replay", "{run}", "--policy", "fixed"),
        ("anchor", "{run}"),
    ],
    ids=" ".join,
)
def test_nothing_of_it_steers_the_terminal(planted: Path, words: tuple[str, ...]) -> None:
    arguments = [word.format(run=planted, runs=planted.parent) for word in words]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"}
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    child = pexpect.spawn(
        sys.executable, ["-m", "cli", *arguments], cwd=str(ROOT), env=environment, dimensions=(50, 120), timeout=60
    )
    raw = b"".join(iter(lambda: _some(child), b""))
    child.close()
    assert child.exitstatus in {0, 1}, raw[-2000:]
    written = raw.decode("utf-8", "replace")
    assert len(written) > 60
    left = COLOUR.sub("", written)
    assert not CONTROL.search(left), CONTROL.search(left)
    # A carriage return only ever ends a line, as the pseudo-terminal itself writes it.
    assert "\r" not in left.replace("\r\n", "\n")
    terminal = Terminal()
    pyte.ByteStream(terminal).feed(raw)
    assert terminal.acts == []
    assert len(written) < 4_000_000, "a line of five megabytes is cut"


def _some(child: pexpect.spawn) -> bytes:
    try:
        return bytes(child.read_nonblocking(65536, timeout=60))
    except pexpect.EOF:
        return b""
