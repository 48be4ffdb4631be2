"""What the sandbox image is made of, and the tags that follow from it.

Three images stand on each other, each named by the hash of its ingredients, so that a change rebuilds no more than
it must: `rsi-base` (Debian's userland and Python 3.11), `rsi-packages` (NumPy, PyTorch, safetensors, compiled) and
`rsi-sandbox` (the guest). Every file of this package that decides what lies in an image is an ingredient; the code
that merely drives the engine (`store.py`) is not. Whether the base came from a registry or from Debian's packages is
not in the tag, because a tag must be known before an engine is asked; the digest, which a run records, tells them
apart.
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


class Tags(Record):
    """The three images, as this version of the code wants them."""

    base: str
    packages: str
    sandbox: str


def wanted_tags() -> Tags:
    """The tags that follow from the files as they are now."""
    bottom = [HERE / name for name in ("archive.py", "base.py", "recipe.py")]
    middle = [*bottom, HERE / "wheels.py", HERE / "packages" / "Dockerfile", lock_file()]
    top = [*middle, HERE / "Dockerfile", *guest_files()]
    return Tags(
        base=f"{BASE_REPOSITORY}:{_fold(bottom)}",
        packages=f"{PACKAGES_REPOSITORY}:{_fold(middle)}",
        sandbox=f"{REPOSITORY}:{_fold(top)}",
    )


def wanted_tag() -> str:
    """The image that this version of the code runs candidates in: `rsi-sandbox:<12 hex digits>`."""
    return wanted_tags().sandbox


def guest_files() -> list[Path]:
    """The guest's source files, sorted."""
    return sorted(path for path in GUEST.rglob("*.py") if "__pycache__" not in path.parts)


def _fold(files: Iterable[Path]) -> str:
    state = hashlib.sha256()
    for path in files:
        name = path.relative_to(HERE.parent).as_posix()
        content = path.read_bytes()
        # Lengths make the encoding one-to-one: no two sets of files share it.
        state.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return state.hexdigest()[:12]
