"""Set-up installs strace where it can, once, and never fails for it."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import setup  # noqa: E402  # a script's module, beside the script

sys.path.remove(str(ROOT / "tools"))

ASKED_FOR = "strace-asked-for"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root's machine with an apt-get that notes what it is asked, and that no mirror answers; its programs' folder."""
    programs, environment = tmp_path / "bin", tmp_path / "venv"
    programs.mkdir()
    environment.mkdir()
    program(programs / "apt-get", f'echo "$@" >>{tmp_path}/asked\nexit 100\n')
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(setup, "VENV", environment)
    return programs


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


def asked(machine: Path) -> str:
    told = machine.parent / "asked"
    return told.read_text() if told.exists() else ""


def test_a_machine_that_can_install_it_gets_it_with_no_word_of_failure(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(machine / "apt-get", f'echo "$@" >>{machine.parent}/asked\n')
    setup.ensure_tracer()
    assert "install strace" in asked(machine)
    assert "could not" not in capsys.readouterr().out


def test_where_it_cannot_be_had_that_is_said_once_and_stops_nothing(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.ensure_tracer()
    assert "strace could not be installed" in capsys.readouterr().out
    once = asked(machine)
    assert once
    setup.ensure_tracer()
    assert asked(machine) == once, "a machine that no mirror answers waits at every call"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_asked_where_it_is_there_or_the_user_is_not_root(
    machine: Path, monkeypatch: pytest.MonkeyPatch, there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if there:
        program(machine / "strace", "exit 0\n")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    setup.ensure_tracer()
    assert asked(machine) == ""
    assert capsys.readouterr().out == ""
