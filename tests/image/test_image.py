"""What candidates find inside the image, and what they must not find."""

import json
import shutil
import time
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from rsi.errors import UsageError
from sandboxes import image
from sandboxes.image import recipe, store

pytestmark = pytest.mark.docker

PROBE = r"""
import importlib.util, json, os, stat, sys
def there(name):
    return importlib.util.find_spec(name) is not None
found = {"importable": [n for n in NAMES if there(n)], "csv": [], "pydoc": [], "setuid": [], "packed": [], "unread": []}
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/dev")]
    for name in files + folders:
        path = os.path.join(folder, name)
        facts = os.lstat(path)
        if "pydoc_data" in path or "pydoc-topics" in path: found["pydoc"].append(path)
        if "digits" in name and name.endswith((".csv", ".gz", ".npz", ".npy")): found["csv"].append(path)
        if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o6000: found["setuid"].append(path)
        if path.endswith((".deb", ".whl")): found["packed"].append(path)
        if path.startswith("/opt/rsi") and not os.access(path, os.R_OK): found["unread"].append(path)
import numpy, safetensors.numpy, torch
found["versions"] = [numpy.__version__, torch.__version__]
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
found["uncompiled"] = [
    spec.name for spec in specs
    if spec and (spec.origin or "").endswith(".py") and not os.path.exists(spec.cached or "")
]
found["python"] = list(sys.version_info[:2])
print(json.dumps(found))
"""
NAMES = ["numpy", "torch", "safetensors", "guest", "pydoc_data", "sklearn", "litellm", "pip", "docker", "matplotlib"]


@cache
def inside() -> dict[str, list[str]]:
    """The probe's findings: one container, as unprivileged and read-only as a sandbox's."""
    tag = image.wanted_tag()
    image.ensure(lambda _: None)
    script = f"NAMES = {NAMES!r}\n{PROBE}"
    with closing(image.connect(120)) as client:
        said = client.containers.run(
            tag, ["python3", "-c", script], remove=True, network_mode="none", read_only=True, user="54321:54321"
        )
    answer: dict[str, list[str]] = json.loads(bytes(said).splitlines()[-1])
    return answer


def test_candidates_can_import_numpy_pytorch_safetensors_and_the_guest() -> None:
    assert inside()["importable"] == ["numpy", "torch", "safetensors", "guest"]


def test_nothing_inside_holds_a_tasks_data() -> None:
    assert inside()["pydoc"] == []
    assert inside()["csv"] == []
    assert inside()["packed"] == []


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
    finally:
        image.remove(tag)
    assert image.digest(tag) is None


def test_only_images_of_this_project_are_removed() -> None:
    with pytest.raises(UsageError, match="not an image of this project"):
        store.remove("debian:bookworm")
    with pytest.raises(UsageError, match="no image rsi-sandbox:000000000000"):
        store.remove("rsi-sandbox:000000000000")
