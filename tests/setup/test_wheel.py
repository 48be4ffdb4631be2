"""What is installed from a built wheel works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def python(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "RSI_STATE": str(folder / "state"),
        "RSI_CACHE": str(folder),
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )


def test_a_run_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = python(
        installed, tmp_path, "-c", "import rsi, tasks, evals, sandboxes, cli; print(rsi.__file__, cli.__file__)"
    )
    assert where.stdout.count(str(installed)) == 2
    done = python(
        installed,
        tmp_path,
        "-m",
        "cli",
        "run",
        "digits",
        "--sandbox",
        "process",
        "--experiments",
        "2",
        "--confirm",
        "2",
        "--no-certify",
    )
    assert done.returncode == 0, done.stderr
    verified = python(installed, tmp_path, "-m", "cli", "verify", "latest")
    assert verified.returncode == 0, verified.stdout
    made = python(installed, tmp_path, "-m", "cli", "task", "new", "mine")
    assert made.returncode == 0, made.stderr


def test_the_image_of_the_wheel_is_the_image_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import sandboxes.image; print(sandboxes.image.wanted_tag())"
    here = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert python(installed, tmp_path, "-c", code).stdout == here.stdout


def test_the_corpus_of_the_wheel_is_the_corpus_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "from evals.redteam.corpus import load_corpus; print([case.id for case in load_corpus()])"
    here = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "charlm/attacks/attention-mask-off" in here.stdout
    assert python(installed, tmp_path, "-c", code).stdout == here.stdout


def test_modules_of_another_distribution_are_found_out(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("")
    settings = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{installed}"}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "task", "list"],
        cwd=tmp_path, env=settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "tasks" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
