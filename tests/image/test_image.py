"""What candidates find inside the image, and what they must not find."""

import importlib.util
import json
import re
import shutil
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rsi.errors import UsageError
from rsi.task import load_task
from sandboxes import image
from sandboxes.image import bundle, recipe, show, store
from sandboxes.image.manifest import debian_packages

pytestmark = pytest.mark.docker

PROBE = r"""
import importlib, json, os, stat, sys, zlib
found = {"importable": [], "pydoc": [], "setuid": [], "packed": [], "unread": [], "held_out": [], "control": 0}
for name in NAMES:
    try:
        importlib.import_module(name)
        found["importable"].append(name)
    except ImportError:
        pass
def holds(path, size):
    if size > LARGEST: return []
    with open(path, "rb") as file: texts = [file.read()]
    if texts[0][:2] == b"\x1f\x8b": texts.append(zlib.decompressobj(31).decompress(texts[0], LARGEST))
    found["control"] += any(CONTROL in text for text in texts)
    return [part for part, needle in NEEDLES if any(needle in text for text in texts)]
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/dev")]
    for name in files + folders:
        path = os.path.join(folder, name)
        facts = os.lstat(path)
        if "pydoc_data" in path or "pydoc-topics" in path: found["pydoc"].append(path)
        if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o6000: found["setuid"].append(path)
        if path.endswith((".deb", ".whl", ".zip", ".npz", ".npy", ".csv", ".parquet")): found["packed"].append(path)
        if path.startswith("/opt/rsi") and not os.access(path, os.R_OK): found["unread"].append(path)
        if stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK):
            found["held_out"] += [f"{part}: {path}" for part in holds(path, facts.st_size)]
import numpy, safetensors.numpy, torch, importlib.metadata
found["versions"] = [numpy.__version__, torch.__version__]
found["distributions"] = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
with open("/var/lib/dpkg/status") as file: found["debian"] = file.read()
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
found["uncompiled"] = [
    spec.name for spec in specs
    if spec and (spec.origin or "").endswith(".py") and not os.path.exists(spec.cached or "")
]
found["python"] = list(sys.version_info[:2])
print(json.dumps(found))
"""
WANTED = ["numpy", "torch", "safetensors", "guest"]
UNWANTED = ["pydoc_data", "pydoc_data.topics", "sklearn", "sklearn.datasets", "litellm", "docker", "pydantic", "pip"]
OURS = ["rsi", "tasks", "tasks.charlm.prepare", "evals", "sandboxes", "cli"]
LARGEST = 32 * 2**20
"""Bytes of a file that is searched for held-out data; what is larger is PyTorch's compiled code."""
CONTROL = b"def broadcast_to("
"""Stands in NumPy's own source, so that a search that finds nothing anywhere shows."""


def needles() -> list[tuple[str, bytes]]:
    """Pieces of what each shipped task holds out, by task and part."""
    charlm, digits = prepare_program("charlm"), prepare_program("digits")
    documents = charlm.deduplicate(charlm.read_documents(charlm.interpreter_topics()))
    _, texts, _ = charlm.split(documents)
    # Pieces of one line without quotes read the same in a text, in a source and in a compiled file.
    lines = {part: re.findall(rb"(?m)^ *([^'\"\\\n]{50,60}?)", text) for part, text in texts.items()}
    found = [(f"charlm {part}", line) for part, some in lines.items() for line in some[10::40][:6]]
    rows = digits.split(digits.read_rows(digits.installed_table()))
    return found + [(f"digits {part}", rows[part][number]) for part in ("dev", "holdout") for number in (0, 150)]


def prepare_program(task: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"prepare_{task}", load_task(task).folder / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def inside() -> dict[str, Any]:
    """The probe's findings: one container, as unprivileged and read-only as a sandbox's."""
    tag = image.wanted_tag()
    image.ensure(lambda _: None)
    given = {"NAMES": [*WANTED, *UNWANTED, *OURS], "NEEDLES": needles(), "LARGEST": LARGEST, "CONTROL": CONTROL}
    script = "".join(f"{name} = {value!r}\n" for name, value in given.items()) + PROBE
    with closing(image.connect(120)) as client:
        said = client.containers.run(
            tag, ["python3", "-c", script], remove=True, network_mode="none", read_only=True, user="54321:54321"
        )
    answer: dict[str, Any] = json.loads(bytes(said).splitlines()[-1])
    return answer


def test_candidates_can_import_numpy_pytorch_safetensors_and_the_guest() -> None:
    assert inside()["importable"] == WANTED


def test_nothing_inside_holds_a_tasks_held_out_data() -> None:
    assert inside()["control"] > 0
    assert inside()["held_out"] == []
    assert inside()["pydoc"] == []
    assert inside()["packed"] == []


def test_the_manifest_names_every_package_that_is_inside() -> None:
    inside()
    found = show.details().manifest
    assert found is not None
    assert {package.name: package.version for package in found.python} == inside()["distributions"]
    assert found.debian == debian_packages(inside()["debian"])


def test_every_file_bears_the_one_time_and_the_image_too() -> None:
    inside()
    command = ["find", "/opt", "/usr", "/etc", "/var", "-newermt", "2026-01-01 00:00:01 UTC"]
    with closing(image.connect(60)) as client:
        newer = client.containers.run(image.wanted_tag(), command, remove=True, network_mode="none", read_only=True)
    # The engine's own, made for each container.
    assert set(newer.decode().split()) <= {"/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}
    assert show.details().created == bundle.SOURCE_DATE


def test_everything_is_compiled_because_the_root_is_read_only() -> None:
    assert inside()["uncompiled"] == []


def test_an_unprivileged_user_can_read_it_all_and_gains_nothing_by_a_set_user_id() -> None:
    assert inside()["unread"] == []
    assert inside()["setuid"] == []


def test_it_holds_the_locked_versions_for_python_3_11() -> None:
    lock = recipe.lock_file().read_text()
    numpy_version, torch_version = inside()["versions"]
    assert inside()["python"] == [3, 11]
    assert f"numpy=={numpy_version} " in lock
    assert f"torch=={torch_version} " in lock


def test_an_image_that_is_there_is_found_within_a_second() -> None:
    inside()
    begin = time.monotonic()
    assert image.ensure(lambda _: None) == image.digest(image.wanted_tag())
    assert time.monotonic() - begin < 1


def test_a_changed_guest_is_rebuilt_on_the_packages_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside()
    shutil.copytree(recipe.HERE, tmp_path / "image")
    shutil.copytree(recipe.GUEST, tmp_path / "guest")
    (tmp_path / "guest" / "extra.py").write_text("MARK = 'here'\n")
    monkeypatch.setattr(recipe, "HERE", tmp_path / "image")
    monkeypatch.setattr(recipe, "GUEST", tmp_path / "guest")
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    said: list[str] = []
    digest = image.ensure(said.append)
    tag = recipe.wanted_tag()
    try:
        assert "Fetching" not in " ".join(said)
        command = ["python3", "-c", "import guest.extra; print(guest.extra.MARK)"]
        with closing(image.connect()) as client:
            assert client.containers.run(tag, command, remove=True, network_mode="none") == b"here\n"
        listed = {fact.tag: fact for fact in image.list_images()}
        assert listed[tag].digest == digest
        assert listed[tag].wanted
        assert show.details().known == "built"
        image.remove(tag)
        # The same inputs, made again: the same bytes.
        assert image.ensure(said.append) == digest
    finally:
        image.remove(tag)
    assert image.digest(tag) is None


@pytest.mark.long
def test_the_whole_image_made_again_has_the_same_digest() -> None:
    inside()
    before = show.details()
    said: list[str] = []
    digest = image.build(force=True, say=said.append)
    after = show.details()
    # A mirror may have moved on since; then the manifest says so, and so did the build.
    assert (digest == before.digest) == (after.manifest == before.manifest)
    assert after.manifest == before.manifest or "not the locked ones" in " ".join(said)


def test_a_build_clears_away_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_CACHE", str(tmp_path))
    for name in ("image-killed", "prepared"):
        (tmp_path / name / "deep").mkdir(parents=True)
    found = store.building(lambda *_: " ".join(sorted(p.name for p in tmp_path.iterdir())), print)
    assert "prepared" in found
    assert "image-killed" not in found
    assert {path.name for path in tmp_path.iterdir()} == {"prepared", "image.lock", "image.log"}


def test_only_images_of_this_project_are_removed() -> None:
    with pytest.raises(UsageError, match="not an image of this project"):
        store.remove("debian:bookworm")
    with pytest.raises(UsageError, match="no image rsi-sandbox:000000000000"):
        store.remove("rsi-sandbox:000000000000")
