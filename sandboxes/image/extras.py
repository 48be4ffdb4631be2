"""The image with a task's own packages on top, made when it is first needed.

Every package is named with its version, those that it needs as well: what a version range or an index would choose
today is never chosen here. Names are validated where the task is read (`rsi.task`), so none is an option or an address.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from rsi.errors import UsageError
from sandboxes.image import archive, bundle, debs, known, layers, recipe, wheels
from sandboxes.image.layers import SITE_PACKAGES, Say
from sandboxes.image.manifest import Manifest, Package, by_name, python_packages
from sandboxes.image.store import building, digest, engine_digest, ensure
from sandboxes.image.workshop import Workshop

if TYPE_CHECKING:
    from docker import DockerClient

ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{recipe.PYTHON_VERSION}.0",
    "python_version": recipe.PYTHON_VERSION,
    "sys_platform": "linux",
    "extra": "",
}
"""The image's, for the conditions under which one package needs another."""
TAKEN = """
import json, os, sys
print(json.dumps([*sys.stdlib_module_names, *os.listdir("/opt/rsi/site-packages"), *os.listdir("/opt/rsi")]))
"""


def ensure_extras(python: Sequence[str], debian: Sequence[str], say: Say) -> str:
    """The tag of the image that holds these packages, made where it is missing; the plain one where there are none."""
    tag = recipe.extras_tag(python, debian)
    if not (python or debian):
        ensure(say)
    elif digest(tag) is None:
        say(f"The task asks for {', '.join((*python, *debian))}, so its own image {tag} is built first …")
        ensure(say)
        building(lambda client, scratch, log: _make(client, python, debian, scratch, log), say)
        say(f"The image {tag} is ready.")
    return tag


def _make(client: DockerClient, python: Sequence[str], debian: Sequence[str], scratch: Path, log: Path) -> str:
    tag, below = recipe.extras_tag(python, debian), recipe.wanted_tag()
    manifest = layers.manifest_of(client, below)
    _require_new(manifest, python, debian)
    fetched, site = scratch / "wheels", scratch / "extras"
    fetched.mkdir()
    site.mkdir()
    if python:
        wheels.fetch_pinned(sorted(python), fetched, site, log)
        wheels.trim(site)
    added = python_packages(site)
    require_complete(site, (*manifest.python, *added))
    inputs = {path.name: _sha256(path) for path in sorted(fetched.iterdir())}
    with ExitStack() as stack:
        workshop = stack.enter_context(Workshop(client, below, log))
        _require_free(json.loads(workshop.run(["python3", "-c", TAKEN])), site)
        sources = list(archive.of_folder(site, SITE_PACKAGES))
        entries = [*sources, *stack.enter_context(layers.compiled(workshop, sources, scratch))]
        unpacked = stack.enter_context(debs.unpacked(client, below, sorted(debian), scratch, log))
        layer = bundle.make_layer([*entries, *unpacked.entries], scratch)
    made = manifest.model_copy(
        update={
            "tag": tag,
            "parent": below,
            "inputs": {**manifest.inputs, **inputs, **unpacked.inputs},
            "python": by_name((*manifest.python, *added)),
            "debian": by_name((*manifest.debian, *unpacked.packages)),
            "asked": (*sorted(python), *sorted(debian)),
        }
    )
    # Validated again: what packages say of themselves is in it.
    checked = Manifest.model_validate(made.model_dump())
    bundle.load(client, checked, [*bundle.layer_digests(client, below), layer], scratch)
    found = engine_digest(client, tag)
    assert found is not None  # it was just loaded
    known.remember(found, checked, "built")
    return found


def _require_new(below: Manifest, python: Iterable[str], debian: Iterable[str]) -> None:
    for field, there, asked in (("python", below.python, python), ("debian", below.debian, debian)):
        versions = {canonicalize_name(package.name): package.version for package in there}
        for text in asked:
            name = text.partition("=")[0]
            if version := versions.get(canonicalize_name(name)):
                raise UsageError(
                    f"{text} cannot be added, because every image holds {name} {version}; take it out of image.{field} "
                    "in task.toml."
                )


def require_complete(site: Path, there: Iterable[Package]) -> None:
    """UsageError naming what the packages below a folder need and nobody named."""
    versions = {canonicalize_name(package.name): package.version for package in there}
    lacking = []
    for path in sorted(site.glob("*.dist-info/METADATA")):
        headers = email.parser.HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        for text in headers.get_all("Requires-Dist") or ():
            try:
                need = Requirement(text)
                if need.marker and not need.marker.evaluate(ENVIRONMENT):
                    continue
                version = versions.get(canonicalize_name(need.name))
                if version is None or not need.specifier.contains(version, prereleases=True):
                    found = f", and {version} is there" if version else ""
                    lacking.append(f"{headers['Name']} needs {need.name}{need.specifier}{found}")
            except (InvalidRequirement, InvalidVersion):
                raise UsageError(
                    f"{headers['Name']} needs {text!r}, which is no requirement; name another version."
                ) from None
    if lacking:
        raise UsageError(f"{'; '.join(lacking[:5])}: add what is missing to image.python in task.toml, with versions.")


def _require_free(taken: Iterable[str], site: Path) -> None:
    """A package must not replace a part of the image, nor stand before the standard library."""
    occupied = {name.removesuffix(".py").lower() for name in taken if not name.endswith(".dist-info")}
    names = {path.name.partition(".")[0].lower() for path in site.iterdir() if not path.name.endswith(".dist-info")}
    if doubled := sorted(names & occupied):
        raise UsageError(
            f"The task's packages bring {', '.join(doubled[:5])}, which the image has already; take them out of "
            "image.python in task.toml."
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
