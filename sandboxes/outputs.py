"""What may come out of a sandbox: a few small regular files with plain names. One rule book for every sandbox."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from rsi.execution import Limits

NAME_CHARACTERS = 200


class ForbiddenOutput(Exception):
    """Something in the output folder may not come out; the message is our sentence about it."""


class Intake:
    """Counts what is let out against the caps, and refuses by name, kind, number and size before reading."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries = 0
        self._bytes = 0
        self.files: dict[str, bytes] = {}

    def entry(self) -> None:
        """Call once for whatever is found, folders included."""
        self._entries += 1
        if self._entries > self._limits.inodes + 1:
            raise ForbiddenOutput(f"The output folder holds more than {self._limits.inodes} entries.")

    def admit(self, path: str, size: int, *, regular: bool) -> None:
        """ForbiddenOutput unless a file of that name, kind and size may come out. Sparse files count in full."""
        check_path(path)
        if not regular:
            raise ForbiddenOutput(f"{path!a} in the output folder is not a regular file with one name.")
        if len(self.files) >= self._limits.artifact_files:
            raise ForbiddenOutput(f"The output folder holds more than {self._limits.artifact_files} files.")
        self._bytes += size
        if self._bytes > self._limits.artifact_bytes:
            raise ForbiddenOutput(f"The output files hold more than {self._limits.artifact_bytes} bytes.")

    def take(self, path: str, content: bytes) -> None:
        """Keep an admitted file."""
        if path in self.files:
            raise ForbiddenOutput(f"{path!a} came out of the output folder twice.")
        self.files[path] = content


def check_path(path: str) -> None:
    """ForbiddenOutput unless the path is relative, stays below the folder, is UTF-8, printable and short."""
    shown = ascii(path[:NAME_CHARACTERS])
    if len(path) > NAME_CHARACTERS:
        raise ForbiddenOutput(f"The output name {shown}… is longer than {NAME_CHARACTERS} characters.")
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "/".join(parts) != path:
        raise ForbiddenOutput(f"The output name {shown} is not a plain relative path.")
    # Cc: control; Cs: bytes that are not UTF-8; Cf, Zl, Zp: invisible, or turning the direction of the text.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp") for character in path):
        raise ForbiddenOutput(f"The output name {shown} has control or undecodable characters.")
