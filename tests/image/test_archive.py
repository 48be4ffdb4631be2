"""The build context is made of content alone, and streams whole."""

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
    for name in sorted(files):
        path = folder / name
        if path.exists() or path.parent.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.is_dir():
            path.write_bytes(files[name])
            path.chmod(mode)
            os.utime(path, (when, when))
            written[name] = files[name]
    return written


@settings(max_examples=30, deadline=None)
@given(FILES)
def test_what_goes_in_comes_out_and_only_content_counts(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        written = write(Path(one), files, when=1_000_000_000, mode=0o600)
        write(Path(other), files, when=1_500_000_000, mode=0o644)
        streams = [b"".join(archive.stream({"tree": Path(root)})) for root in (one, other)]
    with tarfile.open(fileobj=io.BytesIO(streams[0])) as tar:
        found = {m.name.removeprefix("tree/"): tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
        assert found == written
        assert all(member.mode & 0o444 == 0o444 for member in tar.getmembers())
    assert _members(streams[0]) == _members(streams[1])


def _members(stream: bytes) -> list[tuple[str, int, int, int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        rows = []
        for member in tar:
            source = tar.extractfile(member) if member.isfile() else None
            content = source.read() if source else b""
            rows.append((member.name, int(member.mtime), member.mode, member.uid, content))
        return sorted(rows)


def test_a_missing_source_is_an_error_and_not_a_short_archive(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        b"".join(archive.stream({"tree": tmp_path / "nowhere"}))


def test_caches_stay_out(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "secret.pyc").write_bytes(b"stale")
    (tmp_path / "kept.py").write_text("")
    assert [row[0] for row in _members(b"".join(archive.stream({"t": tmp_path})))] == ["t", "t/kept.py"]
