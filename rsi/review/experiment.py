"""`rsi show RUN N`: one experiment whole, from the proposal to the decision, with what its sandboxes used."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from rsi import events as e
from rsi.errors import IntegrityError, UsageError
from rsi.records import Finding, Measure, Record, Scored, Severity
from rsi.review.executions import executions_of, show_executions, show_printed
from rsi.review.sameness import verdict_words
from rsi.review.standing import by_itself, standings
from rsi.review.wording import STYLES, count, one_line, safe, say
from rsi.review.worth import edits_of
from rsi.runs import ReadRun
from rsi.sanitize import for_terminal
from rsi.state import ExperimentState, TrialState

LONGEST_DIFF = 400
"""Lines of a diff shown on a screen; `rsi diff` shows all of it."""


def show_experiment(run: ReadRun, number: int, console: Console, *, output: bool = False) -> None:
    """Tell everything about one experiment; UsageError where the run has none of that number.

    What its programs printed is told where `output` asks for it.
    """
    entry = find(run, number)
    proposed = entry.proposed
    title = Text(f"experiment {number}  ", style="bold")
    title.append("baseline" if number == 0 else entry.status.value, style=STYLES[entry.status])
    say(console, title)
    own, note = by_itself(proposed), standings(run.state).get(number, "")
    if own:
        _field(console, "by itself", f"the loop, not the proposer: {own}")
    if note:
        _field(console, "stands", note)
    _field(console, "rationale", proposed.rationale)
    detail = ", ".join(f"{key} = {value}" for key, value in proposed.detail.items())
    _field(console, "kind", f"{proposed.kind}" + (f" ({detail})" if detail else ""))
    _field(console, "from", _origin(entry))
    if entry.committed is not None:
        _field(console, "commit", f"{entry.committed.commit}, {count(entry.committed.tree_tokens, 'token')}")
    _show_diff(run, entry, console)
    names = (*entry.trials, *claiming(run, number))
    for name in names:
        _show_trial(run.state.trials[name], console)
    _show_decisions(entry, console)
    if entry.closed is not None:
        _field(console, "became", f"{entry.closed.status.value}: {entry.closed.reason}")
    executions = executions_of(run, names)
    show_executions(executions, console)
    if output:
        show_printed(run, executions, console)


def experiment_json(run: ReadRun, number: int) -> dict[str, Any]:
    """One experiment as plain values, every text in it made harmless; `schema` is its version."""
    entry = find(run, number)
    names = (*entry.trials, *claiming(run, number))
    value = {
        "schema": 1,
        "run": run.state.run.run,
        "experiment": number,
        "status": entry.status.value,
        "by_itself": by_itself(entry.proposed),
        "standing": standings(run.state).get(number, ""),
        "proposed": entry.proposed.model_dump(mode="json"),
        "committed": entry.committed.model_dump(mode="json") if entry.committed else None,
        "diff": diff_text(run, entry),
        "trials": [run.state.trials[name].model_dump(mode="json") for name in names],
        "executions": [kept.as_json(run) for kept in executions_of(run, names)],
        "measurements": {o.trial: o.measurements for o in run.state.observations(number)},
        "decisions": [decided.model_dump(mode="json") for decided in entry.decisions],
        "closed": entry.closed.model_dump(mode="json") if entry.closed else None,
    }
    harmless = _harmless(value)
    assert isinstance(harmless, dict)
    return harmless


def find(run: ReadRun, number: int) -> ExperimentState:
    """The experiment of that number; UsageError that names those there are."""
    entry = run.state.experiments.get(number)
    if entry is None:
        there = len(run.state.experiments)
        known = f"it has 0 to {there - 1}" if there else "it has none yet"
        raise UsageError(f"{run.state.run.run} has no experiment {number}; {known}.")
    return entry


def _field(console: Console, label: str, text: str) -> None:
    line = Text(f"  {label:<10} ", style="dim")
    line.append_text(safe(text))
    say(console, line)


def _origin(entry: ExperimentState) -> str:
    source = entry.proposed.provenance
    parts = [source.proposer, *([source.model] if source.model else [])]
    if source.input_tokens or source.output_tokens:
        parts.append(f"{source.input_tokens + source.output_tokens:,} tokens, ${source.cost_usd:.4f}")
    if entry.proposed.experiment:
        parts.append(f"on the code of experiment {entry.proposed.parent}")
    return ", ".join(parts)


def diff_text(run: ReadRun, entry: ExperimentState) -> str | None:
    """The experiment's unified diff against its parent, as it was recorded; None where it has none.

    A sentence in brackets where the record names one that is missing or altered.
    """
    if entry.committed is None or entry.committed.diff is None:
        return None
    try:
        return run.blobs.get(entry.committed.diff).decode("utf-8", "replace")
    except IntegrityError as error:
        return f"(not to be had: {error})"


def _show_diff(run: ReadRun, entry: ExperimentState, console: Console) -> None:
    text = diff_text(run, entry)
    if text is None:
        return
    lines = for_terminal(text).splitlines()
    print_syntax("\n".join(lines[:LONGEST_DIFF]), console)
    if len(lines) > LONGEST_DIFF:
        say(console, f"  … {len(lines) - LONGEST_DIFF} further lines: rsi diff {run.state.run.run} "
                     f"{entry.proposed.experiment}", "dim")  # fmt: skip


def print_syntax(diff: str, console: Console) -> None:
    """A diff in colours; made harmless already."""
    console.print(Syntax(diff, "diff", theme="ansi_dark", background_color="default", word_wrap=True))


def claiming(run: ReadRun, number: int) -> list[str]:
    """Trials of its code that no decision on it has seen: for milestones and the like, in the order of their start."""
    trials = run.state.trials.items()
    return [name for name, t in trials if t.started.experiment == number and t.started.role != "measure"]


def _show_trial(trial: TrialState, console: Console) -> None:
    started = trial.started
    part = "" if started.milestone is None else f" for milestone {started.milestone}"
    part += f" without {edits_of(started.without)}" if started.without else ""
    part += f" the weights of {started.weights_of}" if started.weights_of is not None else ""
    head = f"  trial {started.trial} (to {started.role}{part}, on {started.split}, seed {started.seed})"
    say(console, head, "bold")
    if trial.failed is not None:
        say(console, f"    failed: {trial.failed.reason}", "red")
    for body in trial.runs():
        for finding in body.findings:
            _show_finding(finding, console, _WHERE[type(body)])
    for judged in (trial.screened, trial.checked):
        if judged is None:
            continue
        purpose = "measured" if judged.purpose == "screen" else "checked before the keep"
        say(console, f"    {purpose}: {verdict_words(judged.verdict)}")
        for finding in judged.verdict.findings:
            _show_finding(finding, console)
        if isinstance(judged.verdict, Scored) and judged.purpose == "screen":
            for m in judged.verdict.measurements:
                error = "" if m.standard_error is None else f" ± {m.standard_error:.2g}"
                say(console, f"      {m.name} = {m.value:.6g}{error}")


_WHERE: dict[type[Record], str] = {
    e.TrialTrained: "",
    e.TrialControlled: " in a control training",
    e.TrialAnswered: " while predicting",
}


def _show_finding(finding: Finding, console: Console, where: str = "") -> None:
    pointer = f" [{finding.pointer}]" if finding.pointer else ""
    text = one_line(f"{finding.severity.value}{where} {finding.code}: {finding.message}{pointer}", 500)
    say(console, f"      {text}", "bold red" if finding.severity is Severity.CRITICAL else "")


def _show_decisions(entry: ExperimentState, console: Console) -> None:
    for decided in entry.decisions:
        metric = decided.comparison.objective.metric
        candidate = ", ".join(f"{value:.6g}" for value in decided.comparison.candidate.values(metric))
        incumbent = ", ".join(f"{value:.6g}" for value in decided.comparison.incumbent.values(metric))
        against = f"{metric}: {candidate} against {incumbent} (experiment {decided.comparison.incumbent.experiment})"
        _field(console, "compared", against)
        decision = decided.decision
        more = f", {count(decision.trials, 'trial')} of the {decision.arm}" if isinstance(decision, Measure) else ""
        _field(console, "decided", f"{decision.kind}{more} by {decision.rule}: {decision.reason}")


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return for_terminal(value)
    if isinstance(value, dict):
        return {for_terminal(str(key)): _harmless(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(item) for item in value]
    return value
