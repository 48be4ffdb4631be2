"""`rsi show RUN N`: one experiment whole, from the proposal to the decision, with what its sandboxes used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from rsi import events as e
from rsi.errors import RsiError, UsageError
from rsi.records import Arm, Finding, Measure, Record, Scored, Severity
from rsi.review.asked import asked_json, show_asked
from rsi.review.executions import executions_of, show_executions, show_printed
from rsi.review.findings import Found
from rsi.review.highlight import print_highlighted
from rsi.review.notes import Note, note_words
from rsi.review.ranked import program_executions, ranked_json, ranked_words
from rsi.review.sameness import verdict_words
from rsi.review.standing import by_itself, standings
from rsi.review.wording import STYLES, count, mean, one_line, safe, say
from rsi.review.worth import edits_of
from rsi.runs import ReadRun
from rsi.sanitize import for_terminal
from rsi.state import ExperimentState, TrialState
from rsi.workspace import Workspace

LONGEST_DIFF = 400
"""Lines of a diff shown on a screen; `rsi diff` shows all of it."""


def show_experiment(
    run: ReadRun,
    number: int,
    console: Console,
    *,
    output: bool = False,
    prompt: bool = False,
    code: bool = False,
    notes: Sequence[Note] = (),
) -> None:
    """Tell everything about one experiment; UsageError where the run has none of that number.

    Args:
        run: That holds the experiment whole.
        number: Of the experiment.
        console: Where to.
        output: With what its programs printed.
        prompt: With what language models were asked and answered, in full.
        code: With its code, each line numbered.
        notes: Of reviewers, on whatever experiment.
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
    for said in notes:
        if said.experiment == number:
            _field(console, "noted", note_words(said))
    ranked = ranked_words(run, number)
    if ranked:
        _field(console, "program", ranked)
    show_asked(run, number, console, texts=prompt, how=f"rsi show {run.state.run.run} {number} --prompt")
    _show_diff(run, entry, console)
    names = trials_of(run, number)
    for name in names:
        _show_trial(run.state.trials[name], console)
    _show_decisions(entry, console)
    if entry.closed is not None:
        _field(console, "became", f"{entry.closed.status.value}: {entry.closed.reason}")
    executions = [*program_executions(run, number), *executions_of(run, names)]
    show_executions(run, executions, console)
    if output:
        show_printed(run, executions, console)
    if code:
        _show_code(run, entry, console)


def experiment_json(
    run: ReadRun, number: int, *, notes: Sequence[Note] = (), findings: Sequence[Found] = (), prompt: bool = False
) -> dict[str, Any]:
    """One experiment as plain values, every text in it made harmless; `schema` is its version.

    Notes and findings are those of the run that are about it; `prompt` adds prompts and answers in full to `calls`.
    """
    entry = find(run, number)
    names = trials_of(run, number)
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
        "executions": [kept.as_json(run) for kept in (*program_executions(run, number), *executions_of(run, names))],
        "measurements": {o.trial: o.measurements for o in run.state.observations(number)},
        "compared": [row._asdict() for row in compared(entry.decisions[-1])] if entry.decisions else [],
        "calls": asked_json(run, number, texts=prompt),
        "program": ranked_json(run, number),
        "findings": [found.model_dump(mode="json") for found in findings if found.experiment == number],
        "notes": [note.model_dump(mode="json") for note in notes if note.experiment == number],
        "decisions": [decided.model_dump(mode="json") for decided in entry.decisions],
        "closed": entry.closed.model_dump(mode="json") if entry.closed else None,
    }
    harmless = _harmless(value)
    assert isinstance(harmless, dict)
    return harmless


class Compared(NamedTuple):
    """One metric of a candidate against the incumbent's: means over their scored trials at the last decision."""

    metric: str
    candidate: float | None
    candidate_trials: int
    incumbent: float | None
    incumbent_trials: int
    incumbent_experiment: int


def compared(decided: e.PolicyDecided) -> list[Compared]:
    """Every metric that either side was measured by, the objective first."""
    sides = decided.comparison.candidate, decided.comparison.incumbent
    names = dict.fromkeys(name for side in sides for seen in side.observations for name in seen.measurements)
    objective = decided.comparison.objective.metric
    rows = []
    for name in sorted(names, key=lambda name: name != objective):
        own, other = ([o.measurements[name] for o in side.observations if name in o.measurements] for side in sides)
        rows.append(
            Compared(
                metric=name,
                candidate=mean(own) if own else None,
                candidate_trials=len(own),
                incumbent=mean(other) if other else None,
                incumbent_trials=len(other),
                incumbent_experiment=decided.comparison.incumbent.experiment,
            )
        )
    return rows


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
    except RsiError as error:
        return f"(not to be had: {error})"


def _show_diff(run: ReadRun, entry: ExperimentState, console: Console) -> None:
    text = diff_text(run, entry)
    if text is None:
        return
    lines = for_terminal(text).splitlines()
    print_highlighted("\n".join(lines[:LONGEST_DIFF]), console)
    if len(lines) > LONGEST_DIFF:
        say(console, f"  … {len(lines) - LONGEST_DIFF} further lines: rsi diff {run.state.run.run} "
                     f"{entry.proposed.experiment}", "dim")  # fmt: skip


def _show_code(run: ReadRun, entry: ExperimentState, console: Console) -> None:
    """Every file of its code as it was committed, read without git."""
    if entry.committed is None:
        say(console, "  (it has no code: its edit was not applied)", "dim")
        return
    try:
        files = Workspace.open(run.folder).read(entry.committed.commit)
    except RsiError as error:
        say(console, f"  (its code is not to be had: {error})", "red")
        return
    for path, text in files.items():
        say(console, f"  {one_line(path)}", "bold")
        for place, part in enumerate(text.split("\n"), start=1):
            line = Text(f"  {place:>5} | ", style="dim")
            line.append_text(safe(part))
            say(console, line)


def trials_of(run: ReadRun, number: int) -> tuple[str, ...]:
    """All trials of an experiment's code: first those that it was decided on, then those for milestones and such."""
    return (*run.state.experiments[number].trials, *claiming(run, number))


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
        candidate, incumbent = (
            _measured(arm, metric) for arm in (decided.comparison.candidate, decided.comparison.incumbent)
        )
        against = f"{metric}: {candidate} against {incumbent} (experiment {decided.comparison.incumbent.experiment})"
        _field(console, "compared", against)
        for row in compared(decided)[1:]:
            beside = "nothing" if row.incumbent is None else f"{row.incumbent:.6g}"
            ours = "nothing" if row.candidate is None else f"{row.candidate:.6g}"
            _field(console, "", f"{row.metric}: {ours} against {beside}")
        decision = decided.decision
        more = f", {count(decision.trials, 'trial')} of the {decision.arm}" if isinstance(decision, Measure) else ""
        _field(console, "decided", f"{decision.kind}{more} by {decision.rule}: {decision.reason}")


def _measured(arm: Arm, metric: str) -> str:
    values = [seen.measurements[metric] for seen in arm.observations if metric in seen.measurements]
    return ", ".join(f"{value:.6g}" for value in values) or "nothing"


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return for_terminal(value)
    if isinstance(value, dict):
        return {for_terminal(str(key)): _harmless(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(item) for item in value]
    return value
