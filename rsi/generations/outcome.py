"""What a generation came to, read off the record of its run and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from rsi import milestones
from rsi.claims.estimate import estimate
from rsi.errors import IntegrityError
from rsi.policies.trials import computable
from rsi.records import CodeFiles, Record
from rsi.review.claims import certified_of
from rsi.review.summary import RunSummary
from rsi.review.wording import one_line
from rsi.state import RunState
from rsi.statistics import Interval

NAME = "proposer"


class Program(Record):
    """A program that proposes, as a component with a version."""

    name: str = NAME
    version: int
    """The generation that made it; 0 is what ships."""
    sha256: str
    """Of its code: the blob that `program.frozen` names in a run that it proposed in."""

    @property
    def label(self) -> str:
        """`proposer@3`."""
        return f"{self.name}@{self.version}"


class Outcome(Record):
    """A generation, as far as it has come. Gains are in the objective's units, positive is better."""

    generation: int
    run: str
    folder: str
    """Of the run, below the evolution's."""
    status: Literal["running", "paused", "finished"]
    reason: str
    """Why it ended or paused."""
    proposed_by: str
    """Who proposed in it: `proposer@2 (sha256 …)`, or a proposer's name."""
    alpha: float
    """The chance that it promotes a program that is no better, at most."""
    used: float
    """Of its alpha: what its failed milestones used up."""
    promoted: bool | None
    """Whether its program was certified to be better than its predecessor; None while it is under way."""
    tested: bool
    """Whether any milestone looked at what it found."""
    gain: Interval | None
    """Of its program over its predecessor, on held-out tasks, from pairs run after the test was passed."""
    carried: Interval | None
    """What held-out tasks say of the last program that was tested: its estimate, or the pairs of the test it failed."""
    dev_gain: float | None
    """What the search believes that same program to gain, on the inner tasks that chose it; 0 where it kept nothing."""
    dev_error: float | None
    """Standard error of that, were it not the best of many."""
    baseline: float | None
    """What its predecessor measured on dev."""
    experiments: int
    kept: int
    trials: int
    cpu_seconds: float
    """Of everything that ran in its sandboxes."""
    scoring_seconds: float
    """Of the verifiers outside them, where inner loops are trained; by the clock."""
    wall_seconds: float
    cost_usd: float
    unit: str
    """The objective's name."""
    went_on: bool = False
    """Whether its run was given more budget after its end; nothing here is of what came then."""


def digest_of(code: CodeFiles) -> str:
    """sha256 of a program's code, file by file."""
    return hashlib.sha256(json.dumps(dict(code), sort_keys=True).encode()).hexdigest()


def outcome_of(
    generation: int, folder: str, summary: RunSummary, state: RunState, proposed_by: str, *, went_on: bool
) -> Outcome:
    """What the run of a generation came to.

    Args:
        generation: Its number, from 1.
        folder: Of the run, below the evolution's.
        summary: Of the run, as it was when it ended for the first time.
        state: Folded from the same events.
        proposed_by: Who proposed in it.
        went_on: Whether there are more events than those.

    IntegrityError where the record holds numbers that nothing can be reckoned with.
    """
    certified = certified_of(state)
    last = state.milestones[-1] if state.milestones else None
    of_interest = last.begun.candidate if last is not None else state.incumbent
    executions = [execution for _, execution in state.executions()]
    found = Outcome(
        generation=generation,
        run=summary.run,
        folder=folder,
        status=summary.status,
        reason=summary.reason,
        proposed_by=proposed_by,
        alpha=state.run.configuration.alpha,
        used=math.fsum(
            milestone.begun.plan.level
            for milestone in state.milestones
            if milestone.tested is not None and not milestone.tested.passed
        ),
        promoted=None if summary.status != "finished" else state.certified != 0,
        tested=last is not None,
        gain=certified.improvement if certified is not None else None,
        carried=_carried(state),
        dev_gain=_dev_gain(state, of_interest),
        dev_error=_dev_error(state, of_interest),
        baseline=state.mean(0) if 0 in state.experiments else None,
        experiments=summary.experiments,
        kept=summary.kept,
        trials=summary.trials,
        cpu_seconds=math.fsum(execution.usage.cpu_seconds or 0.0 for execution in executions),
        scoring_seconds=summary.scoring_seconds,
        wall_seconds=summary.wall_seconds,
        cost_usd=summary.cost_usd,
        unit=one_line(state.run.objective.metric, 60),
        went_on=went_on,
    )
    if not computable(list(_numbers(found.model_dump()))):
        raise IntegrityError(f"{found.folder} holds numbers that nothing measures.")
    return found


def _numbers(values: Mapping[str, Any]) -> Iterator[float]:
    for value in values.values():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int | float):
            yield value


def _carried(state: RunState) -> Interval | None:
    if not state.milestones:
        return None
    last = state.milestones[-1]
    if last.closed is not None and last.closed.improvement is not None:
        return last.closed.improvement
    if last.tested is None or last.tested.passed or last.begun.reference != 0:
        return None
    pairs = milestones.differences(state, last, "certify")
    return estimate(pairs, last.begun.plan.noise) if pairs else None


def _dev_gain(state: RunState, experiment: int) -> float | None:
    if 0 not in state.experiments:
        return None
    value, baseline = state.mean(experiment), state.mean(0)
    if value is None or baseline is None:
        return None
    return state.run.objective.gain(value, baseline)


def _dev_error(state: RunState, experiment: int) -> float | None:
    """From the noise of one trial that the task states and how often each side was measured."""
    known = (number in state.experiments for number in (0, experiment))
    counts = [len(state.observations(number)) for number in (0, experiment)] if all(known) else []
    if not counts or not all(counts):
        return None
    return state.run.objective.noise * math.sqrt(math.fsum(1 / count for count in counts))
