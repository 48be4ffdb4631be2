"""Two or more runs side by side: what is certified, what it cost, which edits were kept, all staircases on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsi.records import ExperimentStatus
from rsi.review.improvement import certified_briefly, how_sure, sentences
from rsi.review.lines import Line
from rsi.review.reading import Reading
from rsi.review.web.chart import HEIGHT, WIDTH, overlaid
from rsi.review.web.links import ViewLinks
from rsi.review.web.overview import facts
from rsi.review.web.pages import figure
from rsi.review.wording import duration

MOST = 4
"""Runs that stand side by side."""
_KEPT = 100


def compared(runs: Sequence[tuple[str, Reading]]) -> dict[str, Any]:
    """What the template `compare.jinja` needs, for at most MOST runs."""
    summaries = [reading.summary for _, reading in runs]
    same = len({(summary.baseline.metric, summary.direction) for summary in summaries}) == 1
    rows = [
        ("task", [summary.task for summary in summaries]),
        ("metric", [summary.baseline.metric for summary in summaries]),
        ("how sure", [how_sure(summary) for summary in summaries]),
        ("certified", [certified_briefly(s.certified) if s.certified else "nothing" for s in summaries]),
        ("provisional", [figure(s.provisional.gain, sign=True) if s.provisional else "nothing" for s in summaries]),
        ("cost in dollars", [f"{summary.cost_usd:.2f}" for summary in summaries]),
        ("scored and predicted for", [duration(s.predict_seconds + s.scoring_seconds) for s in summaries]),
        ("proposer, policy", [f"{summary.proposer}, {summary.policy}" for summary in summaries]),
    ]
    told = [facts(summary) for summary in summaries]
    for place, (label, _) in enumerate(told[0] if told else []):
        rows.append((label if not label.startswith("baseline ") else "baseline", [row[place][1] for row in told]))
    return {
        "runs": [
            {
                "name": name,
                "links": ViewLinks(name),
                "sentences": sentences(reading.summary),
                "kept": _kept(reading)[:_KEPT],
                "places": 4,
            }
            for name, reading in runs
        ],
        "rows": rows,
        "chart": overlaid([(name, reading.points) for name, reading in runs]) if same else None,
        "same": same,
        "width": WIDTH,
        "height": HEIGHT,
    }


def _kept(reading: Reading) -> list[Line]:
    return [line for line in reading.lines if line.status is ExperimentStatus.KEPT and line.experiment]
