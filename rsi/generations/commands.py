"""The commands `rsi evolve` and `rsi generations`. Heavy imports happen inside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsi import flags
from rsi.flags import Alpha, AsJson, CertifyShare, Limits, ModelsInARun, Parallel, Seed, Trust, Unisolated
from rsi.output import console, print_json, say

if TYPE_CHECKING:
    from rsi.generations.evolution import Evolution
    from rsi.generations.plan import Plan
    from rsi.task import Task

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="An evolution, as `rsi evolve` makes it.")]
_WRITTEN = "a name, name(key=value, ...) or path.py:Class."
DEFAULT_EXPERIMENTS = 20
DEFAULT_SHARE = 0.4
"""A generation is there to be tested: more of it goes to its milestones than of an ordinary run."""


@flags.spelled_out
def evolve(
    context: typer.Context,
    *,
    generations: Annotated[int, typer.Option(help="How many.")] = 3,
    limits: Limits,
    proposer: Annotated[
        str, typer.Option(help=f"evolved (the last promoted program), mutate, random, llm; {_WRITTEN}")
    ] = "evolved",
    learn_from: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Past runs to learn from besides; as often as there are.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="TASK", help="Tasks never to learn from: those to be judged on.")
    ] = None,
    task: Annotated[str, typer.Option(help="Whose code is a program that proposes.")] = "proposer",
    policy: Annotated[str, typer.Option(help=f"What to keep; {_WRITTEN}")] = flags.DEFAULT_POLICY,
    sandbox: Annotated[str, typer.Option(help=f"docker, process (does not isolate); {_WRITTEN}")] = "docker",
    parallel: Parallel = None,
    alpha: Alpha = flags.DEFAULT_ALPHA,
    certify_share: CertifyShare = DEFAULT_SHARE,
    patience: Annotated[int, typer.Option(min=1, max=100, help="Generations in a row without a promotion.")] = 2,
    seed: Seed = None,
    models: ModelsInARun,
    unsafe_no_isolation: Unisolated = False,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where it is kept; by default below evolutions.")] = "",
    resume: Annotated[str, typer.Option(metavar="FOLDER", help="Go on with one; no other flag but --trust.")] = "",
    trust: Trust = False,
) -> None:
    """Let the loop improve its own proposer, generation after generation; the same again goes on where it stopped."""
    if resume:
        _require_nothing_else(context)
        from rsi.generations.evolution import open_folder

        raise typer.Exit(_go(open_folder(Path(resume)), goes_on=True, trust=trust))
    if limits.experiments is None and limits.trials is None and limits.hours is None:
        limits = replace(limits, experiments=DEFAULT_EXPERIMENTS)
    values: dict[str, Any] = {
        "task": str(Path(task).resolve()) if (Path(task) / "task.toml").is_file() else task,
        "generations": generations,
        "budget": limits.given(),
        "proposer": flags.proposer(proposer, {}, models),
        "policy": policy,
        "sandbox": sandbox,
        "parallel": parallel,
        "alpha": alpha,
        "certify_share": certify_share,
        "patience": patience,
        "seed": flags.fixed(seed) or 0,
        "without": tuple(without or ()),
        "unsafe_no_isolation": unsafe_no_isolation,
    }
    raise typer.Exit(_begin(values, out, learn_from or [], trust=trust))


def generations(
    folder: Folder,
    diff: Annotated[bool, typer.Option("--diff", help="What changed from each promoted program to the next.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw it there instead of generations.png beside it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what the generations of an evolution came to: gains on held-out tasks with intervals, compute, changes."""
    from rsi.errors import UsageError
    from rsi.generations.evolution import open_folder
    from rsi.generations.picture import draw_beside
    from rsi.generations.report import render, render_diffs, report_of

    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {picture}: it is drawn as PNG; name a file that ends in .png.")
    found = open_folder(folder).history()
    report = report_of(folder, found)
    drawn = draw_beside(report, picture or folder / "generations.png", insists=picture is not None)
    if as_json:
        print_json(report)
        return
    terminal = console()
    if diff:
        render_diffs(report, terminal)
    else:
        render(report, terminal)
        if drawn:
            say(f"{drawn} shows it.")


def _require_nothing_else(context: typer.Context) -> None:
    """UsageError for any flag that an evolution which has begun does not heed."""
    from rsi.errors import UsageError

    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in {"resume", "trust"} and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--resume goes on with what was asked for when it began; leave {parameter.opts[0]} out.")


def _begin(values: dict[str, Any], out: str, learn_from: list[str], *, trust: bool) -> int:
    from rsi import runs
    from rsi.compare import arms
    from rsi.errors import UsageError
    from rsi.generations.beginning import begin, require_programs
    from rsi.generations.plan import Plan
    from rsi.generations.promotion import require_certifiable, with_test
    from rsi.session import side_by_side
    from rsi.task import load_task

    if values["generations"] < 1:
        raise UsageError(f"--generations {values['generations']} leaves nothing to do; give 1 or more.")
    if values["generations"] > 100:
        raise UsageError("--generations takes at most 100; begin another evolution from what this one promotes.")
    flags.claims(
        certify=True,
        alpha=values["alpha"],
        certify_share=values["certify_share"],
        null_edits=0.0,
        holdout_questions=0,
    )
    loaded = load_task(values["task"])
    require_programs(loaded)
    for side in ("policy", "sandbox"):
        values[side] = arms.component(values[side], side)
    named = values["proposer"]
    if not named.options:
        values["proposer"] = arms.component(named.name, "proposer")
    values["parallel"] = values["parallel"] or side_by_side(loaded.spec.limits.train)
    values["budget"] = with_test(values["budget"])
    plan = Plan(**values)
    least = require_certifiable(plan.budget, plan.alpha, plan.generations, plan.certify_share)
    _require_usable(plan, loaded)
    evolution, begun = begin(plan, Path(out) if out else None, [runs.find(name).resolve() for name in learn_from])
    if not begun:
        noise = loaded.objective.noise
        say(
            f"Each generation ends with a test on held-out tasks; one that gains less than about {least * noise:.2g} "
            f"{loaded.objective.metric} ({least:.2g} standard deviations of a trial, by the task's word) may not pass."
        )
    return _go(evolution, goes_on=begun, trust=trust)


def _require_usable(plan: Plan, task: Task) -> None:
    """UsageError for what a generation's run would refuse as it begins, before a folder is made for it."""
    from rsi import plugins
    from rsi.configuration import Component
    from rsi.errors import UsageError
    from rsi.generations.plan import EVOLVED
    from rsi.protocols import AsksModels
    from rsi.session import build, require_models_usable
    from rsi.verification import asking, verifier_of

    build("policies", plan.policy)
    isolates = getattr(plugins.load("sandboxes", plan.sandbox.name), "isolates", True)
    evolved = plan.proposer.name == EVOLVED
    source = {"source": ""} if evolved else {}
    proposer = build("proposers", Component(name=plan.proposer.name, options={**plan.proposer.options, **source}))
    asks = isinstance(proposer, AsksModels)
    if (evolved or asks) and not isolates and not plan.unsafe_no_isolation:
        raise UsageError(
            f"The sandbox {plan.sandbox.name} does not isolate, and programs that propose would run with your "
            "rights; use --sandbox docker, or say --unsafe-no-isolation, which marks the runs for ever."
        )
    if asks:
        require_models_usable(proposer, task, plan.budget)
    configuration = plan.configuration(
        1, task.spec, task=task.folder, data=task.folder, proposer=plan.proposer, alpha=plan.alpha
    )
    judging = asking(verifier_of(configuration, build))
    if not asks and not judging and (plan.budget.cost_usd or plan.budget.tokens or plan.budget.calls):
        raise UsageError(
            "--max-cost, --max-tokens and --max-calls limit language models, and nothing in this evolution asks one; "
            "leave them out."
        )


def _go(evolution: Evolution, *, goes_on: bool, trust: bool) -> int:
    from rsi.foreground import go
    from rsi.generations.picture import draw_beside
    from rsi.generations.report import render, report_of
    from rsi.generations.running import run_generations

    folder = evolution.folder
    with evolution.alone():
        if goes_on:
            evolution.require_ours(trusted=trust)
        say(f"Evolving in {folder}; `rsi evolve --resume {folder}` goes on if it stops.")
        code = run_generations(evolution, go, say, trusted=trust)
    report = report_of(folder, evolution.history())
    draw_beside(report, folder / "generations.png")
    render(report, console())
    if code:
        say(f"`rsi evolve --resume {folder}` goes on from here.")
    return code
