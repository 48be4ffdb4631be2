"""`rsi task import`: wrap an autoresearch-style repository, whose number is the candidate's own word.

Such a repository has an editable `train.py`, fixed files beside it, and prints its metric as `name: value`. Nothing
outside the training code computes that number, so the task is *ungrounded* and every screen and export says so.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import tomli_w

from rsi.errors import UsageError
from rsi.task import read_task

ENTRY = "rsi_entry.py"
TEXT_LIMIT = 256 * 1024
SKIPPED = frozenset({".git", ".venv", "__pycache__", "node_modules", "data", ENTRY, "task.toml", "program.md"})

ENTRY_CODE = '''"""Run an imported repository where it may write: in a copy of it in the scratch folder."""

import os
import runpy
import shutil
import sys

shutil.copytree(os.path.dirname(os.path.abspath(__file__)), ".", dirs_exist_ok=True)
if os.path.isdir(os.path.join(os.environ["RSI_IN"], "data")):
    shutil.copytree(os.path.join(os.environ["RSI_IN"], "data"), "data", dirs_exist_ok=True)
sys.path[0] = os.getcwd()
runpy.run_path("train.py", run_name="__main__")
'''

PROGRAM = """# Research instructions

Lower (or raise, see task.toml) the metric that `train.py` prints. This task was imported: the number comes from the
code itself and nothing checks it.
"""


def import_repository(path: Path, metric: str, into: Path | None, *, maximize: bool) -> Path:
    """Make a task folder from a repository; UsageError where it is not of that form. The repository is not touched."""
    if not (path / "train.py").is_file():
        raise UsageError(f"{path} has no train.py; an autoresearch-style repository has one that prints `{metric}: …`.")
    target = into or Path(f"{path.resolve().name}-task")
    if target.exists():
        raise UsageError(f"{target} exists already; name another folder with --into.")
    files = {file.relative_to(path).as_posix(): text for file in _candidates(path) if (text := _text(file)) is not None}
    target.mkdir(parents=True)
    try:
        for name, text in (files | {ENTRY: ENTRY_CODE}).items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text, encoding="utf-8")
        program = path / "program.md"
        (target / "program.md").write_text(
            _text(program) or PROGRAM if program.is_file() else PROGRAM, encoding="utf-8"
        )
        if (path / "data").is_dir():
            shutil.copytree(path / "data", target / "data")
        name = "".join(c if c.isalnum() else "-" for c in path.resolve().name.lower()).strip("-")[:40] or "imported"
        values = _specification(name, files, metric, maximize=maximize, data=(path / "data").is_dir())
        (target / "task.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
        read_task(target)
    except BaseException:
        shutil.rmtree(target)
        raise
    return target


def _specification(name: str, files: dict[str, str], metric: str, *, maximize: bool, data: bool) -> dict[str, object]:
    fixed = sorted(file for file in files if file != "train.py")
    source = {"data": {"source": "file:data", "prepare": False}} if data else {}
    return {
        "schema": 1,
        "name": name if name[0].isalpha() else f"task-{name}"[:40],
        "title": f"{name}, imported: its metric is its own word",
        "code": {"editable": ["train.py"], "protected": [*fixed, ENTRY], "max_bytes": 1024 * 1024},
        **source,
        "train": {"script": ENTRY, "budget": 1, "unit": "steps", "imports": _imports(files["train.py"])},
        "objective": {"metric": metric, "direction": "maximize" if maximize else "minimize"},
        "verifier": {"name": "reported", "options": {"metric": metric}},
        "limits": {"train": {"wall_seconds": 600.0, "cpu_seconds": 1200.0, "memory_bytes": 4 * 1024**3}},
    }


def _imports(code: str) -> list[str]:
    return ["torch"] if "import torch" in code else []


def _candidates(path: Path) -> list[Path]:
    found = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        hidden = any(part in SKIPPED or part.startswith(".") for part in parts)
        if file.is_file() and not file.is_symlink() and not hidden:
            found.append(file)
    return found


def _text(file: Path) -> str | None:
    """The text of a small UTF-8 file, None for anything else: such a file is not mounted beside the code."""
    if file.stat().st_size > TEXT_LIMIT:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
