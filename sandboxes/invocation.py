"""What a guest is told: the checks of a job, its whole environment, and the line that starts its program."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from rsi.errors import UsageError
from rsi.execution import Job, Shape
from rsi.records import Record

THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Folders(Record):
    """Where the guest finds its files, in its own view."""

    inputs: str
    outputs: str
    scratch: str


def check_job(job: Job) -> None:
    """UsageError for a job that could run nowhere: no program, or a name that leads out of the inputs."""
    if not job.argv or not job.argv[0] or job.argv == ("-m",):
        raise UsageError('This job names no program; give argv as ("script.py", …) or ("-m", "module", …).')
    if job.argv[0] != "-m" and job.argv[0] not in job.inputs:
        raise UsageError(f"{job.argv[0]} is not among the job's input files; add it, or start a module with -m.")
    names = set(job.inputs)
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or name == "." or "\0" in name:
            raise UsageError(f"The input path {name!r} leaves the inputs folder; use a plain relative path.")
        blocked = names.intersection(str(parent) for parent in path.parents)
        if blocked:
            raise UsageError(f"The input {min(blocked)!r} is both a file and a folder; rename one of them.")
    for name, content in job.inputs.items():
        if isinstance(content, Path) and not content.is_file():
            raise UsageError(f"{content}, the content of the input {name!r}, is not a readable file; put it there.")
    for variable, value in job.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable) or "\0" in value:
            raise UsageError(f"{variable!r} cannot be set as an environment variable; use letters, digits and _.")


def base_environment(shape: Shape, folders: Folders, *, path: str, python_path: str) -> dict[str, str]:
    """The environment of every program of that shape. Nothing of the host's own environment is in it."""
    threads = str(max(1, int(shape.limits.cpus)))  # two threads on one CPU are slower than one
    return {
        "PATH": path,
        "PYTHONPATH": python_path,
        "PYTHONHASHSEED": "0",  # the same code and seed give the same measurement
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "HOME": folders.scratch,
        "TMPDIR": folders.scratch,
        "LANG": "C.UTF-8",
        "RSI_IN": folders.inputs,
        "RSI_DATA": f"{folders.inputs}/data",
        "RSI_OUT": folders.outputs,
        **dict.fromkeys(THREAD_COUNTS, threads),
    }


def start_line(job: Job, folders: Folders, environment: Mapping[str, str], nonce: str, word: str) -> bytes:
    """The line that `guest.worker` waits for; its last line begins with the nonce, the audit hook's with the word."""
    order = {
        "argv": list(job.argv),
        "environment": dict(environment),
        "nonce": nonce,
        "word": word,
        "inputs": folders.inputs,
        "outputs": folders.outputs,
        "scratch": folders.scratch,
    }
    return json.dumps(order).encode() + b"\n"


def missing_module(error: str, place: str, remedy: str) -> UsageError:
    """The sentence for a shape whose imports fail in that place; `error` is `module: Class: message`."""
    module, _, reason = error.partition(": ")
    name = {"torch": "PyTorch", "numpy": "NumPy"}.get(module, module)
    lacking = reason.startswith("ModuleNotFoundError")
    what = f"which {place} lacks" if lacking else f"which cannot be imported in {place} ({reason})"
    return UsageError(f"This job needs {name}, {what}; {remedy}.")
