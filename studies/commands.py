"""The commands of the lab: `rsi lab collapse`, `resume`, `show` and `verify`. Heavy imports happen inside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsi.flags import AsJson
from rsi.interrupts import interruptible
from rsi.output import console, print_json, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from studies.collapse.findings import Findings
    from studies.collapse.record import Study

lab_app = typer.Typer(no_args_is_help=True, help="Built-in studies, each with its record, figure and conclusion.")

Parallel = Annotated[int, typer.Option(min=1, max=64, help="Models trained side by side.")]
SandboxName = Annotated[str, typer.Option(help="docker, or process (does not isolate).")]
Folder = Annotated[Path, typer.Argument(help="What --out named.")]


@lab_app.command()
def collapse(
    model: Annotated[
        str, typer.Option(help="What is trained: table (n-grams), or charlm (the task's GPT, small).")
    ] = "table",
    generations: Annotated[int | None, typer.Option(help="After the first; 10, or 3 with --quick.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Lines of generations, each from a draw of its own; 4, of charlm 3.")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="By commas: closed, filtered, mixed:SHARE, accumulated, real (the control).")
    ] = None,
    data: Annotated[str, typer.Option(help="A text file or folder instead of the interpreter's documentation.")] = "",
    size: Annotated[
        int | None, typer.Option(help="Bytes that each model is trained on; 131072, of charlm 32768.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same study.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The study's folder; one that was begun goes on.")] = None,
    parallel: Parallel = 2,
    sandbox: SandboxName = "docker",
    quick: Annotated[bool, typer.Option("--quick", help="A minute's look: fewer and shorter lines.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a small model on its own text, generation after generation, with and without grounding."""
    from studies.collapse.design import DEFAULTS, design_of, model_of
    from studies.collapse.running import runner

    trained = model_of(model)
    form = DEFAULTS[trained]
    design = design_of(
        form.arms if arms is None else arms,
        generations=(3 if quick else 10) if generations is None else generations,
        seeds=form.seeds if seeds is None else seeds,
        seed=seed,
        size=(form.size_quick if quick else form.size) if size is None else size,
        model=trained,
    )
    name = "collapse" + f"-{trained}" * (trained != "table") + "-quick" * quick
    folder = out if out is not None else Path("lab") / name
    with runner(sandbox, parallel, _progress()) as running, interruptible(running.stop):
        study = running.start(folder, design, data, say)
    _conclude(study, folder, as_json=as_json, stopped=running.stopped.is_set())


@lab_app.command()
def resume(folder: Folder, parallel: Parallel = 2, sandbox: SandboxName = "docker", as_json: AsJson = False) -> None:
    """Go on with a study that was stopped or killed."""
    from studies.collapse.running import runner

    with runner(sandbox, parallel, _progress()) as running, interruptible(running.stop):
        study = running.resume(folder, say)
    _conclude(study, folder, as_json=as_json, stopped=running.stopped.is_set())


@lab_app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Tell what a study found so far, from its record."""
    from studies.collapse.record import read

    _tell(read(folder), folder, as_json=as_json)


@lab_app.command()
def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Derive every training text and every number of a study again, from what its models wrote."""
    from studies.collapse.rederive import rederive

    found = rederive(folder)
    if as_json:
        print_json({"schema": 1, **found.model_dump(mode="json")})
    else:
        for problem in found.problems:
            print(problem)
        print(f"{found.models} models: {'all follow from the record' if found.holds else 'the record does not hold'}.")
        print(f"head {found.head}")
    raise typer.Exit(0 if found.holds else 1)


def _conclude(study: Study, folder: Path, *, as_json: bool, stopped: bool) -> None:
    from studies.collapse.picture import NAME, draw

    found = _tell(study, folder, as_json=as_json)
    if found.last > 0:
        draw(found, folder / NAME)
        say(f"The figure is {folder / NAME}.")
    if stopped and not found.complete:
        raise typer.Exit(130)


def _tell(study: Study, folder: Path, *, as_json: bool) -> Findings:
    from rsi.review.wording import NOT_ISOLATED
    from studies.collapse.design import TOLD
    from studies.collapse.findings import findings_of
    from studies.collapse.record import real_text_of
    from studies.collapse.table import table

    rare = len(real_text_of(folder, study.started).rare(study.design.size))
    found = findings_of(study, rare)
    isolated = study.started.sandbox.isolates
    if as_json:
        print_json({"schema": 1, "isolated": isolated, **found.model_dump(mode="json")})
        return found
    terminal = console()
    if not isolated:
        terminal.print(NOT_ISOLATED)
    terminal.print(f"{TOLD[found.design.model]} trained on what its predecessor wrote")
    terminal.print(table(found))
    for sentence in found.sentences:
        terminal.print(sentence, soft_wrap=True)
    terminal.print(f"head {found.head}", style="dim")
    return found


def _progress() -> Callable[[Study], None]:
    """Tells on one line of a terminal, or a line every tenth model, how far the study is."""
    alive = sys.stderr.isatty()

    def tell(study: Study) -> None:
        done, whole = len(study.measured), study.design.cells()
        if alive:
            print(f"\r{done} of {whole} models", end="\n" if done == whole else "", file=sys.stderr, flush=True)
        elif done % 10 == 0 or done == whole:
            say(f"{done} of {whole} models")

    return tell
