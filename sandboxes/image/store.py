"""The engine's store of our images: have the wanted one, list them, remove one.

What lies in an image is decided by the other files here (see `recipe.py`); changing this one rebuilds nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.errors import EnvironmentFault, UsageError
from rsi.records import Record
from sandboxes.image import known, layers, recipe, wheels
from sandboxes.image.engine import connect
from sandboxes.image.manifest import LABEL, Manifest, from_label

if TYPE_CHECKING:
    from docker import DockerClient

Say = Callable[[str], None]

BUILD_PREFIX = "image-"
BUILD_SECONDS = 1800.0
"""The engine's answer to a build step may take this long; compiling PyTorch's sources on one slow core does not."""


class ImageFacts(Record):
    """One of our images in the engine's store."""

    tag: str
    digest: str
    bytes: int
    created: str
    wanted: bool
    """Whether this version of the code uses it."""


def cache_folder() -> Path:
    """Where things lie that can be made again: RSI_CACHE, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsi"
    folder = Path(os.environ.get("RSI_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(tag: str) -> str | None:
    """The identity of an image in the engine's store (`sha256:…`), None where it is not there."""
    with closing(connect()) as client:
        return engine_digest(client, tag)


def ensure(say: Say = print) -> str:
    """The digest of the wanted image, built where it is missing; says so in short sentences."""
    tag = recipe.wanted_tag()
    return digest(tag) or build(say=say)


def build(*, force: bool = False, say: Say = print) -> str:
    """Build what is missing of the wanted image, everything with `force`; its digest."""
    found = building(lambda client, scratch, log: _build_missing(client, scratch, log, force=force, say=say), say)
    say(f"The sandbox image {recipe.wanted_tag()} is ready.")
    return found


def building(make: Callable[[DockerClient, Path, Path], str], say: Say) -> str:
    """Do some making of images alone on this machine, with a scratch folder and a log; faults become sentences."""
    from docker.errors import DockerException  # noqa: PLC0415

    log = cache_folder() / "image.log"
    with closing(connect(BUILD_SECONDS)) as client, _alone(say), scratch_folder(BUILD_PREFIX) as scratch:
        for left in cache_folder().glob(f"{BUILD_PREFIX}*"):
            if left != scratch:  # of a build that was killed: no other runs now
                shutil.rmtree(left, ignore_errors=True)
        log.write_bytes(b"")
        try:
            return make(client, scratch, log)
        except (DockerException, OSError) as error:
            raise EnvironmentFault(
                f"The sandbox image could not be built ({str(error)[:200]}); `rsi doctor` tells what is missing, and "
                f"{log} how far it came."
            ) from error


def _build_missing(client: DockerClient, scratch: Path, log: Path, *, force: bool, say: Say) -> str:
    tags = recipe.wanted_tags()
    if force or engine_digest(client, tags.packages) is None:
        _build_packages(client, tags, scratch, log, force=force, say=say)
    if force or engine_digest(client, tags.sandbox) is None:
        layers.make_sandbox(client, scratch, log)
    stale = set(tags.model_dump().values()) - set(recipe.wanted_tags().model_dump().values())
    for tag in stale:
        # The sources changed under our hands: a tag must never name an image made of other files than it says.
        if engine_digest(client, tag):
            client.images.remove(tag, force=True)
    found = engine_digest(client, tags.sandbox)
    if found is None:
        return _build_missing(client, scratch, log, force=False, say=say)
    known.remember(found, layers.manifest_of(client, tags.sandbox), "built")
    return found


def list_images() -> tuple[ImageFacts, ...]:
    """Our images in the engine's store, the intermediate ones included."""
    current = set(recipe.wanted_tags().model_dump().values())
    with closing(connect()) as client:
        facts = [
            ImageFacts(
                tag=tag,
                digest=str(image.id),
                bytes=int(image.attrs.get("Size", 0)),
                created=str(image.attrs.get("Created", "")),
                wanted=is_wanted(tag, from_label(image.labels.get(LABEL)), current),
            )
            for image in client.images.list()
            for tag in image.tags
            if is_ours(tag)
        ]
    return tuple(sorted(facts, key=lambda fact: fact.tag))


def remove(tag: str) -> None:
    """Take one of our images out of the engine's store; refuses any other and any that a container uses."""
    from docker.errors import APIError, ImageNotFound  # noqa: PLC0415

    if not is_ours(tag):
        raise UsageError(f"{tag} is not an image of this project; `rsi image list` names those that are.")
    try:
        # Deleting gigabytes of small files takes a while on a busy disk.
        with closing(connect(BUILD_SECONDS)) as client:
            client.images.remove(tag)
    except ImageNotFound as error:
        raise UsageError(f"There is no image {tag}; `rsi image list` names those that are there.") from error
    except APIError as error:
        raise EnvironmentFault(f"The engine keeps {tag}, because it is in use: end what runs in it first.") from error


def is_wanted(tag: str, manifest: Manifest | None, current: set[str]) -> bool:
    """Whether an image is one of the current ones, or one with a task's packages on it."""
    return tag in current or (manifest is not None and bool(manifest.asked) and manifest.parent in current)


def is_ours(tag: str) -> bool:
    """Whether a tag is of this project."""
    return tag.split(":", maxsplit=1)[0] in recipe.REPOSITORIES


def engine_digest(client: DockerClient, tag: str) -> str | None:
    """As `digest`, of an engine that is connected."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        return str(client.images.get(tag).id)
    except ImageNotFound:
        return None


def _build_packages(
    client: DockerClient, tags: recipe.Tags, scratch: Path, log: Path, *, force: bool, say: Say
) -> None:
    """The base and the packages have nothing to do with each other until they are put together: both at once."""
    site_packages = Path(tempfile.mkdtemp(prefix="site-packages-", dir=scratch))

    def have_base() -> None:
        if force or engine_digest(client, tags.base) is None:
            layers.make_base(client, Path(tempfile.mkdtemp(prefix="base-", dir=scratch)), log, say)

    def have_packages() -> None:
        say(f"Fetching NumPy and PyTorch ({recipe.torch_source()} build) for the sandbox image …")
        wheels.fetch(recipe.lock_file(), site_packages, log)
        wheels.trim(site_packages)

    with ThreadPoolExecutor(max_workers=2) as pool:
        for step in [pool.submit(have_base), pool.submit(have_packages)]:
            step.result()
    say("Putting the image together and compiling what is in it …")
    layers.make_packages(client, site_packages, scratch, log)


@contextmanager
def _alone(say: Say) -> Iterator[None]:
    """One build at a time on this machine: a second one waits and then finds the first one's image."""
    with (cache_folder() / "image.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is building the image; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder for gigabytes: in the cache, because a temporary folder is often a small piece of memory."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
