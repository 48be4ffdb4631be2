"""A task's own packages: pinned, complete, in an image of their own, and what a run records and resumes with."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_images import write_debian_mirror, write_wheel

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import EnvironmentFault, UsageError
from rsi.runs import read
from rsi.session import resume, start
from rsi.task import ImageSection, load_task, read_task
from sandboxes import image
from sandboxes.image import archive, debs, show
from sandboxes.image.extras import ensure_extras, require_complete
from sandboxes.image.manifest import Package

HOSTILE = [
    "einops",
    "einops>=0.8.0",
    "einops==",
    "einops==0.8.*",
    "-r==1",
    "--index-url=http://127.0.0.1==1",
    "einops==0.8.0 --hash",
    "einops==0.8.0;x",
    "einops @ file:///x==1",
    "../einops==1",
    "einops==1\n",
    "$(id)==1",
    "é==1",
    "einops[extra]==1",
    "litellm==1.100.0",
    "LiteLLM==1.100.0",
    "litellm-proxy==1.0",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_only_a_name_with_its_exact_version_is_a_python_package(text: str) -> None:
    with pytest.raises(ValueError, match=r"exact version|must not be in a sandbox"):
        ImageSection(python=(text,))


@pytest.mark.parametrize(
    "text", ["libgomp1", "libgomp1=", "-o=1", "libgomp1=1 x", "libgomp1=1;x", "a/b=1", "./a.deb", "python3-doc=3.11-1"]
)
def test_only_a_name_with_its_exact_version_is_a_debian_package(text: str) -> None:
    with pytest.raises(ValueError, match=r"exact version|part of Python"):
        ImageSection(debian=(text,))


@given(st.text(max_size=30))
def test_whatever_passes_is_one_plain_word_for_pip_and_apt(text: str) -> None:
    for field in ("python", "debian"):
        with contextlib.suppress(ValueError):
            ImageSection.model_validate({field: (text,)})
            assert text.isascii()
            assert text[0].isalnum()
            assert not set(text) & set(" \t\n/;@$`'\"\\|&<>()[]{}*?,")


def test_a_name_is_given_once_and_a_wrong_one_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="named twice"):
        ImageSection(python=("a-b==1", "A_b==2"))
    shutil.copytree(load_task("digits").folder, tmp_path / "task")
    with (tmp_path / "task" / "task.toml").open("a") as file:
        file.write('\n[image]\npython = ["einops"]\n')
    with pytest.raises(UsageError, match=r"task.toml:\d+: image.python: 'einops' is not a package with its exact"):
        read_task(tmp_path / "task")


def test_an_image_section_that_is_not_used_leaves_a_tasks_digest_as_it_was() -> None:
    task = load_task("digits")
    with_it = task.spec.model_copy(update={"image": ImageSection(python=("a==1",))})
    assert task.model_copy(update={"spec": with_it}).digest() != task.digest()
    without = task.spec.model_dump_json(by_alias=True, exclude={"image"})
    assert type(task.spec).model_validate_json(without) == task.spec
    # Of a run recorded before there was such a section.
    assert '"image"' not in without


def test_what_a_package_needs_must_be_named_too(tmp_path: Path) -> None:
    def metadata(text: str) -> None:
        (tmp_path / "a-1.0.dist-info").mkdir(exist_ok=True)
        (tmp_path / "a-1.0.dist-info" / "METADATA").write_text(f"Name: a\nVersion: 1.0\n{text}\n")

    there = [Package(name="Torch", version="2.13.0+cpu"), Package(name="b_c", version="2.0")]
    metadata(
        "Requires-Dist: torch>=2\nRequires-Dist: b.c==2.0\nRequires-Dist: z; extra == 'test'\n"
        "Requires-Dist: w; sys_platform == 'win32'\nRequires-Dist: v; python_version < '3.11'"
    )
    require_complete(tmp_path, there)
    metadata("Requires-Dist: torch<2\nRequires-Dist: d>=1")
    with pytest.raises(UsageError, match=r"a needs torch<2, and 2.13.0\+cpu is there; a needs d>=1: add .* task.toml"):
        require_complete(tmp_path, there)
    metadata("Requires-Dist: !!")
    with pytest.raises(UsageError, match="no requirement"):
        require_complete(tmp_path, there)


def test_a_debian_packages_files_never_hide_the_images_links_and_bring_no_documentation() -> None:
    names = ["lib", "lib/x86_64-linux-gnu/a.so", "usr/share/doc/a", "usr/lib/python3.11/pydoc_data/topics.py", "etc/a"]
    taken = [archive.of_bytes(name, b"") if name != "lib" else archive.folder_named(name) for name in names]
    assert [entry.name for entry in debs._merged(taken)] == ["usr/lib/x86_64-linux-gnu/a.so", "etc/a"]


# --- with an engine ---------------------------------------------------------------------------------------------------


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip finds anything."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    return tmp_path / "wheels"


@contextlib.contextmanager
def removed_after(*tags: str) -> Iterator[None]:
    try:
        yield
    finally:
        for tag in tags:
            if image.digest(tag):
                image.remove(tag)


def said(_sentence: str) -> None:
    """Nobody listens."""


def run_in(tag: str, code: str) -> str:
    with closing(image.connect(60)) as client:
        output = client.containers.run(
            tag, ["python3", "-c", code], remove=True, network_mode="none", read_only=True, user="54321:54321"
        )
    return bytes(output).decode().strip()


def task_with(tmp_path: Path, python: str, code: str) -> Path:
    folder = tmp_path / "task"
    shutil.copytree(load_task("digits").folder, folder)
    with (folder / "task.toml").open("a") as file:
        file.write(f'\n[image]\npython = ["{python}"]\n')
    train = folder / "train.py"
    docstring, rest = train.read_text().split('"""\n', 1)
    train.write_text(f'{docstring}"""\n\n{code}\n{rest}')
    return folder


def configuration(task: Path, **sandbox: Any) -> RunConfiguration:
    verifier = load_task("digits").spec.verifier
    return RunConfiguration(
        task=str(task),
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker", **sandbox),
        verifier=Component(name=verifier.name, options=verifier.options),
        budget=Budget(experiments=0),
        seed=4,
    )


@pytest.mark.docker
def test_a_run_builds_its_tasks_image_records_it_and_goes_on_with_it(wheels: Path, tmp_path: Path) -> None:
    write_wheel(wheels, "rsi_test_extra", {"rsi_test_extra/__init__.py": b"MARK = 7\n"})
    task = task_with(tmp_path, "rsi_test_extra==1.0", "import rsi_test_extra\n\nassert rsi_test_extra.MARK == 7")
    tag = image.extras_tag(["rsi_test_extra==1.0"], [])
    sentences: list[str] = []
    with removed_after(tag):
        with start(configuration(task), sentences.append, root=tmp_path / "runs") as session:
            assert session.go() == 0
            folder = session.run.folder
        assert any("its own image" in sentence and tag in sentence for sentence in sentences)
        details = show.details(tag)
        recorded = read(folder).state.run.sandbox
        assert (recorded.image, recorded.image_digest) == (tag, details.digest)
        assert details.manifest is not None
        assert details.manifest.asked == ("rsi_test_extra==1.0",)
        assert "rsi_test_extra-1.0-py3-none-any.whl" in details.manifest.inputs
        assert details.wanted
        assert show.details(details.digest) == details
        assert run_in(tag, "import rsi_test_extra as m, os; print(os.path.exists(m.__cached__))") == "True"
        with resume(folder, said, Budget(experiments=1)) as session:
            assert session.loop.sandbox.describe().image_digest == details.digest
        image.remove(tag)
        # Made again from the same inputs it is the same image, so the run can go on.
        assert image.digest(ensure_extras(["rsi_test_extra==1.0"], [], said)) == details.digest


@pytest.mark.docker
def test_an_image_that_holds_the_held_out_data_is_refused_before_a_run_exists(wheels: Path, tmp_path: Path) -> None:
    digits = {"sklearn/__init__.py": b"", "sklearn/datasets/data/digits.csv.gz": b"labels"}
    write_wheel(wheels, "rsi_test_leak", digits)
    task = task_with(tmp_path, "rsi_test_leak==1.0", "")
    with removed_after(image.extras_tag(["rsi_test_leak==1.0"], [])):
        with pytest.raises(UsageError, match=r"holds /opt/rsi/site-packages/sklearn/.* could read the answers"):
            start(configuration(task), said, root=tmp_path / "runs")
        assert not (tmp_path / "runs").exists()


@pytest.mark.docker
def test_packages_that_cannot_be_had_or_would_replace_the_images_own_are_refused(wheels: Path) -> None:
    write_wheel(wheels, "rsi_test_guest", {"guest/worker.py": b"", "json.py": b"", "torch/new.py": b""})
    write_wheel(wheels, "rsi_test_needy", {"needy.py": b""}, needs=("absent>=2",))
    for name, words in {"guest": "bring guest, json, torch, which", "needy": "absent>=2: add"}.items():
        with pytest.raises(UsageError, match=words):
            ensure_extras([f"rsi_test_{name}==1.0"], [], said)
    with pytest.raises(UsageError, match=r"every image holds numpy \d"):
        ensure_extras(["numpy==1.0"], [], said)
    with pytest.raises(EnvironmentFault, match=r"could not fetch rsi-test-none==1.0 .* `rsi image load`"):
        ensure_extras(["rsi-test-none==1.0"], [], said)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.docker
def test_a_tasks_debian_packages_are_unpacked_without_running_their_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    files = {"lib/rsi-test/data": b"found", "usr/share/doc/rsi-test/readme": b""}
    packages = {"rsi-test": (files, "rsi-test-data (= 1-1)"), "rsi-test-data": ({"usr/lib/rsi-test/more": b""}, "")}
    write_debian_mirror(tmp_path / "mirror", packages)
    asked = ["rsi-test=1-1", "rsi-test-data=1-1"]
    tag = image.extras_tag([], asked)
    with served(tmp_path / "mirror") as address, removed_after(tag):
        monkeypatch.setenv("RSI_DEBIAN_MIRROR", f"[trusted=yes] {address}")
        with pytest.raises(UsageError, match="needs rsi-test-data=1-1 as well"):
            ensure_extras([], asked[:1], said)
        with pytest.raises(EnvironmentFault, match=r"apt could not find rsi-test=2-1.*Mend the versions"):
            ensure_extras([], ["rsi-test=2-1"], said)
        assert ensure_extras([], asked, said) == tag
        code = (
            "import os; print(open('/lib/rsi-test/data').read(), os.path.islink('/lib'), "
            "[os.path.exists(p) for p in ('/etc/was-here', '/usr/share/doc/rsi-test', '/usr/lib/rsi-test/more')])"
        )
        assert run_in(tag, code) == "found True [False, False, True]"
        manifest = show.details(tag).manifest
        assert manifest is not None
        assert {package.name for package in manifest.debian} >= {"rsi-test", "rsi-test-data", "libc6"}
        assert "rsi-test_1-1_amd64.deb" in manifest.inputs


@pytest.mark.docker
def test_a_sandbox_without_images_says_so_and_an_image_that_was_named_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_with(tmp_path, "rsi-test-none==1.0", "")
    asked = configuration(task)
    plain = asked.model_copy(update={"sandbox": Component(name="process")})
    with pytest.raises(UsageError, match=r"rsi-test-none==1.0\), and the sandbox process has no image"):
        start(plain, said, root=tmp_path / "runs")
    monkeypatch.setenv("RSI_IMAGE", image.wanted_tag())
    with start(asked, said, root=tmp_path / "runs") as session:
        assert session.run.recorder.state.run.sandbox.image == image.wanted_tag()
