"""What the model is asked: a prefix that stays the same for the whole run, then the code, then the history.

Providers serve a prefix that they have seen before from a cache, at a fraction of the price; so whatever changes from
one call to the next stands behind whatever does not. Text that came out of the run stands in fences or JSON strings
(`quoting`), and the rules at the top say that such text is data.
"""

from __future__ import annotations

import math
import re
from functools import cache
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rsi.calls import Message
from rsi.proposers.llm.quoting import fenced, in_a_line, interface, tokens
from rsi.proposers.llm.settings import Settings
from rsi.records import Brief, Direction, ExperimentStatus, HistoryEntry, Objective
from rsi.statistics import round_to_noise

ROW_WIDTH = 50
"""Characters of an idea in the table."""
RATIONALE_WIDTH = 400
LETTERS = {
    ExperimentStatus.KEPT: "K",
    ExperimentStatus.DISCARDED: "D",
    ExperimentStatus.REJECTED: "J",
    ExperimentStatus.CRASHED: "X",
    ExperimentStatus.REFUSED: "R",
    ExperimentStatus.UNDECIDED: "U",
    ExperimentStatus.REAPPLIED: "W",
    ExperimentStatus.OPEN: "O",
}


@cache
def _environment() -> Environment:
    # Prompts are no markup: escaping HTML would change the code that the model must copy.
    return Environment(
        loader=PackageLoader("rsi.proposers.llm"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: Any) -> str:
    """A template of this package; an undefined name raises."""
    return _environment().get_template(f"{template}.jinja").render(**values)


def build(brief: Brief, settings: Settings) -> tuple[Message, ...]:
    """The first prompt of a proposal."""
    system = render(
        "system",
        task=brief.task,
        metric=brief.objective.metric,
        better="lower" if brief.objective.direction is Direction.MINIMIZE else "higher",
        noise=f"{brief.objective.noise:g}",
        quarter=f"{brief.objective.noise / 4:g}",
        usual=round(4 * usual_uncertainty(brief.objective) / brief.objective.noise),
        letters=", ".join(f"{letter} {status.value}" for status, letter in LETTERS.items() if letter != "O"),
        program=brief.program.strip(),
        training=brief.training,
        max_bytes=brief.max_bytes,
        editable=sorted(brief.code),
        protected=[(path, fenced(interface(path, text), "python")) for path, text in sorted(brief.protected.items())],
        advice=fenced(brief.advice) if brief.advice else "",
        advice_from=in_a_line(brief.advice_from, RATIONALE_WIDTH),
        format=render(settings.edit_format.value, example=min(brief.code)),
    )
    code = render(
        "code",
        metric=brief.objective.metric,
        value=_number(brief.incumbent_value),
        files=[
            (path, fenced(text, "python" if path.endswith(".py") else "")) for path, text in sorted(brief.code.items())
        ],
    )
    crashed = to_repair(brief, settings)
    room = settings.prompt_tokens - tokens(system) - tokens(code)
    rows, in_full = _within(brief, settings.history, room, crashed)
    table = render("table", rows=rows, left_out=len(brief.history) - len(rows))
    pending = [_cell(_what(entry.rationale)) for entry in brief.pending]
    ask = render(
        "ask", in_full=in_full, crashed=crashed, left=_left(brief), experiment=brief.experiment, pending=pending
    )
    return (Message(role="system", parts=(system, "")), Message(role="user", parts=(code, table, ask)))


def to_repair(brief: Brief, settings: Settings) -> HistoryEntry | None:
    """The last experiment, if its training crashed and it is not yet the last of too many repairs in a row."""
    last = brief.history[-1] if brief.history else None
    if last is None or last.status is not ExperimentStatus.CRASHED or not last.diff:
        return None
    by_number = {entry.experiment: entry for entry in brief.history}
    depth, entry = 0, last
    while entry.repairs in by_number:
        depth, entry = depth + 1, by_number[entry.repairs]
    return last if depth < settings.repairs else None


# --- what fits --------------------------------------------------------------------------------------------------


def _within(brief: Brief, in_full: int, room: int, crashed: HistoryEntry | None) -> tuple[list[str], list[str]]:
    """Rows of the table and experiments in full, each whole or not at all, within about `room` tokens.

    A crash that is to be repaired comes first, then every row by importance, then what is told in full.
    """
    told: dict[int, str] = {}
    rows: dict[int, str] = {}
    if crashed is not None:
        told[crashed.experiment] = _full(crashed, brief.objective)
        room -= tokens(told[crashed.experiment])
    ranked = sorted(brief.history, key=lambda entry: importance(entry, len(brief.history)), reverse=True)
    for entry in ranked:
        row = _row(entry, brief.objective)
        if tokens(row) <= room:
            rows[entry.experiment] = row
            room -= tokens(row)
    for entry in ranked:
        if len(told) >= in_full:
            break
        if not entry.diff or entry.experiment in told:
            continue
        text = _full(entry, brief.objective)
        if tokens(text) <= room:
            told[entry.experiment] = text
            room -= tokens(text)
    return [rows[number] for number in sorted(rows)], [told[number] for number in sorted(told)]


def importance(entry: HistoryEntry, count: int) -> float:
    """How much an experiment tells: what was kept most, then near misses and crashes, the later the more."""
    status = {
        ExperimentStatus.KEPT: 3.0,
        ExperimentStatus.DISCARDED: 1.0,
        ExperimentStatus.CRASHED: 1.0,
        ExperimentStatus.REJECTED: 1.0,
    }
    near = 0.0
    if entry.status is ExperimentStatus.DISCARDED and entry.gain is not None and entry.uncertainty:
        near = max(0.0, 1.0 + entry.gain / (4 * entry.uncertainty))
    return status.get(entry.status, 0.0) + min(near, 1.0) + entry.experiment / max(count, 1)


def usual_uncertainty(objective: Objective) -> float:
    """The standard error of a gain measured with one trial on each side."""
    return max(round_to_noise(objective.noise * math.sqrt(2), objective.noise), objective.noise / 4)


def _row(entry: HistoryEntry, objective: Objective) -> str:
    """An experiment on one line: fifty of them are in every prompt, so each word counts."""
    told = (str(entry.experiment), LETTERS[entry.status], _change(entry, objective), _cell(_what(entry.rationale)))
    note = f" ({_cell(entry.note)})" if entry.note else ""
    return " ".join(part for part in told if part) + note


def _change(entry: HistoryEntry, objective: Objective) -> str:
    """The gain in quarters of the noise, a whole number; with its standard error where that is not the usual one."""
    quarter = objective.noise / 4
    if entry.gain is None:
        return ""
    usual = entry.uncertainty in {None, usual_uncertainty(objective)}
    return f"{round(entry.gain / quarter):+d}" + ("" if usual else f"±{round((entry.uncertainty or 0) / quarter)}")


def _cell(text: str) -> str:
    """A text on one line that cannot close the fence around the table."""
    return in_a_line(text.replace("`", "'"), ROW_WIDTH)[1:-1]


def _what(rationale: str) -> str:
    """What was tried, without why: up to the first colon or full stop that leaves enough of it."""
    match = re.match(r".{12,}?(?=[:;.](?:\s|$))", rationale, re.DOTALL)
    return match[0] if match else rationale


def _compact(diff: str) -> str:
    """A diff with one line of context: enough to see what was tried in code that is shown anyway."""
    lines = diff.split("\n")
    if diff.count("\n+++ ") == 1:  # of one file there is no need to say which
        lines = lines[2:]
    changed = {n for n, line in enumerate(lines) if line[:1] in {"+", "-"}}
    shown = [n for n, line in enumerate(lines) if {n - 1, n, n + 1} & changed and not line.startswith("@@")]
    gaps = {n for before, n in pairwise(shown) if n != before + 1}
    marked = ("@@\n" * (n in gaps) + lines[n] for n in shown)
    return "\n".join(marked)


def _full(entry: HistoryEntry, objective: Objective) -> str:
    return render(
        "experiment",
        number=entry.experiment,
        status=entry.status.value,
        change=_change(entry, objective),
        rationale=in_a_line(entry.rationale, RATIONALE_WIDTH),
        note=in_a_line(entry.note, RATIONALE_WIDTH) if entry.note else "",
        diff=fenced(_compact(entry.diff), "diff"),
        printed=fenced(entry.printed) if entry.printed else "",
    )


def _number(value: float | None) -> str:
    return "not measured yet" if value is None else f"{value:g}"


def _left(brief: Brief) -> str:
    """Only experiments: what calls have cost would be another number in every prompt, and helps no research."""
    return "" if brief.left.experiments is None else str(max(0, brief.left.experiments - 1))
