"""Owners: a living process is told from a gone one, and from one that cannot be seen from here."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.docker import owner, sweep

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


def test_machines_that_cannot_be_named_are_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, number, start = owner.this_process().split(":")
    monkeypatch.setattr(owner, "_machine", lambda: owner.UNKNOWN)
    assert owner.is_alive(f"{owner.UNKNOWN}:{number}:{int(start) - 1}") is None


def test_a_process_that_the_kernel_hides_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    name = owner.this_process()
    monkeypatch.setattr(owner, "_start_time", lambda _process: "")
    assert owner.is_alive(name) is None
    monkeypatch.setattr(owner, "_exists", lambda _process: False)
    assert owner.is_alive(name) is False


UP = st.sampled_from(["running", "paused", "restarting"])
DOWN = st.sampled_from(["created", "exited", "dead"])
NOW = 2_000_000_000.0


def container(state: str, made: float, *, lease: bool) -> dict[str, Any]:
    labels = {sweep.LEASE_LABEL: "stdin"} if lease else {}
    return {"Id": state, "State": state, "Created": int(made), "Labels": labels}


def volume(made: float) -> dict[str, Any]:
    return {"Name": "v", "CreatedAt": datetime.fromtimestamp(made, UTC).isoformat().replace("+00:00", "Z")}


@given(st.lists(st.one_of(UP, DOWN), max_size=3), st.booleans(), st.floats(0, NOW))
def test_what_lives_is_never_removed_and_what_is_dead_always(states: list[str], lease: bool, made: float) -> None:
    things = [container(state, made, lease=lease) for state in states] + [volume(made)]
    assert not sweep._standing(True, things, NOW).removable
    assert sweep._standing(False, things, NOW).removable


@given(UP, st.floats(0, NOW), st.one_of(UP, DOWN))
def test_a_lease_that_is_held_is_respected_however_old(holder: str, made: float, worker: str) -> None:
    things = [container(holder, made, lease=True), container(worker, made, lease=False), volume(made)]
    assert sweep._standing(None, things, NOW) is sweep.Standing.LEASED


@given(DOWN, st.floats(1000, 1e9), st.one_of(UP, DOWN))
def test_a_lease_that_was_let_go_of_has_expired_though_a_program_runs(holder: str, age: float, worker: str) -> None:
    made = NOW - age
    things = [container(holder, made, lease=True), container(worker, made, lease=False), volume(made)]
    assert sweep._standing(None, things, NOW) is sweep.Standing.EXPIRED


@given(st.lists(DOWN, max_size=2), st.floats(0, sweep.MAKING_SECONDS - 2))
def test_what_may_still_be_in_the_making_is_left_alone(states: list[str], age: float) -> None:
    things = [container(state, NOW - age, lease=True) for state in states] + [volume(NOW - age)]
    assert sweep._standing(None, things, NOW) is sweep.Standing.LEASED


@given(UP, st.floats(0, NOW))
def test_cells_of_an_earlier_version_count_as_held_while_anything_of_them_runs(state: str, made: float) -> None:
    things = [container("exited", made, lease=False), container(state, made, lease=False)]
    assert sweep._standing(None, things, NOW) is sweep.Standing.LEASED
