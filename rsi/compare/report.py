"""A comparison as it is told: its JSON, and the table and the sentences for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi.compare.differences import Arm, Basis, Compared, compared
from rsi.compare.folder import Comparison
from rsi.compare.matrix import Matrix
from rsi.compare.results import LoopResult, results_of
from rsi.compare.words import GAINS, label, labels, sentences
from rsi.records import Versioned
from rsi.review.wording import duration, number, one_line, say
from rsi.statistics import Interval

PICTURE = "comparison.png"


class Report(Versioned):
    """The JSON of `rsi compare --json`."""

    folder: str
    complete: bool
    """Whether every loop came to its end."""
    matrix: Matrix
    compared: Compared
    sentences: tuple[str, ...]
    loops: tuple[LoopResult, ...]


def report_of(comparison: Comparison) -> Report:
    """All there is to tell, of the loops that are at their end."""
    results = results_of(comparison)
    found = compared(results, basis_of(comparison.matrix))
    return Report(
        folder=one_line(str(comparison.folder), 1000),
        complete=all(result.status == "finished" for result in results),
        matrix=comparison.matrix,
        compared=found,
        sentences=sentences(found, results),
        loops=results,
    )


def basis_of(matrix: Matrix) -> Basis:
    """By which number arms are compared."""
    return "grounded" if matrix.truth else "certified" if matrix.certify else "confirmed"


def render(report: Report, console: Console) -> None:
    """The table of arms, the differences, and the sentences."""
    found = report.compared
    console.print(_arms(found))
    if found.differences:
        say(console)
        console.print(_differences(found))
    say(console)
    for sentence in report.sentences:
        say(console, sentence)
    say(console, f"Every loop is a run below {report.folder}; {PICTURE} there is the figure.", "dim")


def _arms(found: Compared) -> Table:
    truth = found.basis == "grounded"
    table = _table("arm", "loops", "certified", *(("claimed", GAINS["grounded"]) if truth else (GAINS[found.basis],)))
    for header in ("holdout gap", "kept", "blamed", "trials", "compute", "wall", "cost"):
        table.add_column(header, justify="right", no_wrap=True)
    for arm in found.arms:
        means = arm.means
        gains = (_figure(arm.claimed), _figure(means["gain"])) if truth else (_figure(means["gain"]),)
        table.add_row(
            _named(arm),
            f"{arm.loops} of {arm.loops + arm.unfinished}" if arm.unfinished else f"{arm.loops}",
            f"{arm.certified}",
            *gains,
            _figure(means["gap"]),
            _figure(means["kept"], 1.0),
            _figure(means["blamed"], 1.0),
            _figure(means["trials"], 1.0),
            _seconds(means["compute"]),
            _seconds(means["wall"]),
            "-" if means["cost_usd"] is None else f"${means['cost_usd']:.2f}",
        )
    table.caption = f"Means over loops; gains and gaps{f' in {found.unit}' if found.unit else ''}, positive is better."
    table.caption_justify = "left"
    return table


def _differences(found: Compared) -> Table:
    table = _table("paired difference", "pairs", GAINS[found.basis])
    for header in ("holdout gap", "kept", "blamed", "trials", "compute", "wall", "cost"):
        table.add_column(header, justify="right", no_wrap=True)
    for difference in found.differences:
        gain, told = difference.gain, difference.described
        table.add_row(
            Text(" - ".join(labels(difference, found))),
            f"{gain.n if gain is not None else 0}",
            _with_bounds(gain) if difference.grounded else "not measured",
            *(_with_bounds(told[name]) for name in ("gap", "kept", "blamed", "trials", "compute", "wall", "cost_usd")),
        )
    percent = f"{found.confidence * 100:g}%"
    table.caption = (
        f"{percent} intervals (paired t), Bonferroni: the gains hold together, and so do all other measures, which are "
        "described, not tested. Times in seconds."
    )
    table.caption_justify = "left"
    return table


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", no_wrap=True)
    return table


def _named(arm: Arm) -> Text:
    return Text(label(arm.arm, grounded=arm.grounded), style="" if arm.grounded else "bold red")


def _figure(value: float | None, step: float | None = None) -> str:
    if value is None:
        return "-"
    return number(value, (abs(value) or 0.01) / 2 if step is None else step)


def _seconds(value: float | None) -> str:
    return "-" if value is None else duration(value)


def _with_bounds(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return _figure(interval.estimate)
    half = (interval.high - interval.low) / 2
    return f"{number(interval.estimate, half)} ± {number(half, half)}"
