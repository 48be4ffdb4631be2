"""What a proposer is told, from the record alone: numbers rounded, text from sandboxes only where it may leak nothing.

It depends on nothing but closed experiments and on which others are open, never on how far those have come, so that a
proposal that was interrupted asks the same question again, and one made beside others depends on nobody's speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rsi.errors import IntegrityError
from rsi.execution import MIB, ExitKind
from rsi.records import Allowance, Brief, CodeFiles, ExperimentStatus, HistoryEntry
from rsi.sanitize import for_terminal
from rsi.seeds import drawn
from rsi.state import ExperimentState, RunState
from rsi.statistics import round_to_noise
from rsi.task import Task

GetBlob = Callable[[str], bytes]

PRINTED_LINES = 12
PRINTED_WIDTH = 200


class Told:
    """The history of a run as proposers see it, kept up as the run goes on.

    An entry is made again only where something became known of its experiment or of the one whose code it changed.
    """

    def __init__(self) -> None:
        self._entries: dict[int, HistoryEntry] = {}
        self._children: dict[int, list[int]] = {}
        self._read = 0

    def history(self, state: RunState, get_blob: GetBlob) -> tuple[HistoryEntry, ...]:
        """Closed experiments as a proposer may see them, by number; the baseline is not among them."""
        touched = dict.fromkeys(state.touched[self._read :])
        self._read = len(state.touched)
        for parent in tuple(touched):
            touched.update(dict.fromkeys(self._children.get(parent, ())))
        for number in sorted(touched):
            experiment = state.experiments[number]
            if number == 0 or not experiment.closed or experiment.proposed.null:
                continue
            if number not in self._entries:
                self._children.setdefault(experiment.proposed.parent, []).append(number)
            overtook = number < next(reversed(self._entries), 0)  # its elder closed after it
            self._entries[number] = _entry(state, experiment, get_blob)
            if overtook:
                self._entries = dict(sorted(self._entries.items()))
        return tuple(self._entries.values())


def brief(state: RunState, task: Task, get_blob: GetBlob, code: CodeFiles, told: Told | None = None) -> Brief:
    """The brief for the next experiment; `code` is the incumbent's, `told` what an earlier brief was made of."""
    number = len(state.experiments)
    return _brief(
        task,
        code,
        state.run.configuration.training_budget or task.spec.train.budget,
        experiment=number,
        incumbent_value=_rounded(state, state.mean(state.incumbent)),
        history=(told or Told()).history(state, get_blob),
        tried=state.tried(),
        seed=drawn(state, "proposer", number),
        left=state.allowance,
        turn=state.proposals + 1,
        advice=_text(get_blob, state.advice.text) if state.advice is not None else "",
        advice_from=state.advice.origin if state.advice is not None else "",
        pending=tuple(_under_way(x, get_blob) for x in state.open_experiments() if not x.proposed.null),
    )


def first_brief(task: Task, allowance: Allowance, training_budget: int | None = None) -> Brief:
    """What the first proposal of a run would be asked, before there is a run: for estimates and dry runs."""
    return _brief(task, task.code, training_budget or task.spec.train.budget, experiment=1, seed=0, left=allowance)


def _brief(task: Task, code: CodeFiles, budget: int, **told: object) -> Brief:
    spec, limits = task.spec, task.spec.limits.train
    return Brief.model_validate(
        {
            "task": spec.name,
            "program": task.program,
            "code": code,
            "objective": task.objective,
            "protected": {path: task.protected[path] for path in spec.code.protected},
            "max_bytes": spec.code.max_bytes,
            "training": f"{budget} {spec.train.unit}, {limits.cpu_seconds:g} s of CPU time, "
            f"{limits.wall_seconds:g} s in all, {limits.memory_bytes // MIB} MiB of memory",
            **told,
        }
    )


def _entry(state: RunState, experiment: ExperimentState, get_blob: GetBlob) -> HistoryEntry:
    proposed, closed = experiment.proposed, experiment.closed
    assert closed is not None
    scored = closed.status in {ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.REAPPLIED}
    provenance = proposed.provenance
    diff = experiment.committed.diff if experiment.committed else None
    return HistoryEntry(
        experiment=proposed.experiment,
        status=closed.status,
        kind=proposed.kind,
        detail=proposed.detail,
        rationale=proposed.rationale,
        gain=_rounded(state, closed.gain),
        note="" if scored else _note(state, experiment),
        parent=proposed.parent,
        repairs=provenance.parent,
        value=_rounded(state, state.mean(proposed.experiment)) if scored else None,
        uncertainty=_uncertainty(state, experiment) if closed.gain is not None else None,
        diff=_text(get_blob, diff) if diff else "",
        printed=_printed(state, experiment, get_blob),
        model=provenance.model,
        tokens=provenance.input_tokens + provenance.output_tokens,
        cost_usd=provenance.cost_usd,
    )


def _under_way(experiment: ExperimentState, get_blob: GetBlob) -> HistoryEntry:
    proposed, committed = experiment.proposed, experiment.committed
    return HistoryEntry(
        experiment=proposed.experiment,
        status=ExperimentStatus.OPEN,
        kind=proposed.kind,
        detail=proposed.detail,
        rationale=proposed.rationale,
        parent=proposed.parent,
        repairs=proposed.provenance.parent,
        diff=_text(get_blob, committed.diff) if committed and committed.diff else "",
        model=proposed.provenance.model,
    )


def _rounded(state: RunState, value: float | None) -> float | None:
    return None if value is None else round_to_noise(value, state.run.objective.noise)


def _uncertainty(state: RunState, experiment: ExperimentState) -> float:
    """Of a difference of means over seeds, by the task's seed noise; rounded like all that a proposer sees."""
    noise = state.run.objective.noise
    arms = (experiment.proposed.experiment, experiment.proposed.parent)
    sizes = [max(1, len(state.observations(number))) for number in arms]
    error = noise * math.sqrt(sum(1 / size for size in sizes))
    return max(round_to_noise(error, noise), noise / 4)


def _note(state: RunState, experiment: ExperimentState) -> str:
    """Our own words on what went wrong; of what candidate code printed, nothing but a built-in class and a line."""
    assert experiment.closed is not None
    failed = [state.trials[trial].failed for trial in experiment.trials]
    return next((f.reason for f in reversed(failed) if f is not None), experiment.closed.reason)


def _printed(state: RunState, experiment: ExperimentState, get_blob: GetBlob) -> str:
    """The last lines of a training that crashed. A knows the training split only, so its words give nothing away."""
    for name in experiment.trials:
        trial = state.trials[name]
        if trial.started.split == "dev" and trial.trained and trial.trained.execution.kind is ExitKind.CRASHED:
            text = _text(get_blob, trial.trained.stderr).strip() or _text(get_blob, trial.trained.stdout).strip()
            return "\n".join(for_terminal(text[-8192:], PRINTED_WIDTH).split("\n")[-PRINTED_LINES:])
    return ""


def _text(get_blob: GetBlob, digest: str) -> str:
    try:
        return get_blob(digest).decode("utf-8", "replace")
    except IntegrityError:
        raise IntegrityError(
            f"The blob {digest[:12]}…, which a proposer is told from, is missing or altered; see `rsi verify`."
        ) from None
