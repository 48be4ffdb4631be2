"""What an image says of itself is read as foreign text, and what is locked is compared with what is there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.image import layers, manifest, show
from sandboxes.image.manifest import Manifest, Package

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,12}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9][A-Za-z0-9.+:~!_-]{0,12}", fullmatch=True)
PACKAGES = st.dictionaries(NAMES, VERSIONS, max_size=6).map(
    lambda found: manifest.by_name(Package(name=name, version=version) for name, version in found.items())
)
SMALL = Manifest(tag="rsi-sandbox:0123456789ab", base="debian", source_date="2026-01-01T00:00:00Z")


@given(PACKAGES, PACKAGES)
def test_a_manifest_survives_its_label(debian: tuple[Package, ...], python: tuple[Package, ...]) -> None:
    made = SMALL.model_copy(update={"debian": debian, "python": python})
    assert manifest.from_label(made.to_label()) == made


@pytest.mark.parametrize(
    "label",
    [
        None,
        7,
        "",
        "null",
        "[" * 5000,
        SMALL.to_label()[:-1],
        SMALL.to_label() + " " * manifest.LONGEST_LABEL,
        SMALL.to_label().replace("debian", "other", 1),
        SMALL.to_label().replace("0123456789ab", "\\u001b[31m"),
        SMALL.to_label().replace('"debian":[]', '"debian":[{"name":"a\\nb","version":"1"}]'),
        json.dumps({**json.loads(SMALL.to_label()), "further": 1}),
    ],
    ids=["none", "number", "empty", "null", "deep", "cut", "long", "base", "escape", "line", "field"],
)
def test_a_hostile_label_is_no_manifest(label: object) -> None:
    assert manifest.from_label(label) is None


@given(PACKAGES, PACKAGES)
def test_a_lock_reads_back_and_differs_from_anything_else(one: tuple[Package, ...], other: tuple[Package, ...]) -> None:
    assert manifest.parse_lock("# a comment\n\n" + manifest.to_lock(one)) == one
    assert bool(manifest.differences(one, other)) == (one != other)


def test_a_difference_from_the_lock_is_told_by_name() -> None:
    def of(**versions: str) -> list[Package]:
        return [Package(name=name, version=version) for name, version in versions.items()]

    assert manifest.differences(of(a="1", b="2", c="3"), of(a="1", b="4", d="5")) == [
        "b 4 instead of 2",
        "d 5 is new",
        "c is missing",
    ]


def test_only_installed_packages_of_a_status_file_count() -> None:
    status = (
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u10\nDescription: C\n Version: 0\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: a\nArchitecture: all\nStatus: install ok installed\nVersion: 1:2~3\n"
    )
    assert manifest.debian_packages(status) == (
        Package(name="a", version="1:2~3"),
        Package(name="libc6", version="2.36-9+deb12u10"),
    )


def test_the_shipped_lock_names_python_and_nothing_twice() -> None:
    locked = layers.locked_debian()
    names = [package.name for package in locked]
    assert "python3.11-minimal" in names
    assert len(set(names)) == len(names)


def test_an_image_without_a_manifest_is_said_to_be_unknown() -> None:
    image = show.ImageDetails(
        tag="debian:bookworm",
        digest="sha256:0",
        architecture="amd64",
        bytes=1,
        created="",
        wanted=False,
        known="no",
        layers=(),
        manifest=None,
    )
    text = "\n".join(show.lines(image))
    assert "not made by this project" in text
    assert "neither made nor loaded" in text
