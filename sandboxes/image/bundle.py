"""An image as an archive that an engine loads: a configuration, the layers it names by hash, and the tag.

Made here rather than by a builder, because a builder writes the time into it: so the same content has the same digest,
on every engine that names an image by its configuration. What `rsi image save` writes has the same form.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rsi.errors import EnvironmentFault
from rsi.records import Record
from sandboxes.image import archive
from sandboxes.image.manifest import LABEL, Manifest

if TYPE_CHECKING:
    from docker import DockerClient

ARCHITECTURE = "amd64"
SOURCE_DATE = f"{datetime.fromtimestamp(archive.SOURCE_EPOCH, UTC):%Y-%m-%dT%H:%M:%SZ}"
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH=/opt/rsi:/opt/rsi/site-packages",
    "PYTHONDONTWRITEBYTECODE=1",
    "LC_ALL=C.UTF-8",
)


class Layer(Record):
    """One layer: the hash of its archive, and where that lies, if it does not lie in the engine only."""

    digest: str
    """sha256, hexadecimal, of the uncompressed archive."""
    path: Path | None = None

    @property
    def name(self) -> str:
        """Of its archive in a bundle."""
        return f"{self.digest}.tar"


def make_layer(entries: Sequence[archive.Entry], scratch: Path) -> Layer:
    """Write a layer to a scratch folder."""
    staging = scratch / "layer.tar"
    digest = archive.write_hashed(staging, archive.in_order(entries))
    return Layer(digest=digest, path=staging.rename(scratch / f"{digest}.tar"))


def configuration(layers: Sequence[Layer], manifest: Manifest) -> bytes:
    """The image's configuration, whose sha256 is its digest."""
    labels = {"rsi.image": manifest.tag, "rsi.torch": manifest.torch, LABEL: manifest.to_label()}
    value = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": SOURCE_DATE,
        "config": {"Env": list(ENVIRONMENT), "Cmd": ["python3"], "WorkingDir": "/tmp", "Labels": labels},  # noqa: S108
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
        "history": [{"created": SOURCE_DATE, "created_by": "rsi image build"} for _ in layers],
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def entries(tag: str, settings: bytes, layers: Sequence[Layer]) -> list[archive.Entry]:
    """The bundle's members, in order; a layer without a path is left out, for an engine that has it."""
    name = f"{hashlib.sha256(settings).hexdigest()}.json"
    index = [{"Config": name, "RepoTags": [tag], "Layers": [layer.name for layer in layers]}]
    members = [archive.of_bytes("manifest.json", json.dumps(index).encode()), archive.of_bytes(name, settings)]
    files = {layer.name: archive.of_file(layer.name, layer.path) for layer in layers if layer.path is not None}
    # One mode for all: the archive is the same whatever the umask here was.
    return members + [files[file]._replace(mode=0o644) for file in sorted(files)]


def load(client: DockerClient, manifest: Manifest, layers: Sequence[Layer], scratch: Path) -> str:
    """Have the engine make the image of these layers; its digest there.

    Layers that are in the engine only (the parent's) are not sent: an engine that insists on them gets them.
    """
    settings = configuration(layers, manifest)
    if not _send(client, entries(manifest.tag, settings, layers)):
        parents = taken_out(client, manifest.parent, scratch)[1] if manifest.parent else []
        there = {layer.digest: layer for layer in parents}
        whole = [there.get(layer.digest, layer) if layer.path is None else layer for layer in layers]
        if not _send(client, entries(manifest.tag, settings, whole)):
            raise EnvironmentFault(
                f"The engine would not load {manifest.tag}; look at its log and its disk space, then run "
                "`rsi image build` again."
            )
    return str(client.images.get(manifest.tag).id)


def _send(client: DockerClient, members: Sequence[archive.Entry]) -> bool:
    api: Any = client.api
    answers = api.load_image(archive.stream(members))
    return not any("error" in answer for answer in list(answers or ()))


def layer_digests(client: DockerClient, image: str) -> list[Layer]:
    """The layers of an image in the engine, without their archives."""
    api: Any = client.api
    found: dict[str, Any] = api.inspect_image(image)
    return [Layer(digest=str(digest).removeprefix("sha256:")) for digest in found["RootFS"]["Layers"]]


def taken_out(client: DockerClient, image: str, scratch: Path) -> tuple[bytes, list[Layer]]:
    """An image's configuration and layers, as the engine has them, the layers' archives in a scratch folder."""
    saved = scratch / "saved.tar"
    with saved.open("wb") as sink:
        for block in client.api.get_image(image):
            sink.write(block)
    with tarfile.open(saved) as tar:
        index = json.loads(_content(tar, "manifest.json").read())[0]
        settings = _content(tar, index["Config"]).read()
        # A layer that occurs twice is a link in some engines' archives, which is followed.
        layers = [_copy_out(_content(tar, member), scratch) for member in index["Layers"]]
    saved.unlink()
    return settings, layers


def _content(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    assert found is not None  # every engine's archive has what its own index names
    return found


def _copy_out(source: IO[bytes], scratch: Path) -> Layer:
    state = hashlib.sha256()
    staging = scratch / "layer.tar"
    with closing(source), staging.open("wb") as sink:
        for block in blocks(source.read):
            state.update(block)
            sink.write(block)
    digest = state.hexdigest()
    return Layer(digest=digest, path=staging.rename(scratch / f"{digest}.tar"))


def blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """All that is left to read, piece by piece."""
    while block := read(archive.BLOCK):
        yield block
