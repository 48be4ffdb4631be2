"""Beginning an evolution: the plan, the task and what was learned from other runs are frozen into its folder."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rsi import begun, runs
from rsi.durable import disk_faults, make_folder, write_whole
from rsi.errors import UsageError
from rsi.generations.evolution import KIND, LEARNED, SHIPPED, TASK, Evolution, data_digest, open_folder, whole
from rsi.generations.plan import PLAN, Plan
from rsi.preparation import read_source
from rsi.proposers import experience
from rsi.records import CodeFiles
from rsi.task import Task, load_task

OURS = frozenset({TASK, SHIPPED, LEARNED, "generation-0"})
"""What is there before the plan is; found alone, it was left by a beginning that was cut off."""


def begin(plan: Plan, folder: Path | None, learn_from: Sequence[Path] = ()) -> tuple[Evolution, bool]:
    """A new evolution, and False; or the one that has begun in that folder with the same plan, and True.

    Args:
        plan: What is asked.
        folder: Where; by default below `evolutions`, beside the runs.
        learn_from: Run folders whose experiments every generation may learn from.

    UsageError where another one, or something else, stands there.
    """
    drawn = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    where = folder or runs.runs_folder().parent / "evolutions" / drawn
    plan = plan.model_copy(update={"learned_from": tuple(path.name for path in learn_from)})
    # Before the folder: what is wrong leaves nothing.
    parts = None if (where / PLAN).exists() else _parts(plan, learn_from)
    with begun.beginning(where):
        return _begin_alone(plan, where, parts)


class _Parts(NamedTuple):
    task: Task
    shipped: dict[str, bytes]
    learned: bytes


def _parts(plan: Plan, learn_from: Sequence[Path]) -> _Parts:
    task = load_task(plan.task)
    require_programs(task)
    return _Parts(task, read_source(task), _gathered(learn_from, plan.without, task))


def _begin_alone(plan: Plan, where: Path, parts: _Parts | None) -> tuple[Evolution, bool]:
    if (where / PLAN).exists():
        there = open_folder(where)
        if not there.plan.same_as(plan):
            raise UsageError(
                f"Another evolution has begun in {where}; go on with it by `rsi evolve --resume {where}`, or name "
                "another folder with --out."
            )
        return there, True
    if not begun.holds_nothing_but(where, OURS):
        raise UsageError(f"{where} holds something else; name an empty or a new folder with --out.")
    assert parts is not None, "a plan that was there does not go"
    task, shipped, learned = parts
    frozen = plan.model_copy(
        update={
            "task_digest": task.digest(),
            "data_sha256": data_digest(shipped),
            "seed": plan.seed or secrets.randbits(62) + 1,
            "episodes_sha256": hashlib.sha256(learned).hexdigest() if learned else "",
        }
    )
    with disk_faults(where):
        write_task(where / TASK, task, task.code)
        write_files(where / "generation-0", whole(task.code, task))
        for name, content in shipped.items():
            target = where / SHIPPED / name
            make_folder(target.parent.absolute())
            write_whole(target, content, staging=target.parent)
        if learned:
            write_whole(where / LEARNED, learned, staging=where)
    begun.freeze(where / PLAN, frozen.toml(), KIND)  # last: a folder with a plan is whole
    return Evolution(where, frozen), False


def require_programs(task: Task) -> None:
    """UsageError where a task's code is no program that proposes."""
    if task.spec.train.script != "proposer.py" or "proposer.py" not in task.code:
        raise UsageError(
            f"The task {task.spec.name} makes no programs that propose: they are called proposer.py, as in the task "
            "proposer. What a run of the task prompt certified is told to a language model by --source RUN."
        )


def write_task(folder: Path, task: Task, code: CodeFiles) -> None:
    """A task's files as a folder that `load_task` reads, with that code in place of its own."""
    text = (task.folder / "task.toml").read_bytes()
    make_folder(folder.absolute())
    write_whole(folder / "task.toml", text, staging=folder)
    write_files(folder, {**task.protected, **code, "program.md": task.program})


def write_files(folder: Path, files: CodeFiles) -> None:
    """Files by their path, each whole or not at all; what stands there with the same text is left."""
    for path, text in files.items():
        target = folder / path
        make_folder(target.parent.absolute())
        if not (target.is_file() and not target.is_symlink() and target.read_bytes() == text.encode()):
            write_whole(target, text.encode(), staging=target.parent)


def _gathered(learn_from: Sequence[Path], without: Sequence[str], task: Task) -> bytes:
    if not learn_from and without:
        raise UsageError("--without says which runs of --learn-from to leave out; name some with --learn-from.")
    if not learn_from:
        return b""
    found = experience.gather(learn_from, without={task.spec.name, *without})
    unknown = next((name for name in without if name not in found.tasks), None)
    if unknown is not None:  # mistyped, it would let a task that is judged on be learned from
        raise UsageError(f"--without {unknown}: no run of --learn-from is of that task; mend it, or leave it out.")
    if not len(found.episodes):
        raise UsageError(
            "None of the runs of --learn-from holds anything to learn from: " + (" ".join(found.left_out) or "none.")
        )
    return experience.encoded(found.episodes)
