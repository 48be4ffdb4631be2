"""Which experiment an event belongs to, told from the whole run: what indexes and followers must tell by themselves."""

from __future__ import annotations

from rsi.ledger import Event
from rsi.runs import ReadRun


def experiment_of(event: Event, run: ReadRun) -> int | None:
    """The experiment that an event belongs to, None for one of the run as a whole."""
    number = event.body.get("experiment")
    if isinstance(number, int):
        return number
    if event.kind.startswith("call."):
        asked = run.state.calls.get(str(event.body.get("reservation", "")))
        return asked.reserved.experiment if asked else None
    milestone, ablation = event.body.get("milestone"), event.body.get("ablation")
    if isinstance(ablation, int) and 0 < ablation <= len(run.state.ablations):
        return run.state.ablations[ablation - 1].begun.base
    if isinstance(milestone, int) and 0 < milestone <= len(run.state.milestones):
        return run.state.milestones[milestone - 1].begun.candidate
    trial = run.state.trials.get(str(event.body.get("trial", "")))
    return trial.started.experiment if trial else None
