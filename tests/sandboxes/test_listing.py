"""Folders that hostile code wrote to are listed within bounds, and no link leads out of them."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from rsi.course import Course, Listing, read_course
from sandboxes.docker.archive_listing import list_archive
from sandboxes.listing import MOST_DEPTH, MOST_ENTRIES, NAME_CHARACTERS, list_folder, list_inputs

HELLO = hashlib.sha256(b"hello").hexdigest()


def seen(listing: Listing | None) -> dict[str, tuple[str, int, str | None]]:
    assert listing is not None
    return {file.path: (file.kind, file.size, file.sha256) for file in listing.files}


def packed(folder: Path) -> list[bytes]:
    """As an engine packs it, in chunks that end anywhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        archive.add(folder, arcname=".")
    data = buffer.getvalue()
    return [data[at : at + 700] for at in range(0, len(data), 700)]


def both(folder: Path, hashed_bytes: int) -> list[Listing]:
    found = list_folder(str(folder), hashed_bytes)
    assert found is not None
    return [found, list_archive(packed(folder), 1 << 30, hashed_bytes)]


def test_files_folders_and_links_are_told_apart_and_links_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(b"hello")
    (folder / "link").symlink_to(outside)
    (folder / "file link").symlink_to(outside / "secret")
    os.mkfifo(folder / "pipe")
    for listing in both(folder, 100):
        assert listing.complete
        assert seen(listing) == {
            "deep": ("folder", 0, None),
            "deep/file": ("file", 5, HELLO),
            "link": ("link", 0, None),
            "file link": ("link", 0, None),
            "pipe": ("other", 0, None),
        }


def test_a_folder_that_becomes_a_link_between_two_looks_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"hello")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "was a folder").symlink_to(outside)
    (folder / "was a file").symlink_to(outside / "secret")
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda name, *, dir_fd, follow_symlinks: look(name, dir_fd=dir_fd))
    listing = list_folder(str(folder), 100)
    monkeypatch.undo()
    assert listing is not None
    assert not listing.complete
    assert seen(listing) == {"was a folder": ("folder", 0, None), "was a file": ("file", 5, None)}


def test_contents_are_hashed_up_to_the_bound_and_sizes_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "b").write_bytes(bytes(6))
    for listing in both(tmp_path, 5):
        assert seen(listing) == {"a": ("file", 5, HELLO), "b": ("file", 6, None)}


def test_more_entries_than_are_listed_show_as_an_incomplete_listing(tmp_path: Path) -> None:
    for number in range(MOST_ENTRIES):
        (tmp_path / str(number)).touch()
    assert all(listing.complete for listing in both(tmp_path, 0))
    (tmp_path / "one more").touch()
    for listing in both(tmp_path, 0):
        assert len(listing.files) == MOST_ENTRIES
        assert not listing.complete


def test_depth_is_bounded_and_descriptors_are_given_back(tmp_path: Path) -> None:
    deepest = tmp_path
    for _ in range(2 * MOST_DEPTH):
        deepest = deepest / "d"
    deepest.mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    listing = list_folder(str(tmp_path))
    assert listing is not None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert (len(listing.files), listing.complete) == (MOST_DEPTH, False)


def test_names_of_any_bytes_can_be_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[31m\n")
    (tmp_path / name).touch()
    (tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 200)).mkdir(parents=True)
    for listing in both(tmp_path, 0):
        paths = set(seen(listing))
        assert "\\xff\x1b[31m\n" in paths
        assert max(map(len, paths)) == NAME_CHARACTERS + 1
        assert read_course(Course(outputs=listing).model_dump_json().encode()) == Course(outputs=listing)


def test_of_a_stream_no_more_is_read_than_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 20)
    (tmp_path / "z").write_bytes(b"hello")
    taken = 0

    def chunks() -> object:
        nonlocal taken
        for chunk in packed(tmp_path):
            taken += 1
            yield chunk

    listing = list_archive(chunks(), 1000, 100)  # type: ignore[arg-type]
    assert not listing.complete
    assert seen(listing)["sparse"] == ("file", 1 << 20, None)
    assert taken < 100


@pytest.mark.parametrize("end", [0, 100, 700, 1200])
def test_a_stream_that_breaks_off_is_an_incomplete_listing(tmp_path: Path, end: int) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    whole = b"".join(packed(tmp_path))
    listing = list_archive([whole[:end]], 1 << 30, 1 << 30)
    assert not listing.complete or end == 1200


def test_a_folder_that_is_not_there_has_no_listing(tmp_path: Path) -> None:
    assert list_folder(str(tmp_path / "missing")) is None
    (tmp_path / "link").symlink_to("/")
    assert list_folder(str(tmp_path / "link" / "no such folder")) is None


def test_inputs_are_listed_by_content_and_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"hello")
    inputs: dict[str, bytes | Path] = {"b": b"hello", "a/c": file, "gone": tmp_path / "missing"}
    assert seen(list_inputs(inputs)) == {
        "a/c": ("file", 5, HELLO),
        "b": ("file", 5, HELLO),
        "gone": ("file", 0, None),
    }
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    assert seen(list_inputs(inputs))["a/c"][2] == hashlib.sha256(b"other").hexdigest()
