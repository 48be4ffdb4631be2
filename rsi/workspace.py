"""Every candidate as a commit of the run's bare repository `code.git`; `kept` is the branch of improvements.

Objects and references are read and written as files. No git program runs and neither configuration, hooks, attributes
nor alternates of the repository are looked at: a run folder may come from someone else, and those can run programs.
Objects lie loose; their size is capped before they are unpacked, and each is hashed again when it is read.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar

from dulwich.errors import FileFormatException
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree

from rsi.durable import disk_faults, make_folder, read_regular, write_whole
from rsi.errors import IntegrityError, UsageError
from rsi.execution import MIB
from rsi.records import CodeFiles
from rsi.sanitize import for_terminal

LARGEST_OBJECT = 8 * MIB
LARGEST_CODE = 16 * MIB
"""Bytes of all files of one commit together."""
MOST_FILES = 1024
DEEPEST = 16
"""Folders within each other."""
MOST_REFERENCES = 1_000_000

_Kind = TypeVar("_Kind", bound=ShaFile)
_AUTHOR = b"rsi <rsi@localhost>"
_SHA = re.compile(r"[0-9a-f]{40}")
_PLAIN_FILES = {0o100644, 0o100755}
_FOLDER = 0o040000
KEPT = "refs/heads/kept"
"""The branch of improvements."""
# For people's git, never read here. Objects must stay loose, so git is told not to pack them by itself.
_CONFIGURATION = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[gc]\n\tauto = 0\n"


class Workspace:
    """The repository `code.git` of one run."""

    def __init__(self, repository: Path) -> None:
        """Use `create` or `open`."""
        self.repository = repository
        self._plain: set[str] = set()
        """Folders of objects that were seen to be no links."""

    @classmethod
    def create(cls, folder: Path) -> Workspace:
        """Make `code.git` in a run folder; `git -C code.git log kept` reads it."""
        repository = folder / "code.git"
        with disk_faults(repository):
            for name in ("objects", "refs/heads", "refs/experiments"):
                make_folder(repository / name)
            write_whole(repository / "config", _CONFIGURATION, staging=repository)
            # Written last: without it git and `open` see no repository.
            write_whole(repository / "HEAD", f"ref: {KEPT}\n".encode(), staging=repository)
        return cls(repository)

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The `code.git` of a run folder; UsageError where there is none, IntegrityError where it is a link."""
        repository = folder / "code.git"
        for path in (repository, repository / "objects", repository / "refs"):
            if path.is_symlink():
                raise IntegrityError(f"{path} is a link, so it is not read; put the folder itself there.")
        if not (repository / "objects").is_dir() or not (repository / "HEAD").is_file():
            raise UsageError(f"{folder} has no code.git, so it is no whole run folder; `rsi list` shows the runs.")
        return cls(repository)

    # --- commits ------------------------------------------------------------------------------------------------

    def commit(self, code: CodeFiles, message: str, parents: Sequence[str], time: str) -> str:
        """Write code as a commit and return its name; the same arguments give the same name.

        Args:
            code: at least one file, paths relative, with forward slashes.
            message: stripped of terminal control, since people read it with their own git.
            parents: commits that are there.
            time: ISO 8601, UTC where it names no zone; seconds count.

        Raises UsageError for a path or text that cannot be committed, IntegrityError for a parent that is not there.
        """
        for parent in parents:
            if not self.has(parent):
                raise IntegrityError(f"{self.repository} has no commit {parent[:80]!r} to build on.")
        check_code(code)
        *below, commit = objects_of(code, message, parents, time)
        for value in below:
            self._write_object(value)
        return self._write_object(commit)

    def read(self, commit: str) -> CodeFiles:
        """The files of a commit; IntegrityError where anything of it is missing, altered, too large or unsafe."""
        code: CodeFiles = {}
        room = LARGEST_CODE
        for path, sha in self._files(self._commit(commit).tree.decode("ascii"), PurePosixPath(), DEEPEST):
            data = self._object(sha, Blob).as_raw_string()
            room -= len(data)
            if len(code) == MOST_FILES or room < 0:
                raise IntegrityError(
                    f"Commit {commit} holds more than {MOST_FILES} files or {LARGEST_CODE} bytes; no candidate does."
                )
            try:
                code[str(path)] = data.decode("utf-8")
            except UnicodeDecodeError:
                raise IntegrityError(f"Commit {commit}: {str(path)!r} is not UTF-8 text; no candidate's is.") from None
        return code

    def has(self, commit: str) -> bool:
        """Whether that commit is there; IntegrityError where it was altered."""
        if not _SHA.fullmatch(commit) or not self._path(commit).is_file():
            return False
        self._commit(commit)
        return True

    # --- references ---------------------------------------------------------------------------------------------

    def mark(self, experiment: int, commit: str) -> None:
        """Name an experiment's candidate, `refs/experiments/0007`, so that no git ever collects it."""
        self._point(experiment_reference(experiment), commit)

    def keep(self, commit: str) -> None:
        """Move the branch `kept`."""
        self._point(KEPT, commit)

    def kept(self) -> str | None:
        """Where the branch `kept` stands; None before the first keep."""
        return self._target(KEPT)

    def refs(self) -> dict[str, str]:
        """Every reference, by full name."""
        found: dict[str, str] = {}
        for name in self._names(PurePosixPath("refs"), DEEPEST):
            target = self._target(name)
            if target is not None:
                found[name] = target
            if len(found) > MOST_REFERENCES:
                raise IntegrityError(f"{self.repository} holds more than {MOST_REFERENCES} references; no run does.")
        return found

    def _names(self, folder: PurePosixPath, depth: int) -> Iterator[str]:
        for entry in sorted((self.repository / folder).iterdir()):
            if entry.is_symlink() or entry.name.startswith("tmp_obj_"):
                continue
            if entry.is_dir() and depth:
                yield from self._names(folder / entry.name, depth - 1)
            elif entry.is_file():
                yield str(folder / entry.name)

    def _point(self, name: str, commit: str) -> None:
        if not self.has(commit):
            raise IntegrityError(f"{self.repository} has no commit {commit[:80]!r} for {name} to point at.")
        path = self.repository / name
        with disk_faults(path):
            make_folder(path.parent)
            write_whole(path, f"{commit}\n".encode(), staging=path.parent)

    def _target(self, name: str) -> str | None:
        if (self.repository / "packed-refs").exists():
            raise IntegrityError(self._packed())
        try:
            text = read_regular(self.repository / name, 256).decode("ascii", "replace").removesuffix("\n")
        except FileNotFoundError:
            return None
        if not _SHA.fullmatch(text):
            raise IntegrityError(f"{self.repository / name} does not hold the name of a commit; it was altered.")
        return text

    # --- objects ------------------------------------------------------------------------------------------------

    def _write_object(self, value: ShaFile) -> str:
        sha = value.id.decode("ascii")
        path = self._path(sha)
        with suppress(FileNotFoundError, IntegrityError):
            self._object(sha, type(value))
            return sha
        header = value.type_name + b" " + str(value.raw_length()).encode() + b"\x00"
        with disk_faults(path):
            make_folder(path.parent)
            write_whole(path, zlib.compress(header + value.as_raw_string()), staging=self.repository / "objects")
        return sha

    def _commit(self, sha: str) -> Commit:
        return self._object(sha, Commit)

    def _object(self, sha: str, kind: type[_Kind]) -> _Kind:
        """An object, hashed again; IntegrityError where it is missing, altered, too large or of another kind."""
        if not _SHA.fullmatch(sha):
            raise IntegrityError(f"{sha[:80]!r} is no name of an object, so the record that names it was altered.")
        path = self._path(sha)
        if sha[:2] not in self._plain:
            if path.parent.is_symlink():
                raise IntegrityError(f"{path.parent} is a link, so it is not read; put the folder itself there.")
            self._plain.add(sha[:2])
        try:
            raw = _unpack(read_regular(path, LARGEST_OBJECT))
        except FileNotFoundError:
            if any((self.repository / "objects" / "pack").glob("*.pack")):
                raise IntegrityError(self._packed()) from None
            raise IntegrityError(f"{self.repository} has no object {sha}; restore it from a copy.") from None
        if raw is None or hashlib.sha1(raw, usedforsecurity=False).hexdigest() != sha:
            raise IntegrityError(f"{path} was altered: its content no longer hashes to its name.")
        header, _, body = raw.partition(b"\x00")
        if header != kind.type_name + b" " + str(len(body)).encode():
            raise IntegrityError(f"{path} is no {kind.type_name.decode()}, as what refers to it says.")
        try:
            value = ShaFile.from_raw_string(kind.type_num, body)
            value.check()
        except (FileFormatException, ValueError, ArithmeticError, LookupError, AssertionError):
            raise IntegrityError(f"{path} is no well-formed {kind.type_name.decode()}.") from None
        assert isinstance(value, kind)
        return value

    def _files(self, tree: str, folder: PurePosixPath, depth: int) -> Iterator[tuple[PurePosixPath, str]]:
        for entry in self._object(tree, Tree).items():
            path = folder / entry.path.decode("utf-8", "replace")
            if not _is_safe(entry.path) or entry.mode not in {*_PLAIN_FILES, _FOLDER} or not depth:
                raise IntegrityError(f"{self.repository}: {str(path)!r} is a link, a submodule or no safe path.")
            if entry.mode == _FOLDER:
                yield from self._files(entry.sha.decode("ascii"), path, depth - 1)
            else:
                yield path, entry.sha.decode("ascii")

    def _path(self, sha: str) -> Path:
        return self.repository / "objects" / sha[:2] / sha[2:]

    def _packed(self) -> str:
        return (
            f"{self.repository} was packed by `git gc`, which is not read here; move its packs out of objects/pack, "
            "run `git unpack-objects` on each, and write the references of packed-refs back to files of their own."
        )


def _unpack(data: bytes) -> bytes | None:
    """What a loose object holds; None where it is not one whole zlib stream of allowed size."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, LARGEST_OBJECT)
    except zlib.error:
        return None
    return raw if stream.eof and not stream.unused_data else None


def _is_safe(name: bytes) -> bool:
    """Whether a part of a path is an ordinary name, also on file systems that ignore case."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and text.lower() not in {"", ".", "..", ".git"} and not set(text) & set("/\\:")


def objects_of(code: CodeFiles, message: str, parents: Sequence[str], time: str) -> list[ShaFile]:
    """The objects that code as a commit is made of, each after those it names, the commit last.

    Takes what `Workspace.commit` does; neither the code nor the parents are checked.
    """
    objects: list[ShaFile] = []
    commit = Commit()
    commit.tree = _tree({PurePosixPath(path).parts: text for path, text in code.items()}, objects)
    commit.parents = [ObjectID(parent.encode()) for parent in parents]
    commit.author = commit.committer = _AUTHOR
    moment = datetime.fromisoformat(time)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    commit.author_time = commit.commit_time = math.floor(seconds)
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = (for_terminal(message).rstrip() + "\n").encode()
    return [*objects, commit]


def name_of(code: CodeFiles, message: str, parents: Sequence[str], time: str) -> str:
    """What `Workspace.commit` would call it, with nothing written."""
    return objects_of(code, message, parents, time)[-1].id.decode("ascii")


def _tree(files: dict[tuple[str, ...], str], objects: list[ShaFile]) -> ObjectID:
    tree = Tree()
    for name in sorted({parts[0] for parts in files}):
        below = {parts[1:]: text for parts, text in files.items() if parts[0] == name}
        if () in below:
            blob = Blob.from_string(below[()].encode())
            objects.append(blob)
            tree.add(name.encode(), 0o100644, blob.id)
        else:
            tree.add(name.encode(), _FOLDER, _tree(below, objects))
    objects.append(tree)
    return tree.id


def experiment_reference(experiment: int) -> str:
    """The full name of the reference to an experiment's candidate."""
    return f"refs/experiments/{experiment:04d}"


def check_code(code: CodeFiles) -> None:
    """UsageError where code cannot be committed so that `read` gives it back."""
    folders = {str(parent) for path in code for parent in PurePosixPath(path).parents}
    for path, text in code.items():
        parts = path.split("/")
        safe = all(_is_safe(part.encode("utf-8", "surrogatepass")) for part in parts) and len(parts) <= DEEPEST
        if not safe or path in folders:
            raise UsageError(
                f"{path!r} is no path of a file in the task folder; name it relative, with forward slashes."
            )
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise UsageError(f"{path} cannot be written as UTF-8; it holds half of a surrogate pair.") from None
        if size > LARGEST_OBJECT // 2:
            raise UsageError(f"{path} holds {size} bytes, more than any editable file may; move data out of the code.")
    if not 0 < len(code) <= MOST_FILES:
        raise UsageError(f"A candidate has between 1 and {MOST_FILES} editable files, not {len(code)}.")
