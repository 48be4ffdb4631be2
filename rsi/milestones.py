"""Milestones: what the run may claim. Pure functions of the state: which trials are due, what a test came to.

Incumbent and last certified code are trained on the same fresh seeds, pair by pair, and measured on the holdout, until
the test passes or gives up (`rsi.claims.milestone`). Only that word leaves it. What the gain is worth is estimated
from further seeds, because the pairs at which a test stops are lucky ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from rsi.claims.estimate import estimate
from rsi.claims.milestone import AnotherPair, MilestonePlan, Passed, level, next_step
from rsi.claims.noise import PairNoise, pair_noise
from rsi.derive import LEAST_RESERVED, repeated, reserved
from rsi.events import MilestoneBegun, MilestoneClosed, MilestoneTested, Role
from rsi.records import Certify
from rsi.state import RETRIED, MilestoneState, RunState

TEST_PAIRS = 24
"""At most, where the budget does not say: an effect of half the seed noise takes about as many."""
ESTIMATE_PAIRS = 6
LEAST_ESTIMATE = 3
_REASONS = {
    "no-pairs-left": "not shown to be better with the pairs that the budget grants",
    "futile": "not shown to be better, nor would the pairs that are left show it",
    "seed-changes-nothing": "every pair gives the same difference, so the seeds show nothing",
}
UNSCORED = "a trial gave no score, so nothing is claimed"


def due_at_the_end(state: RunState) -> bool:
    """Whether what the run ends with is still to be certified."""
    return state.run.configuration.certify and untried(state)


def untried(state: RunState) -> bool:
    """Whether the incumbent's code is another than the last certified, and no milestone has looked at it yet."""
    here, there = (state.experiments[number].committed for number in (state.incumbent, state.certified))
    if here is None or there is None or here.tree_digest == there.tree_digest:
        return False
    return all(m.begun.candidate != state.incumbent for m in state.milestones)


def planned(state: RunState) -> bool:
    """Whether the policy asked for one."""
    return isinstance(state.planned, Certify)


def begin(state: RunState) -> MilestoneBegun:
    """The next milestone: everything that its test will depend on."""
    plan = state.planned
    pairs, estimate_pairs = _affordable(state, last=plan is None)
    passed = [milestone.tested is not None and milestone.tested.passed for milestone in state.milestones]
    return MilestoneBegun(
        milestone=len(state.milestones) + 1,
        candidate=state.incumbent,
        reference=state.certified,
        plan=MilestonePlan(level=level(state.run.configuration.alpha, passed), most_pairs=pairs, noise=noise(state)),
        estimate_pairs=estimate_pairs,
        reason=plan.reason if isinstance(plan, Certify) else "the search is over",
    )


def noise(state: RunState) -> PairNoise | None:
    """What one paired difference varies by, from the search's own trials on dev; None while none were repeated."""
    return pair_noise(repeated(state))


def affordable(state: RunState) -> bool:
    """Whether a milestone before the end has room for a test that can be passed at all.

    Where no limit says what is set aside, the search earns it: a short run certifies once, at its end.
    """
    limit, configuration = state.budget.trials, state.run.configuration
    spent = sum(len(milestone.trials) for milestone in state.milestones)
    if limit is None:
        share = configuration.certify_share
        return (state.trainings - spent) * share / (1 - share) - spent >= LEAST_RESERVED
    left = min(limit - state.trainings, reserved(configuration, limit) - spent)
    return left // 2 >= LEAST_RESERVED


def _affordable(state: RunState, *, last: bool) -> tuple[int, int]:
    """Pairs for the test and for the estimate: the last milestone may use all that is left, an earlier one half."""
    limit, configuration = state.budget.trials, state.run.configuration
    if limit is None:
        # In proportion to the search, a pair for four of its trials: a short run is not outweighed by its certificate.
        earned = state.trainings // 4
        return max(LEAST_RESERVED // 2 - 2, min(TEST_PAIRS, earned)), max(LEAST_ESTIMATE, min(ESTIMATE_PAIRS, earned))
    spent = sum(len(milestone.trials) for milestone in state.milestones)
    left = limit - state.trainings
    if not last:
        left = min(left, reserved(configuration, limit) - spent) // 2
    elif left > 2 * LEAST_RESERVED:
        left = left * 2 // 3  # where this one fails, what is to blame may be taken back and another one made
    pairs = max(4, min(left // 2, TEST_PAIRS + ESTIMATE_PAIRS))
    estimate_pairs = max(2, min(pairs // 4, ESTIMATE_PAIRS))
    return pairs - estimate_pairs, estimate_pairs


def due(state: RunState, milestone: MilestoneState) -> Iterator[tuple[int, int, Role]]:
    """(experiment, slot, role) still to be trained, both arms of a slot together so that a drifting machine is fair."""
    if milestone.closed is not None or tested(state, milestone) is not None:
        return
    if milestone.tested is not None and not milestone.tested.passed:
        return
    if milestone.tested is None:
        slots = range(len(differences(state, milestone, "certify")) + max(1, state.run.configuration.parallel // 2))
        role: Role = "certify"
    else:
        slots, role = range(milestone.begun.estimate_pairs), "estimate"
    for slot in slots:
        for experiment in arms(milestone, role):
            if _trial(state, milestone, role, experiment, slot) is None:
                yield experiment, slot, role


def tested(state: RunState, milestone: MilestoneState) -> MilestoneTested | None:
    """What the test came to; None where it was told before, or another pair is wanted."""
    if milestone.tested is not None:
        return None
    pairs = differences(state, milestone, "certify")
    number = milestone.begun.milestone
    if _unscored(state, milestone, "certify"):
        return MilestoneTested(milestone=number, passed=False, pairs=len(pairs), reason=UNSCORED)
    step = next_step(milestone.begun.plan, pairs)
    if isinstance(step, AnotherPair):
        return None
    reason = f"better, at level {milestone.begun.plan.level:.3g}" if isinstance(step, Passed) else _REASONS[step.reason]
    return MilestoneTested(milestone=number, passed=isinstance(step, Passed), pairs=step.pairs, reason=reason)


def closed(state: RunState, milestone: MilestoneState) -> MilestoneClosed | None:
    """What may be claimed, once the estimate's pairs are there; None while they are not."""
    if milestone.tested is None:
        return None
    number, begun = milestone.begun.milestone, milestone.begun
    if not milestone.tested.passed or _unscored(state, milestone, "estimate"):
        return MilestoneClosed(milestone=number, improvement=None)
    pairs = differences(state, milestone, "estimate")
    if len(pairs) < begun.estimate_pairs:
        return None
    return MilestoneClosed(milestone=number, improvement=estimate(pairs, begun.plan.noise))


def differences(state: RunState, milestone: MilestoneState, role: Role) -> tuple[float, ...]:
    """How much better the candidate was in each pair that is complete, up to the first that is not."""
    found: list[float] = []
    while True:
        values = [_value(state, milestone, role, arm, len(found)) for arm in arms(milestone, role)]
        candidate, reference = values[0], values[-1]
        if candidate is None or reference is None:
            return tuple(found)
        found.append(state.run.objective.gain(candidate, reference))


def arms(milestone: MilestoneState, role: Role) -> tuple[int, int]:
    """Candidate, and what it is compared with: a test with the last certified code, an estimate with the baseline."""
    return milestone.begun.candidate, milestone.begun.reference if role == "certify" else 0


def trial_name(state: RunState, milestone: MilestoneState, experiment: int) -> str:
    """What its next trial of an experiment is called."""
    mine = sum(1 for trial in milestone.trials if state.trials[trial].started.experiment == experiment)
    return f"{experiment}.m{milestone.begun.milestone}.{mine + 1}"


def _value(state: RunState, milestone: MilestoneState, role: Role, experiment: int, slot: int) -> float | None:
    trial = _trial(state, milestone, role, experiment, slot)
    seen = state.trials[trial].observation() if trial is not None else None
    return seen.measurements.get(state.run.objective.metric) if seen is not None else None


def _unscored(state: RunState, milestone: MilestoneState, role: Role) -> bool:
    """Whether a trial failed or was rejected: who fails on some seeds must not choose which count."""
    trials = (state.trials[name] for name in milestone.trials)
    return any(
        t.started.role == role and t.over and t.observation() is None and not (t.failed and t.failed.kind in RETRIED)
        for t in trials
    )


def _trial(state: RunState, milestone: MilestoneState, role: Role, experiment: int, slot: int) -> str | None:
    """The trial of that place, those not counted that were lost or interrupted."""
    for name in milestone.trials:
        started, failed = state.trials[name].started, state.trials[name].failed
        same = (started.role, started.experiment, started.slot) == (role, experiment, slot)
        if same and (failed is None or failed.kind not in RETRIED):
            return name
    return None
