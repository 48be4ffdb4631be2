"""What the other installed policies would have decided of each experiment, as its page tells it."""

from __future__ import annotations

from rsi import plugins
from rsi.errors import RsiError
from rsi.review.otherwise import Judgement, compared
from rsi.review.reading import Reading

MOST = 2000
"""Experiments of a run for which every policy is asked; for longer ones the page names the command."""


def others(reading: Reading) -> dict[int, tuple[Judgement, ...]]:
    """Experiment → a judgement of each policy but the run's own, with its usual options; empty for a long run.

    Only installed policies are asked: one that the run names by a file's path is not loaded.
    """
    if len(reading.lines) > MOST:
        return {}
    asked = {}
    for name in plugins.names("policies"):
        if name != reading.started.configuration.policy.name:
            try:
                asked[name] = plugins.load("policies", name)()
            except Exception:  # noqa: S112 - one that needs options, or whose package is broken, is not asked
                continue
    found: dict[int, tuple[Judgement, ...]] = {}
    try:
        for item in compared(reading.folder, asked):
            found[item.experiment] = item.others
    except RsiError:
        pass  # what stands before the event that does not hold is told
    return found
