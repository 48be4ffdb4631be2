"""The commands that read a run: they change nothing in it but its notes, and need neither an engine nor a key.

Heavy imports happen inside the functions, so that `rsi --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from rsi.flags import AsJson, PolicyOption, RunName
from rsi.output import console, print_json, say

if TYPE_CHECKING:
    from rich.console import Console

    from rsi.review.reading import Reading

Told = TypeVar("Told")

Runs = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Ids, beginnings of ids, folders, or latest.", show_default=False)
]
SomeRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN…]", help="By default every run of RSI_RUNS or runs.", show_default=False),
]
Anyway = Annotated[bool, typer.Option("--anyway", help="Show what stands before the first event that does not hold.")]
Everything = Annotated[bool, typer.Option("--all", help="However many there are.")]


def register(app: typer.Typer) -> None:
    """Add the commands to a program."""
    app.command(name="list")(list_)
    for command in (show, diff, log, findings, note, verify, anchor, replay):
        app.command()(command)


@contextmanager
def _access(folder: Path) -> Iterator[None]:
    """What the operating system refuses, in a sentence."""
    from rsi.errors import EnvironmentFault

    try:
        yield
    except PermissionError as error:
        where = error.filename or folder
        raise EnvironmentFault(f"{where} cannot be read: {error.strerror}; ask its owner for access.") from None


def _find(name: str) -> Path:
    from rsi import runs

    with _access(Path(name)):
        return runs.find(name)


def _open(name: str, *, anyway: bool = False) -> Reading:
    """A run by name; where its chain does not hold, the sentence says how to see what does."""
    from rsi.errors import IntegrityError
    from rsi.review.reading import read

    folder = _find(name)
    with _access(folder):
        try:
            return read(folder, anyway=anyway)
        except IntegrityError as error:
            hint = "" if anyway else " With --anyway, what stands before it is shown."
            raise IntegrityError(f"{error}{hint}") from None


def _said(sentences: list[str]) -> int:
    """Say what is not as it should be; the exit code."""
    for sentence in sentences:
        say(f"rsi: {sentence}")
    return 1 if sentences else 0


def list_(
    folder: Annotated[Path | None, typer.Argument(help="A folder of runs; by default RSI_RUNS or runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a folder."""
    from rsi import runs
    from rsi.review.listing import list_runs, render

    where = folder or runs.runs_folder()
    with _access(where):
        rows = list_runs(where)
    if as_json:
        print_json({"schema": 1, "runs": [row.model_dump(mode="json") for row in rows]})
    else:
        render(rows, console())


def show(
    name: RunName,
    experiment: Annotated[int | None, typer.Argument(help="One experiment, in full.")] = None,
    output: Annotated[bool, typer.Option("--output", help="With all that its programs printed, in order.")] = False,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="With what models were asked and answered, in full.")
    ] = False,
    code: Annotated[bool, typer.Option("--code", help="With its code, lines numbered.")] = False,
    everything: Everything = False,
    anyway: Anyway = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a run did: a summary first, then its experiments; or one experiment whole."""
    from rsi.errors import UsageError
    from rsi.review.experiment import experiment_json, show_experiment
    from rsi.review.log_lines import unreadable
    from rsi.review.show import show_run

    reading = _open(name, anyway=anyway)
    with _access(reading.folder):
        if experiment is not None:
            run, notes = reading.excerpt(experiment), () if reading.notes_problem else reading.notes
            if as_json:
                found = reading.findings_of(experiment)
                print_json(experiment_json(run, experiment, notes=notes, findings=found, prompt=prompt))
            else:
                show_experiment(run, experiment, console(), output=output, prompt=prompt, code=code, notes=notes)
        elif output or prompt or code:
            raise UsageError("--output, --prompt and --code need an experiment: `rsi show RUN 3 --output`.")
        elif as_json:
            print_json(reading.summary)
        else:
            show_run(reading, console(), everything=everything)
    raise typer.Exit(_said(unreadable(reading)))


def diff(
    name: RunName,
    experiment: Annotated[str, typer.Argument(help="An experiment's number, best or baseline.")] = "best",
    against: Annotated[str, typer.Argument(help="Another one; by default the parent, for best the baseline.")] = "",
    anyway: Anyway = False,
    as_json: AsJson = False,
) -> None:
    """Show what an experiment changed, against its parent or any other one."""
    from rsi.review.diff import print_diff
    from rsi.review.log_lines import unreadable

    reading = _open(name, anyway=anyway)
    with _access(reading.folder):
        print_diff(reading, experiment, against, console(), as_json=as_json)
    raise typer.Exit(_said(unreadable(reading)))


def log(
    names: Runs,
    kind: Annotated[list[str] | None, typer.Option(help="Events of this kind, or beginning so (trial).")] = None,
    experiment: Annotated[int | None, typer.Option(help="Events of this experiment.")] = None,
    severity: Annotated[str, typer.Option(help="Events with a finding: info, notice, warning or critical.")] = "",
    since: Annotated[str, typer.Option(help="2026-01-31T12:00 (UTC), or before now: 30m, 2h, 3d.")] = "",
    until: Annotated[str, typer.Option(help="The same.")] = "",
    text: Annotated[str, typer.Option(help="In the line, or in a recorded text.")] = "",
    pattern: Annotated[str, typer.Option("--regex", help="The same, as a regular expression.")] = "",
    number: Annotated[list[int] | None, typer.Option("--event", min=0, help="The event of this number.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until the run ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the events of one or several runs, one a line, with what reviewers wrote between them."""
    from rsi.review.filtering import Filter, moment
    from rsi.review.filtering import severity as severity_named
    from rsi.review.log_lines import follow_log, print_log, unreadable

    wanted = Filter(
        kinds=tuple(kind or ()),
        experiment=experiment,
        severity=severity_named(severity),
        since=moment(since, "--since"),
        until=moment(until, "--until"),
        numbers=tuple(number or ()),
        text=text,
        pattern=pattern,
    )
    if follow:
        folders = [_find(name) for name in names]
        raise typer.Exit(_said(follow_log(folders, wanted, console(), as_json=as_json)))
    readings = [_open(name, anyway=True) for name in names]
    said = print_log(readings, wanted, console(), as_json=as_json)
    raise typer.Exit(_said([*said, *(sentence for reading in readings for sentence in unreadable(reading))]))


def findings(
    names: SomeRuns = None,
    severity: Annotated[str, typer.Option(help="At least: info, notice, warning or critical.")] = "notice",
    experiment: Annotated[int | None, typer.Option(help="Of this experiment.")] = None,
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """Rank what deserves a look, over one run or all, each with the command that shows the evidence."""
    from rsi import runs
    from rsi.errors import RsiError, UsageError
    from rsi.records import Severity
    from rsi.review.filtering import severity as severity_named
    from rsi.review.findings_told import findings_json, render, select
    from rsi.review.log_lines import unreadable
    from rsi.review.reading import read, require_experiment

    readings, said = [], []
    folders = [_find(name) for name in names] if names else runs.list_runs(runs.runs_folder())
    if not folders:
        raise UsageError(f"There is no run in {runs.runs_folder()}; `rsi run charlm` starts one.")
    for folder in folders:
        try:
            with _access(folder):
                readings.append(read(folder, anyway=True))
        except RsiError as error:
            said.append(f"{folder.name} is left out: {error}")
    require_experiment(readings, experiment)
    found = select(readings, severity_named(severity) or Severity.NOTICE, experiment)
    if as_json:
        print_json(findings_json(found))
    else:
        render(found, console(), everything=everything)
    said += [f"{reading.folder.name}: {words}" for reading in readings for words in unreadable(reading)]
    raise typer.Exit(_said(said))


def note(
    name: RunName,
    experiment: Annotated[int, typer.Argument(min=0, help="Which one it is about.")],
    text: Annotated[str, typer.Argument(help="What you have to say.")],
    mark: Annotated[str, typer.Option(help="suspicious or fine.")] = "",
    author: Annotated[str, typer.Option(help="By default RSI_AUTHOR or your login name.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write a reviewer's word on an experiment into a file of its own beside the ledger; it is shown from then on."""
    from rsi.review import notes

    folder = _find(name)
    with _access(folder):
        written = notes.write_on(folder, experiment, text, mark, author)
    if as_json:
        print_json({"schema": 1, **written.model_dump(mode="json", exclude={"time"})})
    else:
        say(f"Noted on experiment {experiment}, as {written.author}, with {written.events} events on record.")


def verify(
    name: RunName,
    verdicts: Annotated[bool, typer.Option(help="Derive every verdict again from its evidence.")] = True,
    trust_plugins: Annotated[bool, typer.Option("--trust-plugins", help="Run plug-in files the run names.")] = False,
    head: Annotated[str, typer.Option(help="A head hash kept elsewhere: some event must have it.")] = "",
    anchors: Annotated[str, typer.Option("--anchor", help="A file, or a line, that `rsi anchor` printed.")] = "",
    signers: Annotated[
        Path | None, typer.Option("--allowed-signers", help="Whose signature the anchor must have (ssh-keygen's file).")
    ] = None,
    hmac_key_file: Annotated[
        Path | None, typer.Option("--hmac-key-file", help="The key the run's heads were authenticated with.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a run's record is whole and that every verdict and decision follows from it."""
    from rsi.review import verify as check
    from rsi.review.beside import Outside

    outside = Outside.of(anchors, signers, hmac_key_file)
    folder = _find(name)
    with _access(folder):
        report = check.verify(folder, verdicts=verdicts, trust_paths=trust_plugins, head=head, outside=outside)
    if as_json:
        print_json(report)
    else:
        check.render(report, console())
    raise typer.Exit(0 if report.ok else 1)


def anchor(
    name: RunName,
    check: Annotated[str, typer.Option("--check", help="A file, or a line: does the ledger still bear it out?")] = "",
    signers: Annotated[
        Path | None, typer.Option("--allowed-signers", help="With --check: who may have signed it (ssh-keygen's file).")
    ] = None,
    sign: Annotated[Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this SSH key.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write it down in this machine's state folder too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the head of a run's ledger to be kept elsewhere, or check one that was."""
    from rsi.review import anchoring

    folder = _find(name)
    with _access(folder):
        if check:
            report = anchoring.check(folder, check, signers)
            anchoring.render(report, console(), as_json=as_json)
            raise typer.Exit(0 if report.ok else 1)
        made = anchoring.head_of(folder)
    signature = anchoring.signed(made, sign) if sign else ""
    if keep:
        anchoring.keep(made)
    if as_json:
        print_json({"schema": 1, **made.model_dump(mode="json"), "signature": signature or None})
    else:
        print(f"{made.line()}\n{signature}", end="")


def replay(
    name: RunName,
    policy: Annotated[str, typer.Option(help="What would this one have decided on the same measurements?")] = "",
    policy_option: PolicyOption = None,
    experiment: Annotated[int | None, typer.Option(help="With --policy: only this one.")] = None,
    trust_paths: Annotated[bool, typer.Option("--trust-plugins", help="Run plug-in files the run names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Derive every proposal, verdict and decision again from the record alone: no key, no network, no engine."""
    from rsi import flags
    from rsi.errors import UsageError
    from rsi.review import otherwise
    from rsi.review import replay as again
    from rsi.session import build

    if not policy:
        if policy_option or experiment is not None:
            raise UsageError("--policy-option and --experiment go with --policy: name the policy to ask.")
        told = again.replay(_find(name), trust_paths=trust_paths)
        _shown(told, again.render, as_json=as_json)
        raise typer.Exit(0 if told.ok else 1)
    reading = _open(name)
    if experiment is not None:
        reading.excerpt(experiment)  # says which there are
    asked = build("policies", flags.policy(policy, policy_option))
    with _access(reading.folder):
        found = otherwise.report(reading.folder, policy, asked, experiment)
    _shown(found, otherwise.render, as_json=as_json)


def _shown(value: Told, render: Callable[[Told, Console], None], *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        render(value, console())
