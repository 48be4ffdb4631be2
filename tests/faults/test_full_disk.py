"""The host's disk fills up at any moment of a run: one sentence, exit code 3, a whole ledger, and resuming goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "loop"))
from composing import configuration, go_on, said

from rsi.configuration import Budget
from rsi.errors import EnvironmentFault
from rsi.execution import MIB
from rsi.ledger import Event
from rsi.review.verify import verify
from rsi.runs import read
from rsi.session import start
from rsi.state import RunState
from rsi.testing.sandbox_conformance import job
from sandboxes.docker import DockerSandbox
from sandboxes.docker.host_view import HostView

SCRIPT = "30 50:crash 20:peek"


class SmallDisk:
    """A file system of a few MiB that can be filled to the last page and given room again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096):
                with contextlib.suppress(OSError):  # no space left
                    while True:
                        file.write(bytes(size))

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount one")
    monkeypatch.setenv("RSI_CACHE", f"{tmp_path}/cache")
    monkeypatch.setenv("RSI_STATE", f"{tmp_path}/state")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_until_full(disk: SmallDisk, folder: Path, event: int) -> tuple[Path, int | None, str]:
    """A run whose disk is full from that event on: its folder, its exit code and what it ended with."""

    def listener(recorded: Event, _state: RunState) -> None:
        if recorded.seq == event:
            disk.fill()

    with start(configuration(folder, SCRIPT, confirm=1), said, root=disk.folder / "runs") as session:
        where = session.run.folder
        try:
            code = session.go([listener])
        except EnvironmentFault as fault:
            code, told = fault.exit_code, str(fault)
        else:
            paused = session.run.recorder.state.paused
            told = paused.reason if paused else ""
    return where, code, told


@pytest.mark.parametrize("share", [0, *(pytest.param(share, marks=pytest.mark.long) for share in range(1, 5))])
def test_a_disk_that_fills_up_at_any_event_pauses_the_run_and_loses_nothing(
    disk: SmallDisk, tmp_path: Path, share: int
) -> None:
    whole, code, _ = run_until_full(disk, tmp_path, -1)
    assert code == 0
    expected = [(x.closed.status, x.closed.gain) for x in read(whole).state.experiments.values()]
    stopped = 0
    for event in range(2 + share, len(read(whole).events) - 1, 5):
        where, code, told = run_until_full(disk, tmp_path, event)
        if code != 0:  # else what was left to write went into the last pages
            stopped += 1
            assert code == 3, event
            assert "cannot be written: No space left on device" in told, (event, told)
        report = verify(where, trust_paths=True)
        assert report.ok, (event, report.problems)
        disk.make_room()
        code, record = go_on(where, None if code else record_budget(where))
        assert code == 0, (event, record.state.paused)
        assert [(x.closed.status, x.closed.gain) for x in record.state.experiments.values()] == expected, event
        report = verify(where, trust_paths=True)
        assert report.ok, (event, report.problems)
        subprocess.run(["rm", "-r", str(where)], check=True)
    assert stopped >= 3


def record_budget(where: Path) -> Budget:
    """The budget a finished run had: it is opened again, and has nothing left to do."""
    return read(where).state.budget


@pytest.mark.docker
def test_a_full_temporary_folder_is_told_from_an_input_that_cannot_be_read(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(80 * MIB)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    monkeypatch.setattr(HostView, "open", lambda *_: None)  # as where the engine runs on another machine
    sandbox = DockerSandbox(pool=1)
    try:
        with pytest.raises(EnvironmentFault, match="is full, where inputs are packed"):
            sandbox.run(job("", inputs={"data/large": large}))
        assert sandbox.run(job("print(1)")).stdout == b"1\n"
    finally:
        sandbox.close()
