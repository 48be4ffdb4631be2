"""A cell's two folders as this machine's kernel shows them: files in and out without passing through the engine.

The engine packs and unpacks tars at 30 MB a second; where it runs on this machine and we may look into its containers
(root), the holder's folders are opened directly instead. They are learned from the holder's process and believed only
where its control group names the holder and the folder is the in-memory volume that its mount table says, so that a
process id of another machine, or a runtime with a kernel of its own, cannot mislead. Elsewhere `open` gives None.

The inputs folder is written before the worker's program starts, which sees it read-only. The outputs folder is read
when the worker is dead, so nobody changes it meanwhile; no link is followed all the same, and nothing but regular
files with one name is opened.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from rsi.course import Listing
from sandboxes.listing import INPUT_BYTES, list_open_folder
from sandboxes.outputs import ForbiddenOutput, Intake, check_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOSTILE_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HostView:
    """Both folders, held open; close it before the volumes are removed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self._inputs = inputs
        self._outputs = outputs

    @classmethod
    def open(cls, process: int, container: str, inputs: str, outputs: str) -> HostView | None:
        """The folders of the container whose first process has that id; None where they cannot be reached from here."""
        opened: list[int] = []
        try:
            table = _memory_mounts(process)
            root = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for folder in (inputs, outputs):
                    opened.append(os.open(folder.lstrip("/"), _FOLDER, dir_fd=root))
                    if table.get(folder) != os.fstat(opened[-1]).st_dev:
                        raise PermissionError(folder)
            finally:
                os.close(root)
            # Asked last: a process that still has the holder's groups is the one whose folders were opened.
            if container not in Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8", errors="replace"):
                raise PermissionError(container)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            return None
        return cls(*opened)

    def put(self, inputs: Mapping[str, bytes | Path]) -> None:
        """Write the inputs, owned by root and readable by all; their names have been checked (`check_job`)."""
        folders = {str(parent) for name in inputs for parent in PurePosixPath(name).parents} - {"."}
        for folder in sorted(folders):
            os.mkdir(folder, dir_fd=self._inputs)
            os.chmod(folder, 0o755, dir_fd=self._inputs)  # noqa: S103 - for the worker's user, whatever our mask is
        for name, content in inputs.items():
            with os.fdopen(os.open(name, _NEW_FILE, 0o444, dir_fd=self._inputs), "wb") as file:
                os.fchmod(file.fileno(), 0o444)
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)

    def take(self, intake: Intake) -> None:
        """Let the intake judge and take what lies in the outputs folder. Nobody may be writing there any more."""
        _take_in(self._outputs, "", intake)

    def inputs_as_they_lie(self) -> Listing:
        """The inputs folder, hashed in place."""
        return list_open_folder(os.open(".", _FOLDER, dir_fd=self._inputs), INPUT_BYTES)

    def close(self) -> None:
        """Let go of both folders; twice is no matter."""
        for descriptor in (self._inputs, self._outputs):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._inputs = self._outputs = -1


def _memory_mounts(process: int) -> dict[str, int]:
    """Mount point → device number, of the in-memory file systems that a process sees."""
    mounts: dict[str, int] = {}
    for line in Path(f"/proc/{process}/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields, _, source = line.partition(" - ")
        device, mount_point = fields.split()[2], fields.split()[4]
        major, _, minor = device.partition(":")
        if source.startswith("tmpfs "):
            mounts[mount_point] = os.makedev(int(major), int(minor))
    return mounts


def _take_in(folder: int, prefix: str, intake: Intake) -> None:
    with os.scandir(folder) as entries:
        names = []
        for entry in entries:
            intake.entry()
            names.append(entry.name)
    for name in sorted(names):
        path = f"{prefix}{name}"
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            check_path(path)  # bounds the depth as well
            below = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _take_in(below, f"{path}/", intake)
            finally:
                os.close(below)
            continue
        intake.admit(path, status.st_size, regular=stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        intake.take(path, _content(folder, name, status))


def _content(folder: int, name: str, seen: os.stat_result) -> bytes:
    descriptor = os.open(name, _HOSTILE_FILE, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        data = b""
        if (found.st_dev, found.st_ino, found.st_size) == (seen.st_dev, seen.st_ino, seen.st_size):
            data = _read(descriptor, seen.st_size)
        if len(data) != seen.st_size:
            raise ForbiddenOutput(f"{name!a} changed while it was being read.")
        return data
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int) -> bytes:
    """In one piece where the kernel gives it so, which spares copying tens of megabytes."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
