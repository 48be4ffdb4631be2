"""Several runs on one engine, some killed: each start sweeps what is dead, and nothing that lives or is not ours."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from sandbox_programs import HOLDER, PLAYER, ROOT, first_line, program

from sandboxes import leftovers
from sandboxes.docker import owner, sweep
from sandboxes.docker.pool import Pool
from sandboxes.docker.sweep import Standing, survey


@pytest.fixture
def api() -> Iterator[Any]:
    client = docker.from_env(timeout=60)
    yield client.api
    client.close()


def left_by(api: Any, name: str) -> list[str]:
    """Containers and volumes of one owner."""
    mine = {"label": f"{owner.OWNER_LABEL}={name}"}
    found = [container["Names"][0] for container in api.containers(all=True, filters=mine)]
    return found + [volume["Name"] for volume in api.volumes(filters=mine)["Volumes"] or []]


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rsi(*arguments: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "cli", *arguments]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.docker
def test_runs_started_at_one_moment_sweep_the_dead_one_and_not_each_other(api: Any) -> None:
    with program(PLAYER, "2") as first, program(PLAYER, "2") as second, program(PLAYER, "1000") as third:
        names = [first_line(process) for process in (first, second, third)]
        assert first_line(third) == "completed"
        third.kill()  # while its pool refills itself
        third.wait()
        for process in (first, second):
            said = process.communicate(timeout=120)[0].split()
            assert said == ["completed"] * 2
            assert process.returncode == 0
    with program(PLAYER, "1") as later:
        names.append(first_line(later))
        assert later.communicate(timeout=120)[0].split() == ["completed"]
    assert {name: left_by(api, name) for name in names} == {name: [] for name in names}


@pytest.mark.docker
@pytest.mark.parametrize("seconds", [0.15, *(pytest.param(x, marks=pytest.mark.long) for x in (0.3, 0.5, 0.8, 1.2))])
def test_a_process_killed_while_its_pool_fills_leaves_nothing_after_the_next_start(api: Any, seconds: float) -> None:
    with program(PLAYER, "0") as killed:
        name = first_line(killed)
        time.sleep(seconds)
        killed.kill()
    with program(PLAYER, "1") as later:
        assert later.communicate(timeout=120)[0].split()[1:] == ["completed"]
    assert left_by(api, name) == []


@pytest.mark.docker
def test_an_owner_in_another_namespace_keeps_its_lease_until_it_dies(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process namespace of its own needs the right to make one")
    monkeypatch.setattr(sweep, "MAKING_SECONDS", -60.0)  # made long ago, by the engine's clock in whole seconds
    with program(HOLDER, before=apart) as process:
        name = first_line(process)
        assert owner.is_alive(name) is None
        assert [cell.standing for cell in survey(api) if cell.owner == name] == [Standing.LEASED]
        process.kill()
    wait_for(lambda: [cell.standing for cell in survey(api) if cell.owner == name] == [Standing.EXPIRED])
    only_that = {"owner_alive": lambda found: None if found == name else True}
    assert sweep.sweep(api, **only_that) == 4
    assert left_by(api, name) == []


@pytest.mark.docker
def test_prune_shows_then_removes_what_is_dead_and_nothing_else(api: Any, tmp_path: Path) -> None:
    foreign = f"rsi-{secrets.token_hex(6)}-in"  # our manner of naming, and not ours
    api.create_volume(foreign)
    folders = {"RSI_CACHE": str(tmp_path), "TMPDIR": str(tmp_path)}
    try:
        with program(HOLDER) as living, program(HOLDER) as dead:
            here, gone = first_line(living), first_line(dead)
            dead.kill()
            dead.wait()
            code, said = rsi("sandbox", "prune", "--dry-run", "--json", **folders)
            assert code == 0, said
            told = json.loads(said)
            assert (told["schema"], told["dry_run"]) == (1, True)
            assert [cell["standing"] for cell in told["removed"] if cell["owner"] == gone] == ["dead"]
            assert [cell["standing"] for cell in told["kept"] if cell["owner"] == here] == ["living"]
            assert len(left_by(api, gone)) == 4
            code, said = rsi("sandbox", "prune", **folders)
            assert code == 0, said
            assert "its process has ended" in said
            assert left_by(api, gone) == []
            assert len(left_by(api, here)) == 4
        assert foreign in {volume["Name"] for volume in api.volumes()["Volumes"]}
    finally:
        api.remove_volume(foreign)
    with program(PLAYER, "0") as later:
        later.communicate(timeout=120)
    assert left_by(api, here) == []


def test_prune_without_an_engine_is_a_sentence(tmp_path: Path) -> None:
    code, said = rsi("sandbox", "prune", DOCKER_HOST=f"unix://{tmp_path}/none", RSI_CACHE=str(tmp_path))
    assert code == 3
    assert said.startswith("rsi: No container engine answers")


# --- folders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like those of `rsi task check`, last touched two hours ago."""
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(leftovers.tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "rsi-check-abc"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(1000))
    age(folder)
    return folder


def age(folder: Path) -> None:
    then = time.time() - 7200
    for path in (folder / "file", folder):
        os.utime(path, (then, then))


def found() -> list[Path]:
    return [folder.path for folder in leftovers.leftover_folders()]


def test_an_old_folder_of_ours_that_nobody_uses_is_left_over_and_can_go(old_folder: Path) -> None:
    (folder,) = leftovers.leftover_folders()
    assert (folder.path, folder.bytes) == (old_folder, 1000)
    assert leftovers.remove_folder(folder)
    assert not old_folder.exists()


def test_a_folder_in_use_or_touched_or_named_otherwise_is_not_left_over(old_folder: Path) -> None:
    with (old_folder / "file").open():
        assert found() == []
    assert found() == [old_folder]
    with subprocess.Popen(["sleep", "60"], cwd=old_folder) as inside:
        assert found() == []
        inside.kill()
    (old_folder / "file").touch()
    assert found() == []
    age(old_folder)
    other = old_folder.rename(old_folder.with_name("check-abc"))
    assert found() == []
    (old_folder.parent / "rsi-check-link").symlink_to(other)
    assert found() == []


def test_a_build_under_way_keeps_its_folder(old_folder: Path) -> None:
    cache = leftovers.cache_folder()
    building = cache / "image-abc"
    shutil.move(old_folder, building)
    code = "import fcntl, sys, time\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, 2)\n"
    code += "print(1, flush=True)\ntime.sleep(60)"
    with program(code, str(cache / "image.lock")) as process:
        assert first_line(process) == "1"
        assert found() == []
    assert found() == [building]


# --- the pool -------------------------------------------------------------------------------------------------------


class Stubborn:
    """A cell that the engine removes only at the second attempt, as one does that was away."""

    def __init__(self) -> None:
        self.attempts = 0

    def destroy(self) -> bool:
        self.attempts += 1
        return self.attempts > 1


def test_what_could_not_be_removed_is_removed_when_the_next_trial_begins() -> None:
    cell: Any = Stubborn()
    pool = Pool(lambda _shape, _bell: cell, size=1)
    try:
        pool.bury(cell)
        wait_for(lambda: cell.attempts == 1 and pool._undead == [cell])
        pool.warm([])
        wait_for(lambda: cell.attempts == 2)
        pool.warm([])
    finally:
        pool.close()
    assert cell.attempts == 2
