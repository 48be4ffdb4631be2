"""Ablations: kept edits taken out of the incumbent, to see which are to blame or which matter. Pure, of the state.

What is asked, and what follows, is `rsi.claims.blame` and `rsi.claims.attribution`; the answers are on record, so that
a killed run goes on where it was and every question derives again. What comes out in the end is taken out by an
experiment of its own, which no policy decides on.
"""

from __future__ import annotations

from rsi.claims import attribution, blame
from rsi.claims.ablation import Answer, Asks, Edits, Removal, Trained, TrainWithout, TryRemoval
from rsi.claims.noise import pairing, pooled_noise
from rsi.derive import repeated
from rsi.events import AblationBegun, AblationClosed
from rsi.records import Direction
from rsi.seeds import drawn
from rsi.state import RETRIED, AblationState, RunState

MOST_FOR_BLAME = 32
"""Trials."""


def wanted(state: RunState) -> AblationBegun | None:
    """The ablation that comes next, if one does."""
    return _blame(state) or _attribution(state)


def blame_wanted(state: RunState) -> bool:
    """Whether a milestone failed and nobody has looked yet which edits are to blame."""
    return _blame(state) is not None


def step(state: RunState, ablation: AblationState) -> Asks | AblationClosed:
    """What is still to be found out, or the end."""
    number = ablation.begun.ablation
    known = _answers(state, ablation)
    if state.asked is None or state.asked[0] != (number, len(known)):
        plan = ablation.begun.plan
        found = (
            blame.next_step(plan, known) if isinstance(plan, blame.BlamePlan) else attribution.next_step(plan, known)
        )
        result = found if isinstance(found, Asks) else AblationClosed(ablation=number, result=found)
        state.asked = (number, len(known)), result
    return state.asked[1]


def cuts_due(state: RunState, ablation: AblationState) -> tuple[Edits, ...]:
    """Sets of edits of which it is to be said whether the code can be made without them."""
    found = step(state, ablation)
    return tuple(ask.edits for ask in found.asks if isinstance(ask, TryRemoval)) if isinstance(found, Asks) else ()


def trials_due(state: RunState, ablation: AblationState) -> tuple[TrainWithout, ...]:
    """Trainings that have not begun."""
    found = step(state, ablation)
    if not isinstance(found, Asks):
        return ()
    trials = (state.trials[name] for name in ablation.trials)
    counted = (t.started for t in trials if t.failed is None or t.failed.kind not in RETRIED)
    begun = {(started.without, started.slot) for started in counted}
    return tuple(ask for ask in found.asks if isinstance(ask, TrainWithout) and (ask.edits, ask.slot) not in begun)


def trial_name(ablation: AblationState) -> str:
    """What its next trial is called."""
    return f"{ablation.begun.base}.a{ablation.begun.ablation}.{len(ablation.trials) + 1}"


def kept_edits(state: RunState, since: int) -> Edits:
    """The edits in the incumbent that are not in an earlier one, in the order in which they were kept."""
    found: list[int] = []
    removed: set[int] = set()
    number = state.incumbent
    while number not in (since, 0):
        proposed = state.experiments[number].proposed
        removed.update(proposed.removes)
        if not proposed.removes and number not in removed:
            found.append(number)
        number = proposed.parent
    return tuple(reversed(found))


def _blame(state: RunState) -> AblationBegun | None:
    last = state.milestones[-1] if state.milestones else None
    if last is None or last.closed is None or last.tested is None or last.tested.passed:
        return None
    begun = last.begun
    looked = any(a.begun.milestone == begun.milestone for a in state.ablations)
    edits = kept_edits(state, begun.reference)
    trials = _affordable(state, min(MOST_FOR_BLAME, 4 * len(edits) + 8))
    if looked or begun.candidate != state.incumbent or not edits or trials < 2:
        return None
    arms = repeated(state)
    noise, shared = pooled_noise(arms), pairing(arms)
    deviation = noise.standard_deviation if noise is not None else state.run.objective.noise
    number = len(state.ablations) + 1
    return AblationBegun(
        ablation=number,
        base=state.incumbent,
        milestone=begun.milestone,
        plan=blame.BlamePlan(
            edits=tuple(_believed(state, edit, deviation) for edit in edits),
            trials=trials,
            noise=deviation,
            correlation=min(max(shared.low, 0.0), 0.99) if shared is not None else 0.0,
            seed=drawn(state, "ablation", number),
        ),
    )


def _attribution(state: RunState) -> AblationBegun | None:
    edits = kept_edits(state, 0)
    trials = state.attribute or _left_over(state)
    done = any(a.begun.milestone is None and a.begun.base == state.incumbent for a in state.ablations)
    leaner = bool(state.experiments) and bool(state.experiments[state.incumbent].proposed.removes)
    if done or leaner or not edits or trials < attribution.least_trials(len(edits)):
        return None
    number = len(state.ablations) + 1
    return AblationBegun(
        ablation=number,
        base=state.incumbent,
        milestone=None,
        plan=attribution.AttributionPlan(
            edits=edits,
            trials=trials,
            ignorable=state.run.objective.equivalence_margin,
            seed=drawn(state, "ablation", number),
        ),
    )


def _left_over(state: RunState) -> int:
    """Half of the trials that nothing else has used: the code without what is idle is measured too."""
    limit = state.budget.trials
    return 0 if limit is None or not state.run.configuration.certify else (limit - state.trainings) // 2


def _believed(state: RunState, edit: int, noise: float) -> blame.KeptEdit:
    """The search's own word on an effect, shrunk towards none as a measurement with seed noise must be."""
    parent = state.experiments[edit].proposed.parent
    sizes = [max(1, len(state.observations(number))) for number in (edit, parent)]
    variance = noise**2 * sum(1 / size for size in sizes)
    share = noise**2 / (noise**2 + variance)
    gain = state.gain(edit) or 0.0
    return blame.KeptEdit(edit=edit, mean=share * gain, sd=(share * variance) ** 0.5)


def _affordable(state: RunState, trials: int) -> int:
    """Half of what is left, so that another milestone can follow."""
    limit = state.budget.trials
    return trials if limit is None else max(0, min(trials, (limit - state.trainings) // 2))


def _answers(state: RunState, ablation: AblationState) -> list[Answer]:
    answers: list[Answer] = [Removal(ask=TryRemoval(edits=cut.edits), applies=cut.applies) for cut in ablation.cuts]
    for name in ablation.trials:
        trial = state.trials[name]
        if not trial.over or (trial.failed is not None and trial.failed.kind in RETRIED):
            continue
        ask = TrainWithout(edits=trial.started.without, slot=trial.started.slot)
        answers.append(Trained(ask=ask, value=_value(state, name)))
    return answers


def _value(state: RunState, trial: str) -> float | None:
    seen = state.trials[trial].observation()
    if seen is None:
        return None
    value = seen.measurements[state.run.objective.metric]
    return -value if state.run.objective.direction is Direction.MINIMIZE else value
