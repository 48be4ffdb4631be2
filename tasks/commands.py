"""The commands about tasks: `rsi task list`, `new`, `check`, `import`. Heavy imports happen inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsi.output import say

task_app = typer.Typer(no_args_is_help=True, help="Make, check and import tasks.")


@task_app.command("list")
def task_list() -> None:
    """List the registered tasks."""
    from rsi import plugins
    from rsi.task import load_task

    for name in plugins.names("tasks"):
        task = load_task(name)
        print(f"{name:12} {task.spec.title}  ({task.folder})")


@task_app.command("new")
def task_new(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, - and _.")],
    folder: Annotated[Path, typer.Option(help="Where to make the task's folder.")] = Path(),
) -> None:
    """Make a working skeleton of a task."""
    from tasks.skeleton import make

    made = make(name, folder)
    print(f"Made {made}. Next: rsi task check {made} --sandbox docker")


@task_app.command("check")
def task_check(
    path: Annotated[str, typer.Argument(help="A task's folder or registered name.")],
    sandbox: Annotated[str, typer.Option(help="docker, or process.")] = "docker",
) -> None:
    """Run one trial of a task and say what is wrong."""
    from rsi.checking import check_task

    report = check_task(path, sandbox, say)
    print(report.text)
    raise typer.Exit(0 if report.ok else 1)


@task_app.command("import")
def task_import(
    path: Annotated[Path, typer.Argument(help="A repository with an editable train.py that prints `name: value`.")],
    metric: Annotated[str, typer.Option(help="The name of the printed metric.")] = "val_bpb",
    into: Annotated[Path | None, typer.Option(help="Where to make the task; by default NAME-task here.")] = None,
    maximize: Annotated[bool, typer.Option("--maximize", help="Higher is better.")] = False,
) -> None:
    """Wrap an autoresearch-style repository as a task; its metric is the candidate's own word, and marked so."""
    from tasks.importing import import_repository

    made = import_repository(path, metric, into, maximize=maximize)
    print(f"Made {made}, UNGROUNDED: its number comes from the code itself. Next: rsi task check {made}")
