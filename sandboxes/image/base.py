"""The bottom of the sandbox image: Debian bookworm with Python 3.11.

From a registry where one answers soon, else made here from Debian's own packages, with the label `rsi.base=debian`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.errors import EnvironmentFault
from sandboxes.image import archive
from sandboxes.image.engine import connect
from sandboxes.image.recipe import PLATFORM, REGISTRY_IMAGE, SUITE

if TYPE_CHECKING:
    from docker import DockerClient

ANSWER_SECONDS = 15.0
"""A registry that has not begun to deliver by then counts as out of reach."""
TRANSFER_SECONDS = 120.0
"""A registry that has not delivered the 45 MB by then is slower than Debian's packages."""
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
"""Not imported, so that it costs no space in any layer; `packages/Dockerfile` removes it from a registry's base."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def ensure_base(client: DockerClient, tag: str, scratch: Path, log: Path, say: Callable[[str], None]) -> None:
    """Have the base image under its tag, by whichever way works here."""
    if pull(client, tag, say):
        return
    if os.uname().machine != "x86_64":
        raise EnvironmentFault(
            "No image registry answers, and Debian's packages can be unpacked on x86_64 only: connect to a registry."
        )
    install_debootstrap(log, say)
    say("Making a base image from Debian's packages …")
    tree = scratch / "tree"
    debootstrap(tree, log)
    import_tree(client, tag, tree)


def pull(client: DockerClient, tag: str, say: Callable[[str], None]) -> bool:
    """Tag the registry's Python image as our base; False where no registry delivers it in time."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        # A local copy serves too: it is what a registry once delivered.
        image = client.images.get(REGISTRY_IMAGE)
    except ImageNotFound:
        say("Asking an image registry for Python …")
        if not _transfer():
            say("No image registry delivers, so the base comes from Debian's packages.")
            return False
        image = client.images.get(REGISTRY_IMAGE)
    return bool(image.tag(*tag.split(":")))


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
            "another in RSI_DEBIAN_MIRROR."
        )


def import_tree(client: DockerClient, tag: str, tree: Path) -> None:
    """Make an image of a folder, and tag it as our base."""
    repository, version = tag.split(":")
    client.api.import_image_from_stream(
        archive.stream({".": tree}, keep=wanted_in_base),
        repository=repository,
        tag=version,
        changes=["LABEL rsi.base=debian"],
    )


def wanted_in_base(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what no guest reads, and every copy of the text that a task is made from."""
    path = member.name.removeprefix("./")
    if path.startswith(LEFT_OUT) or "/pydoc_data" in path:
        return None
    return member
