"""The command `rsi redteam`. Heavy imports happen inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rsi.flags import AsJson
from rsi.interrupts import interruptible
from rsi.output import console, say

if TYPE_CHECKING:
    from evals.redteam.results import CaseResult


def redteam(
    task: Annotated[list[str] | None, typer.Option(help="A registered task or a task's folder; repeatable.")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="Only attacks of that name or pattern; repeatable.")] = None,
    honest: Annotated[
        bool | None, typer.Option("--honest/--no-honest", help="Honest edits too; by default unless --attack is given.")
    ] = None,
    folder: Annotated[
        str, typer.Option(help="A lab's own attacks and honest edits, instead of the shipped ones.")
    ] = "",
    verifier: Annotated[
        list[str] | None,
        typer.Option(help="Stands beside what measures, instead of the task's: a name or path.py:Class; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Leave a layer out, to see what it is worth; repeatable.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="A dozen cases that together touch every layer.")] = False,
    sandbox: Annotated[str, typer.Option(help="docker, or path.py:Class; one that isolates.")] = "docker",
    parallel: Annotated[
        int | None, typer.Option(min=1, max=64, help="Trials side by side; by default what the cores allow.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fix all that is drawn at random; by default a secret.")] = None,
    keep: Annotated[str, typer.Option(metavar="FOLDER", help="Keep the records there, for `rsi show`.")] = "",
    as_json: AsJson = False,
) -> None:
    """Attack the score in real containers and see who notices; exit code 1 where an attack is not beaten."""
    from evals.redteam.table import progress, render
    from evals.redteam.team import Asked, Team

    asked = Asked(
        tasks=tuple(task or ()),
        attacks=tuple(attack or ()),
        honest=not attack if honest is None else honest,
        short=short,
        folder=folder,
        verifiers=tuple(verifier or ()),
        without=tuple(dict.fromkeys(without or ())),
        seed=seed,
        parallel=parallel,
        sandbox=sandbox,
        keep=keep,
    )
    done = 0

    def told(result: CaseResult) -> None:
        nonlocal done
        done += 1
        say(progress(result, done, team.cases))

    team = Team(asked, told, say)
    with interruptible(team.stop):
        found = team.go()
    if as_json:
        print(found.model_dump_json(indent=2, by_alias=True))
    else:
        render(found, console())
    if team.fault is not None:
        raise team.fault
    raise typer.Exit(130 if team.stopped else 0 if found.holds else 1)
