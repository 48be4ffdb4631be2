"""What each of the three images adds to the one below it, and what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsi.errors import EnvironmentFault
from sandboxes.image import archive, base, bundle, recipe
from sandboxes.image.manifest import (
    LABEL,
    Manifest,
    Package,
    differences,
    from_label,
    parse_lock,
    python_packages,
)
from sandboxes.image.workshop import Workshop

if TYPE_CHECKING:
    from docker import DockerClient

Say = Callable[[str], None]

GUEST = "opt/rsi/guest"
SITE_PACKAGES = "opt/rsi/site-packages"
COMPILER = "opt/rsi/compiling.py"
COMPILED = "opt/rsi/compiled"
LISTED = "opt/rsi/listed"
FIXED_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONPATH": ""}
"""What a compiled file holds depends on the order in which sets are walked."""
PROOF = "import numpy, safetensors.numpy, torch"
TOLD_DIFFERENCES = 5


def make_base(client: DockerClient, scratch: Path, log: Path, say: Say) -> None:
    """Debian and Python."""
    tag = recipe.wanted_tags().base
    with base.made_base(client, scratch, log, say) as content:
        if content.origin == "debian" and (differ := differences(locked_debian(), content.debian)):
            more = f" and {len(differ) - TOLD_DIFFERENCES} more" if len(differ) > TOLD_DIFFERENCES else ""
            say(
                f"Debian's packages are not the locked ones ({'; '.join(differ[:TOLD_DIFFERENCES])}{more}), so the "
                "image's digest is not that of other machines; name a mirror that has them in RSI_DEBIAN_MIRROR."
            )
        layer = bundle.make_layer(content.entries, scratch)
    manifest = Manifest(
        tag=tag,
        base=content.origin,
        source_date=bundle.SOURCE_DATE,
        inputs=recipe.inputs(recipe.base_files()),
        debian=content.debian,
    )
    bundle.load(client, manifest, [layer], scratch)


def locked_debian() -> tuple[Package, ...]:
    """The Debian packages that the base was made of when the lock was written."""
    return parse_lock(recipe.debian_lock().read_text(encoding="utf-8"))


def make_packages(client: DockerClient, site_packages: Path, scratch: Path, log: Path) -> None:
    """What candidates may import, and everything compiled: the root is read-only when they run."""
    tags = recipe.wanted_tags()
    below = manifest_of(client, tags.base)
    sources = list(archive.of_folder(site_packages, SITE_PACKAGES))
    with Workshop(client, tags.base, log) as workshop:
        query = "import sysconfig; print(sysconfig.get_path('stdlib'))"
        standard_library = workshop.run(["python3", "-c", query]).strip()
        with compiled(workshop, sources, scratch, standard_library) as made:
            layer = bundle.make_layer([*sources, *made], scratch)
    manifest = below.model_copy(
        update={
            "tag": tags.packages,
            "parent": tags.base,
            "torch": recipe.torch_source(),
            "inputs": recipe.inputs(recipe.packages_files()),
            "python": python_packages(site_packages),
        }
    )
    bundle.load(client, manifest, [*bundle.layer_digests(client, tags.base), layer], scratch)
    with Workshop(client, tags.packages, log) as workshop:
        workshop.run(["python3", "-c", PROOF])


def make_sandbox(client: DockerClient, scratch: Path, log: Path) -> None:
    """The guest: the part of this project that runs inside."""
    tags = recipe.wanted_tags()
    below = manifest_of(client, tags.packages)
    sources = list(archive.of_folder(recipe.GUEST, GUEST))
    with (
        Workshop(client, tags.packages, log) as workshop,
        compiled(workshop, sources, scratch) as made,
    ):
        layer = bundle.make_layer([*sources, *made], scratch)
    inputs = recipe.inputs(recipe.sandbox_files())
    manifest = below.model_copy(update={"tag": tags.sandbox, "parent": tags.packages, "inputs": inputs})
    bundle.load(client, manifest, [*bundle.layer_digests(client, tags.packages), layer], scratch)


@contextmanager
def compiled(
    workshop: Workshop, sources: Sequence[archive.Entry], scratch: Path, *folders: str
) -> Iterator[list[archive.Entry]]:
    """The compiled forms of the Python files among the sources, which are put there, and of those below folders."""
    compiler = archive.of_file(COMPILER, Path(__file__).with_name("compiling.py"))
    code = [entry for entry in sources if entry.name.endswith(".py")]
    listed = archive.of_bytes(LISTED, "".join(f"/{entry.name}\n" for entry in code).encode())
    workshop.put(archive.in_order([*code, compiler, listed, archive.folder_named(COMPILED)]))
    workshop.run(["python3", f"/{COMPILER}", f"/{COMPILED}", f"/{LISTED}", *folders], FIXED_ENVIRONMENT)
    with workshop.take(f"/{COMPILED}", scratch) as made:
        yield [entry._replace(mode=0o755 if entry.is_folder else 0o644) for entry in made]


def manifest_of(client: DockerClient, image: str) -> Manifest:
    """The manifest of one of our images; EnvironmentFault where it carries none that this version can read."""
    api: Any = client.api
    labels = api.inspect_image(image)["Config"].get("Labels") or {}
    found = from_label(labels.get(LABEL))
    if found is None:
        raise EnvironmentFault(f"{image} carries no manifest; make it again with `rsi image build --force`.")
    return found
