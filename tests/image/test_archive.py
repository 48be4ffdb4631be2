"""Archives are made of content alone, and stream whole."""

import io
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxes.image import archive

FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}\.py)?", fullmatch=True), st.binary(max_size=70_000), max_size=5
)


def write(folder: Path, files: dict[str, bytes], when: int, mode: int) -> dict[str, bytes]:
    written = {}
    for name, content in files.items():
        path = folder / name
        if path.exists() or path.parent.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (when, when))
        written[name] = content
    return written


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


@settings(max_examples=30, deadline=None)
@given(FILES)
def test_what_goes_in_comes_out_and_only_content_counts(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other, TemporaryDirectory() as scratch:
        written = write(Path(one), files, when=1_000_000_000, mode=0o600)
        write(Path(other), dict(reversed(files.items())), when=1_500_000_000, mode=0o644)
        if write(Path(scratch), dict(reversed(files.items())), when=1, mode=0o600) != written:
            return  # a name that is file and folder: which one it is depends on the order
        streams = [b"".join(archive.stream(archive.in_order(archive.of_folder(Path(root))))) for root in (one, other)]
    assert members(streams[0]) == written
    assert streams[0] == streams[1]
    with tarfile.open(fileobj=io.BytesIO(streams[0])) as tar:
        found = tar.getmembers()
        assert all(member.mode & 0o444 == 0o444 and member.mtime == archive.SOURCE_EPOCH for member in found)
        assert [member.name for member in found] == sorted(member.name for member in found)


def test_a_file_that_cannot_be_read_whole_is_an_error_and_not_a_short_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    entry = archive.of_file("file", tmp_path / "file")
    (tmp_path / "file").write_bytes(b"c")
    with pytest.raises(OSError, match="unexpected end of data"):
        b"".join(archive.stream([entry]))
    (tmp_path / "file").unlink()
    with pytest.raises(FileNotFoundError):
        b"".join(archive.stream([entry]))


def test_caches_stay_out_and_so_do_rights_of_others(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "secret.pyc").write_bytes(b"stale")
    (tmp_path / "kept").write_text("")
    (tmp_path / "kept").chmod(0o6750)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    found = {entry.name: entry for entry in archive.of_folder(tmp_path, exact_modes=True)}
    assert set(found) == {"kept", "link"}
    assert found["kept"].mode == 0o750
    assert found["link"].target == "/etc/passwd"


def test_an_engines_archive_is_taken_in_without_its_links_and_devices() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        kinds = {"./a": tarfile.REGTYPE, "./b": tarfile.LNKTYPE, "./dev/null": tarfile.CHRTYPE, "./c": tarfile.SYMTYPE}
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, "./a", 0o4755
            member.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"text"))
    data.seek(0)
    with tarfile.open(fileobj=data) as tar:
        out = b"".join(archive.stream(archive.in_order(archive.of_archive(tar))))
    assert members(out) == {"a": b"text", "b": b"text"}
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert {member.name: member.mode for member in tar if member.isfile()} == {"a": 0o755, "b": 0o755}


def test_the_last_of_a_name_counts_and_folders_come_before_what_lies_in_them() -> None:
    entries = [archive.of_bytes("b/c", b"old"), archive.of_bytes("a", b""), archive.of_bytes("b/c", b"new")]
    ordered = archive.in_order(entries)
    assert [entry.name for entry in ordered] == ["a", "b", "b/c"]
    assert ordered[2].read().read() == b"new"
