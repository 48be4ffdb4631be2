"""`results.tsv`: the five columns of autoresearch, so that what reads those tables reads these."""

from __future__ import annotations

import os
from pathlib import Path

from rsi.durable import disk_faults
from rsi.records import ExperimentStatus
from rsi.review.standing import standings, tried
from rsi.review.wording import one_line
from rsi.state import ExperimentState, RunState

_STATUS = {
    ExperimentStatus.KEPT: "keep",
    ExperimentStatus.DISCARDED: "discard",
    ExperimentStatus.REJECTED: "discard",
    ExperimentStatus.REAPPLIED: "discard",  # what came of it is the row of the experiment that tried it again
}


def write_results(folder: Path, state: RunState) -> Path:
    """Write the table anew, whole or not at all; EnvironmentFault where it cannot be written."""
    header = ("commit", one_line(state.run.objective.metric, 40), "memory_gb", "status", "description")
    notes = standings(state)
    closed = (entry for entry in state.experiments.values() if entry.closed is not None)
    rows = [header, *(_row(state, entry, notes.get(entry.proposed.experiment, "")) for entry in closed)]
    path = folder / "results.tsv"
    temporary = folder / f".results.tsv.{os.getpid()}"
    with disk_faults(path):
        temporary.unlink(missing_ok=True)
        temporary.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
        temporary.replace(path)
    return path


def _row(state: RunState, entry: ExperimentState, note: str) -> tuple[str, ...]:
    """Autoresearch writes 0 where nothing was measured, and knows three ways to end."""
    trials = [state.trials[name] for name in entry.trials]
    memory = max((t.trained.execution.usage.peak_memory_bytes or 0 for t in trials if t.trained), default=0)
    value = state.mean(entry.proposed.experiment)
    commit = entry.committed.commit[:7] if entry.committed else "-"
    metric = "0.000000" if value is None else f"{value:.6f}"
    description = (f"[{note}] " if note else "") + tried(entry.proposed, 300)
    return commit, metric, f"{memory / 1e9:.1f}", _STATUS.get(entry.status, "crash"), description
