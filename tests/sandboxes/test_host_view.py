"""The host's view of a cell's folders: what goes in lies there for reading only, what comes out keeps every rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsi.execution import Limits
from sandboxes.docker.host_view import HostView
from sandboxes.outputs import ForbiddenOutput, Intake

LIMITS = Limits(artifact_bytes=1000, artifact_files=3, inodes=10)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8).map(lambda name: f"f{name}")
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=3)


@contextmanager
def view(inputs: Path, outputs: Path) -> Iterator[HostView]:
    held = HostView(*(os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (inputs, outputs)))
    try:
        yield held
    finally:
        held.close()


def taken(folder: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    intake = Intake(limits)
    with view(folder, folder) as held:
        held.take(intake)
    return intake.files


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, folder=NAMES)
def test_what_was_put_is_there_for_reading_only(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], folder: str
) -> None:
    root = tmp_path_factory.mktemp("view")
    (root / "source").write_bytes(b"from a file")
    (root / "in").mkdir()
    inputs: dict[str, bytes | Path] = {f"{folder}/deep/{name}": content for name, content in files.items()}
    before = os.umask(0o077)
    try:
        with view(root / "in", root / "in") as held:
            held.put({**inputs, "from": root / "source"})
    finally:
        os.umask(before)
    found = {path.relative_to(root / "in").as_posix(): path for path in (root / "in").rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == {
        **inputs,
        "from": b"from a file",
    }
    assert {path.stat().st_mode & 0o777 for path in found.values() if path.is_file()} == {0o444}
    assert {path.stat().st_mode & 0o777 for path in found.values() if path.is_dir()} <= {0o755}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES)
def test_what_lies_there_comes_out(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    root = tmp_path_factory.mktemp("view")
    (root / "deep").mkdir()
    for name, content in files.items():
        (root / "deep" / name).write_bytes(content)
    assert taken(root) == {f"deep/{name}": content for name, content in files.items()}


def linked(folder: Path) -> None:
    (folder / "weights").symlink_to("/etc/hostname")


def linked_folder(folder: Path) -> None:
    (folder / "weights").symlink_to(folder.parent, target_is_directory=True)


def twice_named(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    (folder / "b").hardlink_to(folder / "a")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "weights")  # opened without care, it would block for ever


def sparse(folder: Path) -> None:
    with (folder / "weights").open("wb") as file:
        file.truncate(1001)


def too_large_together(folder: Path) -> None:
    for number in range(2):
        (folder / str(number)).write_bytes(bytes(501))


def too_many(folder: Path) -> None:
    for number in range(4):
        (folder / str(number)).write_bytes(b"")


def too_many_folders(folder: Path) -> None:
    for number in range(12):
        (folder / str(number)).mkdir()


def too_deep(folder: Path) -> None:
    (folder / "/".join("x" * 50 for _ in range(5))).mkdir(parents=True)


def not_text(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")


@pytest.mark.parametrize(
    "leave",
    [
        linked,
        linked_folder,
        twice_named,
        pipe,
        sparse,
        too_large_together,
        too_many,
        too_many_folders,
        too_deep,
        not_text,
    ],
    ids=lambda leave: leave.__name__,
)
def test_what_may_not_come_out_does_not(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    leave(folder)
    with pytest.raises(ForbiddenOutput):
        taken(folder)


def test_only_folders_in_memory_of_the_named_container_are_opened() -> None:
    own = os.getpid()
    groups = Path(f"/proc/{own}/cgroup").read_text().splitlines()[0]
    opened = HostView.open(own, groups, "/dev/shm", "/dev/shm")
    if opened is None:
        pytest.skip("/dev/shm is no file system in memory here")
    opened.close()
    opened.close()
    assert HostView.open(own, "another", "/dev/shm", "/dev/shm") is None
    assert HostView.open(own, groups, "/dev/shm", "/etc") is None
    assert HostView.open(own, groups, "/dev/shm", "/dev/shm/nothing") is None
    assert HostView.open(2**22 + 1, groups, "/dev/shm", "/dev/shm") is None


def test_no_descriptor_is_left_open() -> None:
    def count() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    before = count()
    assert HostView.open(os.getpid(), "another", "/dev/shm", "/dev/shm") is None
    assert HostView.open(os.getpid(), "", "/dev/shm", "/etc") is None
    assert count() == before
