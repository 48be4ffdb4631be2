"""The commands `rsi evolve` and `rsi generations`. Heavy imports happen inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsi import flags
from rsi.flags import (
    Alpha,
    AnswerTokens,
    ApiBase,
    AsJson,
    CertifyShare,
    Critique,
    EditForm,
    Effort,
    Experiments,
    History,
    Hours,
    MaxCalls,
    MaxCost,
    MaxTokens,
    Model,
    PromptTokens,
    Repairs,
    Trials,
    Trust,
    Unisolated,
)
from rsi.output import console, print_json, say

if TYPE_CHECKING:
    from rsi.generations.evolution import Evolution
    from rsi.generations.plan import Plan

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="An evolution, as `rsi evolve` makes it.")]
_WRITTEN = "a name, name(key=value, ...) or path.py:Class."
DEFAULT_EXPERIMENTS = 20
DEFAULT_SHARE = 0.4
"""A generation is there to be tested: more of it goes to its milestones than of an ordinary run."""


def evolve(
    generations: Annotated[int | None, typer.Option(help="How many; by default 3.")] = None,
    experiments: Experiments = None,
    trials: Trials = None,
    hours: Hours = None,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
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
    parallel: Annotated[
        int | None, typer.Option(min=1, max=64, help="Trials side by side; by default what the cores allow.")
    ] = None,
    alpha: Alpha = flags.DEFAULT_ALPHA,
    certify_share: CertifyShare = DEFAULT_SHARE,
    patience: Annotated[int, typer.Option(min=1, max=100, help="Generations in a row without a promotion.")] = 2,
    seed: Annotated[int | None, typer.Option(help="Fix what is drawn at random; by default a secret.")] = None,
    model: Model = None,
    api_base: ApiBase = None,
    repairs: Repairs = 2,
    effort: Effort = "",
    history: History = 2,
    critique: Critique = 0,
    edit_format: EditForm = "search-replace",
    prompt_tokens: PromptTokens = 6000,
    answer_tokens: AnswerTokens = 4096,
    unsafe_no_isolation: Unisolated = False,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where it is kept; by default below evolutions.")] = "",
    resume: Annotated[str, typer.Option(metavar="FOLDER", help="Go on with one; no other flag but --trust.")] = "",
    trust: Trust = False,
) -> None:
    """Let the loop improve its own proposer, generation after generation; the same again goes on where it stopped."""
    given = {
        "--generations": generations,
        "--experiments": experiments,
        "--trials": trials,
        "--hours": hours,
        "--out": out or None,
        "--learn-from": learn_from,
        "--without": without,
        "--seed": seed,
    }
    if resume:
        _require_nothing_else(given)
        from rsi.generations.evolution import open_folder

        raise typer.Exit(_go(open_folder(Path(resume)), goes_on=True, trust=trust))
    settings: dict[str, Any] = {
        "repairs": repairs,
        "effort": effort,
        "history": history,
        "critique": critique,
        "edit_format": edit_format,
        "prompt_tokens": prompt_tokens,
        "answer_tokens": answer_tokens,
    }
    if experiments is None and trials is None and hours is None:
        experiments = DEFAULT_EXPERIMENTS
    values: dict[str, Any] = {
        "task": str(Path(task).resolve()) if (Path(task) / "task.toml").is_file() else task,
        "generations": 3 if generations is None else generations,
        "budget": flags.budget(experiments, hours, trials, max_cost, max_tokens, max_calls),
        "proposer": flags.proposer(proposer, {}, model, api_base, **settings),
        "policy": policy,
        "sandbox": sandbox,
        "parallel": parallel,
        "alpha": alpha,
        "certify_share": certify_share,
        "patience": patience,
        "seed": seed or 0,
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
    from rsi.generations.evolution import open_folder
    from rsi.generations.picture import draw_beside
    from rsi.generations.report import render, render_diffs, report_of

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


def _require_nothing_else(given: dict[str, Any]) -> None:
    from rsi.errors import UsageError

    other = [name for name, value in given.items() if value is not None]
    if other:
        raise UsageError(f"--resume goes on with what was asked for when it began; leave {other[0]} out.")


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
    _require_buildable(plan)
    evolution, begun = begin(plan, Path(out) if out else None, [runs.find(name).resolve() for name in learn_from])
    if not begun:
        noise = loaded.objective.noise
        say(
            f"Each generation ends with a test on held-out tasks; one that gains less than about {least * noise:.2g} "
            f"{loaded.objective.metric} ({least:.2g} standard deviations of a trial, by the task's word) may not pass."
        )
    return _go(evolution, goes_on=begun, trust=trust)


def _require_buildable(plan: Plan) -> None:
    """UsageError for parts that are not there, before a folder is made."""
    from rsi import plugins
    from rsi.errors import UsageError
    from rsi.generations.plan import EVOLVED
    from rsi.session import build

    build("policies", plan.policy)
    isolates = getattr(plugins.load("sandboxes", plan.sandbox.name), "isolates", True)
    if plan.proposer.name != EVOLVED:
        build("proposers", plan.proposer)
    elif not isolates and not plan.unsafe_no_isolation:
        raise UsageError(
            f"The sandbox {plan.sandbox.name} does not isolate, and programs that propose would run with your "
            "rights; use --sandbox docker, or say --unsafe-no-isolation, which marks the runs for ever."
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
