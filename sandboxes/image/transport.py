"""`rsi image save` and `load`: one image in one file, for machines with neither a registry nor the internet.

The file is what an engine loads (`docker load` takes it too), in one fixed form: the index, the configuration, the
layers, nothing else. The configuration's sha256 is the image's digest, and it names the layers by theirs, so the digest
stands for every byte. Whoever brings a file may be hostile: nothing reaches the engine before all of it was read and
found to be what a digest says that did not come with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError

from rsi.durable import open_regular
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.records import Record
from sandboxes.image import archive, bundle, known
from sandboxes.image.engine import connect
from sandboxes.image.layers import Say
from sandboxes.image.manifest import LABEL, Manifest, from_label
from sandboxes.image.store import BUILD_SECONDS, engine_digest, is_ours, scratch_folder

if TYPE_CHECKING:
    from docker import DockerClient

LONGEST_TEXT = 4 * 1024 * 1024
"""Of the index and of the configuration."""
MEMBER = re.compile(r"^(?:manifest\.json|[0-9a-f]{64}\.(?:json|tar))$")


class Carried(Record):
    """An image in a file."""

    tag: str
    digest: str
    """The image's, `sha256:…`: what the machine that loads it has to be told."""
    bytes: int
    sha256: str
    """Of the file."""
    manifest: Manifest


def save(tag: str, target: Path, say: Say) -> Carried:
    """Write an image of ours to a file; UsageError where there is no such image or something lies there already."""
    if not is_ours(tag):
        raise UsageError(f"{tag} is not an image of this project; `rsi image list` names those that are.")
    if target.exists():
        raise UsageError(f"{target} exists already; name another file.")
    with closing(connect(BUILD_SECONDS)) as client, scratch_folder("carried-") as scratch:
        if engine_digest(client, tag) is None:
            raise UsageError(f"There is no image {tag}; make it with `rsi image build`.")
        say(f"Taking {tag} out of the engine …")
        settings, layers = bundle.taken_out(client, tag, scratch)
        staging = target.with_name(target.name + ".part")
        try:
            sha256 = archive.write_hashed(staging, bundle.entries(tag, settings, layers))
            with staging.open("rb") as source:
                carried = _read(source, target)
            staging.rename(target)
        except OSError as error:
            raise EnvironmentFault(f"{target} cannot be written ({error.strerror}); name a file elsewhere.") from None
        finally:
            staging.unlink(missing_ok=True)
    assert carried.sha256 == sha256  # it was read back whole
    return carried


def inspect(source: Path) -> Carried:
    """Read a file to its end and check every hash in it; IntegrityError where it is not a whole image of ours."""
    with _opened(source) as file:
        return _read(file, source)


def load(source: Path, digest: str, say: Say) -> Carried:
    """Have the engine load an image that is what `digest`, or else this machine's own record of its tag, says.

    UsageError where neither says anything; IntegrityError, and nothing loaded, where the file is something else.
    """
    with _opened(source) as file:
        say(f"Checking {source} …")
        carried = _read(file, source)
        before = known.recall(carried.tag)
        expected = digest or (before.digest if before else "")
        if not expected:
            raise UsageError(
                f"{source} says that it is {carried.tag} with the digest {carried.digest}; if that is what "
                f"`rsi image save` printed where it was made, say so with --digest {carried.digest}."
            )
        if expected.removeprefix("sha256:") != carried.digest.removeprefix("sha256:"):
            raise IntegrityError(
                f"{source} holds {carried.digest}, not {expected}; nothing was loaded; have it brought again."
            )
        say(f"Loading {carried.tag} …")
        with closing(connect(BUILD_SECONDS)) as client:
            file.seek(0)
            return _loaded(client, file, carried, say)


def _loaded(client: DockerClient, file: IO[bytes], carried: Carried, say: Say) -> Carried:
    api: Any = client.api
    answers = api.load_image(bundle.blocks(file.read))
    failures = [str(answer["error"]) for answer in list(answers or ()) if "error" in answer]
    there = engine_digest(client, carried.tag)
    if failures or there is None:
        reason = failures[0][:200] if failures else "it says nothing"
        raise EnvironmentFault(f"The engine would not load {carried.tag} ({reason}); look at its disk space and log.")
    labels = api.inspect_image(carried.tag)["Config"].get("Labels") or {}
    if from_label(labels.get(LABEL)) != carried.manifest:
        client.images.remove(carried.tag, force=True)
        raise IntegrityError(f"The engine loaded something else than was checked as {carried.tag}; it was removed.")
    if there != carried.digest:
        say(f"This engine names images in another way than the one it came from: here, the digest is {there}.")
    known.remember(there, carried.manifest, "loaded")
    return carried


# --- reading a file that may be hostile -----------------------------------------------------------------------------


class _Index(Record):
    """The one element of `manifest.json`."""

    config: str = Field(alias="Config", pattern=r"^[0-9a-f]{64}\.json$")
    tags: tuple[str] = Field(alias="RepoTags")
    layers: tuple[str, ...] = Field(alias="Layers", min_length=1, max_length=100)


class _Roots(Record):
    model_config = ConfigDict(extra="ignore")

    diff_ids: tuple[str, ...] = Field(max_length=100)


class _Container(Record):
    model_config = ConfigDict(extra="ignore")

    labels: dict[str, str] = Field(default={}, alias="Labels")


class _Configuration(Record):
    """What is looked at of an image's configuration."""

    model_config = ConfigDict(extra="ignore")

    os: str
    config: _Container
    rootfs: _Roots


def _opened(source: Path) -> IO[bytes]:
    try:
        return os.fdopen(open_regular(source, os.O_RDONLY), "rb")
    except OSError as error:
        raise UsageError(
            f"{source} cannot be read ({error.strerror}); name a file that `rsi image save` wrote."
        ) from None


def _read(file: IO[bytes], source: Path) -> Carried:
    whole = _Hashed(file)
    try:
        tag, digest, manifest = _checked(*_parts(whole))
    except (ValueError, KeyError, RecursionError, tarfile.TarError) as error:
        reason = str(error).splitlines()[0][:200] if not isinstance(error, ValidationError) else "a field is wrong"
        raise IntegrityError(
            f"{source} is not a whole image as `rsi image save` writes it ({reason}); have it brought again."
        ) from None
    return Carried(tag=tag, digest=digest, bytes=whole.count, sha256=whole.state.hexdigest(), manifest=manifest)


def _parts(file: _Hashed) -> tuple[dict[str, str], dict[str, bytes]]:
    """Member → sha256, and the content of those that are text."""
    found: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    for name, content in _members(file):
        if name in found:
            raise ValueError(f"{name} occurs twice")
        state, kept = hashlib.sha256(), bytearray()
        for block in content:
            state.update(block)
            if name.endswith(".json"):
                kept += block
                if len(kept) > LONGEST_TEXT:
                    raise ValueError(f"{name} is too long")
        found[name], texts[name] = state.hexdigest(), bytes(kept)
    return found, texts


def _checked(found: dict[str, str], texts: dict[str, bytes]) -> tuple[str, str, Manifest]:
    """Every member is named by its hash and named by the one before it: index, configuration, layers."""
    (first,) = json.loads(texts["manifest.json"])
    index = _Index.model_validate(first)
    wrong = [name for name in found if name != "manifest.json" and found[name] != name.partition(".")[0]]
    if wrong:
        raise ValueError(f"{wrong[0]} does not hold what its name says")
    if set(found) != {"manifest.json", index.config, *index.layers}:
        raise ValueError("a part is missing, or there is one too many")
    settings = _Configuration.model_validate_json(texts[index.config])
    if [f"sha256:{name.removesuffix('.tar')}" for name in index.layers] != list(settings.rootfs.diff_ids):
        raise ValueError("its layers are not those of its configuration")
    (tag,) = index.tags
    manifest = from_label(settings.config.labels.get(LABEL))
    if manifest is None or manifest.tag != tag or not is_ours(tag) or settings.os != "linux":
        raise ValueError("it bears a name that is not its own")
    return tag, f"sha256:{found[index.config]}", manifest


class _Hashed:
    """A file, with the hash and the number of the bytes read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.state: Any = hashlib.sha256()
        self.count = 0
        self._file = file

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.state.update(data)
        self.count += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) != size:
            raise ValueError("it is cut short")
        return data


def _members(file: _Hashed) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Plain files alone: an archive with links, folders or extended headers is not one that we wrote.

    By hand, because a library that knows every form of tar would follow a hostile one into most of them.
    """
    while (header := file.exactly(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        if info.type != tarfile.REGTYPE or info.size < 0 or not MEMBER.fullmatch(info.name):
            raise ValueError("it has a member that does not belong there")
        yield info.name, _content(file, info.size)
    while rest := file.read(archive.BLOCK):
        if rest.strip(b"\0"):
            raise ValueError("something follows its end")


def _content(file: _Hashed, size: int) -> Iterator[bytes]:
    padding = -size % tarfile.BLOCKSIZE
    while size:
        block = file.exactly(min(size, archive.BLOCK))
        size -= len(block)
        yield block
    if file.exactly(padding).strip(b"\0"):
        raise ValueError("something stands between its members")
