"""The default policy: what it decides and plans, and that it gains more than greedy under noise."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from arms import arm, comparison, history, objective

from rsi.history import History, MilestoneSummary, Past
from rsi.policies.expected_gain import FIRST_TRIALS, ExpectedGain
from rsi.policies.fixed import Fixed
from rsi.policies.greedy import Greedy
from rsi.policies.learning import Learned, learned_from, split, standing
from rsi.policies.sequential import Sequential, e_value
from rsi.protocols import Policy
from rsi.records import Certify, Comparison, Discard, Keep, Measure, TryAgain
from rsi.testing.policy_conformance import MadeUpRun

BASELINE = (0.1, -0.8, 0.9, -0.2, 0.4, -0.5)


def drawn(random_: random.Random, scale: float) -> float:
    """An effect: 15% help, 40% do nothing, 45% harm by more."""
    kind = random_.random()
    if kind < 0.15:
        return random_.expovariate(1 / scale)
    return 0.0 if kind < 0.55 else -abs(random_.gauss(0, 4 * scale))


def gain_of(policy: Policy, seed: int, scale: float, trials: int) -> tuple[float, MadeUpRun]:
    """The true gain of a run of so many trials whose noise is one and whose helpful effects average `scale`."""
    run, dice = MadeUpRun(seed=seed, trials_left=trials), random.Random(seed)
    run.begin()
    while run.trials_left:
        run.experiment(policy, drawn(dice, scale))
    return run.true[run.incumbent], run


def test_under_noise_it_gains_more_than_greedy_and_believes_what_is_true() -> None:
    ours, theirs, believed = [], [], []
    for seed in range(6):
        policy = ExpectedGain()
        gain, run = gain_of(policy, seed, 0.5, 250)
        found = policy.provisional(run.history())
        assert found is not None
        ours.append(gain)
        believed.append(found.gain)
        assert abs(found.gain - gain) < 4 * found.error
        theirs.append(gain_of(Greedy(), seed, 0.5, 250)[0])
    assert fmean(ours) > 1.3 * fmean(theirs)
    assert fmean(believed) == pytest.approx(fmean(ours), rel=0.15)


def test_the_baseline_shows_the_noise_before_anything_is_decided() -> None:
    decision = ExpectedGain().decide(comparison([9.0], [0.0]), history({0: [0.0]}))
    assert isinstance(decision, Measure)
    assert (decision.arm, decision.trials) == ("incumbent", FIRST_TRIALS - 1)


def test_a_short_run_spends_little_on_knowing_the_noise() -> None:
    compared = comparison([9.0], [0.0]).model_copy(update={"trials_left": 20})
    assert isinstance(ExpectedGain().decide(compared, history({0: [0.0]})), Keep)


@pytest.mark.parametrize(("told", "true"), [(3.0, 1.0), (1 / 3, 1.0)], ids=["too large", "too small"])
def test_a_wrong_statement_of_the_noise_is_corrected_by_the_run(told: float, true: float) -> None:
    dice = random.Random(1)
    values = tuple(dice.gauss(0, true) for _ in range(12))
    past = Past(experiment=1, parent=0, kept=False, scored=True, candidate=(0.0,), reference=values)
    learned = learned_from(history({0: values[:1]}, [past], objective(noise=told)), None)
    assert learned.noise == pytest.approx(true, rel=0.45)


def decide(tokens: int, candidate: list[float], **options: object) -> str:
    told = objective(**options)
    compared = comparison(candidate, BASELINE, objective_=told, tokens=tokens)
    return ExpectedGain().decide(compared, history({0: BASELINE}, objective_=told)).kind


def test_added_tokens_must_earn_their_price() -> None:
    assert decide(0, [4.0] * 2 + [4.5]) == "keep"
    assert decide(1000, [4.0] * 2 + [4.5], token_price=0.02) == "discard"


def test_shorter_code_that_is_equivalent_within_the_margin_is_kept() -> None:
    same = [0.0, -0.4, 0.4] * 6
    assert decide(-50, same, equivalence=2.0, token_price=0.0) == "keep"
    assert decide(-50, same, equivalence=0.0, token_price=0.0) == "discard"
    assert decide(50, same, equivalence=2.0, token_price=0.0) == "discard"


def test_a_removed_token_counts_for_a_candidate() -> None:
    assert decide(-200, [0.0, -0.4, 0.4] * 6, token_price=0.01, equivalence=0.0) == "keep"


def closed(number: int, parent: int, *, kept: bool, candidate: tuple[float, ...], reference: tuple[float, ...]) -> Past:
    return Past(experiment=number, parent=parent, kept=kept, scored=True, candidate=candidate, reference=reference)


def ahead(gain: float, **told: object) -> History:
    """A run whose first experiment was kept, measured six times."""
    better = tuple(value + gain for value in BASELINE)
    arms = {0: arm(0, BASELINE), 1: arm(1, better)}
    first = Past(experiment=0, parent=0, kept=True, scored=True, candidate=BASELINE)
    past = (first, closed(1, 0, kept=True, candidate=better, reference=BASELINE))
    values = {"trials_spent": 100, "trials_left": 200, "incumbent": 1, **told}
    return History(objective=objective(), past=past, arms=arms.__getitem__, **values)  # type: ignore[arg-type]


def test_a_milestone_is_due_once_the_incumbent_is_well_ahead() -> None:
    assert isinstance(ExpectedGain().plan(ahead(8.0)), Certify)
    assert not isinstance(ExpectedGain().plan(ahead(1.0)), Certify)


def test_no_milestone_follows_another_at_once_nor_certifies_twice() -> None:
    just = MilestoneSummary(passed=False, at_trials_spent=95, incumbent=1, certified_before=0)
    assert not isinstance(ExpectedGain().plan(ahead(8.0, milestones=(just,))), Certify)
    assert not isinstance(ExpectedGain().plan(ahead(8.0, certified=1)), Certify)
    assert not isinstance(ExpectedGain().plan(ahead(8.0, trials_left=0)), Certify)


def test_a_near_miss_is_tried_again_once_its_parent_turns_out_to_be_worth_less() -> None:
    """The parent had been lucky, so what failed against it was better than it looked."""
    lucky = (3.0, 3.1, 2.9)
    entries = [
        Past(experiment=0, parent=0, kept=True, scored=True, candidate=BASELINE),
        closed(1, 0, kept=True, candidate=lucky, reference=BASELINE),
        closed(2, 1, kept=False, candidate=(3.2, 3.0), reference=lucky),
    ]
    for number in range(3, 15):
        kept = number == 14
        reference = (*lucky, *(-0.5,) * 12)
        value = (3.0, 3.2, 3.1) if kept else (-4.0,)
        entries.append(closed(number, 1, kept=kept, candidate=value, reference=reference))
    entries += [
        closed(number, 14, kept=False, candidate=(-4.0,), reference=(3.0, 3.2, 3.1)) for number in range(15, 32)
    ]
    planned: list[TryAgain] = []
    for length in range(2, len(entries) + 1):
        incumbent = 14 if length > 14 else 1
        told = History(
            objective=objective(), past=entries[:length], arms=lambda number: arm(number, [0.0]), incumbent=incumbent
        )
        plan = ExpectedGain().plan(told)
        planned += [plan] if isinstance(plan, TryAgain) else []
    assert {plan.experiment for plan in planned} == {2}


def test_shared_seeds_are_used_where_the_run_shows_that_they_correlate() -> None:
    dice = random.Random(4)
    past, reference = [], tuple(dice.gauss(0, 1) for _ in range(8))
    for number in range(1, 13):
        candidate = tuple(value - 1 + dice.gauss(0, 0.2) for value in reference)
        past.append(closed(number, 0, kept=False, candidate=candidate, reference=reference))
    learned = learned_from(history({0: reference[:1]}, past), None)
    assert learned.correlation > 0.6
    compared = Comparison(objective=objective(), candidate=arm(13, reference), incumbent=arm(0, reference))
    paired = standing(learned, compared).found.error
    alone = standing(Learned(**{f: getattr(learned, f) for f in Learned.__slots__} | {"products": 0.0}), compared)
    assert paired < 0.75 * alone.found.error


def test_only_seeds_from_the_second_on_are_shared() -> None:
    assert split((1.0, 2.0, 3.0), (5.0, 6.0)) == ((1.0, 3.0), ((2.0, 6.0),))
    assert split((1.0,), (5.0, 6.0)) == ((1.0,), ())
    assert split((1.0, 2.0), (5.0,)) == ((1.0, 2.0), ())


def test_trials_that_ignore_their_seed_say_nothing_of_the_noise() -> None:
    past = [closed(number, 0, kept=False, candidate=(-1.0,) * 6, reference=(0.0,) * 6) for number in range(1, 9)]
    assert learned_from(history({0: [0.0] * 6}, past), None).noise == 1.0


def test_the_prior_alone_keeps_nothing() -> None:
    """Edit after edit helped; the next measures no better than its parent, and is not kept for the others' sake."""
    dice = random.Random(5)
    well_known = tuple(sign * abs(dice.gauss(0, 0.6)) for _ in range(40) for sign in (1, -1))
    past = [
        closed(number, 0, kept=False, candidate=(dice.expovariate(1) + dice.gauss(0, 0.6),), reference=well_known)
        for number in range(1, 200)
    ]
    compared = comparison([-0.01], well_known)
    told = history({0: well_known}, past)
    placed = standing(learned_from(told, None), compared.model_copy(update={"trials_left": 0}))
    assert placed.effect.mean > 0 > placed.told, "the case is not the one meant"
    assert isinstance(ExpectedGain().decide(compared.model_copy(update={"trials_left": 0}), told), Discard)


def test_failed_experiments_teach_nothing() -> None:
    crashed = [Past(experiment=number, parent=0, kept=False, scored=False) for number in range(1, 5)]
    learned = learned_from(history({0: BASELINE}, crashed), None)
    assert learned.effects is None
    assert isinstance(ExpectedGain().decide(comparison([-5.0], BASELINE), history({0: BASELINE}, crashed)), Discard)


# --- the sequential test ------------------------------------------------------------------------------------------


def test_the_e_value_crosses_its_bar_by_luck_no_more_often_than_promised() -> None:
    dice = random.Random(2)
    crossed = 0
    for _ in range(2000):
        gains: list[float] = []
        while len(gains) < 20:
            gains.append(dice.gauss(0, 1))
            if e_value(gains) >= 20:
                crossed += 1
                break
    assert crossed / 2000 <= 0.05


def test_the_e_value_has_mean_one_under_no_effect_and_grows_under_one() -> None:
    dice = random.Random(3)
    null = fmean(e_value([dice.gauss(0, 5) for _ in range(4)]) for _ in range(4000))
    assert null == pytest.approx(1.0, abs=0.12)
    assert fmean(e_value([dice.gauss(1.5, 1) for _ in range(8)]) >= 20 for _ in range(200)) > 0.6
    assert e_value([]) == e_value([3.0]) == e_value([0.0, 0.0]) == 1.0
    assert e_value([1.0, 2.0, 1.5]) == pytest.approx(e_value([1e90, 2e90, 1.5e90]))


def test_the_sequential_test_has_nothing_to_test_where_the_seed_changes_nothing() -> None:
    decision = Sequential().decide(comparison([2.0] * 6, [1.0] * 6), history({0: [1.0]}))
    assert isinstance(decision, Discard)
    assert "the seed changes nothing" in decision.reason


def test_the_fixed_test_keeps_what_does_nothing_as_rarely_as_promised() -> None:
    dice = random.Random(8)
    kept = 0
    for _ in range(1000):
        arms = [[dice.gauss(0, 1) for _ in range(5)] for _ in range(2)]
        kept += isinstance(Fixed().decide(comparison(*arms), history({0: [0.0]})), Keep)
    assert 0.02 < kept / 1000 < 0.07


def test_the_sequential_test_uses_no_trial_that_the_incumbent_was_kept_for() -> None:
    past = closed(1, 0, kept=True, candidate=(9.0, 9.0), reference=(0.0,))
    told = history({0: [0.0], 1: [9.0, 9.0]}, [past])
    compared = Comparison(objective=objective(), candidate=arm(2, [12.0, 11.0]), incumbent=arm(1, [9.0, 9.0]))
    decision = Sequential().decide(compared, told)
    assert isinstance(decision, Measure)
    assert decision.arm == "incumbent"
    assert "over 0 pairs" in decision.reason
