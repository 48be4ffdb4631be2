"""Archives: inputs packed as they are, outputs taken out only where every rule of the intake allows."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.execution import MIB, Limits
from sandboxes.docker.collect import pack, unpack
from sandboxes.outputs import ForbiddenOutput, Intake, check_path

LIMITS = Limits(artifact_bytes=1000, artifact_files=3, inodes=10)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8).map(lambda name: f"f{name}")


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), target
    return info, content


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> Iterator[bytes]:
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        tar.addfile(entry("./", kind=tarfile.DIRTYPE)[0])
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    data = file.getvalue()
    return (data[start : start + 700] for start in range(0, len(data), 700))


def taken(*entries: tuple[tarfile.TarInfo, bytes], limits: Limits = LIMITS) -> dict[str, bytes]:
    intake = Intake(limits)
    unpack(archive(*entries), intake)
    return intake.files


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=3))
def test_what_went_in_comes_out(files: dict[str, bytes]) -> None:
    assert taken(*(entry(f"./{name}", content) for name, content in files.items())) == files


@given(files=st.dictionaries(NAMES, st.binary(max_size=300), max_size=3), folder=NAMES, chunk=st.integers(1, 5000))
def test_packed_inputs_hold_every_file_for_reading_only(files: dict[str, bytes], folder: str, chunk: int) -> None:
    inputs = {f"{folder}/{name}": content for name, content in files.items()}
    with pack(inputs) as file, tarfile.open(fileobj=file) as tar:
        members = [member for member in tar if member.isfile()]
        assert {member.name: tar.extractfile(member).read() for member in members} == inputs  # type: ignore[union-attr]
        assert {(member.mode, member.uid) for member in members} <= {(0o444, 0)}
    with pack(inputs) as file:
        intake = Intake(LIMITS)
        unpack(iter(lambda: file.read(chunk), b""), intake)
        assert intake.files == inputs


def test_a_file_on_disk_is_packed_by_content(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    with pack({"a/b/big": tmp_path / "big"}) as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == ["a", "a/b", "a/b/big"]
        assert tar.getmember("a/b/big").size == 100_000


@pytest.mark.parametrize(
    "bad",
    [
        entry("./link", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        entry("./link", kind=tarfile.LNKTYPE, target="./a"),
        entry("./pipe", kind=tarfile.FIFOTYPE),
        entry("./disk", kind=tarfile.BLKTYPE),
        entry("./terminal", kind=tarfile.CHRTYPE),
        entry("./sparse", kind=tarfile.GNUTYPE_SPARSE),
        entry("../out", b"1"),
        entry("/etc/passwd", b"1"),
        entry("./a/../../b", b"1"),
        entry("./a\x1b[31m", b"1"),
        entry("./a\nb", b"1"),
        entry("./\udcff\udcfe", b"1"),
        entry("./" + "x" * 201, b"1"),
        entry("./folder\t/", kind=tarfile.DIRTYPE),
        entry("./big", b"x" * 1001),
    ],
    ids=lambda bad: f"{bad[0].type!r} {bad[0].name[:20]!a}",
)
def test_nothing_forbidden_comes_out(bad: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(ForbiddenOutput) as refusal:
        taken(entry("./good", b"1"), bad)
    assert str(refusal.value).isprintable()


def test_number_size_and_repetition_are_capped_over_all_files() -> None:
    assert len(taken(*(entry(f"./{number}", b"x" * 333) for number in range(3)))) == 3
    with pytest.raises(ForbiddenOutput, match="more than 3 files"):
        taken(*(entry(f"./{number}") for number in range(4)))
    with pytest.raises(ForbiddenOutput, match="more than 1000 bytes"):
        taken(*(entry(f"./{number}", b"x" * 334) for number in range(3)))
    with pytest.raises(ForbiddenOutput, match="twice"):
        taken(entry("./a", b"1"), entry("./a", b"2"))
    with pytest.raises(ForbiddenOutput, match="more than 10 entries"):
        taken(*(entry(f"./folder{number}", kind=tarfile.DIRTYPE) for number in range(11)))


def test_a_file_over_the_cap_is_refused_before_it_is_read() -> None:
    info = tarfile.TarInfo("./huge")
    info.size = 10 * 1024 * MIB
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        yield info.tobuf(tarfile.GNU_FORMAT)
        while True:
            read.append(1)
            yield bytes(MIB)

    with pytest.raises(ForbiddenOutput):
        unpack(endless(), Intake(LIMITS))
    assert len(read) <= 2


def test_an_archive_that_breaks_off_is_an_error_and_no_output() -> None:
    whole = b"".join(archive(entry("./a", b"x" * 900)))
    with pytest.raises(tarfile.TarError):
        unpack(iter([whole[:1500]]), Intake(LIMITS))


@given(st.text(max_size=250))
def test_a_path_that_passes_is_plain(path: str) -> None:
    try:
        check_path(path)
    except ForbiddenOutput:
        return
    path.encode("utf-8")
    assert not any(ord(character) < 32 or ord(character) == 127 for character in path)
    assert not path.startswith("/")
    assert ".." not in path.split("/")
