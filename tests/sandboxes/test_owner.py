"""Owners: a living process is told from a gone one, and from one that cannot be seen from here."""

from __future__ import annotations

import subprocess
import sys

from sandboxes.docker import owner

TELL = "from sandboxes.docker import owner; print(owner.this_process(), flush=True); input()"


def test_a_process_lives_until_it_has_ended() -> None:
    assert owner.is_alive(owner.this_process()) is True
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", TELL], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert owner.is_alive(name) is True
        other.communicate("\n")
    assert owner.is_alive(name) is False


def test_a_number_that_was_given_to_another_process_is_not_that_process() -> None:
    machine, number, start = owner.this_process().split(":")
    assert owner.is_alive(f"{machine}:{number}:{int(start) - 1}") is False


def test_another_machine_and_nonsense_cannot_be_told() -> None:
    _, number, start = owner.this_process().split(":")
    assert owner.is_alive(f"elsewhere:{number}:{start}") is None
    assert owner.is_alive("nonsense") is None
    assert owner.is_alive("") is None
