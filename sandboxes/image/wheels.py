"""The image's Python packages, fetched by the host's pip and trimmed to what is imported.

The host's pip is the one that knows this site's mirrors, certificates and folders of wheels, so it does the fetching,
for the image's Python and platform rather than its own; inside the image no installer and no network is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rsi.errors import EnvironmentFault
from sandboxes.image.recipe import PYTHON_VERSION

GLIBC_MINOR = 36
"""Of the base, Debian bookworm: wheels built for this version of the C library or an older one run there."""

UNUSED = (
    "bin",
    "share",
    "torch/bin/protoc*",
    "torch/bin/test_*",
    "torch/include",
    "torch/share",
    "torch/test",
    # Only PyTorch's C++ extension builder imports these, and the image has no compiler.
    "setuptools",
    "setuptools-*",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    # The installer's own notes, which differ from one version of it to the next.
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
)
TESTED = ("numpy", "sympy", "networkx", "mpmath")
"""Packages whose `tests` folders go; elsewhere a folder of that name may be imported."""


PIP = (sys.executable, "-m", "pip")
QUIETLY = ("--quiet", "--no-input", "--disable-pip-version-check")


def fetch(lock: Path, target: Path, log: Path) -> None:
    """Install the locked packages below a folder, for the image's platform; EnvironmentFault where pip cannot."""
    command = ["install", "--root-user-action", "ignore", "--no-compile", "--require-hashes", "--target", str(target)]
    if index := os.environ.get("RSI_TORCH_INDEX_URL"):
        command += ["--extra-index-url", index]
    if not _pip([*command, *for_the_image(), "-r", str(lock)], log):
        raise EnvironmentFault(
            f"pip could not fetch the image's packages; read {log}, and where it finds no PyTorch, name an index that "
            "has this build in RSI_TORCH_INDEX_URL or choose the other one with RSI_TORCH=cpu|cuda; where there is no "
            "index at all, bring an image with `rsi image load`."
        )


def fetch_pinned(requirements: Sequence[str], wheels: Path, target: Path, log: Path) -> None:
    """Wheels of exactly these versions into one folder, installed below another; EnvironmentFault where pip cannot."""
    # A site without an index must not wait through a minute of retries.
    command = ["download", "--retries", "1", "--timeout", "15", "--dest", str(wheels)]
    fetched = _pip([*command, *for_the_image(), *requirements], log)
    install = ["install", "--root-user-action", "ignore", "--no-compile", "--no-index", "--target", str(target)]
    if not (fetched and _pip([*install, *for_the_image(), *map(str, sorted(wheels.iterdir()))], log)):
        raise EnvironmentFault(
            f"pip could not fetch {' '.join(requirements)} as wheels for Python {PYTHON_VERSION}; read {log} and mend "
            "the versions, or without internet bring the image made elsewhere (`rsi image save`, `rsi image load`)."
        )


def for_the_image() -> list[str]:
    """Arguments of pip: wheels of the image's platform, and nothing that was not named."""
    chosen = ["--no-deps", "--implementation", "cp", "--python-version", PYTHON_VERSION, "--only-binary", ":all:"]
    return chosen + [part for platform in platforms() for part in ("--platform", platform)]


def _pip(arguments: Sequence[str], log: Path) -> bool:
    command = [*PIP, arguments[0], *QUIETLY, *arguments[1:]]
    with log.open("ab") as stream:
        return subprocess.run(command, stdout=stream, stderr=stream, check=False).returncode == 0


def platforms() -> Iterator[str]:
    """The wheel platforms that run in the image, newest first."""
    for minor in range(GLIBC_MINOR, 4, -1):
        yield f"manylinux_2_{minor}_x86_64"
    yield from ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64", "any")


def trim(target: Path) -> None:
    """Remove headers, static libraries, test suites and build tools."""
    for pattern in UNUSED:
        for path in list(target.glob(pattern)):
            _remove(path)
    for package in TESTED:
        for path in list(target.glob(f"{package}/**/tests")):
            _remove(path)
    for path in list(target.glob("**/*.a")):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
