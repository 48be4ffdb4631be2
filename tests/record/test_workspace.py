"""The workspace: commits that derive again, that people's git reads, and that no foreign repository can abuse."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.errors import IntegrityError, UsageError
from rsi.memory import MemoryWorkspace
from rsi.storage import CodeStore
from rsi.workspace import LARGEST_OBJECT, Workspace

TIME = "2026-01-01T00:00:00.123456Z"
NAMES = st.text(alphabet="abc.-_é", min_size=1, max_size=5).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CODES = st.dictionaries(PATHS, st.text(), min_size=1, max_size=5).filter(
    lambda code: not any(a != b and b.startswith(f"{a}/") for a in code for b in code)
)


UNSAFE = (
    *("", "/etc/passwd", "../x.py", "a/../b.py", "a//b.py", "./a.py", "a/", ".git/config", "a/.GIT/hooks"),
    *("a\\b", "a\0b", "c:x", "a\nb", "/".join("a" * 20), "\ud800"),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CodeStore:
    return make_store(request.param, tmp_path)


def make_store(kind: str, folder: Path) -> CodeStore:
    return MemoryWorkspace() if kind == "memory" else Workspace.create(folder)


def git(folder: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", str(folder / "code.git"), *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout


def put_object(workspace: Workspace, kind: bytes, body: bytes) -> str:
    """An object written past all checks, under its right name."""
    raw = kind + b" " + str(len(body)).encode() + b"\0" + body
    sha = hashlib.sha1(raw).hexdigest()
    path = workspace.repository / "objects" / sha[:2] / sha[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(raw))
    return sha


def commit_of(workspace: Workspace, *entries: tuple[bytes, bytes, str]) -> str:
    body = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)
    tree = put_object(workspace, b"tree", body)
    person = b"a <a@b> 1 +0000"
    return put_object(
        workspace, b"commit", b"tree %b\nauthor %b\ncommitter %b\n\nm\n" % (tree.encode(), person, person)
    )


@pytest.mark.parametrize("kind", ["disk", "memory"])
@settings(max_examples=25, deadline=None)
@given(code=CODES, message=st.text())
def test_code_comes_back_as_it_was_committed_and_its_name_follows_from_it(
    kind: str, code: dict[str, str], message: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, two = (make_store(kind, tmp_path_factory.mktemp("run")) for _ in range(2))
    commit = one.commit(code, message, [], TIME)
    assert commit == two.commit(dict(reversed(code.items())), message, [], TIME) == one.commit(code, message, [], TIME)
    assert one.read(commit) == code
    assert one.has(commit)
    one.read(commit).clear()
    assert one.read(commit) == code, "what a reader does to its copy changed the commit"
    assert one.commit({**code, "further": ""}, message, [commit], TIME) != commit


@settings(max_examples=8, deadline=None)
@given(code=CODES, message=st.text(min_size=1))
def test_git_finds_nothing_wrong_with_what_is_written(
    code: dict[str, str], message: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    workspace = Workspace.create(folder)
    workspace.keep(workspace.commit(code, message, [], TIME))
    git(folder, "fsck", "--strict", "--full")
    assert set(git(folder, "ls-tree", "-r", "-z", "--name-only", "kept").split("\0")) - {""} == set(code)


def test_git_log_kept_shows_the_improvements(workspace: Workspace, tmp_path: Path) -> None:
    assert workspace.kept() is None
    first = workspace.commit({"train.py": "a = 1\n"}, "the baseline\n\nRsi-Experiment: 0\n", [], TIME)
    second = workspace.commit({"train.py": "a = 2\n"}, "better \x1b[31m\u202e", [first], "2026-01-01T01:00:01+01:00")
    workspace.mark(0, first)
    workspace.mark(12345, second)
    workspace.keep(second)
    assert git(tmp_path, "log", "--format=%H %an <%ae> %at %s", "kept").splitlines() == [
        f"{second} rsi <rsi@localhost> 1767225601 better <U+202E>",
        f"{first} rsi <rsi@localhost> 1767225600 the baseline",
    ]
    assert "+a = 2" in git(tmp_path, "diff", "kept~1", "kept")
    assert git(tmp_path, "interpret-trailers", "--parse", "--only-trailers", os.devnull) == ""
    assert git(tmp_path, "log", "--format=%(trailers)", "-1", first).strip() == "Rsi-Experiment: 0"
    names = {"refs/experiments/0000": first, "refs/experiments/12345": second, "refs/heads/kept": second}
    again = Workspace.open(tmp_path)
    assert (again.refs(), again.kept()) == (names, second)


def test_kept_moves_and_marks_can_be_made_again(store: CodeStore) -> None:
    assert (store.kept(), store.refs()) == (None, {})
    commits = [store.commit({"a.py": f"{n}\n"}, "m", [], TIME) for n in range(3)]
    for commit in commits:
        store.keep(commit)
        store.mark(1, commit)
        assert (store.kept(), store.refs()["refs/experiments/0001"]) == (commit, commit)


def test_objects_are_on_disk_before_a_reference_names_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename
    kinds = {0o040000: "folder", 0o100000: "file"}
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), steps.append(kinds[os.fstat(fd).st_mode & 0o170000])))
    monkeypatch.setattr(Path, "rename", lambda self, to: (steps.append("name"), rename(self, to)))
    commit = workspace.commit({"a.py": "1\n"}, "m", [], TIME)
    assert steps.count("name") == 3
    assert steps[-3:] == ["file", "name", "folder"]
    steps.clear()
    workspace.keep(commit)
    assert steps == ["file", "name", "folder"]


@pytest.mark.parametrize(
    "path",
    UNSAFE,
)
def test_an_unsafe_path_is_not_committed(store: CodeStore, path: str) -> None:
    with pytest.raises(UsageError, match="no path"):
        store.commit({"a.py": "", path: ""}, "m", [], TIME)


@pytest.mark.parametrize(
    "code", [{}, {"a": "", "a/b": ""}, {"a": "\ud800"}, {"a": "x" * LARGEST_OBJECT}, {f"{n}": "" for n in range(1025)}]
)
def test_code_that_could_not_be_read_back_is_not_committed(store: CodeStore, code: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        store.commit(code, "m", [], TIME)


def test_a_commit_that_is_not_there_is_said(store: CodeStore) -> None:
    for name in ("ab" * 20, "kept", "../../x", ""):
        assert not store.has(name)
        with pytest.raises(IntegrityError, match="no commit"):
            store.keep(name)
        with pytest.raises(IntegrityError, match="no commit"):
            store.commit({"a.py": ""}, "m", [name], TIME)
        with pytest.raises(IntegrityError):
            store.read(name)


def test_a_folder_without_a_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no code\.git"):
        Workspace.open(tmp_path)


# --- foreign repositories ---------------------------------------------------------------------------------------


def test_any_altered_object_is_refused(workspace: Workspace) -> None:
    commit = workspace.commit({"a/b.py": "1\n", "c.py": "2\n"}, "m", [], TIME)
    for path in (workspace.repository / "objects").rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        raw = zlib.decompress(content)
        same_length = raw[:-1] + bytes([raw[-1] ^ 1])
        for altered in (b"", content[:-1], content + b"x", zlib.compress(same_length), b"junk"):
            path.write_bytes(altered)
            with pytest.raises(IntegrityError, match="was altered"):
                workspace.read(commit)
        path.unlink()
        with pytest.raises(IntegrityError, match=r"no (object|commit)"):
            workspace.read(commit)
        path.write_bytes(content)
    assert workspace.read(commit) == {"a/b.py": "1\n", "c.py": "2\n"}


def test_an_altered_object_is_mended_by_committing_again(workspace: Workspace) -> None:
    commit = workspace.commit({"a.py": "1\n"}, "m", [], TIME)
    for path in (workspace.repository / "objects").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert workspace.commit({"a.py": "1\n"}, "m", [], TIME) == commit
    assert workspace.read(commit) == {"a.py": "1\n"}


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (b"120000", b"link"),
        (b"160000", b"submodule"),
        (b"100644", b".."),
        (b"100644", b".git"),
        (b"100644", b"a/b"),
        (b"100644", b"a\\b"),
        (b"100644", b"\xff"),
        (b"40000", b".GIT"),
    ],
)
def test_trees_that_lead_elsewhere_are_refused(workspace: Workspace, mode: bytes, name: bytes) -> None:
    target = put_object(workspace, b"blob", b"/etc/passwd")
    with pytest.raises(IntegrityError):
        workspace.read(commit_of(workspace, (mode, name, target)))


def test_trees_nested_without_end_and_bombs_are_refused(workspace: Workspace) -> None:
    tree = put_object(workspace, b"tree", b"")
    for _ in range(40):
        tree = put_object(workspace, b"tree", b"40000 a\0" + bytes.fromhex(tree))
    with pytest.raises(IntegrityError):
        workspace.read(commit_of(workspace, (b"40000", b"a", tree)))
    bomb = put_object(workspace, b"blob", b"\0" * (20 * LARGEST_OBJECT))
    with pytest.raises(IntegrityError, match="was altered"):
        workspace.read(commit_of(workspace, (b"100644", b"a", bomb)))
    part = put_object(workspace, b"blob", b"x" * (LARGEST_OBJECT - 100))
    with pytest.raises(IntegrityError, match="holds more than"):
        workspace.read(commit_of(workspace, *((b"100644", b"%d" % n, part) for n in range(4))))
    empty = put_object(workspace, b"blob", b"")
    with pytest.raises(IntegrityError, match="holds more than"):
        workspace.read(commit_of(workspace, *((b"100644", b"%04d" % n, empty) for n in range(1100))))
    binary = put_object(workspace, b"blob", b"\xff\xfe")
    with pytest.raises(IntegrityError, match="UTF-8"):
        workspace.read(commit_of(workspace, (b"100644", b"a", binary)))


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=120)
    | st.from_regex(rb"(tree [0-9a-f]{40}\n|parent .{0,50}\n|author .{0,30}\n)*\n", fullmatch=True)
)
def test_malformed_commits_and_trees_are_refused_in_a_sentence(
    body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = Workspace.create(tmp_path_factory.mktemp("run"))
    tree = put_object(workspace, b"tree", body)
    good = b"author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nm\n"
    for commit in (
        put_object(workspace, b"commit", body),
        put_object(workspace, b"commit", b"tree " + tree.encode() + b"\n" + good),
    ):
        if body:
            with pytest.raises(IntegrityError):
                workspace.read(commit)


HOSTILE_CONFIG = '[core]\n\tfsmonitor = "touch {0}"\n\tpager = "touch {0}"\n[diff "x"]\n\ttextconv = "touch {0}"\n'


def test_configuration_hooks_attributes_and_alternates_of_a_foreign_repository_do_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    commit = workspace.commit({"a.py": "1\n"}, "m", [], TIME)
    repository = workspace.repository
    (repository / "config").write_text(HOSTILE_CONFIG.format(touched) + "[include]\n\tpath = /dev/zero\n")
    (repository / "info").mkdir()
    (repository / "info/attributes").write_text("* diff=x filter=x\n")
    (repository / "hooks").mkdir()
    (repository / "hooks/reference-transaction").write_text(f"#!/bin/sh\ntouch {touched}\n")
    (repository / "hooks/reference-transaction").chmod(0o755)
    other = Workspace.create(tmp_path / "other")
    elsewhere = other.commit({"secret.py": "s\n"}, "m", [], TIME)
    (repository / "objects/info").mkdir()
    (repository / "objects/info/alternates").write_text(f"{other.repository}/objects\n")
    again = Workspace.open(tmp_path)
    again.keep(commit)
    assert again.read(commit) == {"a.py": "1\n"}
    assert not again.has(elsewhere)
    assert again.commit({"a.py": "2\n"}, "m", [commit], TIME)
    assert not touched.exists()


def _link_repository(repository: Path, elsewhere: Path) -> None:
    repository.rename(elsewhere)
    repository.symlink_to(elsewhere)


def _link_objects(repository: Path, elsewhere: Path) -> None:
    (repository / "objects").rename(elsewhere)
    (repository / "objects").symlink_to(elsewhere)


@pytest.mark.parametrize("link", [_link_repository, _link_objects])
def test_links_in_place_of_the_repository_are_refused(
    workspace: Workspace, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    link(workspace.repository, tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="is a link"):
        Workspace.open(tmp_path)


def test_references_that_are_no_names_of_commits_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    kept = workspace.repository / "refs/heads/kept"
    for text in ("ref: refs/heads/other\n", "x" * 1000, "", "ab" * 20 + "\n\n"):
        kept.write_text(text)
        with pytest.raises(IntegrityError):
            workspace.kept()
    kept.unlink()
    kept.symlink_to(tmp_path / "nowhere")
    with pytest.raises(IntegrityError, match="link"):
        workspace.kept()


def test_a_repository_that_git_has_packed_is_refused_with_the_way_back(workspace: Workspace, tmp_path: Path) -> None:
    commit = workspace.commit({"a.py": "1\n"}, "m", [], TIME)
    workspace.keep(commit)
    git(tmp_path, "gc", "--quiet")
    with pytest.raises(IntegrityError, match="unpack-objects"):
        workspace.kept()
    with pytest.raises(IntegrityError, match="unpack-objects"):
        workspace.read(commit)
