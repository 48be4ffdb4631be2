"""A task's Debian packages: fetched and checked by the image's own apt, unpacked without running their scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rsi.errors import EnvironmentFault, UsageError
from sandboxes.image import archive, base
from sandboxes.image.manifest import Package, debian_packages
from sandboxes.image.recipe import SUITE
from sandboxes.image.workshop import Workshop

if TYPE_CHECKING:
    from docker import DockerClient

FETCHED = "/opt/rsi/debs"
TREE = "/opt/rsi/debs/tree"
APT = ("apt-get", "-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "APT::Sandbox::User=root")
MERGED = re.compile(r"^(bin|sbin|lib|lib32|lib64|libx32)(?=/|$)")
"""Links in the image, into /usr: a folder of that name in a later layer would hide everything behind the link."""


class Unpacked(NamedTuple):
    """What some packages add to an image."""

    entries: list[archive.Entry]
    packages: tuple[Package, ...]
    inputs: dict[str, str]
    """File → sha256."""


@contextmanager
def unpacked(client: DockerClient, image: str, asked: Sequence[str], scratch: Path, log: Path) -> Iterator[Unpacked]:
    """The files of these packages, readable inside the `with`.

    UsageError where they need others that are not named. apt needs the network, and only apt runs in the container.
    """
    if not asked:
        yield Unpacked([], (), {})
        return
    with Workshop(client, image, log, network="host") as workshop:
        if mirror := os.environ.get("RSI_DEBIAN_MIRROR"):
            workshop.put([archive.of_bytes("etc/apt/sources.list", f"deb {mirror} {SUITE} main\n".encode())])
        _fetch(workshop, asked)
        script = (
            f"set -eu; mkdir -p {TREE}; cd {FETCHED}; sha256sum *.deb > sums; : > status; "
            f"for deb in *.deb; do dpkg-deb -x $deb {TREE}; "
            "{ dpkg-deb -f $deb; echo 'Status: install ok installed'; echo; } >> status; done; cat sums"
        )
        sums = workshop.run(["sh", "-c", script])
        added = workshop.run(["cat", f"{FETCHED}/status"])
        before = workshop.run(["cat", f"/{base.STATUS}"])
        with workshop.take(TREE, scratch) as taken:
            status = archive.of_bytes(base.STATUS, f"{before.rstrip()}\n\n{added.rstrip()}\n".encode())
            yield Unpacked([*_merged(taken), status], debian_packages(added), _by_file(sums))


def _fetch(workshop: Workshop, asked: Sequence[str]) -> None:
    try:
        workshop.run([*APT, "update"])
        planned = workshop.run([*APT, "install", "--simulate", "--no-install-recommends", *asked])
    except EnvironmentFault as error:
        raise EnvironmentFault(
            f"apt could not find {' '.join(asked)}: {error} Mend the versions (`apt-cache policy NAME` on Debian "
            f"{SUITE} shows them), or without internet bring the image made elsewhere (`rsi image save`)."
        ) from None
    named = {name.partition("=")[0] for name in asked}
    chosen = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", planned, flags=re.MULTILINE)
    if unnamed := [f"{name}={version}" for name, version in chosen if name not in named]:
        raise UsageError(f"{' '.join(asked)} needs {', '.join(unnamed)} as well: add it to image.debian in task.toml.")
    folders = ["-o", f"Dir::Cache::archives={FETCHED}"]
    workshop.run(["mkdir", "-p", f"{FETCHED}/partial"])
    workshop.run([*APT, *folders, "install", "--download-only", "--yes", "--no-install-recommends", *asked])


def _merged(taken: Sequence[archive.Entry]) -> Iterator[archive.Entry]:
    for entry in taken:
        name = MERGED.sub(r"usr/\1", entry.name)
        if base.wanted(name) and not (entry.is_folder and MERGED.fullmatch(entry.name)):
            yield entry._replace(name=name)


def _by_file(sums: str) -> dict[str, str]:
    pairs = (line.split() for line in sums.splitlines())
    return {name.lstrip("*"): digest for digest, name in pairs}
