"""Both layouts of control groups are read, and the kernel's account of processes adds up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes.docker.control_group import ControlGroup
from sandboxes.place import Gone
from sandboxes.process_io import Account, accounts_together, read_account

FIRST = {
    "cpuacct.usage": "2500000000\n",
    "cpuacct.usage_user": "2000000000\n",
    "cpuacct.usage_sys": "400000000\n",
    "memory.usage_in_bytes": "70\n",
    "memory.max_usage_in_bytes": "90\n",
    "pids.current": "3\n",
}
SECOND = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 400000\nnr_periods 7\n",
    "memory.current": "70\n",
    "memory.peak": "90\n",
    "pids.current": "3\n",
}


def group(folder: Path, files: dict[str, str], *, unified: bool, first: int = 0) -> ControlGroup:
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "cgroup.procs").write_text(f"{first}\n" if first else "")
    return ControlGroup(folder, folder, folder, unified=unified, first=first, writable=("/tmp",))


@pytest.mark.parametrize(("files", "unified"), [(FIRST, False), (SECOND, True)], ids=["v1", "v2"])
def test_both_versions_of_control_groups_tell_the_same(tmp_path: Path, files: dict[str, str], unified: bool) -> None:
    reading = group(tmp_path, files, unified=unified).read()
    assert (reading.cpu_seconds, reading.cpu_user_seconds, reading.cpu_system_seconds) == (2.5, 2.0, 0.4)
    assert (reading.memory_bytes, reading.peak_memory_bytes, reading.processes) == (70, 90, 3)


def test_a_peak_that_an_older_kernel_does_not_keep_is_none(tmp_path: Path) -> None:
    without = {name: text for name, text in SECOND.items() if name != "memory.peak"}
    assert group(tmp_path, without, unified=True).read().peak_memory_bytes is None


@pytest.mark.parametrize("missing", ["cpu.stat", "memory.current", "pids.current"])
def test_a_group_that_is_gone_is_gone(tmp_path: Path, missing: str) -> None:
    found = group(tmp_path, SECOND, unified=True)
    (tmp_path / missing).unlink()
    with pytest.raises(Gone):
        found.read()


def test_a_first_process_that_has_left_the_group_is_not_looked_at(tmp_path: Path) -> None:
    found = group(tmp_path, FIRST, unified=False, first=os.getpid())
    assert found.read().written_bytes is not None
    assert found.root() == f"/proc/{os.getpid()}/root"
    (tmp_path / "cgroup.procs").write_text("")  # its id may be anyone's by now
    reading = found.read()
    assert (reading.written_bytes, reading.stored_bytes, found.root()) == (None, None, None)


def test_what_a_child_wrote_is_in_its_parents_account_once_it_was_waited_for() -> None:
    before = read_account(os.getpid())
    subprocess.run([sys.executable, "-c", "import os; os.write(os.open('/dev/null', 1), bytes(3_000_000))"], check=True)
    after = read_account(os.getpid())
    assert before is not None
    assert after is not None
    assert 3_000_000 <= after.written_bytes - before.written_bytes < 3_500_000


def test_a_process_that_is_gone_has_no_account_and_without_the_worker_there_is_none() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert read_account(child.pid) is None
    assert accounts_together(child.pid, [os.getpid()]) == {}
    own = accounts_together(os.getpid(), [child.pid])
    assert set(own) == set(Account._fields)
    assert own["read_bytes"] > 0
