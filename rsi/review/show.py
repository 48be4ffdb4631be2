"""`rsi show RUN`: a summary that is read in ten seconds, then every experiment, then the staircase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi.records import Direction, ExperimentStatus, Objective, Severity
from rsi.review.closing import became, next_commands
from rsi.review.findings import RANK
from rsi.review.improvement import calibration_words, gap_words, how_sure, milestone_words, sentences
from rsi.review.notes import note_words
from rsi.review.pointing import spelled
from rsi.review.staircase import renderable
from rsi.review.summary import RunSummary, Trouble
from rsi.review.wording import STYLES, count, duration, marks, number, one_line, say, size
from rsi.review.worth import attribution_words

if TYPE_CHECKING:
    from rsi.review.lines import Line
    from rsi.review.reading import Reading

_SURE = {
    "certified": "tested on fresh seeds and on the holdout, which no decision had seen",
    "not certified": "not at all: nothing has passed a test on fresh seeds and the holdout",
    "confirmed": "confirmed on fresh seeds and on the holdout, which no decision had seen",
    "not confirmed": "tested on fresh seeds and on the holdout, and not borne out there",
    "provisional": "only provisional: no fresh seeds, no holdout (`rsi run` tests, unless told --no-certify)",
    "nothing kept": "nothing to be sure of",
}
_IMPROVED = {"certified": "bold green", "confirmed": "bold green", "not certified": "bold yellow"}


LAST_SHOWN = 50
"""Experiments that are always in the table, besides those that were kept."""


def show_run(reading: Reading, console: Console, *, everything: bool = False) -> None:
    """Tell what a run did; of a long one, unless `everything` is asked for, what was kept and the last experiments."""
    summary = reading.summary
    _head(summary, console)
    _looked_at(reading, console)
    say(console)
    lines = reading.lines
    first = 0 if everything else len(lines) - LAST_SHOWN
    shown = [line for n, line in enumerate(lines) if n >= first or n == 0 or line.status is ExperimentStatus.KEPT]
    console.print(_table(shown, reading.objective, console))
    if len(shown) < len(lines):
        left = f"{len(lines) - len(shown):,} experiments that were not kept are left out"
        say(console, f"{left}, the last {LAST_SHOWN} are all here; --all shows every one.", "dim")
    if len(reading.points) > 1:
        say(console)
        plot = renderable(reading.points, console, Direction(summary.direction))
        console.print(plot, markup=False, emoji=False, highlight=False)
    say(console)
    next_commands(summary, console, shown=True)
    say(console, f"ledger head {summary.ledger_head} ({count(summary.events, 'event')})", "dim")


def _looked_at(reading: Reading, console: Console) -> None:
    """What verifiers and scrutiny found, counted, and what reviewers said."""
    counts = Counter(found.severity for found in reading.findings)
    if counts:
        graver = [f"{counts[severity]} {severity.value}" for severity in reversed(Severity) if counts[severity]]
        grave = any(RANK[severity] >= RANK[Severity.NOTICE] for severity in counts)
        tail = f"; rsi findings {spelled(reading.folder)}{'' if grave else ' --severity info'}"
        _row_of("found", ", ".join(graver) + tail, console)
    notes = () if reading.notes_problem else reading.notes
    for place, note in enumerate(notes[-_NOTES_SHOWN:]):
        _row_of("noted" if place == 0 else "", note_words(note), console)
    if len(notes) > _NOTES_SHOWN:
        _row_of("", f"and {count(len(notes) - _NOTES_SHOWN, 'earlier note')}; rsi log --kind note", console)


_NOTES_SHOWN = 5


def _row_of(label: str, text: str, console: Console) -> None:
    line = Text(f"  {label:<11}", style="dim")
    line.append(one_line(text, 1000))
    say(console, line)


def _head(summary: RunSummary, console: Console) -> None:
    ended = f"{summary.status}: {summary.reason}" if summary.reason else summary.status
    say(console, f"{summary.run}  task {summary.task}, proposer {summary.proposer}, policy {summary.policy}", "bold")
    for mark in marks(summary.grounded, summary.isolated):
        say(console, mark, "bold red")
    sure = how_sure(summary)
    first, *further = sentences(summary)
    rows = [
        ("improved", first),
        *(("", sentence) for sentence in further),
        ("how sure", _SURE[sure]),
        *_tests(summary),
        ("went wrong", _wrong(summary)),
        ("cost", _cost(summary)),
        ("did", f"{became(summary)}; {ended}"),
    ]
    for label, text in rows:
        line = Text(f"  {label:<11}", style="dim")
        line.append(one_line(text, 1000), style=_IMPROVED.get(sure, "") if label == "improved" else "")
        say(console, line)


def _tests(summary: RunSummary) -> list[tuple[str, str]]:
    """Every milestone, how far dev is ahead of the holdout, and how often luck is kept."""
    told = [milestone_words(milestone) for milestone in summary.milestones]
    rows = [("tested" if place == 0 else "", words) for place, words in enumerate(told)]
    rows += [("gap", gap_words(summary.gap[-1]))] if summary.gap else []
    if summary.audits:
        last = summary.audits[-1]
        where = "ahead of" if last.gap > 0 else "behind"
        when = f"after {count(last.trials_spent, 'trial')}"
        rows.append(("audited", f"dev {where} the holdout by {abs(last.gap):.3g}, as far as the Ladder tells, {when}"))
    luck = calibration_words(summary)
    rows += [("luck kept", luck)] if luck else []
    return rows + ([("matters", attribution_words(summary.attribution))] if summary.attribution else [])


def _wrong(summary: RunSummary) -> str:
    if not summary.problems:
        return "nothing"
    shown = "; ".join(_trouble(trouble) for trouble in summary.problems[:3])
    further = len(summary.problems) - 3
    return shown + (f"; and {count(further, 'further kind')} (--json lists them)" if further > 0 else "")


def _trouble(trouble: Trouble) -> str:
    where = "" if trouble.experiment is None else f"experiment {trouble.experiment}: "
    code = trouble.kind.removeprefix("finding: ")
    is_finding = code != trouble.kind
    what = f"{count(trouble.count, 'finding')} {code}" if is_finding else f"{trouble.count} {code.replace('_', ' ')}"
    return f"{what} ({where}{one_line(trouble.example, 90)})"


def _cost(summary: RunSummary) -> str:
    parts = [
        f"{duration(summary.wall_seconds)} of wall time",
        f"{duration(summary.train_seconds)} training",
        f"{duration(summary.predict_seconds + summary.scoring_seconds)} predicting and scoring",
        f"{duration(summary.overhead_seconds)} overhead",
        f"{size(summary.disk_bytes)} on disk",
    ]
    if summary.tokens or summary.cost_usd:
        parts.append(f"{summary.tokens:,} tokens, ${summary.cost_usd:.2f}{_left(summary)}")
    return ", ".join(parts)


def _left(summary: RunSummary) -> str:
    """What the budget for calls has left, in brackets; empty where it sets no limit."""
    calls = summary.calls
    parts = [] if calls.cost_usd_left is None else [f"${calls.cost_usd_left:.2f}"]
    parts += [] if calls.tokens_left is None else [f"{calls.tokens_left:,} tokens"]
    parts += [] if calls.left is None else [count(calls.left, "call")]
    unpriced = f"; {count(calls.unpriced, 'call')} of unknown price" if calls.unpriced else ""
    return (f" ({', '.join(parts)} left)" if parts else "") + unpriced


def _table(lines: Sequence[Line], objective: Objective, console: Console) -> Table:
    ascii_only = console.options.ascii_only
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", safe_box=ascii_only)
    for header, justify in (("#", "right"), ("became", "left"), (objective.metric, "right")):
        table.add_column(one_line(header, 30), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("gain", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("what it tried, and what came of it", overflow="fold", ratio=1)
    for line in lines:
        table.add_row(*_row(line, objective.noise))
    return table


def _row(line: Line, resolution: float) -> list[Text]:
    words = Text(one_line(line.words, 160))
    unusual = line.status not in {ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.OPEN}
    if unusual and line.why:
        words.append(f" ({one_line(line.why, 160)})", style="dim")
    if line.standing:
        words.append(f" [{line.standing}]", style="bold" if line.standing.startswith("certified") else "dim")
    if line.gravest in {Severity.WARNING, Severity.CRITICAL}:
        words.append(f" [{line.gravest.value}]", style="bold red" if line.gravest is Severity.CRITICAL else "yellow")
    if line.notes:
        said = f"{line.marked}, a reviewer says" if line.marked else "noted"
        words.append(f" [{said}]", style="yellow" if line.marked == "suspicious" else "dim")
    return [
        Text(str(line.experiment)),
        Text("baseline" if line.experiment == 0 else line.status.value, style=STYLES[line.status]),
        Text(number(line.value, resolution)),
        Text("" if line.gain is None else f"{line.gain:+.{_places(resolution)}f}"),
        Text(f"{line.seconds:.1f}"),
        words,
    ]


def _places(resolution: float) -> int:
    return len(number(0.0, resolution).partition(".")[2])
