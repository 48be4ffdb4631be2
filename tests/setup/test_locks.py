"""The locks hold on any machine: every line pinned with a hash, and no word about where it came from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "sandboxes" / "image"
EXPORTS = ROOT / "locks" / "exports.lock"
LOCKS = [ROOT / "locks" / "host.lock", IMAGE / "requirements-cpu.txt", IMAGE / "requirements-cuda.txt"]


def requirements(lock: Path) -> dict[str, str]:
    """Each pinned line → the hashes that follow it."""
    joined = lock.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return {line.split("--hash")[0].strip(): line for line in lines}


@pytest.mark.parametrize("lock", [*LOCKS, EXPORTS], ids=lambda lock: lock.name)
def test_every_line_is_pinned_and_hashed(lock: Path) -> None:
    found = requirements(lock)
    assert found
    for pinned, line in found.items():
        assert re.match(r"^[a-z0-9-]+==[^ ;]+( ; .+)?$", pinned), pinned
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), pinned


@pytest.mark.parametrize("lock", [*LOCKS, EXPORTS], ids=lambda lock: lock.name)
def test_no_lock_says_where_its_packages_came_from(lock: Path) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|file:|^/", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [(LOCKS[0], ["dev"]), (EXPORTS, ["dev", "inspect", "parquet", "mlflow"])],
    ids=["host", "exports"],
)
def test_the_lock_holds_every_dependency_and_development_tool(lock: Path, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    locked = {line.split("==")[0]: Requirement(line) for line in requirements(lock)}
    for text in wanted:
        requirement = Requirement(text)
        if requirement.name == "litellm":
            continue
        name = requirement.name.lower().replace("_", "-")
        assert name in locked
        pinned = str(next(iter(locked[name].specifier)).version)
        assert requirement.specifier.contains(pinned, prereleases=True)


def test_the_image_never_holds_litellm_and_the_host_never_a_compromised_one() -> None:
    for lock in LOCKS[1:]:
        assert not any(line.startswith(("litellm", "scikit-learn")) for line in requirements(lock))
    for lock in (LOCKS[0], EXPORTS):
        assert not {"litellm==1.82.7", "litellm==1.82.8"} & set(requirements(lock))
    assert "litellm!=1.82.7,!=1.82.8" in (ROOT / "locks" / "constraints.txt").read_text()


def test_each_build_of_pytorch_has_its_own_list() -> None:
    cpu, cuda = (set(requirements(lock)) for lock in LOCKS[1:])
    assert "torch==2.13.0+cpu" in cpu
    assert "torch==2.13.0" in cuda
    assert not any(line.startswith(("nvidia", "triton")) for line in cpu)
    assert any(line.startswith("nvidia") for line in cuda)
