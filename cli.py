"""The command line: short functions that compose the parts and say what happened.

Exit codes: 0 fine; 1 the thing asked for is not so; 2 usage; 3 the environment; 130 interrupted. Heavy imports happen
inside the commands, so that `rsi --help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console

    from rsi.configuration import Budget, Component
    from rsi.session import Session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Improve the code that trains a small model: edits proposed, trained in a sandbox, scored out of their reach.",
)
task_app = typer.Typer(no_args_is_help=True, help="Make, check and import tasks.")
app.add_typer(task_app, name="task")
image_app = typer.Typer(no_args_is_help=True, help="Build, list and remove the sandbox image.")
app.add_typer(image_app, name="image")

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, its folder, or latest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the documented, versioned JSON instead.")]
Experiments = Annotated[int | None, typer.Option(min=0, help="Stop after that many; 0 measures the baseline.")]
Hours = Annotated[float | None, typer.Option(help="Stop proposing after that many hours.")]
_MODELS = "Language models (--proposer llm)"
Model = Annotated[list[str] | None, typer.Option(help="As litellm names it; several compete.", rich_help_panel=_MODELS)]
ApiBase = Annotated[
    list[str] | None,
    typer.Option(
        help="A server of your own (Ollama, vLLM, …): one for all models or one each.", rich_help_panel=_MODELS
    ),
]
Repairs = Annotated[int, typer.Option(help="Rounds to mend an edit that does not apply.", rich_help_panel=_MODELS)]
Effort = Annotated[str, typer.Option(help="none, minimal, low, medium, high or xhigh.", rich_help_panel=_MODELS)]
History = Annotated[int, typer.Option(help="Experiments told in full, besides the table.", rich_help_panel=_MODELS)]
Critique = Annotated[int, typer.Option(help="Rounds of criticising its own edit.", rich_help_panel=_MODELS)]
EditForm = Annotated[str, typer.Option(help="search-replace, unified-diff or whole-file.", rich_help_panel=_MODELS)]
PromptTokens = Annotated[int, typer.Option(help="Of a prompt, about; history is cut to it.", rich_help_panel=_MODELS)]
AnswerTokens = Annotated[
    int, typer.Option(help="Of an answer; room for thinking comes on top.", rich_help_panel=_MODELS)
]
MaxCost = Annotated[float | None, typer.Option(help="Dollars, never passed.", rich_help_panel=_MODELS)]
MaxTokens = Annotated[int | None, typer.Option(help="Input and output tokens, never passed.", rich_help_panel=_MODELS)]
MaxCalls = Annotated[int | None, typer.Option(help="Requests, repeated ones included.", rich_help_panel=_MODELS)]


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error and its exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    from rsi.errors import RsiError

    try:
        _check_shadowing()
        app()
    except RsiError as error:
        if debug:
            raise
        _say(f"rsi: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _check_shadowing() -> None:
    """Refuse to run with another distribution's `tasks`, `evals` or `sandboxes`: their names are common."""
    import importlib.util

    from rsi.errors import EnvironmentFault

    here = Path(__file__).resolve().parent
    for name in ("rsi", "sandboxes", "tasks", "evals"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != here:
            where = spec.origin if spec else "nowhere"
            raise EnvironmentFault(f"The module {name!r} comes from {where}, not from rsi; use a virtual environment.")


def _console() -> Console:
    from rich.console import Console

    # A program that reads a pipe wants whole lines; a person's terminal has a width of its own.
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 1000)


def _print_json(value: Any) -> None:
    text = value.model_dump_json(indent=2) if hasattr(value, "model_dump_json") else json.dumps(value, indent=2)
    print(text)


def _say(sentence: str) -> None:
    """On standard error; names and words from elsewhere may be in it, so nothing in it acts on a terminal."""
    from rsi.sanitize import for_terminal

    print(for_terminal(" ".join(sentence.split("\n"))), file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        from rsi import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """A recursive self-improvement loop whose every claim is grounded, recorded and re-derivable."""


# --- running ------------------------------------------------------------------------------------------------------


@app.command()
def run(
    task: Annotated[str, typer.Argument(help="A registered task (charlm, digits) or a task's folder.")],
    proposer: Annotated[str, typer.Option(help="mutate, random, replay, or path.py:Class.")] = "mutate",
    source: Annotated[str, typer.Option(help="For --proposer replay: a run, or a folder of patches.")] = "",
    policy: Annotated[
        str, typer.Option(help="What to keep: expected-gain, greedy, fixed, threshold, sequential, or path.py:Class.")
    ] = "greedy",
    policy_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the policy, as often as needed: seeds=5, alpha=0.05.")
    ] = None,
    sandbox: Annotated[str, typer.Option(help="docker, process (does not isolate), or path.py:Class.")] = "docker",
    verifier: Annotated[str, typer.Option(help="Instead of the task's own.")] = "",
    experiments: Experiments = None,
    hours: Hours = None,
    confirm: Annotated[int, typer.Option(min=0, max=100, help="Fresh seeds for baseline and best at the end.")] = 0,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Confirmation trials side by side.")] = 1,
    data: Annotated[str, typer.Option(help="A file or folder instead of the task's own data.")] = "",
    training_budget: Annotated[int | None, typer.Option(min=1, help="Instead of the task's, in its unit.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fix all that is drawn at random; by default a secret.")] = None,
    keep_artifacts: Annotated[int, typer.Option(min=0, help="Artifacts of that many last experiments stay.")] = 20,
    disk_quota: Annotated[float, typer.Option(help="GiB that the run's blobs may take.")] = 20.0,
    approve: Annotated[bool, typer.Option("--approve", help="Show each diff and ask before it is trained.")] = False,
    model: Model = None,
    api_base: ApiBase = None,
    repairs: Repairs = 2,
    effort: Effort = "",
    history: History = 2,
    critique: Critique = 0,
    edit_format: EditForm = "search-replace",
    prompt_tokens: PromptTokens = 6000,
    answer_tokens: AnswerTokens = 4096,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
    unsafe_no_isolation: Annotated[
        bool,
        typer.Option(
            "--unsafe-no-isolation",
            help="Let a model's code run in a sandbox that does not isolate.",
            rich_help_panel=_MODELS,
        ),
    ] = False,
) -> None:
    """Improve a task's code until the budget is spent; Ctrl-C ends the trial under way, twice leaves at once."""
    from rsi import runs
    from rsi.configuration import Component, Retention, RunConfiguration, parse_options
    from rsi.errors import UsageError
    from rsi.session import start
    from rsi.task import load_task

    if not 16 <= disk_quota * 1024 <= 1e12:
        raise UsageError("--disk-quota must be at least 0.016 (16 MiB), and a size that disks have.")
    if bool(source) != (proposer == "replay"):
        raise UsageError("--source goes with --proposer replay: name a run or a folder of patches there.")
    if source:
        source = str((Path(source) if Path(source).is_dir() else runs.find(source)).resolve())
    spec = load_task(task).spec.verifier
    configuration = RunConfiguration(
        task=task,
        proposer=_proposer(
            proposer,
            {"source": source} if source else {},
            model,
            api_base,
            repairs=repairs,
            effort=effort,
            history=history,
            critique=critique,
            edit_format=edit_format,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
        ),
        policy=Component(name=policy, options=parse_options("--policy-option", policy_option or [])),
        sandbox=Component(name=sandbox),
        verifier=Component(name=verifier or spec.name, options={} if verifier else spec.options),
        budget=_budget(experiments, hours, max_cost, max_tokens, max_calls),
        confirm=confirm,
        parallel=parallel,
        data=str(Path(data).resolve()) if data else "",
        training_budget=training_budget,
        seed=seed,
        retention=Retention(artifacts=keep_artifacts, quota_bytes=int(disk_quota * 1024**3)),
        approve=approve,
        unsafe_no_isolation=unsafe_no_isolation,
    )
    with start(configuration, _say) as session:
        code = _go(session)
    raise typer.Exit(code)


@app.command()
def propose(
    task: Annotated[str, typer.Argument(help="A registered task or a task's folder.")],
    proposer: Annotated[str, typer.Option(help="llm, mutate, random, or path.py:Class.")] = "llm",
    model: Model = None,
    api_base: ApiBase = None,
    repairs: Repairs = 2,
    effort: Effort = "",
    critique: Critique = 0,
    edit_format: EditForm = "search-replace",
    answer_tokens: AnswerTokens = 4096,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
) -> None:
    """Print one proposal and train nothing; what it cost is on record as a run of its own."""
    from rsi.configuration import Component, RunConfiguration
    from rsi.dry_run import propose_once
    from rsi.review.experiment import show_experiment
    from rsi.task import load_task

    settings = {"repairs": repairs, "effort": effort, "critique": critique, "edit_format": edit_format}
    configuration = RunConfiguration(
        task=task,
        proposer=_proposer(proposer, {}, model, api_base, **settings, answer_tokens=answer_tokens),
        policy=Component(name="greedy"),
        sandbox=Component(name="docker"),
        verifier=Component(**load_task(task).spec.verifier.model_dump()),
        budget=_budget(1, None, max_cost, max_tokens, max_calls),
        proposal_only=True,
    )
    show_experiment(propose_once(configuration), 1, _console())


@app.command()
def estimate(
    task: Annotated[str, typer.Argument(help="A registered task or a task's folder.")],
    experiments: Annotated[int, typer.Option(min=1, help="How many the run would have.")] = 50,
    model: Model = None,
    api_base: ApiBase = None,
    repairs: Repairs = 2,
    effort: Effort = "",
    history: History = 2,
    critique: Critique = 0,
    edit_format: EditForm = "search-replace",
    prompt_tokens: PromptTokens = 6000,
    answer_tokens: AnswerTokens = 4096,
    as_json: AsJson = False,
) -> None:
    """Tell calls, tokens, dollars and hours of a run with --proposer llm, before anything is spent."""
    from rsi import runs
    from rsi.proposers.llm.estimate import estimate as estimated
    from rsi.proposers.llm.estimate import in_words
    from rsi.proposers.llm.settings import Settings
    from rsi.task import load_task

    settings = Settings.of(
        ",".join(model or []),
        ",".join(api_base or []),
        repairs=repairs,
        effort=effort,
        history=history,
        critique=critique,
        edit_format=edit_format,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
    )
    loaded = load_task(task)
    told = estimated(loaded, settings, experiments, runs.states_of(loaded.spec.name))
    if as_json:
        _print_json({"schema": 1, "estimates": [entry.model_dump(mode="json", by_alias=True) for entry in told]})
    else:
        print("\n".join(in_words(entry) for entry in told))


@app.command()
def resume(
    name: RunName,
    experiments: Experiments = None,
    hours: Hours = None,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run what a folder from another machine names.")] = False,
) -> None:
    """Go on with a run that was interrupted, paused or killed, or give a finished one more budget."""
    from rsi import runs
    from rsi.session import resume as reopen

    given = any(value is not None for value in (experiments, hours, max_cost, max_tokens, max_calls))
    more = _budget(experiments, hours, max_cost, max_tokens, max_calls) if given else None
    with reopen(runs.find(name), _say, more, trusted=trust) as session:
        code = _go(session)
    raise typer.Exit(code)


def _budget(
    experiments: int | None, hours: float | None, cost: float | None, tokens: int | None, calls: int | None
) -> Budget:
    """The limits of a run; one that is not more than 0 is told by its flag."""
    from rsi.configuration import Budget
    from rsi.errors import UsageError

    for flag, value in {"--hours": hours, "--max-cost": cost, "--max-tokens": tokens, "--max-calls": calls}.items():
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{flag} must be more than 0.")
    return Budget(experiments=experiments, hours=hours, cost_usd=cost, tokens=tokens, calls=calls)


def _proposer(
    name: str, options: dict[str, Any], model: list[str] | None, api_base: list[str] | None, **settings: Any
) -> Component:
    """A proposer by name; what is said about models is for one that asks them."""
    from rsi.configuration import Component
    from rsi.errors import UsageError

    if name == "llm":
        options = {"model": ",".join(model or []), "api_base": ",".join(api_base or []), **settings}
    elif model or api_base:
        raise UsageError("--model and --api-base go with --proposer llm.")
    return Component(name=name, options=options)


def _go(session: Session) -> int:
    from rsi import runs
    from rsi.review.approval import Approval
    from rsi.review.closing import closing
    from rsi.review.progress import Charts
    from rsi.review.screen import PlainLines, for_console

    console = _console()
    presses: list[float] = []

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        presses.append(time.monotonic())
        if len(presses) > 1:
            os._exit(130)
        session.loop.stop()

    handled = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.signal(number, interrupted) for number in handled}
    try:
        # A question needs the terminal to itself.
        asks = session.run.recorder.state.run.configuration.approve
        with PlainLines(console) if asks else for_console(console) as screen, Charts(session.run.folder) as charts:
            approve = Approval(console, lambda: session.loop.stopping) if asks else None
            code = session.go([screen.listener, charts.listener], screen.watch, approve)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    session.run.close()
    closing(runs.read(session.run.folder), console)
    return code


# --- reading ------------------------------------------------------------------------------------------------------


@app.command(name="list")
def list_(
    folder: Annotated[Path | None, typer.Argument(help="A folder of runs; by default RSI_RUNS or runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a folder."""
    from rsi import runs
    from rsi.review.listing import list_runs, render

    rows = list_runs(folder or runs.runs_folder())
    if as_json:
        _print_json({"schema": 1, "runs": [row.model_dump(mode="json") for row in rows]})
    else:
        render(rows, _console())


@app.command()
def show(
    name: RunName,
    experiment: Annotated[int | None, typer.Argument(help="One experiment, in full.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a run did: a summary first, then every experiment; or one experiment whole."""
    from rsi import runs
    from rsi.review.experiment import experiment_json, show_experiment
    from rsi.review.show import show_run
    from rsi.review.summary import summarise

    run_ = runs.read(runs.find(name))
    if experiment is not None:
        if as_json:
            _print_json(experiment_json(run_, experiment))
        else:
            show_experiment(run_, experiment, _console())
    elif as_json:
        _print_json(summarise(run_))
    else:
        show_run(run_, _console())


@app.command()
def diff(
    name: RunName,
    experiment: Annotated[str, typer.Argument(help="An experiment's number, best or baseline.")] = "best",
    against: Annotated[str, typer.Argument(help="Another one; by default the parent, for best the baseline.")] = "",
) -> None:
    """Show what an experiment changed."""
    from rsi import runs
    from rsi.review.diff import print_diff

    print_diff(runs.read(runs.find(name)), experiment, against, _console())


@app.command()
def log(
    name: RunName,
    kind: Annotated[str, typer.Option(help="Only events of this kind, or beginning so (trial).")] = "",
    experiment: Annotated[int | None, typer.Option(help="Only events of this experiment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a run's events, one a line."""
    from rsi import runs
    from rsi.review.log import print_log

    print_log(runs.read(runs.find(name)), _console(), kind=kind, experiment=experiment, as_json=as_json)


@app.command()
def verify(
    name: RunName,
    verdicts: Annotated[bool, typer.Option(help="Derive every verdict again from its evidence.")] = True,
    trust_plugins: Annotated[bool, typer.Option("--trust-plugins", help="Run plug-in files the run names.")] = False,
    head: Annotated[str, typer.Option(help="A head hash kept elsewhere: some event must have it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check that a run's record is whole and that every verdict and decision follows from it."""
    from rsi import runs
    from rsi.review import verify as check

    report = check.verify(runs.find(name), verdicts=verdicts, trust_paths=trust_plugins, head=head)
    if as_json:
        _print_json(report)
    else:
        check.render(report, _console())
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def replay(
    name: RunName,
    trust_paths: Annotated[bool, typer.Option("--trust-plugins", help="Run plug-in files the run names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Derive every proposal, verdict and decision again from the record alone: no key, no network, no engine."""
    from rsi import runs
    from rsi.review import replay as again

    report = again.replay(runs.find(name), trust_paths=trust_paths)
    if as_json:
        _print_json(report)
    else:
        again.render(report, _console())
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, and how to mend it."""
    from sandboxes.doctor import diagnose, render

    checks = diagnose()
    if as_json:
        _print_json({"schema": 1, "checks": [check.model_dump(mode="json") for check in checks]})
    else:
        render(checks, _console())
    raise typer.Exit(0 if all(check.ok or not check.needed for check in checks) else 3)


# --- tasks --------------------------------------------------------------------------------------------------------


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

    report = check_task(path, sandbox, _say)
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


# --- the sandbox image --------------------------------------------------------------------------------------------


@image_app.command("build")
def image_build(force: Annotated[bool, typer.Option("--force", help="Even where it is there.")] = False) -> None:
    """Build the image that sandboxes run, from a registry's Python image or from Debian's packages."""
    from sandboxes.image import build

    print(build(force=force, say=_say))


@image_app.command("list")
def image_list(as_json: AsJson = False) -> None:
    """List the sandbox images on this engine."""
    from sandboxes.image import list_images

    images = list_images()
    if as_json:
        _print_json({"schema": 1, "images": [image.model_dump(mode="json") for image in images]})
        return
    for image in images:
        print(f"{image.tag:32} {image.bytes / 2**20:7.0f} MiB  {image.digest}  {'in use' if image.wanted else ''}")


@image_app.command("remove")
def image_remove(tag: str) -> None:
    """Remove a sandbox image."""
    from sandboxes.image import remove

    remove(tag)


if __name__ == "__main__":
    main()
