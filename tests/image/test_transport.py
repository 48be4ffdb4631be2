"""An image in a file: nothing of it reaches the engine that is not what a digest said beforehand."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_images import TAG, loaded, manifest, write_bundle

from rsi.errors import IntegrityError, UsageError
from sandboxes import image
from sandboxes.image import known, show, transport


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A good file and its image's digest."""
    path = tmp_path_factory.mktemp("whole") / "image.rsi"
    return (path.read_bytes(), digest) if (digest := write_bundle(path, {"etc/name": b"a" * 600})) else (b"", "")


def silent(_sentence: str) -> None:
    """Nobody listens."""


def contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_a_file_says_what_it_holds(whole: tuple[bytes, str], tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(whole[0])
    found = transport.inspect(tmp_path / "f")
    assert (found.tag, found.digest, found.bytes) == (TAG, whole[1], len(whole[0]))
    assert found.manifest == manifest()


@given(data=st.data())
def test_whatever_is_changed_in_a_file_it_holds_the_same_image_or_is_refused(
    data: st.DataObject, whole: tuple[bytes, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = data.draw(st.integers(0, len(whole[0]) - 1))
    changed = bytearray(whole[0])
    changed[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        changed = changed[: data.draw(st.integers(0, len(changed) - 1))]
    path = tmp_path_factory.mktemp("changed") / "f"
    path.write_bytes(changed)
    with contextlib.suppress(IntegrityError):
        assert transport.inspect(path).digest == whole[1]
        assert contents(bytes(changed)) == contents(whole[0])


def rewritten(whole: bytes, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], Any]) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        parts = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    change(parts)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member, content in parts:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _index(key: str, value: object) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(parts: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        content = json.loads(parts[0][1])
        content[0][key] = value
        parts[0] = (parts[0][0], json.dumps(content).encode())

    return change


def _extra(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(parts: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        parts.append((member, b""))

    return change


HOSTILE = {
    "another's tag": _index("RepoTags", ["debian:bookworm"]),
    "a second tag": _index("RepoTags", [TAG, "rsi-sandbox:0123456789ab"]),
    "another of our tags": _index("RepoTags", ["rsi-sandbox:0123456789ab"]),
    "no layers": _index("Layers", []),
    "a path for a layer": _index("Layers", ["../../etc/passwd"]),
    "a configuration elsewhere": _index("Config", "../x.json"),
    "a field too many": _index("Parent", "x"),
    "a file too many": _extra("0" * 64 + ".tar"),
    "a path outside": _extra("../x"),
    "a link": _extra("1" * 64 + ".tar", tarfile.SYMTYPE),
    "a device": _extra("1" * 64 + ".tar", tarfile.CHRTYPE),
    "a long name": _extra("x" * 300),
    "the same twice": lambda parts: parts.append(parts[-1]),
    "a layer missing": lambda parts: parts.pop(),
    "nothing": lambda parts: parts.clear(),
    "nested index": lambda parts: parts.__setitem__(0, (parts[0][0], b"[" * 100_000)),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_of_another_form_is_refused(
    whole: tuple[bytes, str], tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    assert rewritten(whole[0], lambda _parts: None) != b""
    (tmp_path / "same").write_bytes(rewritten(whole[0], lambda _parts: None))
    assert transport.inspect(tmp_path / "same").digest == whole[1]
    (tmp_path / "f").write_bytes(rewritten(whole[0], change))
    with pytest.raises(IntegrityError, match="is not a whole image"):
        transport.inspect(tmp_path / "f")


def test_a_bundle_for_another_system_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "f", {"a": b""}, os="windows")
    with pytest.raises(IntegrityError, match="not its own"):
        transport.inspect(tmp_path / "f")


def test_a_name_that_is_not_of_this_project_is_refused_whatever_the_manifest_says(tmp_path: Path) -> None:
    write_bundle(tmp_path / "f", {"a": b""}, tag="debian:0123456789ab")
    with pytest.raises(IntegrityError, match="not its own"):
        transport.inspect(tmp_path / "f")


def test_what_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        transport.inspect(tmp_path / "none")
    with pytest.raises(IntegrityError):
        transport.inspect(tmp_path)


def test_without_a_digest_from_elsewhere_nothing_is_loaded_and_the_engine_not_asked(
    whole: tuple[bytes, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    (tmp_path / "f").write_bytes(whole[0])
    with pytest.raises(UsageError, match=f"--digest {whole[1]}"):
        transport.load(tmp_path / "f", "", silent)
    with pytest.raises(IntegrityError, match="nothing was loaded"):
        transport.load(tmp_path / "f", "sha256:" + "0" * 64, silent)
    known.remember("sha256:" + "1" * 64, manifest(), "built")
    with pytest.raises(IntegrityError, match="nothing was loaded"):
        transport.load(tmp_path / "f", "", silent)


@pytest.mark.docker
def test_an_image_goes_from_one_machine_to_another_with_its_digest(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path / "made", {"etc/name": b"carried"})
    with loaded(tmp_path / "made"):
        saved = transport.save(TAG, tmp_path / "file", silent)
        with pytest.raises(UsageError, match="exists already"):
            transport.save(TAG, tmp_path / "file", silent)
    assert saved.digest == digest
    # What the engine gave back has the one form again, to the byte.
    assert (tmp_path / "file").read_bytes() == (tmp_path / "made").read_bytes()
    assert image.digest(TAG) is None
    try:
        found = transport.load(tmp_path / "file", digest, silent)
        assert image.digest(TAG) == found.digest == digest
        details = show.details(TAG)
        assert (details.known, details.manifest) == ("loaded", manifest())
        known.remember("sha256:" + "1" * 64, manifest(), "built")
        assert show.details(TAG).known == "other"
    finally:
        image.remove(TAG)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.docker
def test_layers_that_the_engine_has_are_not_sent_and_those_it_lacks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandboxes.image import archive, bundle  # noqa: PLC0415

    below, above = "rsi-extras:7e577e570001", "rsi-extras:7e577e570002"
    write_bundle(tmp_path / "below", {"a": b"below"}, tag=below)
    sent: list[int] = []
    really = bundle._send

    def counted(client: Any, members: Any) -> bool:
        sent.append(len(members))
        # The first time, as an engine that insists on every layer.
        return bool(sent[1:] or not insists) and really(client, members)

    monkeypatch.setattr(bundle, "_send", counted)
    with loaded(tmp_path / "below", below), closing(image.connect(60)) as client:
        layer = bundle.make_layer([archive.of_bytes("b", b"above")], tmp_path)
        parts = [*bundle.layer_digests(client, below), layer]
        digests = []
        for insists in (False, True):
            sent.clear()
            made = manifest(above).model_copy(update={"parent": below})
            digests.append(bundle.load(client, made, parts, tmp_path))
            client.images.remove(above, force=True)
            assert sent == ([3, 4] if insists else [3])
        assert digests[0] == digests[1]


@pytest.mark.docker
def test_only_our_images_are_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an image of this project"):
        transport.save("debian:bookworm", tmp_path / "f", silent)
    with pytest.raises(UsageError, match="rsi image build"):
        transport.save("rsi-sandbox:000000000000", tmp_path / "f", silent)
