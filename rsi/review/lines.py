"""An experiment as a row of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rsi.records import ExperimentStatus, Record, Severity
from rsi.review.notes import Mark
from rsi.review.standing import standings, tried
from rsi.review.wording import one_line
from rsi.state import ExperimentState, RunState

_SEVERITIES = tuple(Severity)


class Line(Record):
    """One experiment as a row; every text is harmless already."""

    experiment: int
    parent: int
    status: ExperimentStatus
    value: float | None
    """The objective's mean over its scored trials."""
    gain: float | None
    """Over its parent; positive is better."""
    seconds: float
    """Of wall time, of everything that ran for its own trials."""
    trials: int
    cost_usd: float
    tokens: int
    words: str
    """What it tried."""
    why: str
    """Why it became what it became."""
    standing: str
    """Certified, provisional, taken back; empty where nothing can be said."""
    findings: int
    """Of severity notice and above."""
    gravest: Severity | None
    notes: int = 0
    """Of reviewers."""
    marked: Mark = ""
    """What reviewers say of it at most: `suspicious`, `fine`, or neither."""


def lines_of(state: RunState, found: Mapping[int | None, tuple[int, int]]) -> Iterator[Line]:
    """Every experiment, the baseline first.

    Args:
        state: Of the run.
        found: Experiment → how many findings of severity notice and above it has, and the rank of the gravest.
    """
    standing = standings(state)
    for number, entry in state.experiments.items():
        provenance = entry.proposed.provenance
        times, gravest = found.get(number, (0, 0))
        yield Line(
            experiment=number,
            parent=entry.proposed.parent,
            status=entry.status,
            value=state.mean(number),
            gain=entry.closed.gain if entry.closed else None,
            seconds=experiment_seconds(state, entry),
            trials=len(entry.trials),
            cost_usd=provenance.cost_usd,
            tokens=provenance.input_tokens + provenance.output_tokens,
            words=tried(entry.proposed, 300),
            why=one_line(entry.closed.reason if entry.closed else "", 300),
            standing=standing.get(number, ""),
            findings=times,
            gravest=_SEVERITIES[gravest] if times else None,
        )


def experiment_seconds(state: RunState, entry: ExperimentState) -> float:
    """Wall seconds of everything that ran for an experiment's own trials."""
    trials = [state.trials[name] for name in entry.trials]
    return sum(body.execution.usage.wall_seconds for trial in trials for body in trial.runs())
