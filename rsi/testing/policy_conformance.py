"""What every policy must do, as checks that a lab can run on its own.

    from rsi.testing.policy_conformance import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_policy_keeps_the_contract(check):
        check(MyPolicy)

Each takes what makes a policy, and raises AssertionError with a sentence. The policy decides over a made-up run
(`play`), in which effects and noise are drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rsi.errors import UsageError
from rsi.history import History, Past
from rsi.protocols import Policy
from rsi.records import (
    Arm,
    Certify,
    Comparison,
    Decision,
    Direction,
    Discard,
    Guard,
    Keep,
    Measure,
    Objective,
    Observation,
    Plan,
    Propose,
    TryAgain,
)

Make = Callable[[], Policy]

MOST_DECISIONS = 300
"""About one experiment: a policy that wants more does not end."""
SCALE = 2.0**10
"""A power of two, so that rescaling rounds nothing."""


@dataclass
class MadeUpRun:
    """A run in memory: drawn effects and noise, an objective that may be flipped and rescaled, and a guard's values."""

    seed: int = 1
    flipped: bool = False
    scale: float = 1.0
    noise: float = 1.0
    harm_to_guard: float = 0.0
    """Every candidate's guard measures worse than the baseline's by that."""
    guarded: bool = False
    trials_left: int | None = None
    arms: dict[int, list[Observation]] = field(default_factory=dict)
    true: dict[int, float] = field(default_factory=lambda: {0: 0.0})
    past: list[Past] = field(default_factory=list)
    incumbent: int = 0
    decisions: list[Decision] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    @property
    def objective(self) -> Objective:
        """In this run's units and direction."""
        guards = (Guard(metric="memory", margin=1.0),) if self.guarded else ()
        direction = Direction.MINIMIZE if self.flipped else Direction.MAXIMIZE
        return Objective(metric="value", direction=direction, noise=self.scale, guards=guards)

    def arm(self, experiment: int) -> Arm:
        """All trials by now."""
        return Arm(experiment=experiment, commit=f"{experiment:040x}", observations=tuple(self.arms[experiment]))

    def values(self, experiment: int) -> tuple[float, ...]:
        """The objective in all trials by now."""
        return self.arm(experiment).values("value")

    def measure(self, experiment: int) -> None:
        """One more trial; every slot but the first has a seed that all arms share."""
        slot = len(self.arms.setdefault(experiment, []))
        drawn = _dice(f"{self.seed} {experiment} {slot}").gauss(self.true[experiment], self.noise)
        measurements = {"value": (-drawn if self.flipped else drawn) * self.scale}
        if self.guarded:
            measurements["memory"] = 10.0 + (self.harm_to_guard if experiment else 0.0)
        seed = 1_000_000 + experiment if slot == 0 else slot
        self.arms[experiment].append(
            Observation(trial=f"{experiment}.{slot + 1}", seed=seed, measurements=measurements)
        )
        if self.trials_left is not None:
            self.trials_left -= 1

    def history(self) -> History:
        """As a policy sees it now."""
        return History(
            objective=self.objective,
            past=tuple(self.past),
            arms=self.arm,
            incumbent=self.incumbent,
            trials_spent=sum(map(len, self.arms.values())),
            trials_left=self.trials_left,
        )

    def comparison(self, experiment: int, again: int | None = None) -> Comparison:
        """Of an experiment with the incumbent, now."""
        return Comparison(
            objective=self.objective,
            candidate=self.arm(experiment),
            incumbent=self.arm(self.incumbent),
            trials_left=self.trials_left,
            again=again,
        )

    def begin(self) -> None:
        """The baseline."""
        self.measure(0)
        self.past.append(Past(experiment=0, parent=0, kept=True, scored=True, candidate=self.values(0)))

    def experiment(self, policy: Policy, effect: float) -> Decision:
        """One whole experiment; the effect of an edit that is tried again is what it was."""
        plan = policy.plan(self.history())
        self.plans.append(plan)
        number = len(self.past)
        again = plan.experiment if isinstance(plan, TryAgain) else None
        if again is not None:
            effect = self.true[again] - self.true[self.past[again].parent]
        self.true[number] = self.true[self.incumbent] + effect
        self.measure(number)
        decision = self._decide(policy, number, again)
        kept = isinstance(decision, Keep)
        self.past.append(
            Past(
                experiment=number,
                parent=self.incumbent,
                again=again,
                kept=kept,
                scored=True,
                candidate=self.values(number),
                reference=self.values(self.incumbent),
            )
        )
        self.incumbent = number if kept else self.incumbent
        return decision

    def _decide(self, policy: Policy, number: int, again: int | None) -> Decision:
        for _ in range(MOST_DECISIONS):
            decision = policy.decide(self.comparison(number, again), self.history())
            self.decisions.append(decision)
            if not isinstance(decision, Measure):
                return decision
            if self.trials_left is not None:
                assert self.trials_left > 0, "it measures although no trial is left"
            for _ in range(decision.trials if self.trials_left is None else min(decision.trials, self.trials_left)):
                self.measure(number if decision.arm == "candidate" else self.incumbent)
        raise AssertionError(f"still measuring after {MOST_DECISIONS} decisions about one experiment")


def _dice(seed: str | int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - what is drawn here is made up, nothing is kept secret by it


def play(policy: Policy, run: MadeUpRun, experiments: int = 25) -> MadeUpRun:
    """A run of so many experiments: a third of the edits help, a third do nothing, a third harm."""
    effects = _dice(run.seed)
    run.begin()
    for _ in range(experiments):
        kind, size = effects.randrange(3), effects.expovariate(1.0)
        run.experiment(policy, (size, 0.0, -2 * size)[kind])
    return run


def kinds(run: MadeUpRun) -> list[str]:
    """What was decided and planned, without the numbers in the reasons."""
    decided = [d.kind + (f" {d.arm} {d.trials}" if isinstance(d, Measure) else "") for d in run.decisions]
    return decided + [f"try again {p.experiment}" if isinstance(p, TryAgain) else p.kind for p in run.plans]


def check_name(make: Make) -> None:
    """It is a Policy, and says its name."""
    policy = make()
    assert isinstance(policy, Policy), "the object has no `name`, no `decide` or no `plan`"
    assert policy.name, "the name is empty"
    assert policy.name.isprintable(), "the name holds characters that cannot be shown"


def check_the_same_history_gives_the_same_decisions(make: Make) -> None:
    """From one object asked twice, from a new one as after a resume, and from one that serves two runs in turn."""
    first = play(make(), MadeUpRun())
    assert play(make(), MadeUpRun()).decisions == first.decisions, "a new object decides otherwise"
    fresh, other, policy = MadeUpRun(), MadeUpRun(seed=2), make()
    fresh.begin()
    other.begin()
    effects = _dice(3)
    for _ in range(12):
        size = effects.gauss(0.0, 1.0)
        fresh.experiment(policy, size)
        other.experiment(policy, -size)
        for run in (fresh, other):
            compared, history = run.comparison(len(run.past) - 1), run.history()
            answers = [asked.decide(compared, history) for asked in (policy, policy, make())]
            assert answers[0] == answers[1] == answers[2], "it decides otherwise when asked again, or after another run"
            plans = [asked.plan(history) for asked in (policy, policy, make())]
            assert plans[0] == plans[1] == plans[2], "it plans otherwise when asked again, or after another run"


def check_rescaling_and_flipping_change_nothing(make: Make) -> None:
    """Other units of the metric, with the noise in the same, or its negative: the same decisions."""
    expected = kinds(play(make(), MadeUpRun()))
    assert kinds(play(make(), MadeUpRun(scale=SCALE))) == expected, "it decides otherwise in smaller units"
    assert kinds(play(make(), MadeUpRun(scale=1 / SCALE))) == expected, "it decides otherwise in larger units"
    assert kinds(play(make(), MadeUpRun(flipped=True))) == expected, "it decides otherwise for a metric to be minimised"


def check_it_ends(make: Make) -> None:
    """However the numbers fall, and with whatever is left of the budget, an experiment is kept or discarded."""
    for noise in (0.0, 1e-6, 1.0, 1e3):
        play(make(), MadeUpRun(seed=5, noise=noise), experiments=8)
    play(make(), MadeUpRun(seed=6, trials_left=30), experiments=20)


def check_nothing_is_measured_when_no_trial_is_left(make: Make) -> None:
    """The last comparison of a run is decided on what there is."""
    run = MadeUpRun(trials_left=2)
    run.begin()
    assert run.trials_left == 1
    run.experiment(make(), 5.0)


def check_what_is_plain_is_decided_rightly(make: Make) -> None:
    """Thirty standard deviations better is kept, thirty worse discarded."""
    for seed in range(3):
        run = MadeUpRun(seed=seed)
        run.begin()
        policy = make()
        assert isinstance(run.experiment(policy, 30.0), Keep), "an effect of thirty times the noise was discarded"
        assert isinstance(run.experiment(policy, -30.0), Discard), "a harm of thirty times the noise was kept"


def check_constant_measurements_keep_nothing(make: Make) -> None:
    """An edit that measures exactly like its parent, under every seed, is not better."""
    run = MadeUpRun(noise=0.0)
    run.begin()
    policy = make()
    for _ in range(5):
        assert isinstance(run.experiment(policy, 0.0), Discard), "an edit that changes no measurement was kept"


def check_numbers_that_are_none_are_never_kept(make: Make) -> None:
    """NaN and the infinite do not get into a record; a policy that is handed one all the same refuses or discards."""
    for bad in (float("nan"), float("inf"), -float("inf"), 1e308):
        for values, others in (([bad], [1.0]), ([1.0], [bad]), ([bad, bad], [bad])):
            decision = _forced(make(), values, others)
            assert not isinstance(decision, Keep), f"it keeps although {bad} was measured"


def check_guards_are_heeded(make: Make) -> None:
    """However great the gain, what breaks a guard is not kept; what does not is."""
    for seed in range(3):
        broken = MadeUpRun(seed=seed, guarded=True, harm_to_guard=2.0)
        broken.begin()
        assert isinstance(broken.experiment(make(), 30.0), Discard), "an edit that breaks a guard was kept"
        sound = MadeUpRun(seed=seed, guarded=True)
        sound.begin()
        assert isinstance(sound.experiment(make(), 30.0), Keep), "an edit within all guards was discarded"


def check_a_guard_that_is_not_measured_is_refused(make: Make) -> None:
    """With UsageError, and never by keeping."""
    run = MadeUpRun()
    run.begin()
    run.true[1] = 30.0
    run.measure(1)
    objective = run.objective.model_copy(update={"guards": (Guard(metric="absent"),)})
    policy = make()
    for _ in range(MOST_DECISIONS):
        history = History(objective=objective, past=run.past, arms=run.arm)
        decision, refusal = _asked(policy, run.comparison(1).model_copy(update={"objective": objective}), history)
        if decision is None:
            assert "absent" in refusal, "the refusal does not name the guard"
            return
        assert isinstance(decision, Measure), f"it decides {decision.kind} although a guard's metric is not measured"
        for _ in range(decision.trials):
            run.measure(1 if decision.arm == "candidate" else 0)


def check_plans_can_be_carried_out(make: Make) -> None:
    """Only closed experiments that were discarded are tried again; nothing is certified twice."""
    policy = make()
    for seed in range(3):
        run = MadeUpRun(seed=seed)
        run.begin()
        effects = _dice(seed)
        for _ in range(40):
            plan = policy.plan(run.history())
            assert isinstance(plan, Propose | TryAgain | Certify), f"{type(plan).__name__} is no plan"
            if isinstance(plan, TryAgain):
                assert plan.experiment < len(run.past), "it would try an experiment again that has not been closed"
                assert not run.past[plan.experiment].kept, "it would try a kept experiment again"
            if isinstance(plan, Certify):
                assert run.incumbent != 0, "it would certify what has been certified"
            run.experiment(policy, effects.gauss(-0.2, 1.0))


def check_nothing_is_changed(make: Make) -> None:
    """A policy changes nothing that it was given."""
    run = play(make(), MadeUpRun(), experiments=5)
    compared, history = run.comparison(5), run.history()
    before, past = compared.model_copy(deep=True), tuple(entry.model_copy(deep=True) for entry in history.past)
    policy = make()
    policy.decide(compared, history)
    policy.plan(history)
    assert compared == before, "the comparison was changed in place"
    assert history.past == past, "the history was changed in place"


def _forced(policy: Policy, values: Sequence[float], others: Sequence[float]) -> Decision | None:
    """The decision on records that could not be made honestly; None where the policy refuses."""
    observations = [
        tuple(
            Observation.model_construct(trial=f"0.{i}", seed=i, measurements={"value": v}) for i, v in enumerate(side)
        )
        for side in (values, others)
    ]
    objective = Objective(metric="value", noise=1.0)
    arms = [
        Arm.model_construct(experiment=1 - side, commit="", observations=seen) for side, seen in enumerate(observations)
    ]
    compared = Comparison.model_construct(
        objective=objective,
        candidate=arms[0],
        incumbent=arms[1],
        added_tokens=0,
        trials_left=0,
        again=None,
        experiments_left=None,
    )
    baseline = Past.model_construct(
        experiment=0, parent=0, again=None, kept=True, taken_back=False, scored=True, added_tokens=0,
        candidate=tuple(others), reference=(),
    )  # fmt: skip
    history = History(objective=objective, past=(baseline,), arms=lambda number: arms[1 - number], trials_left=0)
    return _asked(policy, compared, history)[0]


def _asked(policy: Policy, compared: Comparison, history: History) -> tuple[Decision | None, str]:
    """The decision, or None and why the policy refuses."""
    try:
        return policy.decide(compared, history), ""
    except UsageError as refusal:
        return None, str(refusal)


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_name,
    check_the_same_history_gives_the_same_decisions,
    check_rescaling_and_flipping_change_nothing,
    check_it_ends,
    check_nothing_is_measured_when_no_trial_is_left,
    check_what_is_plain_is_decided_rightly,
    check_constant_measurements_keep_nothing,
    check_numbers_that_are_none_are_never_kept,
    check_guards_are_heeded,
    check_a_guard_that_is_not_measured_is_refused,
    check_plans_can_be_carried_out,
    check_nothing_is_changed,
)
