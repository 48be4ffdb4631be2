"""What the first page of a run says: the same values for the report, for `rsi view` and for its live update."""

from __future__ import annotations

from typing import Any

from rsi.errors import IntegrityError
from rsi.records import Direction
from rsi.review.improvement import calibration_words, how_sure, milestone_words, sentences
from rsi.review.notes import Note
from rsi.review.reading import Reading
from rsi.review.summary import RunSummary
from rsi.review.web.chart import HEIGHT, NOTHING_YET, WIDTH, Staircase, gap_rows, staircase
from rsi.review.web.links import Links
from rsi.review.web.pages import figure
from rsi.review.wording import count, decimals, duration, marks, one_line, size
from rsi.review.worth import attribution_words

SHOWN_COLUMNS = (
    *((0, "#", "n"), (1, "became", ""), (2, "", "n"), (3, "gain", "n")),
    *((4, "seconds", "n"), (6, "findings", "n"), (8, "what it tried", "words")),
)
"""Place in `table.COLUMNS`, heading, look; the heading of the value is the metric."""
FIRST_LINES = 100
"""Of the table, in the page itself; the script has all."""


def notes_of(reading: Reading) -> tuple[tuple[Note, ...], str]:
    """Reviewers' notes, and the sentence that says why there are none where their chain does not hold."""
    try:
        return reading.notes, ""
    except IntegrityError as error:
        return (), f"The reviewers' notes do not hold: {error}"


def overview(reading: Reading, links: Links, problems: tuple[str, ...]) -> dict[str, Any]:
    """What the template `overview.jinja` needs."""
    summary, lines = reading.summary, reading.lines
    metric = summary.baseline.metric
    notes, broken = notes_of(reading)
    return {
        "summary": summary,
        "title": _task(reading),
        "name": reading.folder.resolve().name,
        "problems": (*problems, *([broken] if broken else [])),
        "marks": marks(summary.grounded, summary.isolated),
        "sure": how_sure(summary),
        "sentences": sentences(summary),
        "facts": facts(summary),
        "chart": staircase(reading.points, metric, Direction(summary.direction)) or _nothing_yet(summary),
        "width": WIDTH,
        "height": HEIGHT,
        "columns": tuple((place, name or one_line(metric, 30), look) for place, name, look in SHOWN_COLUMNS),
        "first_lines": lines[:FIRST_LINES],
        "lines_left": len(lines) - FIRST_LINES if len(lines) > FIRST_LINES else 0,
        "last": len(lines) - 1,
        "metric": one_line(metric, 40),
        "places": decimals(reading.started.objective.noise),
        "gaps": gap_rows(summary),
        "asked": asked(reading),
        "run_notes": notes,
        "links": links,
    }


def _nothing_yet(summary: RunSummary) -> Staircase | None:
    return None if summary.status == "finished" else NOTHING_YET


def facts(summary: RunSummary) -> list[tuple[str, str]]:
    """The figures under the claim; always the same ones in the same order, so that they can be updated."""
    return [
        ("status", summary.status),
        (f"baseline {one_line(summary.baseline.metric, 30)}", figure(summary.baseline.value)),
        ("best on dev", f"{figure(summary.best.value)} (#{summary.best.experiment})"),
        ("experiments", f"{summary.experiments:,}"),
        ("kept", f"{summary.kept:,}"),
        ("discarded", f"{summary.discarded:,}"),
        ("rejected", f"{summary.rejected:,}"),
        ("crashed or refused", f"{summary.crashed + summary.refused:,}"),
        ("trials", f"{summary.trials:,}"),
        ("wall time", duration(summary.wall_seconds)),
        ("training", duration(summary.train_seconds)),
        ("models", f"{summary.tokens:,} tokens, ${summary.cost_usd:.2f}" if summary.tokens else "none asked"),
    ]


def asked(reading: Reading) -> list[tuple[str, str]]:
    """What was chosen when the run was started, and what it was told besides."""
    started, summary = reading.started, reading.summary
    chosen, budget = started.configuration, started.configuration.budget
    limits = [f"{value:g} {name.replace('_', ' ')}" for name, value in budget if value is not None]
    rows = [
        ("task", summary.task),
        ("objective", f"{started.objective.metric}, {started.objective.direction.value}"),
        ("guards", ", ".join(guard.metric for guard in started.objective.guards) or "none"),
        ("budget", ", ".join(limits) or "until it is interrupted"),
        ("proposer", chosen.proposer.name),
        ("policy", chosen.policy.name),
        ("verifiers", ", ".join(component.name for component in (chosen.verifier, *chosen.verifiers))),
        ("sandbox", started.sandbox.name + (f", {started.sandbox.engine}" if started.sandbox.engine else "")),
        ("image", started.sandbox.image_digest or "none"),
        ("traced", "yes, every execution" if chosen.trace else "no"),
        ("versions", ", ".join(f"{name} {version}" for name, version in list(started.versions.items())[:20])),
        ("started", summary.started[:19].replace("T", " ") + " UTC"),
        ("ended", summary.reason or "not yet"),
        ("on disk", f"{size(summary.disk_bytes)}, {count(summary.events, 'event')}"),
    ]
    rows += [("tested", milestone_words(milestone)) for milestone in summary.milestones[-20:]]
    luck = calibration_words(summary)
    rows += [("luck kept", luck)] if luck else []
    rows += [("matters", attribution_words(summary.attribution))] if summary.attribution else []
    rows += [
        (f"{trouble.count} {trouble.kind.replace('_', ' ')}", trouble.example) for trouble in summary.problems[:12]
    ]
    return [(one_line(label, 80), one_line(value, 400)) for label, value in rows]


def _task(reading: Reading) -> str:
    """The task in its own words; its name where the record has lost them."""
    try:
        return one_line(reading.task().spec.title)
    except Exception:  # a damaged run is shown too, and a foreign one may hold anything
        return reading.summary.task
