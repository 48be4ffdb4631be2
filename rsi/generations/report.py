"""An evolution as it is told: its JSON, and the table and the sentences for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rsi.edits import render_diff
from rsi.generations.evolution import Generation, History
from rsi.generations.guard import Halt
from rsi.generations.outcome import Outcome, Program
from rsi.records import Record, Versioned
from rsi.review.highlight import print_highlighted
from rsi.review.wording import count, duration, number, one_line, say
from rsi.sanitize import for_terminal
from rsi.statistics import Interval


class Told(Record):
    """One generation."""

    outcome: Outcome
    before: Program
    after: Program
    since_first: Interval | None
    """Gain of the program that stands after it over program 0, chained; None before anything was promoted."""
    diff: str
    """From the program before to the one after, unified, harmless on a terminal; empty where none was promoted."""


class Report(Versioned):
    """The JSON of `rsi generations --json`."""

    folder: str
    planned: int
    alpha: float
    complete: bool
    """Whether nothing is left to do: the generations asked for are over, or the guard halts."""
    generations: tuple[Told, ...]
    standing: Program
    halt: Halt | None
    damaged: str
    """Why later generations cannot be read; empty where they can."""
    sentences: tuple[str, ...]


def report_of(folder: Path, history: History) -> Report:
    """All there is to tell."""
    found: list[Told] = []
    for place, generation in enumerate(history.generations, start=1):
        chained = since_first([one.outcome for one in history.generations[:place]])
        found.append(
            Told(
                outcome=generation.outcome,
                before=generation.before.program,
                after=generation.after.program,
                since_first=chained,
                diff=_diff(generation),
            )
        )
    halt, damaged = history.halt, one_line(history.damaged, 500)
    return Report(
        folder=one_line(str(folder), 1000),
        planned=history.plan.generations,
        alpha=history.plan.alpha,
        complete=not damaged and (history.over or halt is not None),
        generations=tuple(found),
        standing=history.standing.program,
        halt=halt,
        damaged=damaged,
        sentences=tuple(_sentences(found, history, halt, damaged)),
    )


def since_first(outcomes: Sequence[Outcome]) -> Interval | None:
    """The gain over program 0 of the program that stands after these generations; None where it is program 0.

    Each promoted generation measured its gain over its predecessor on seeds of its own, so the gains add up and are
    independent. The half-widths are added in quadrature: with Student's t that errs to the wide side, because the sum
    has more degrees of freedom than the part that has fewest. No bounds where one of the parts has none.
    """
    gains = [outcome.gain for outcome in outcomes if outcome.promoted]
    known = [gain for gain in gains if gain is not None]
    if not gains or len(known) < len(gains):
        return None
    total = math.fsum(gain.estimate for gain in known)
    method = "sum of gains, half-widths in quadrature"
    if len(known) == 1:
        return known[0]
    halves = [(gain.high - gain.low) / 2 for gain in known if gain.low is not None and gain.high is not None]
    pairs = sum(gain.n for gain in known)
    if len(halves) < len(known):
        return Interval(estimate=total, confidence=known[0].confidence, n=pairs, method="none: a part has no interval")
    reach = math.hypot(*halves)
    return Interval(
        estimate=total,
        low=total - reach,
        high=total + reach,
        confidence=known[0].confidence,
        n=pairs,
        method=method,
    )


def render(report: Report, console: Console) -> None:
    """The table, and the sentences below it."""
    if report.generations:
        console.print(_table(report))
        say(console)
    for sentence in report.sentences:
        say(console, sentence)


def render_diffs(report: Report, console: Console) -> None:
    """What changed between programs, promoted generation by promoted generation."""
    shown = [told for told in report.generations if told.diff]
    for told in shown:
        say(console, f"{told.before.label} -> {told.after.label}", "bold")
        if console.is_terminal:
            print_highlighted(told.diff, console)
        else:
            say(console, told.diff.rstrip("\n"))
    if not shown:
        say(console, "No generation was promoted, so nothing has changed.")


def with_bounds(interval: Interval | None) -> str:
    """`0.21 (0.12 to 0.30)`; a dash for none."""
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return number(interval.estimate)
    step = (interval.high - interval.low) / 2 or 0.01
    return f"{number(interval.estimate, step)} ({number(interval.low, step)} to {number(interval.high, step)})"


def verdict_of(outcome: Outcome) -> str:
    """What became of a generation, in a word or two."""
    if outcome.promoted is None:
        return "under way" if outcome.status == "running" else "paused"
    if outcome.promoted:
        return "promoted"
    return "not shown" if outcome.tested else "nothing found"


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, header in enumerate(
        (
            "generation", "", "gain over predecessor", "over proposer@0", "on inner tasks", "trials", "CPU inside",
            "scoring", "wall", "cost", "proposed by",
        )
    ):  # fmt: skip
        table.add_column(header, justify="right" if 2 <= place <= 9 else "left", no_wrap=True)
    for told in report.generations:
        outcome = told.outcome
        style = "bold green" if outcome.promoted else ""
        table.add_row(
            f"{outcome.generation}",
            Text(verdict_of(outcome), style=style),
            with_bounds(outcome.gain) if outcome.promoted else "-",
            with_bounds(told.since_first),
            number(outcome.dev_gain),
            f"{outcome.trials}",
            duration(outcome.cpu_seconds),
            duration(outcome.scoring_seconds),
            duration(outcome.wall_seconds),
            f"${outcome.cost_usd:.2f}" if outcome.cost_usd else "-",
            Text(for_terminal(outcome.proposed_by, 60)),
        )
    unit = report.generations[0].outcome.unit
    table.caption = (
        f"Gains in {unit}, 95% intervals, on held-out tasks from pairs run after a test was passed; over "
        "proposer@0 the gains are added, their half-widths in quadrature. On inner tasks: what the search believed. "
        "CPU inside the sandboxes; scoring outside, where inner tasks are trained, by the clock."
    )
    table.caption_justify = "left"
    return table


def _sentences(found: Sequence[Told], history: History, halt: Halt | None, damaged: str) -> list[str]:
    told: list[str] = []
    standing = history.standing.program
    promoted = [one for one in found if one.outcome.promoted]
    where = f"{standing.label}, sha256 {standing.sha256[:12]}"
    if promoted:
        last = promoted[-1]
        how_much = last.since_first
        gained = (
            ""
            if how_much is None
            else f" It gains {with_bounds(how_much)} {last.outcome.unit} over proposer@0 on held-out tasks."
            if how_much.low is not None and how_much.low > 0
            else " It is better than proposer@0 on held-out tasks, and by how much is uncertain: "
            f"{with_bounds(how_much)} {last.outcome.unit}."
        )
        told.append(
            f"{count(len(promoted), 'generation').capitalize()} of {len(found)} promoted; {where}, stands.{gained} The "
            f"chance that any promotion is false is at most {100 * history.plan.alpha:g}%."
        )
    elif found and found[-1].outcome.promoted is not None:
        told.append(f"Nothing was promoted: {where}, stands.")
    told += [
        f"The run of generation {one.outcome.generation} was given more after its end; what came then does not count."
        for one in found
        if one.outcome.went_on
    ]
    if damaged:
        told.append(damaged)
    elif halt is not None:
        told += [halt.sentence, halt.advice]
    elif not history.over:
        next_one = len(found) + 1 if not found or found[-1].outcome.promoted is not None else len(found)
        paused = found and found[-1].outcome.promoted is None and found[-1].outcome.reason
        why = f" ({found[-1].outcome.reason})" if paused else ""
        told.append(f"Generation {next_one} of {history.plan.generations} is not over{why}.")
    return told


def _diff(generation: Generation) -> str:
    if not generation.outcome.promoted:
        return ""
    return for_terminal(render_diff(generation.before.code, generation.after.code))
