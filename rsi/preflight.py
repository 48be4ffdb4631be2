"""What would make every trial of a task fail or count for nothing: found before a run exists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, ValidationError

from rsi.errors import UsageError
from rsi.execution import MIB, ExitKind, Job, Limits, SandboxDescription, Shape
from rsi.protocols import Sandbox
from rsi.records import Record
from rsi.task import Task

ANSWER = "lacking.json"
SOURCE = "python:"
PRODUCTS = {"torch": "torch (PyTorch)", "numpy": "numpy (NumPy)"}
"""Modules that are known by another name."""


class _Lacking(Record):
    """What `guest.lacking` found."""

    missing: tuple[tuple[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=400)], int], ...]
    within_reach: str = Field(max_length=4000)


def require_room(task: Task, description: SandboxDescription) -> None:
    """UsageError naming the first limit that is more than the machine has; a machine that does not tell has enough."""
    for name, limit, value, machine in _asked(task, description):
        if machine and value > machine:
            raise UsageError(
                f"{task.folder / 'task.toml'}: limits.{name}.{limit} = {_number(value)} is more than this machine's "
                f"{_number(machine)}; lower it, or use a larger machine."
            )


def require_side_by_side(task: Task, description: SandboxDescription, parallel: int, *, resumed: bool = False) -> None:
    """UsageError where so many trials at once may take more memory than the machine has.

    The engine would start them all the same, and the kernel end some of them: a loss that says nothing about the code.
    """
    limits, machine = task.spec.limits, description.machine_memory_bytes
    each = max(limits.train.memory_bytes, limits.predict.memory_bytes)
    if not machine or parallel * each <= machine:
        return
    most = f"--parallel {machine // each}" + (" or less" if machine // each > 1 else "")
    raise UsageError(
        f"{parallel} trials of {task.spec.name} side by side may take {parallel} times {each / MIB:.0f} MiB of memory, "
        f"and this machine has {machine / MIB:.0f} MiB; "
        + (f"resume on a larger machine, or start a new run with {most}." if resumed else f"set {most}.")
    )


def _asked(task: Task, description: SandboxDescription) -> Iterator[tuple[str, str, float, float]]:
    sections: dict[str, Limits] = dict(task.spec.limits)
    for name, limits in sections.items():
        yield name, "cpus", limits.cpus, description.machine_cpus
        yield name, "memory_bytes", limits.memory_bytes, description.machine_memory_bytes


def _number(value: float) -> str:
    return f"{value:g}" if value < MIB else f"{value:.0f} ({value / MIB:.0f} MiB)"


def require_modules(task: Task, sandbox: Sandbox) -> None:
    """UsageError where the sandbox lacks a module that the code imports, or holds the data that is to be held out.

    Asks a guest program, which parses the code and looks for modules; neither the code nor a module of it is run. Says
    nothing where that program cannot answer: then the first trial tells.
    """
    code = {f"code/{path}": text.encode() for path, text in {**task.code, **task.protected}.items()}
    code = {path: text for path, text in code.items() if path.endswith(".py")}
    source = task.spec.data.source if task.spec.data else ""
    held_out = sandbox.isolates and source.startswith(SOURCE) and task.spec.data and task.spec.data.prepare
    request = {
        "modules": task.spec.train.imports,
        "code": sorted(code),
        "source": source.removeprefix(SOURCE) if held_out else "",
    }
    job = Job(
        purpose="prepare",
        argv=("-m", "guest.lacking"),
        inputs={**code, "request.json": json.dumps(request).encode()},
        shape=Shape(limits=task.spec.limits.prepare),
    )
    outcome = sandbox.run(job)
    if outcome.execution.kind is not ExitKind.COMPLETED:
        return
    try:
        found = _Lacking.model_validate_json(outcome.outputs.get(ANSWER, b""))
    except ValidationError:
        return
    if found.within_reach:
        raise UsageError(
            f"The sandbox {sandbox.name} holds {found.within_reach}, from which the held-out data of "
            f"{task.spec.name} are made, so a candidate could read the answers; take that package out of its image."
        )
    for module, path, line in found.missing:
        name = PRODUCTS.get(module, module)
        what = f"{path.removeprefix('code/')}, line {line}, imports" if path else "train.imports in task.toml names"
        raise UsageError(f"{what} {name}, which the sandbox {sandbox.name} lacks; {_remedy(sandbox.isolates)}.")


def _remedy(isolates: bool) -> str:
    if isolates:
        return "name its package and version in `image.python` of task.toml, or take the import out"
    return "use the docker sandbox, or install it here"
