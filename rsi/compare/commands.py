"""The command `rsi compare`. Heavy imports happen inside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsi import flags
from rsi.flags import AsJson, Limits, Trust
from rsi.interrupts import interruptible
from rsi.output import console, print_json, say

if TYPE_CHECKING:
    from rsi.compare.folder import Comparison
    from rsi.compare.report import Report
    from rsi.configuration import Budget

_ARMS = "By commas; a name, name(key=value, ...) or path.py:Class."


@flags.spelled_out
def compare(
    *,
    what: Annotated[
        list[str],
        typer.Argument(metavar="TASK...", help="Tasks, a matrix in a .toml file, or a comparison's folder."),
    ],
    verifier: Annotated[str | None, typer.Option(help=f"{_ARMS} `own` is the task's; a+b are both.")] = None,
    policy: Annotated[str | None, typer.Option(help=_ARMS)] = None,
    proposer: Annotated[str | None, typer.Option(help=_ARMS)] = None,
    seeds: Annotated[int | None, typer.Option(help="Loops of each combination and task; by default 5.")] = None,
    limits: Limits,
    certify: Annotated[
        bool | None, typer.Option("--certify/--no-certify", help="Test each loop's gain on the holdout, at milestones.")
    ] = None,
    confirm: Annotated[int | None, typer.Option(help="Fresh seeds for baseline and best at each loop's end.")] = None,
    truth: Annotated[
        int | None,
        typer.Option(help="Fresh seeds for the task's own verifier, where another one measures; by default 4."),
    ] = None,
    sandbox: Annotated[str | None, typer.Option(help="docker, process (does not isolate), or path.py:Class.")] = None,
    parallel: Annotated[int | None, typer.Option(help="Trials of a loop side by side; by default 1.")] = None,
    training_budget: Annotated[int | None, typer.Option(help="Instead of the tasks', in their units.")] = None,
    seed: flags.Seed = None,
    loops: Annotated[int, typer.Option(min=1, max=64, help="Loops side by side; times then say less.")] = 1,
    to: Annotated[str, typer.Option(metavar="FOLDER", help="Where it is kept; by default below comparisons.")] = "",
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Compare verifiers, policies or proposers by matched loops; the same again goes on where it stopped."""
    given = {
        "verifier": verifier,
        "policy": policy,
        "proposer": proposer,
        "seeds": seeds,
        "certify": certify,
        "confirm": confirm,
        "truth": truth,
        "sandbox": sandbox,
        "parallel": parallel,
        "training_budget": training_budget,
        "seed": flags.fixed(seed),
    }
    given = {name: value for name, value in given.items() if value is not None}
    comparison, begun = _named(what, given, limits.given(), to)
    raise typer.Exit(_go(comparison, loops, begun=begun, trust=trust, as_json=as_json))


def _named(what: list[str], given: dict[str, Any], limits: Budget | None, to: str) -> tuple[Comparison, bool]:
    """The comparison that is meant, and whether it had begun."""
    from rsi.compare import arms, folder, matrix
    from rsi.errors import UsageError

    if not what[0]:
        raise UsageError("The first task has no name; give a registered one, or a task's folder.")
    first = Path(what[0])
    is_file, is_folder = first.suffix == ".toml", first.is_dir() and not (first / "task.toml").is_file()
    if is_file or is_folder:
        there = folder.open_folder(first) if is_folder else None
        if len(what) > 1 or given or limits is not None or (is_folder and to):
            raise UsageError(
                f"{first} says what is compared, so neither tasks nor flags that say it go with it; write them there"
                + (", before it begins." if is_folder else ".")
            )
        if there is not None:
            return there, True
        asked = matrix.read(first)
    else:
        sides = {"verifier": "verifiers", "policy": "policies", "proposer": "proposers"}
        values: dict[str, Any] = {
            sides.get(name, name): arms.split(value, name) if name in sides else value for name, value in given.items()
        }
        values |= {"tasks": what} | ({"budget": limits.model_dump()} if limits is not None else {})
        asked = matrix.of_values(values, "This matrix")
    matrix.check(asked)
    begun = bool(to) and (Path(to) / matrix.MATRIX).exists()
    return folder.begin(asked, Path(to) if to else None), begun


def _go(comparison: Comparison, side_by_side: int, *, begun: bool, trust: bool, as_json: bool) -> int:
    from rsi.compare.picture import draw
    from rsi.compare.report import PICTURE, report_of
    from rsi.compare.running import Running

    running = Running(comparison, side_by_side, say, trusted=trust)
    code = 0
    left, whole = len(running.left()), len(comparison.loops)
    if left:
        with comparison.alone():
            if begun:
                _require_ours(comparison, trusted=trust, as_json=as_json)
            already = f", {whole - left} of {whole} are done" if left < whole else ""
            say(f"Comparing in {comparison.folder}{already}; `rsi compare {comparison.folder}` goes on if it stops.")
            if comparison.matrix.seeds * len(comparison.matrix.tasks) == 1 and comparison.matrix.factors():
                say("One seed gives one pair, of which no interval can be made; give --seeds 2 at least, better 5.")
            with interruptible(running.stop, leave=running.stop):
                code = running.go()
    report = report_of(comparison)
    _tell(report, as_json=as_json)
    if running.ran or not os.path.lexists(comparison.folder / PICTURE):
        draw(report, comparison.folder / PICTURE)
    return code


def _require_ours(comparison: Comparison, *, trusted: bool, as_json: bool) -> None:
    """UsageError for what must not be run here; what has been found in it is told before."""
    from rsi.compare.report import report_of
    from rsi.errors import UsageError

    try:
        comparison.require_ours(trusted=trusted)
    except UsageError:
        _tell(report_of(comparison), as_json=as_json)
        raise


def _tell(report: Report, *, as_json: bool) -> None:
    from rsi.compare.report import render

    if as_json:
        print_json(report)
        return
    render(report, console())
    if not report.complete:
        say(f"`rsi compare {report.folder}` goes on with what is left.")
