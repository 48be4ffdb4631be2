"""What lies in an image, and what it was made from: a record that is part of the image itself, as a label.

The label is part of what the image's digest covers. It is read back as foreign text: bounded and validated.
"""

from __future__ import annotations

import email.parser
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from rsi.records import Record, Versioned

LABEL = "rsi.manifest"
LONGEST_LABEL = 1024 * 1024


class Package(Record):
    """A Debian or Python package."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]{0,99}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+:~!_-]{0,99}$")


class Manifest(Versioned):
    """Of one image; the same inputs give the same manifest, so it names no time and no place of its making."""

    tag: str = Field(pattern=r"^[a-z0-9-]{1,40}:[0-9a-f]{12}$")
    parent: str = Field(default="", pattern=r"^([a-z0-9-]{1,40}:[0-9a-f]{12})?$")
    """The image of ours that it stands on."""
    base: Literal["debian", "registry"]
    """Whether the bottom was made from Debian's packages or came from a registry."""
    torch: str = Field(default="", pattern=r"^(cpu|cuda)?$")
    source_date: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    """The time that every file in it bears."""
    inputs: dict[str, str] = Field(default={}, max_length=1000)
    """What decided its content: file of the recipe, or of an extra package, → sha256."""
    debian: tuple[Package, ...] = Field(default=(), max_length=5000)
    python: tuple[Package, ...] = Field(default=(), max_length=5000)
    asked: tuple[str, ...] = Field(default=(), max_length=1000)
    """Packages that a task asked for, as it wrote them."""

    def to_label(self) -> str:
        """As the image carries it."""
        return self.model_dump_json(by_alias=True)


def from_label(text: object) -> Manifest | None:
    """The manifest in an image's label; None where there is none, or one that this version cannot read."""
    if not isinstance(text, str) or len(text) > LONGEST_LABEL:
        return None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        return None


def debian_packages(status: str) -> tuple[Package, ...]:
    """The installed packages of a dpkg status file, by name."""
    found = []
    for paragraph in re.split(r"\n\s*\n", status):
        fields = dict(re.findall(r"^(Package|Status|Version): *(.+)$", paragraph, flags=re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            found.append(Package(name=fields["Package"], version=fields["Version"]))
    return by_name(found)


def python_packages(site_packages: Path) -> tuple[Package, ...]:
    """The distributions in a folder of installed packages, by name."""
    found = []
    for path in site_packages.glob("*.dist-info/METADATA"):
        headers = email.parser.HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        found.append(Package(name=headers["Name"], version=headers["Version"]))
    return by_name(found)


def by_name(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Sorted; names that differ in capitals alone keep one order."""
    return tuple(sorted(packages, key=lambda package: (package.name.lower(), package.name, package.version)))


def differences(locked: Iterable[Package], found: Iterable[Package]) -> list[str]:
    """What was locked and is not so: `name 1 instead of 2`, `name 1 is new`, `name is missing`."""
    before = {package.name: package.version for package in locked}
    now = {package.name: package.version for package in found}
    told = [
        f"{name} {now[name]} instead of {before[name]}"
        for name in sorted(now.keys() & before.keys())
        if now[name] != before[name]
    ]
    told += [f"{name} {now[name]} is new" for name in sorted(now.keys() - before.keys())]
    return told + [f"{name} is missing" for name in sorted(before.keys() - now.keys())]


def parse_lock(text: str) -> tuple[Package, ...]:
    """Lines of `name=version`; comments and blank lines aside."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return by_name(Package(name=name, version=version) for name, _, version in pairs)


def to_lock(packages: Iterable[Package]) -> str:
    """What `parse_lock` reads."""
    return "".join(f"{package.name}={package.version}\n" for package in by_name(packages))
