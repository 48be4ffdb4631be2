"""The data of a task: prepared once, in a sandbox, from outside the candidate's tree, and cached by content."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsi.durable import disk_faults
from rsi.errors import EnvironmentFault, UsageError
from rsi.events import DataPrepared
from rsi.evidence import Array, HeldOut, Split
from rsi.execution import MIB, ExitKind, Job, Outcome, Shape
from rsi.plugins import load
from rsi.prediction import decode_array
from rsi.protocols import Sandbox
from rsi.records import Record
from rsi.task import Task

SOURCE_LIMIT = 256 * MIB


class PreparedData(Record):
    """Where the prepared data lies on the host, and what its files hash to."""

    folder: Path
    files: dict[str, str]

    def training_files(self) -> dict[str, Path]:
        """Path below the data folder that A sees → host file."""
        return {
            path.removeprefix("train/"): self.folder / path for path in sorted(self.files) if path.startswith("train/")
        }

    def held_out(self, split: Split) -> HeldOut:
        """One held-out split: what B may see and what only C may."""

        def arrays(part: str) -> dict[str, Array]:
            prefix = f"{split}/{part}/"
            paths = [path for path in sorted(self.files) if path.startswith(prefix) and path.endswith(".npy")]
            return {Path(path).stem: decode_array((self.folder / path).read_bytes()) for path in paths}

        return HeldOut(inputs=arrays("inputs"), targets=arrays("targets"))


def read_source(task: Task, override: str = "") -> dict[str, bytes]:
    """The raw data, by file name: the task's own source or the file or folder that the user named.

    UsageError where it is not there, is empty, or is larger than 256 MiB.
    """
    assert task.spec.data is not None
    source = override or task.spec.data.source
    if not override and source.startswith("made:"):
        return dict(load("sources", source.removeprefix("made:"))())
    path = python_file(source.removeprefix("python:")) if source.startswith("python:") else Path(source)
    if source.startswith("file:"):
        path = task.folder / source.removeprefix("file:")
    if path.is_file():
        files = {path.name: path}
    elif path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        files = {file.relative_to(path).as_posix(): file for file in found}
    else:
        raise UsageError(f"The data source {path} is neither a file nor a folder; name one with --data.")
    odd = [name for name in files if not name.isprintable()]
    if odd:
        raise UsageError(f"The data source {path} holds a file whose name is not plain text ({odd[0]!a}); rename it.")
    size = sum(file.stat().st_size for file in files.values())
    if not 0 < size <= SOURCE_LIMIT:
        raise UsageError(f"The data source {path} holds {size} bytes; between 1 byte and 256 MiB can be used.")
    try:
        return {name: file.read_bytes() for name, file in files.items()}
    except OSError as error:
        raise UsageError(f"The data source {path} cannot be read: {error.strerror}.") from None


def python_file(path: str) -> Path:
    """A file of an importable package, found without importing anything: `pydoc_data/topics.py`.

    EnvironmentFault where there is none.
    """
    package, _, rest = path.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(folder) / rest
        if candidate.is_file():
            return candidate
    raise EnvironmentFault(f"The interpreter has no {path}; install the package {package}, or name data with --data.")


def cache_folder() -> Path:
    """Where prepared data, and indexes of ledgers, are kept: RSI_CACHE, else the user's cache folder."""
    base = os.environ.get("RSI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsi"
    return Path(base)


def _require_writable(folder: Path) -> None:
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)


def prepare(
    task: Task, sandbox: Sandbox, source: Mapping[str, bytes], run: str
) -> tuple[DataPrepared, PreparedData, Outcome | None]:
    """The prepared data, made in the sandbox or found in the cache, and what was seen of its making.

    UsageError where `prepare.py` fails or what it leaves is not in the layout of `docs/architecture.md`.
    """
    assert task.spec.data is not None
    script = task.spec.data.prepare
    key = _key(task, sandbox, source)
    folder = cache_folder() / "prepared" / key
    _require_writable(folder.parent)
    outcome = None
    if not (folder / "manifest.json").is_file() and script is None:
        _store(folder, {f"train/{name}": content for name, content in source.items()} | {"manifest.json": b"{}"})
    elif not (folder / "manifest.json").is_file():
        job = Job(
            purpose="prepare",
            argv=(f"code/{script}",),
            inputs={f"code/{script}": task.protected[script or ""].encode()}
            | {f"source/{name}": content for name, content in source.items()},
            shape=Shape(limits=task.spec.limits.prepare),
            labels={"run": run, "trial": "prepare"},
        )
        outcome = sandbox.run(job)
        if outcome.execution.kind is not ExitKind.COMPLETED:
            raise _preparation_fault(task, outcome.execution.kind, outcome.stderr)
        _check_layout(task, outcome.outputs)
        _store(folder, outcome.outputs)
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    facts = _facts(folder / "manifest.json")
    execution = outcome.execution if outcome is not None else None
    prepared = DataPrepared(key=key, files=files, facts=facts, execution=execution)
    return prepared, PreparedData(folder=folder, files=files), outcome


def _key(task: Task, sandbox: Sandbox, source: Mapping[str, bytes]) -> str:
    assert task.spec.data is not None
    description = sandbox.describe()
    state = hashlib.sha256(f"{description.name}\x00{description.image_digest}".encode())
    state.update(task.protected[task.spec.data.prepare].encode() if task.spec.data.prepare else b"")
    for name in sorted(source):
        state.update(f"\x00{name}\x00{hashlib.sha256(source[name]).hexdigest()}".encode())
    return state.hexdigest()


def _preparation_fault(task: Task, kind: ExitKind, stderr: bytes) -> UsageError | EnvironmentFault:
    if kind in {ExitKind.LOST, ExitKind.INTERRUPTED}:
        return EnvironmentFault(f"Preparing the data was cut off ({kind}); run the command again.")
    assert task.spec.data is not None
    assert task.spec.data.prepare is not None
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:300] if lines else f"it ended as {kind}"
    return UsageError(f"{task.folder / task.spec.data.prepare} could not prepare the data: {last}")


def _check_layout(task: Task, outputs: Mapping[str, bytes]) -> None:
    assert task.spec.data is not None
    assert task.spec.data.prepare is not None
    script = task.folder / task.spec.data.prepare
    if "manifest.json" not in outputs or not any(path.startswith("train/") for path in outputs):
        raise UsageError(f"{script} must leave manifest.json and train/… in RSI_OUT; see docs/architecture.md.")
    seen: dict[str, list[tuple[str, str, tuple[int, ...]]]] = {}
    for split in ("dev", "holdout"):
        for path in sorted(outputs):
            if path.startswith(f"{split}/") and path.endswith(".npy"):
                try:
                    array = decode_array(outputs[path])
                except ValueError as error:
                    raise UsageError(f"{script} left {path}, which is not a plain .npy array: {error}.") from None
                seen.setdefault(split, []).append((path.removeprefix(split), array.dtype.str, array.shape))
    if not seen.get("dev") or seen.get("dev") != seen.get("holdout"):
        raise UsageError(
            f"{script} must leave dev/ and holdout/ with inputs/*.npy and targets/*.npy of the same names, types and "
            "shapes, so that the two look alike to a candidate."
        )


def _store(folder: Path, outputs: Mapping[str, bytes]) -> None:
    with disk_faults(folder.parent):
        _store_at_once(folder, outputs)


def _store_at_once(folder: Path, outputs: Mapping[str, bytes]) -> None:
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".staging-"))
    try:
        for path, content in outputs.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes(content)
        staging.chmod(0o755)
        try:
            staging.rename(folder)
        except OSError:  # another run prepared the same data meanwhile
            if not (folder / "manifest.json").is_file():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
