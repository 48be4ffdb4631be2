"""Blobs: whole or not there, found out when altered, never reached through a link."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.blobs import Blobs, MissingBlob
from rsi.errors import IntegrityError
from rsi.memory import MemoryBlobs
from rsi.redaction import Redactor
from rsi.storage import BlobStore


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", Redactor.none())


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return make_store(request.param, tmp_path)


def make_store(kind: str, folder: Path) -> BlobStore:
    return MemoryBlobs() if kind == "memory" else Blobs(folder / "blobs", Redactor.none())


def file_of(blobs: Blobs, digest: str) -> Path:
    return blobs.folder / digest[:2] / digest[2:]


@pytest.mark.parametrize("kind", ["disk", "memory"])
@settings(max_examples=40, deadline=None)
@given(contents=st.lists(st.binary(max_size=200), max_size=8), durable=st.booleans())
def test_what_is_put_is_got_under_its_hash(
    kind: str, contents: list[bytes], durable: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blobs = make_store(kind, tmp_path_factory.mktemp("run"))
    for content in contents:
        digest = blobs.put(content, durable=durable)
        assert digest == hashlib.sha256(content).hexdigest() == blobs.put(content)
        assert blobs.get(digest) == content
        assert (blobs.has(digest), blobs.length(digest)) == (True, len(content))
    assert list(blobs.digests()) == sorted({hashlib.sha256(content).hexdigest() for content in contents})
    assert blobs.size() == sum(map(len, set(contents)))


def test_reading_leaves_no_trace(blobs: Blobs) -> None:
    assert (blobs.has("ab" * 32), blobs.size(), list(blobs.digests())) == (False, 0, [])
    with pytest.raises(MissingBlob, match="missing"):
        blobs.get("ab" * 32)
    assert not blobs.folder.exists()


def test_an_altered_blob_is_refused_and_mended_by_putting_it_again(blobs: Blobs) -> None:
    digest = blobs.put(b"content")
    for altered in (b"Content", b"", b"content and more"):
        file_of(blobs, digest).write_bytes(altered)
        with pytest.raises(IntegrityError, match="was altered"):
            blobs.get(digest)
        assert blobs.put(b"content") == digest
        assert blobs.get(digest) == b"content"


def test_a_dropped_blob_is_gone_and_can_be_dropped_again(store: BlobStore) -> None:
    digest = store.put(b"content")
    store.drop(digest)
    store.drop(digest)
    assert not store.has(digest)
    assert (store.size(), list(store.digests())) == (0, [])
    for question in (store.get, store.length):
        with pytest.raises(MissingBlob):
            question(digest)


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "a/" * 32, "\0" * 64]
)
def test_a_digest_that_is_none_never_becomes_a_path(store: BlobStore, digest: str) -> None:
    for question in (store.get, store.has, store.drop, store.length):
        with pytest.raises(IntegrityError, match="no sha256"):
            question(digest)


def test_links_are_refused_at_every_level(blobs: Blobs, tmp_path: Path) -> None:
    elsewhere = Blobs(tmp_path / "elsewhere", Redactor.none())
    digest = elsewhere.put(b"content")
    blobs.folder.mkdir()
    (blobs.folder / digest[:2]).symlink_to(elsewhere.folder / digest[:2])
    for question in (blobs.get, blobs.has, blobs.drop, lambda _: blobs.put(b"content")):
        with pytest.raises(IntegrityError, match="is a link"):
            question(digest)
    (blobs.folder / digest[:2]).unlink()
    (blobs.folder / digest[:2]).mkdir()
    file_of(blobs, digest).symlink_to(file_of(elsewhere, digest))
    assert not blobs.has(digest)
    with pytest.raises(IntegrityError, match="is a link"):
        blobs.get(digest)
    assert list(blobs.digests()) == []
    linked = tmp_path / "linked"
    linked.symlink_to(elsewhere.folder)
    with pytest.raises(IntegrityError, match="is a link"):
        Blobs(linked, Redactor.none()).get(digest)
    assert elsewhere.get(digest) == b"content"


def test_a_pipe_in_place_of_a_blob_does_not_block(blobs: Blobs) -> None:
    digest = blobs.put(b"content")
    file_of(blobs, digest).unlink()
    os.mkfifo(file_of(blobs, digest))
    with pytest.raises(IntegrityError, match="plain file"):
        blobs.get(digest)


def test_a_durable_put_syncs_the_file_before_its_name_and_the_name_before_it_returns(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(b"makes the folders")
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename
    kind = {0o040000: "folder", 0o100000: "file"}
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), steps.append(kind[os.fstat(fd).st_mode & 0o170000])))
    monkeypatch.setattr(Path, "rename", lambda self, to: (steps.append("name"), rename(self, to)))
    blobs.put(b"content")
    blobs.put(b"other", durable=False)
    assert steps[-4:-1] == ["file", "name", "folder"]
    assert steps[-1] == "name"
    steps.clear()
    blobs.put(b"other")
    assert steps == ["file", "folder"]


def test_many_threads_may_put_the_same_content(store: BlobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda n: store.put(b"content" * (n % 3)), range(60)))
    assert set(store.digests()) == digests
    if isinstance(store, Blobs):
        assert list((store.folder / "incoming").iterdir()) == []


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from rsi.blobs import Blobs
    from rsi.errors import EnvironmentFault
    from rsi.redaction import Redactor
    blobs = Blobs(Path(sys.argv[1]), Redactor.none())
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        blobs.put(b"x" * 2000)
    except EnvironmentFault as fault:
        print(fault)
    assert list(blobs.digests()) == [] and list((blobs.folder / "incoming").iterdir()) == []
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "blobs")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "cannot be written: File too large" in result.stdout


def test_what_a_crash_left_unfinished_is_no_blob_and_can_be_cleared(blobs: Blobs) -> None:
    blobs.put(b"content")
    leftover = blobs.folder / "incoming" / "tmp_obj_0123456789abcdef"
    leftover.write_bytes(b"half")
    assert len(list(blobs.digests())) == 1
    blobs.clear_unfinished()
    assert not leftover.exists()
    assert len(list(blobs.digests())) == 1


def test_the_sum_of_sizes_stays_true_while_blobs_come_and_go(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs", Redactor.none())
    first = blobs.put(b"x" * 10)
    assert blobs.size() == 10
    blobs.put(b"x" * 10)
    second = blobs.put(b"y" * 5)
    (tmp_path / "blobs" / second[:2] / second[2:]).write_bytes(b"y")  # as a crash may leave one
    blobs.put(b"y" * 5)
    blobs.drop(first)
    blobs.drop(first)
    anew = Blobs(tmp_path / "blobs", Redactor.none())
    assert anew.size() == 5
    assert blobs.size() == 9  # what others do to the folder meanwhile is not seen
