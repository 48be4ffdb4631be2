"""What the sandbox image is made of, and the tags that follow from it.

Images stand on each other, each named by the hash of its ingredients, so that a change rebuilds no more than it must:
`rsi-base` (Debian's userland and Python 3.11), `rsi-packages` (NumPy, PyTorch, safetensors, compiled), `rsi-sandbox`
(the guest), and for a task that asks for more packages `rsi-extras` on top. Every file of this package that decides
what lies in an image is an ingredient; the code that merely drives the engine (`store.py`) is not. Whether the base
came from a registry or from Debian's packages is not in the tag, because a tag must be known before an engine is
asked; the digest, which a run records, tells them apart.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from rsi.errors import UsageError
from rsi.records import Record

HERE = Path(__file__).parent
GUEST = HERE.parent / "guest"

REPOSITORY = "rsi-sandbox"
PACKAGES_REPOSITORY = "rsi-packages"
BASE_REPOSITORY = "rsi-base"
EXTRAS_REPOSITORY = "rsi-extras"
REPOSITORIES = (REPOSITORY, PACKAGES_REPOSITORY, BASE_REPOSITORY, EXTRAS_REPOSITORY)

PYTHON_VERSION = "3.11"
PLATFORM = "linux/amd64"
"""The locks hold wheels of this platform alone; an engine on another processor runs it by emulation."""
REGISTRY_IMAGE = "python:3.11-slim-bookworm"
SUITE = "bookworm"

TORCH_SOURCES = ("cpu", "cuda")


def torch_source() -> str:
    """Which build of PyTorch goes into the image: the setting RSI_TORCH, `cpu` where it is not set."""
    source = os.environ.get("RSI_TORCH", "") or "cpu"
    if source not in TORCH_SOURCES:
        raise UsageError(f"RSI_TORCH is {source!r}; set it to `cpu` or `cuda`.")
    return source


def lock_file(source: str | None = None) -> Path:
    """The pinned and hashed packages of the image, for a build of PyTorch."""
    return HERE / f"requirements-{source or torch_source()}.txt"


def debian_lock() -> Path:
    """The Debian packages that the base is expected to hold; what a mirror delivers may have moved on."""
    return HERE / "debian.txt"


class Tags(Record):
    """The three images that every task's stands on, as this version of the code wants them."""

    base: str
    packages: str
    sandbox: str


def base_files() -> list[Path]:
    """What decides the base's content."""
    names = ("archive.py", "base.py", "bundle.py", "manifest.py", "recipe.py")
    return [*(HERE / name for name in names), debian_lock()]


def packages_files() -> list[Path]:
    """What decides the content of the base and the packages on it."""
    return [*base_files(), HERE / "compiling.py", HERE / "layers.py", HERE / "wheels.py", lock_file()]


def sandbox_files() -> list[Path]:
    """What decides the content of the image that candidates run in."""
    return [*packages_files(), *guest_files()]


def wanted_tags() -> Tags:
    """The tags that follow from the files as they are now."""
    return Tags(
        base=f"{BASE_REPOSITORY}:{_fold(base_files())}",
        packages=f"{PACKAGES_REPOSITORY}:{_fold(packages_files())}",
        sandbox=f"{REPOSITORY}:{_fold(sandbox_files())}",
    )


def wanted_tag() -> str:
    """The image that this version of the code runs candidates in: `rsi-sandbox:<12 hex digits>`."""
    return wanted_tags().sandbox


def extras_tag(python: Iterable[str], debian: Iterable[str]) -> str:
    """The image with a task's own packages on top, whatever their order; the plain one where there are none."""
    asked = [f"python {name}" for name in sorted(python)] + [f"debian {name}" for name in sorted(debian)]
    if not asked:
        return wanted_tag()
    ingredients = "\n".join([wanted_tag(), _fold([HERE / "extras.py", HERE / "debs.py"]), *asked])
    return f"{EXTRAS_REPOSITORY}:{hashlib.sha256(ingredients.encode()).hexdigest()[:12]}"


def inputs(files: Iterable[Path]) -> dict[str, str]:
    """Name below `sandboxes/` → sha256, for an image's manifest."""
    return {_name(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def guest_files() -> list[Path]:
    """The guest's source files, sorted."""
    return sorted(path for path in GUEST.rglob("*.py") if "__pycache__" not in path.parts)


def _fold(files: Iterable[Path]) -> str:
    state = hashlib.sha256()
    for path in files:
        name, content = _name(path), path.read_bytes()
        # Lengths make the encoding one-to-one: no two sets of files share it.
        state.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return state.hexdigest()[:12]


def _name(path: Path) -> str:
    return path.relative_to(HERE.parent).as_posix()
