"""Ctrl-C: once it comes to an end, twice it leaves, and afterwards signals do what they did before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rsi.interrupts import SIGNALS, interruptible

ROOT = Path(__file__).parents[2]
TWICE = """
import os, signal
from rsi.interrupts import interruptible
with interruptible(lambda: print("ends", flush=True), lambda: print("leaves", flush=True)):
    for _ in range(2):
        os.kill(os.getpid(), signal.{name})
    print("goes on", flush=True)
"""


@pytest.mark.parametrize("name", [number.name for number in SIGNALS])
def test_the_second_time_the_process_leaves_at_once(name: str) -> None:
    program = [sys.executable, "-c", TWICE.format(name=name)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout.split("\n")) == (130, ["ends", "leaves", ""]), done.stderr


def test_once_stops_and_what_was_before_is_restored() -> None:
    before, stopped = signal.getsignal(signal.SIGTERM), []
    with interruptible(lambda: stopped.append(True)):
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == [True]
    assert signal.getsignal(signal.SIGTERM) is before
