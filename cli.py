"""The command line: short functions that compose the parts and say what happened.

Exit codes: 0 fine; 1 the thing asked for is not so; 2 usage; 3 the environment; 130 interrupted. Heavy imports happen
inside the commands, so that `rsi --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsi import flags
from rsi.flags import (
    Alpha,
    AsJson,
    CallLimits,
    Certify,
    CertifyShare,
    Confirm,
    Gpus,
    HoldoutQuestions,
    Limits,
    Models,
    ModelsInARun,
    NullEdits,
    Parallel,
    Policy,
    PolicyOption,
    RunName,
    Runtime,
    Seed,
    Trust,
    Unisolated,
    VerifierNames,
    VerifierOption,
    WithoutVerifier,
)
from rsi.output import console, print_json, say
from rsi.review import commands as reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from rsi.session import Session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Improve the code that trains a small model: edits proposed, trained in a sandbox, scored out of their reach.",
)


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error and its exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    from rsi.errors import RsiError

    try:
        _check_shadowing()
        _add_groups()
        app()
    except RsiError as error:
        if debug:
            raise
        say(f"rsi: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _check_shadowing() -> None:
    """Refuse to run with another distribution's `tasks`, `evals` and the like: their names are common."""
    import importlib.util

    from rsi.errors import EnvironmentFault

    here = Path(__file__).resolve().parent
    for name in ("rsi", "sandboxes", "tasks", "evals", "simulated", "studies"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != here:
            where = spec.origin if spec else "nowhere"
            raise EnvironmentFault(f"The module {name!r} comes from {where}, not from rsi; use a virtual environment.")


def _add_groups() -> None:
    """The commands of the other packages, once it is known that they are this distribution's."""
    from evals.redteam.commands import redteam
    from rsi.compare.commands import compare
    from rsi.generations.commands import evolve, generations
    from rsi.review.export.commands import export
    from rsi.review.web.commands import report, view
    from sandboxes.commands import image_app, sandbox_app
    from studies.commands import lab_app
    from tasks.commands import task_app

    app.add_typer(task_app, name="task")
    app.add_typer(image_app, name="image")
    app.add_typer(sandbox_app, name="sandbox")
    app.add_typer(lab_app, name="lab")
    app.command()(redteam)
    app.command()(compare)
    app.command()(evolve)
    app.command()(generations)
    app.command()(export)
    app.command()(report)
    app.command()(view)


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
@flags.spelled_out
def run(
    *,
    task: Annotated[str, typer.Argument(help="A registered task (charlm, digits, …) or a task's folder.")],
    proposer: Annotated[
        str, typer.Option(help="mutate, random, evolved, optuna, llm, replay, or path.py:Class.")
    ] = "mutate",
    source: Annotated[str, typer.Option(help="For --proposer replay, evolved and llm: a run, or a folder.")] = "",
    episodes: Annotated[str, typer.Option(help="For --proposer evolved: past runs as .npy, to learn from.")] = "",
    policy: Policy = flags.DEFAULT_POLICY,
    policy_option: PolicyOption = None,
    sandbox: Annotated[str, typer.Option(help="docker, process (does not isolate), or path.py:Class.")] = "docker",
    runtime: Runtime = "",
    gpus: Gpus = "",
    verifier: VerifierNames = None,
    without_verifier: WithoutVerifier = None,
    verifier_option: VerifierOption = None,
    limits: Limits,
    certify: Certify = True,
    alpha: Alpha = flags.DEFAULT_ALPHA,
    certify_share: CertifyShare = flags.DEFAULT_CERTIFY_SHARE,
    null_edits: NullEdits = 0.0,
    holdout_questions: HoldoutQuestions = 20,
    confirm: Confirm = 0,
    parallel: Parallel = None,
    data: Annotated[str, typer.Option(help="A file or folder instead of the task's own data.")] = "",
    training_budget: Annotated[int | None, typer.Option(min=1, help="Instead of the task's, in its unit.")] = None,
    seed: Seed = None,
    keep_artifacts: Annotated[int, typer.Option(min=0, help="Artifacts of that many last experiments stay.")] = 20,
    disk_quota: Annotated[float, typer.Option(help="GiB that the run's blobs may take.")] = 20.0,
    approve: Annotated[bool, typer.Option("--approve", help="Show each diff and ask before it is trained.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Follow what code does in its sandbox with strace.")] = False,
    models: ModelsInARun,
    unsafe_no_isolation: Unisolated = False,
) -> None:
    """Improve a task's code until the budget is spent; Ctrl-C ends the trial under way, twice leaves at once."""
    from rsi import runs
    from rsi.errors import UsageError
    from rsi.session import start
    from rsi.task import load_task

    if not 16 <= disk_quota * 1024 <= 1e12:
        raise UsageError("--disk-quota must be at least 0.016 (16 MiB), and a size that disks have.")
    if bool(source) != (proposer in {"replay", "evolved"}) and proposer != "llm" and ".py:" not in proposer:
        raise UsageError(
            "--source goes with --proposer replay or evolved, which need it, or llm: name a run or a folder."
        )
    if episodes and (not source or proposer == "llm"):
        raise UsageError("--episodes goes with --proposer evolved, and its --source.")
    if source:
        source = str((Path(source) if Path(source).is_dir() else runs.find(source)).resolve())
    loaded = load_task(task).spec
    configuration = flags.composed(
        task,
        loaded,
        proposer=flags.proposer(
            proposer,
            {
                **({"source": source} if source else {}),
                **({"episodes": str(Path(episodes).resolve())} if episodes else {}),
            },
            models,
        ),
        policy=flags.policy(policy, policy_option),
        sandbox=flags.sandbox(sandbox, runtime=runtime, gpus=gpus),
        verifiers=flags.verifiers(loaded, verifier, without_verifier, verifier_option),
        budget=limits.given(),
        claims=flags.claims(
            certify=certify,
            alpha=alpha,
            certify_share=certify_share,
            null_edits=null_edits,
            holdout_questions=holdout_questions,
        ),
        parallel=parallel,
        data=data,
        disk_quota=disk_quota,
        keep_artifacts=keep_artifacts,
        approve=approve,
        confirm=confirm,
        training_budget=training_budget,
        seed=seed,
        trace=trace,
        unsafe_no_isolation=unsafe_no_isolation,
    )
    with start(configuration, say) as session:
        code = _go(session)
    raise typer.Exit(code)


@app.command()
@flags.spelled_out
def propose(
    *,
    task: Annotated[str, typer.Argument(help="A registered task or a task's folder.")],
    proposer: Annotated[str, typer.Option(help="llm, mutate, random, or path.py:Class.")] = "llm",
    models: Models,
    limits: CallLimits,
) -> None:
    """Print one proposal and train nothing; what it cost is on record as a run of its own."""
    from rsi.configuration import Budget, Component, RunConfiguration
    from rsi.dry_run import propose_once
    from rsi.review.experiment import show_experiment
    from rsi.task import load_task

    configuration = RunConfiguration(
        task=task,
        proposer=flags.proposer(proposer, {}, models),
        policy=Component(name=flags.DEFAULT_POLICY),
        sandbox=Component(name="docker"),
        **flags.verifiers(load_task(task).spec),
        budget=limits.budget(experiments=1) or Budget(),
        proposal_only=True,
    )
    show_experiment(propose_once(configuration), 1, console())


@app.command()
@flags.spelled_out
def estimate(
    *,
    task: Annotated[str, typer.Argument(help="A registered task or a task's folder.")],
    experiments: Annotated[int, typer.Option(min=1, help="How many the run would have.")] = 50,
    models: ModelsInARun,
    verifier: VerifierNames = None,
    without_verifier: WithoutVerifier = None,
    verifier_option: VerifierOption = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials to count verifiers' calls for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell calls, tokens, dollars and hours of a run with --proposer llm, before anything is spent."""
    from rsi import runs
    from rsi.proposers.llm.estimate import estimate as estimated
    from rsi.proposers.llm.estimate import in_words
    from rsi.proposers.llm.settings import Settings
    from rsi.session import build, questions
    from rsi.task import load_task

    settings = Settings.of(**models.named, **models.settings)
    loaded = load_task(task)
    chosen = flags.verifiers(loaded.spec, verifier, without_verifier, verifier_option)
    asked = questions([build("verifiers", part) for part in (chosen["verifier"], *chosen["verifiers"])], loaded)
    told = estimated(loaded, settings, experiments, runs.states_of(loaded.spec.name), asked, trials)
    if as_json:
        print_json({"schema": 1, "estimates": [entry.model_dump(mode="json", by_alias=True) for entry in told]})
    else:
        print("\n".join(in_words(entry) for entry in told))


@app.command()
@flags.spelled_out
def resume(
    *,
    name: RunName,
    limits: Limits,
    trust: Trust = False,
    image: Annotated[str, typer.Option(help="Go on in another image, though scores may not compare.")] = "",
) -> None:
    """Go on with a run that was interrupted, paused or killed, or give a finished one more budget."""
    from rsi import runs
    from rsi.session import resume as reopen

    with reopen(runs.find(name), say, limits.given(), trusted=trust, image=image) as session:
        code = _go(session)
    raise typer.Exit(code)


@app.command()
def attribute(
    name: RunName,
    trials: Annotated[int | None, typer.Option(min=1, help="To spend on it; by default 4 an edit and 16.")] = None,
    trust: Trust = False,
) -> None:
    """Find out which of the kept edits matter, by training the best code without some of them, again and again."""
    from rsi import runs
    from rsi.session import attribute as attributing

    with attributing(runs.find(name), say, trials, trusted=trust) as session:
        code = _go(session)
    raise typer.Exit(code)


def _go(session: Session) -> int:
    from rsi.foreground import go

    return go(session)


# --- reading: rsi/review/commands.py ------------------------------------------------------------------------------

reading.register(app)


@app.command()
def simulate(
    policy: Annotated[str, typer.Option(help="Names or path.py:Class, by commas; oracle knows the truth.")] = "",
    noise: Annotated[str, typer.Option(help="Seed noise in mean helpful effects, by commas.")] = "0.5,1,2,4",
    runs: Annotated[int, typer.Option(min=2, help="For each policy and noise.")] = 20,
    trials: Annotated[int, typer.Option(min=2, help="For each run, whatever they are for.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed, the same result.")] = 0,
    surface: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=NUMBER", help="Of the truth: shared=0.5, drift=0.01, tail=0.5, …")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the result there: .png, .svg or .pdf.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a processor.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare policies over simulated trials whose truth is known: the real loop, nothing trained."""
    from rsi import plugins
    from simulated import study as studies
    from simulated.table import table

    names = [name for name in policy.split(",") if name] or [*plugins.names("policies"), studies.ORACLE]
    if picture is not None:
        from simulated.picture import draw, require_drawable

        require_drawable(picture)
    study = studies.of_words(names, noise, surface or [], runs=runs, trials=trials, seed=seed)
    results = studies.compare(study, workers, _progress() if sys.stderr.isatty() else None)
    if as_json:
        print_json(results)
    else:
        console().print(table(results))
    if picture is not None:
        draw(results, picture)


def _progress() -> Callable[[int, int], None]:
    """Tells on one line of the terminal how far it is."""

    def tell(done: int, whole: int) -> None:
        print(f"\r{done} of {whole} runs", end="\n" if done == whole else "", file=sys.stderr, flush=True)

    return tell


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, and how to mend it."""
    from sandboxes.doctor import diagnose, render

    checks = diagnose()
    if as_json:
        print_json({"schema": 1, "checks": [check.model_dump(mode="json") for check in checks]})
    else:
        render(checks, console())
    raise typer.Exit(0 if all(check.ok or not check.needed for check in checks) else 3)


if __name__ == "__main__":
    main()
