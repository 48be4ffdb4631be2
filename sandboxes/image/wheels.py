"""The image's Python packages, fetched by the host's pip and trimmed to what is imported.

The host's pip is the one that knows this site's mirrors, certificates and folders of wheels, so it does the fetching,
for the image's Python and platform rather than its own; inside the image no installer and no network is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
)
TESTED = ("numpy", "sympy", "networkx", "mpmath")
"""Packages whose `tests` folders go; elsewhere a folder of that name may be imported."""


def fetch(lock: Path, target: Path, log: Path) -> None:
    """Install the locked packages below a folder, for the image's platform; EnvironmentFault where pip cannot."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += [
        "--root-user-action",
        "ignore",
        "--no-compile",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(target),
    ]
    command += ["--implementation", "cp", "--python-version", PYTHON_VERSION, "--only-binary", ":all:"]
    command += [part for platform in platforms() for part in ("--platform", platform)]
    if index := os.environ.get("RSI_TORCH_INDEX_URL"):
        command += ["--extra-index-url", index]
    with log.open("ab") as stream:
        done = subprocess.run([*command, "-r", str(lock)], stdout=stream, stderr=stream, check=False)
    if done.returncode:
        raise EnvironmentFault(
            f"pip could not fetch the image's packages; read {log}, and where it finds no PyTorch, name an index that "
            "has this build in RSI_TORCH_INDEX_URL or choose the other one with RSI_TORCH=cpu|cuda."
        )


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
