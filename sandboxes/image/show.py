"""`rsi image show`: what an image says it holds and was made from, beside what this machine knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

from rsi.errors import UsageError
from rsi.records import Versioned
from sandboxes.image import known, recipe
from sandboxes.image.engine import connect
from sandboxes.image.manifest import LABEL, Manifest, Package, from_label
from sandboxes.image.store import is_ours, is_wanted


class ImageDetails(Versioned):
    """One image of the engine, the shape of `rsi image show --json`."""

    tag: str
    digest: str
    """What a run records."""
    architecture: str
    bytes: int
    created: str
    """The time that the image names: for one of ours the fixed one of its files, not that of its making."""
    wanted: bool
    """Whether this version of the code runs candidates in it, or those of a task that asks for its packages."""
    known: Literal["built", "loaded", "other", "no"]
    """Whether this machine made or loaded the image of that tag; `other`: yes, but with another digest."""
    known_since: str = ""
    layers: tuple[str, ...]
    manifest: Manifest | None
    """None where the image carries none that can be read: it was not made by this project."""


def details(tag: str = "") -> ImageDetails:
    """Look at an image of the engine, the wanted one where none is named; no container is started."""
    from docker.errors import APIError  # noqa: PLC0415

    tag = tag or recipe.wanted_tag()
    with closing(connect()) as client:
        try:
            api: Any = client.api
            found = api.inspect_image(tag)
        except APIError:  # not there, or a name that can name none
            raise UsageError(
                f"There is no image {tag}; `rsi image list` names those that are there, `rsi image build` makes one."
            ) from None
    manifest = from_label((found["Config"].get("Labels") or {}).get(LABEL))
    # Asked for by its digest, it has its name nonetheless.
    tag = tag if is_ours(tag) else next((own for own in found.get("RepoTags") or () if is_ours(own)), tag)
    before = known.recall(tag)
    return ImageDetails(
        tag=tag,
        digest=str(found["Id"]),
        architecture=str(found.get("Architecture", "")),
        bytes=int(found.get("Size", 0)),
        created=str(found.get("Created", "")),
        wanted=is_wanted(tag, manifest, {recipe.wanted_tag()}),
        known="no" if before is None else before.how if before.digest == found["Id"] else "other",
        known_since=before.when if before else "",
        layers=tuple(str(layer) for layer in found["RootFS"].get("Layers") or ()),
        manifest=manifest,
    )


WHAT_IS_KNOWN = {
    "built": "made on this machine",
    "loaded": "loaded on this machine",
    "other": "NOT the image of that name that this machine made or loaded",
    "no": "this machine neither made nor loaded it",
}


def lines(image: ImageDetails) -> Iterator[str]:
    """For a reader."""
    yield f"{image.tag}  {'in use' if image.wanted else ''}".rstrip()
    yield f"  digest        {image.digest}"
    since = f" ({image.known_since})" if image.known in {"built", "loaded"} else ""
    yield f"  known         {WHAT_IS_KNOWN[image.known]}{since}"
    yield f"  architecture  {image.architecture}, {image.bytes / 2**20:.0f} MiB in {len(image.layers)} layers"
    manifest = image.manifest
    if manifest is None:
        yield "  It carries no manifest, so it was not made by this project: what lies in it is not known."
        return
    yield f"  source date   {manifest.source_date}, of every file in it"
    origin = "made from Debian's packages" if manifest.base == "debian" else "from a registry's Python image"
    yield f"  base          {origin}" + (f", on {manifest.parent}" if manifest.parent else "")
    if manifest.torch:
        yield f"  PyTorch       the {manifest.torch} build"
    for asked in manifest.asked:
        yield f"  asked for     {asked}"
    for name, digest in manifest.inputs.items():
        yield f"  made from     {digest[:16]}  {name}"
    yield from _packages("Python", manifest.python)
    yield from _packages("Debian", manifest.debian)


def _packages(kind: str, packages: tuple[Package, ...]) -> Iterator[str]:
    yield f"{len(packages)} {kind} packages"
    for package in packages:
        yield f"  {package.name:32} {package.version}"
