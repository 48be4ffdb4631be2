"""Comparisons and histories for tests of policies, built from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rsi.history import History, Past
from rsi.records import Arm, Comparison, Direction, Guard, Objective, Observation


def objective(direction: Direction = Direction.MAXIMIZE, noise: float = 1.0, **options: object) -> Objective:
    return Objective.model_validate({"metric": "value", "direction": direction, "noise": noise, **options})


def arm(experiment: int, values: Sequence[float], **others: Sequence[float]) -> Arm:
    observations = (
        Observation(
            trial=f"{experiment}.{slot + 1}",
            seed=slot + 1000 if slot else experiment,
            measurements={"value": value, **{name: column[slot] for name, column in others.items()}},
        )
        for slot, value in enumerate(values)
    )
    return Arm(experiment=experiment, commit=f"{experiment:040x}", observations=tuple(observations))


def comparison(
    candidate: Sequence[float], incumbent: Sequence[float], *, objective_: Objective | None = None, tokens: int = 0
) -> Comparison:
    return Comparison(
        objective=objective_ or objective(),
        candidate=arm(1, candidate),
        incumbent=arm(0, incumbent),
        added_tokens=tokens,
    )


def history(
    values: Mapping[int, Sequence[float]], past: Sequence[Past] = (), objective_: Objective | None = None
) -> History:
    baseline = Past(experiment=0, parent=0, kept=True, scored=True, candidate=tuple(values[0]))
    arms = {experiment: arm(experiment, seen) for experiment, seen in values.items()}
    return History(objective=objective_ or objective(), past=(baseline, *past), arms=arms.__getitem__)


def guarded(margin: float = 0.0, noise: float | None = None) -> Objective:
    return objective(guards=(Guard(metric="memory", margin=margin, noise=noise),))
