"""The bottom of the sandbox image: Debian bookworm with Python 3.11, without what no guest may read.

From a registry where one answers soon, else made here from Debian's own packages. Either way it becomes one layer whose
bytes follow from its content: caches, logs, names and dates of the machine that made it stay out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from rsi.errors import EnvironmentFault
from sandboxes.image import archive
from sandboxes.image.engine import connect
from sandboxes.image.manifest import Package, debian_packages
from sandboxes.image.recipe import PLATFORM, REGISTRY_IMAGE, SUITE

if TYPE_CHECKING:
    from docker import DockerClient

ANSWER_SECONDS = 15.0
"""A registry that has not begun to deliver by then counts as out of reach."""
TRANSFER_SECONDS = 120.0
"""A registry that has not delivered the 45 MB by then is slower than Debian's packages."""
LEFT_OUT = re.compile(
    r"(?:usr/share/(?:doc|man|locale|info|python-wheels)|var/cache|var/log|var/lib/apt/lists|var/lib/systemd"
    r"|dev|proc|sys|run|tmp|var/tmp|root|usr/lib/python3/dist-packages)/."
    # Of the machine it was made on, or of the day.
    r"|etc/(?:hostname|hosts|resolv\.conf|machine-id|g?shadow-?|passwd-|group-|sub[gu]id-|\.pwd\.lock)$"
    r"|var/lib/dpkg/(?:lock|lock-frontend|triggers/Lock|[a-z]+-old)$"
    # Installers, and every copy of the text that a task is made from.
    r"|usr/(?:local/)?lib/python3[^/]*/(?:(?:pydoc_data|ensurepip|idlelib|turtledemo|tkinter|test)(?:/|$)|site-packages/.)"
    r"|usr/local/bin/(?:pip|idle|pydoc)[0-9.]*$"
)
CACHE = re.compile(r"(?:^|/)__pycache__(?:/|$)")
"""Of the interpreter: they name times, and may hold what was left out."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
STATUS = "var/lib/dpkg/status"


class Base(NamedTuple):
    """The content of the base layer."""

    origin: Literal["debian", "registry"]
    entries: list[archive.Entry]
    debian: tuple[Package, ...]


@contextmanager
def made_base(client: DockerClient, scratch: Path, log: Path, say: Callable[[str], None]) -> Iterator[Base]:
    """The base's content, by whichever way works here; its files can be read inside the `with`."""
    if pull(client, say):
        exported = scratch / "exported.tar"
        _export(client, exported)
        with tarfile.open(exported) as tar:
            yield _base("registry", archive.of_archive(tar))
        exported.unlink()
        return
    if os.uname().machine != "x86_64":
        raise EnvironmentFault(
            "No image registry answers, and Debian's packages can be unpacked on x86_64 only: connect to a registry, "
            "or bring an image with `rsi image load`."
        )
    install_debootstrap(log, say)
    say("Making a base image from Debian's packages …")
    tree = scratch / "tree"
    debootstrap(tree, log)
    yield _base("debian", archive.of_folder(tree, exact_modes=True))


def _base(origin: Literal["debian", "registry"], found: Iterable[archive.Entry]) -> Base:
    kept = [entry for entry in found if wanted(entry.name)]
    status = next((entry for entry in kept if entry.name == STATUS), None)
    if status is None:
        raise EnvironmentFault(f"The base has no {STATUS}, so it is no Debian; remove that image and run this again.")
    with status.read() as source:
        return Base(origin, kept, debian_packages(source.read().decode("utf-8", "replace")))


def wanted(name: str) -> bool:
    """Whether a file of the base may lie in the image."""
    return not LEFT_OUT.match(name) and not CACHE.search(name)


def _export(client: DockerClient, target: Path) -> None:
    container = client.api.create_container(REGISTRY_IMAGE, ["true"])["Id"]
    try:
        with target.open("wb") as sink:
            for block in client.api.export(container):
                sink.write(block)
    finally:
        client.api.remove_container(container, force=True)


def pull(client: DockerClient, say: Callable[[str], None]) -> bool:
    """Have the registry's Python image in the engine; False where no registry delivers it in time."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        # A local copy serves too: it is what a registry once delivered.
        client.images.get(REGISTRY_IMAGE)
    except ImageNotFound:
        say("Asking an image registry for Python …")
        if not _transfer():
            say("No image registry delivers, so the base comes from Debian's packages.")
            return False
    return True


def _transfer() -> bool:
    """Pull in a thread that can be left behind, because a stalled transfer has no time limit of its own."""
    from docker.errors import DockerException  # noqa: PLC0415

    answered, ended = threading.Event(), threading.Event()
    failures: list[str] = []

    def follow() -> None:
        try:
            repository, tag = REGISTRY_IMAGE.split(":")
            with closing(connect(TRANSFER_SECONDS)) as client:
                for event in client.api.pull(repository, tag=tag, platform=PLATFORM, stream=True, decode=True):
                    if "error" in event:
                        failures.append(str(event["error"]))
                    answered.set()
        except (DockerException, OSError, EnvironmentFault) as error:
            failures.append(str(error))
        finally:
            ended.set()
            answered.set()

    threading.Thread(target=follow, daemon=True).start()
    return answered.wait(ANSWER_SECONDS) and ended.wait(TRANSFER_SECONDS) and not failures


def install_debootstrap(log: Path, say: Callable[[str], None]) -> None:
    """Have debootstrap and Debian's keys; installs them as root with apt."""
    if os.geteuid() != 0:
        raise EnvironmentFault(
            "No image registry answers, and making a base image from Debian's packages needs root: run "
            "`sudo make setup`, or connect to a registry."
        )
    if shutil.which("debootstrap") and KEYRING.exists():
        return
    if not shutil.which("apt-get"):
        raise EnvironmentFault(
            "No image registry answers and debootstrap is missing: install `debootstrap` and `debian-archive-keyring`."
        )
    say("Installing debootstrap …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    lock = ["-o", "DPkg::Lock::Timeout=300"]
    with log.open("ab") as stream:
        for command in (["update", "-qq"], ["install", "-qq", "-y", "debootstrap", "debian-archive-keyring"]):
            done = subprocess.run(
                ["apt-get", *lock, *command], env=environment, stdout=stream, stderr=stream, check=False
            )
    if done.returncode:
        raise EnvironmentFault(f"apt-get could not install debootstrap; read {log}, mend it and run this again.")


def debootstrap(tree: Path, log: Path) -> None:
    """A minimal Debian with Python below a folder; the mirror is debootstrap's own, or RSI_DEBIAN_MIRROR."""
    command = ["debootstrap", "--variant=minbase", "--include=python3", f"--keyring={KEYRING}", SUITE, str(tree)]
    if mirror := os.environ.get("RSI_DEBIAN_MIRROR"):
        command.append(mirror)
    with log.open("ab") as stream:
        done = subprocess.run(command, stdout=stream, stderr=stream, check=False)
    if done.returncode:
        raise EnvironmentFault(
            f"debootstrap could not unpack Debian's packages; read {log}, and where its mirror is out of reach, name "
            "another in RSI_DEBIAN_MIRROR, or bring an image with `rsi image load`."
        )
