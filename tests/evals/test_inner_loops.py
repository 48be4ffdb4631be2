"""The inner loops by which a ranking program is judged: what it is shown, what its answers buy, what counts."""

from dataclasses import replace

import numpy as np
import pytest
from verifier_cases import CASES

from evals.inner import certifying, episodes, loops
from evals.inner.episodes import slot
from evals.inner.families import cost, instances
from evals.inner.knobs import INDEX, KNOBS, MOVES, moved
from evals.inner_loops import InnerLoops
from evals.noisy import DRAW, Noisy
from rsi.errors import UsageError
from rsi.proposers import ranking
from rsi.testing.verifier_conformance import SECRET, blank

SURFACES = np.array([slot(badness=1.0, interacting=0.5)] * 24)
PLAN = loops.Plan()
KIND = ranking.OPTION.index("kind")


def key(number=0):
    return number.to_bytes(16, "big")


def never(shown):
    return np.full(shown["options"].shape[:2], np.nan, dtype=np.float32)


def only(kind):
    """Prefers one kind, and never makes any other move."""

    def prefer(shown):
        return np.where(shown["options"][:, :, KIND] == ranking.KINDS.index(kind), shown["options"][:, :, 7], np.nan)

    return prefer


def told(program, slots=SURFACES, number=0, plan=PLAN):
    rounds = loops.run(plan, slots, key(number), program)
    return rounds, certifying.results(plan.budget, rounds)


def test_a_program_that_proposes_nothing_spends_its_compute_and_gains_nothing():
    rounds, found = told(never)
    assert (found.gain == 0).all()
    assert (found.wasted == 1).all()
    assert (found.compute == PLAN.budget).all()
    assert (rounds[-1]["spent"] == PLAN.rounds * PLAN.at_once).all()
    assert not rounds[-1]["past"].any()


def test_the_uniform_program_gains_and_pays_for_every_training():
    rounds, found = told(episodes.indifferent)
    assert 0.15 < found.gain.mean() < 0.6
    trained = sum(np.isfinite(one["measured"]).sum() for one in rounds)
    outcomes = np.concatenate([one["past"][:, :, loops.OUTCOME] for one in rounds], axis=1)
    failed = (outcomes == ranking.OUTCOMES.index("failed")).sum()
    paid = sum(one["past"][:, :, ranking.PAST.index("cost")].sum() for one in rounds)
    assert paid == pytest.approx(trained + failed, rel=0.2)  # wider networks aside
    assert (found.compute >= PLAN.budget).all()
    # No more than was trained: none pays for places that the budget did not hold any more.
    charged = np.array([one["past"][:, :, ranking.PAST.index("cost")].sum(axis=1) for one in rounds]).sum(axis=0)
    np.testing.assert_allclose(found.compute, np.maximum(charged, PLAN.budget) + rounds[-1]["price"], rtol=1e-5)


def test_no_move_is_shown_or_made_that_the_rest_of_the_budget_does_not_hold():
    plan = loops.Plan(rounds=8, at_once=2, budget=6.0)
    made = instances(SURFACES, key())
    rounds = []
    for number in range(plan.rounds):
        now = loops.after(rounds[-1]) if rounds else loops.begin(made)
        shown = loops.question(plan, made, now, [one["past"] for one in rounds], key())
        left = plan.budget - now.spent
        assert not (shown["options"][left < 0.25, :, loops.AVAILABLE] > 0).any()
        rounds.append(loops.play(plan, made, now, shown["options"], episodes.indifferent(shown), key(), number))
        again = np.isfinite(rounds[-1]["measured"][:, :, 1]) + 1
        first = (rounds[-1]["past"][:, :, ranking.PAST.index("cost")] / again).sum(axis=1)
        assert (first <= np.maximum(left, 0) + 1e-5).all()
    assert (now.spent > plan.budget - 0.25).any()
    moves = sum((one["option"] >= 0).sum(axis=1) for one in rounds)
    assert 2 <= moves.min() <= moves.max() <= 2 * plan.budget


def test_what_was_tried_on_the_present_incumbent_cannot_be_tried_again():
    made = instances(SURFACES, key())
    rounds = []
    for number in range(PLAN.rounds):
        now = loops.after(rounds[-1]) if rounds else loops.begin(made)
        shown = loops.question(PLAN, made, now, [one["past"] for one in rounds], key())
        available = shown["options"][:, :, loops.AVAILABLE] > 0
        assert not (available & (now.tried > 0)).any()
        prefer = np.zeros(available.shape, dtype=np.float32)
        prefer[now.tried > 0] = np.inf  # a program that would repeat itself
        rounds.append(loops.play(PLAN, made, now, shown["options"], prefer, key(), number))
        tried_before = np.take_along_axis(now.tried, np.maximum(rounds[-1]["option"], 0).astype(int), 1)
        assert not (tried_before[rounds[-1]["option"] >= 0]).any()


@pytest.mark.parametrize("at_once", [2, 4])
def test_every_round_follows_from_what_was_measured(at_once):
    """The ratchet, told a second time: who is trained again, what that costs, which one is kept, what it is worth."""
    plan = loops.Plan(rounds=6, at_once=at_once, budget=18.0)
    rounds, _ = told(episodes.indifferent, plan=plan)
    made = instances(SURFACES, key())
    value, noise = certifying.measure_baselines(made, key())
    np.testing.assert_array_equal(rounds[0]["began"], value)
    now, choices = loops.begin(made)._replace(value=value, noise=noise), 0
    for one in rounds:
        for loop, instance in enumerate(made):
            slots = [slot for slot in range(at_once) if one["option"][loop, slot] >= 0]
            settings = [moved(now.settings[loop], int(one["option"][loop, slot])) for slot in slots]
            first, second = one["measured"][loop, slots].T
            bar = now.value[loop] - now.noise[loop]
            np.testing.assert_array_equal(np.isfinite(second), first < bar)
            assert (first != second).all()  # under another seed
            again = np.isfinite(second)
            costs = np.array([cost(instance, row[INDEX["width"]]) for row in settings]) * (1 + again)
            np.testing.assert_allclose(one["past"][loop, slots, ranking.PAST.index("cost")], costs, rtol=1e-6)
            spent = now.spent[loop] + sum(costs)
            idle = spent + at_once - len(slots)
            assert one["spent"][loop] == pytest.approx(max(spent, min(plan.budget, idle)))
            means = np.where(again, (first + second) / 2, np.inf)
            kept = [slot for slot in range(len(slots)) if means[slot] < bar and means[slot] == means.min()]
            outcomes = one["past"][loop, slots, loops.OUTCOME]
            assert [ranking.OUTCOMES[int(outcome)] == "kept" for outcome in outcomes] == [
                slot in kept for slot in range(len(slots))
            ]
            assert one["value"][loop] == (means[kept[0]] if kept else now.value[loop])
            np.testing.assert_array_equal(one["settings"][loop], settings[kept[0]] if kept else now.settings[loop])
            tried = set() if kept else {*np.flatnonzero(now.tried[loop]), *one["option"][loop, slots]}
            assert set(np.flatnonzero(one["tried"][loop])) == tried
            choices += sum(means < bar) > 1
        now = loops.after(one)
    assert choices, "no loop had two to choose from"


def test_dice_are_thrown_anew_in_every_round_and_loop():
    made = instances(SURFACES, key())
    rounds, _ = told(episodes.indifferent, plan=loops.Plan(rounds=1))
    shown = [loops.question(PLAN, made, loops.begin(made), past, key()) for past in ([], [rounds[0]["past"]])]
    there, *later = (one["options"][:, :, loops.DICE] for one in shown)
    assert (there[there > 0] != later[0][there > 0]).all()
    assert len({tuple(row) for row in np.where((there > 0).all(axis=0), there, 0).tolist()}) == len(SURFACES)


def test_an_instance_that_hardly_varies_has_the_least_noise():
    made = instances(SURFACES[:3], b"instances of this test's own")
    for one in made:
        one.surface.noise = 0.0
    value, noise = certifying.measure_baselines(made, key())
    np.testing.assert_allclose(value, [one.surface.gap for one in made])
    np.testing.assert_allclose(noise, certifying.LEAST_NOISE * value)


def test_a_verdict_is_made_of_certified_gains_and_of_all_that_was_spent():
    """Five loops by hand: a sure gain, a lucky mean, a loss, a training that diverged, nothing kept."""
    sure, lucky = [0.4, 0.5, 0.6, 0.4, 0.5, 0.6], [1.9, 0.0, 0.0, 0.0, 0.0, 0.0]
    fallen = [[*sure], lucky, [-0.5] * 5 + [-0.4], [*sure[:5], np.nan], [np.nan] * 6]
    past = np.zeros((5, 4, loops.COLUMNS))
    past[:4, :2, loops.OUTCOME] = [[1, 2], [1, 3], [1, 1], [2, 2]]
    last = {
        "baseline": np.where(np.arange(5)[:, None] < 4, 1.25, np.nan) * np.ones((5, 6)),
        "incumbent": 1.25 - np.array(fallen),
        "floor": np.full(5, 0.25),
        "price": np.array([12.0, 12.0, 13.0, 12.0, 0.0]),
        "spent": np.array([20.0, 24.0, 25.5, 24.0, 24.0]),
        "value": np.array([0.75, 1.0, 1.5, 0.5, 1.25]),
        "past": past,
    }
    found = certifying.results(24.0, [{**last, "began": np.full(5, 1.25)}])
    assert found.certified.tolist() == [True, False, False, False, False]
    assert found.gain.tolist() == pytest.approx([0.5, 0, 0, 0, 0])
    assert found.provisional.tolist() == pytest.approx([0.5, 0.25, 0, 0.75, 0])
    assert found.compute.tolist() == [36.0, 36.0, 38.5, 36.0, 24.0]
    assert found.wasted.tolist() == [0.5, 0.5, 0, 1, 1]


def test_certifying_trains_both_in_pairs_where_something_changed_and_is_charged():
    made = instances(SURFACES[:3], key())
    settings = np.stack([one.start for one in made])
    settings[1, INDEX["width"]] *= 2
    found = certifying.certify(made, settings, key())
    assert found["price"].tolist() == [0, certifying.PAIRS * (1 + cost(made[1], settings[1, INDEX["width"]])), 0]
    for name in ("baseline", "incumbent"):
        assert np.isfinite(found[name]).tolist() == [[False] * 6, [True] * 6, [False] * 6]
        assert len(set(found[name][1])) == certifying.PAIRS
    shared = np.corrcoef(found["baseline"][1], found["incumbent"][1])[0, 1]
    assert shared > 0  # part of a seed's noise is common to both


def test_an_infinite_preference_is_followed_and_one_that_is_no_number_never():
    def eager(shown):
        wanted = only("learning_rate")(shown)
        return np.where(np.isnan(wanted), wanted, np.inf)

    rounds, _ = told(eager)
    chosen = np.concatenate([one["option"] for one in rounds], axis=1)
    assert {MOVES[option][0] for option in chosen[chosen >= 0]} == {INDEX["learning_rate"]}


def test_history_says_what_was_done_and_what_came_of_it():
    rounds, _ = told(episodes.indifferent)
    made = instances(SURFACES, key())
    shown = loops.question(PLAN, made, loops.after(rounds[-1]), [one["past"] for one in rounds], key())
    for loop in range(len(SURFACES)):
        rows = shown["history"][loop][shown["history"][loop][:, loops.OUTCOME] > 0]
        options = [int(option) for one in rounds for option in one["option"][loop] if option >= 0]
        assert [ranking.KINDS[int(row[KIND])] for row in rows] == [KNOBS[MOVES[option][0]].kind for option in options]
        assert shown["situation"][loop][1] == len(rows)
        kept = rows[rows[:, loops.OUTCOME] == ranking.OUTCOMES.index("kept")]
        assert shown["situation"][loop][2] == len(kept)
        assert (kept[:, ranking.PAST.index("gain")] > loops.MARGIN).all()


def test_the_numbers_of_arms_differ_by_loop_and_stay_through_a_loop():
    made = instances(SURFACES, key())
    first = loops.question(PLAN, made, loops.begin(made), [], key())["options"]
    rounds, _ = told(episodes.indifferent)
    later = loops.question(PLAN, made, loops.after(rounds[-1]), [one["past"] for one in rounds], key())["options"]
    arms = first[:, :, loops.ARM]
    assert len({tuple(row) for row in arms.tolist()}) == len(SURFACES)
    there = (first[:, :, loops.DICE] > 0) & (later[:, :, loops.DICE] > 0)
    np.testing.assert_array_equal(arms[there], later[:, :, loops.ARM][there])


def test_everything_shown_is_finite_and_in_its_columns():
    rounds, _ = told(only("learning_rate"))  # which diverges now and then
    outcomes = np.concatenate([one["past"][:, :, loops.OUTCOME] for one in rounds], axis=1)
    assert (outcomes == ranking.OUTCOMES.index("failed")).any()
    made = instances(SURFACES, key())
    shown = loops.question(PLAN, made, loops.after(rounds[-1]), [one["past"] for one in rounds], key())
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in shown.values())


def test_luck_is_hardly_ever_certified():
    """Where nothing can be gained, incumbents that are none are certified about as rarely as the level says."""
    made = instances(np.array([slot(badness=1.0)] * 400), key())
    settings = np.stack([one.start for one in made])
    settings[:, INDEX["eps"]] *= 10  # matters to nobody, but is another setting
    for one in made:
        one.surface.curvature[INDEX["eps"]] = 0.0
    last = certifying.certify(made, settings, key())
    rounds = [
        {
            "began": np.ones(400),
            "past": np.zeros((400, 2, loops.COLUMNS)),
            "value": np.ones(400),
            "spent": np.zeros(400),
            **last,
        }
    ]
    found = certifying.results(24.0, rounds)
    assert 0.02 < found.certified.mean() < 0.09


def test_certified_gains_are_true_ones():
    rounds, found = told(episodes.indifferent)
    made = instances(SURFACES, key())
    true = np.array([1 - truth / one.surface.gap for one, truth in zip(made, rounds[-1]["truth"], strict=True)])
    assert (true[found.certified] > 0).mean() > 0.9
    assert abs((true - found.gain)[found.certified].mean()) < 0.1


def test_a_better_order_gains_more():
    """Inner tasks reward knowing which kinds pay: without that nothing could be learned from them."""
    useful = np.array([ranking.KINDS.index(kind) for kind in ("learning_rate", "optimizer", "decay", "betas")])

    def knowing(shown):
        return shown["options"][:, :, loops.DICE] + np.isin(shown["options"][:, :, KIND], useful)

    def perverse(shown):
        return shown["options"][:, :, loops.DICE] - np.isin(shown["options"][:, :, KIND], useful)

    gains = {
        name: np.mean([told(program, number=number)[1].gain.mean() for number in range(3)])
        for name, program in {"uniform": episodes.indifferent, "knowing": knowing, "perverse": perverse}.items()
    }
    assert gains["knowing"] > 1.1 * gains["uniform"] > 1.1 * gains["perverse"]


def test_episodes_hold_what_happened_without_gaps():
    rounds, _ = told(episodes.indifferent)
    found = ranking.episodes_of([one["past"] for one in rounds])
    assert found.shape == (len(SURFACES), PLAN.rounds * PLAN.at_once, len(ranking.PAST))
    real = found[:, :, loops.OUTCOME] > 0
    assert (np.diff(real.astype(int), axis=1) <= 0).all()
    assert real.sum() == sum((one["option"] >= 0).sum() for one in rounds)
    for loop in range(len(SURFACES)):
        assert found[loop][real[loop]].tolist() == loops.rows_of([one["past"] for one in rounds], loop)


def test_noise_laid_over_it_keeps_the_pairing_and_is_each_trials_own():
    noisy = Noisy(InnerLoops(rounds=1, compute=2.0), noise=0.1)
    assert noisy.secret_of_seed
    before = blank(replace(CASES["inner-loops"], verifier=noisy))
    pair = [noisy.challenge(before.model_copy(update={"trial": trial}), SECRET) for trial in ("one", "other")]
    one, other = (asked.model_copy(update={"context": {}}).digest() for asked in pair)
    assert one == other
    assert pair[0].context[DRAW] != pair[1].context[DRAW]


@pytest.mark.parametrize("name", ["baseline", "incumbent", "floor", "price", "spent", "value", "began", "past"])
def test_records_that_are_not_of_the_same_loops_come_to_nothing(name):
    plan = loops.Plan(rounds=1, budget=2.0)
    rounds, _ = told(episodes.indifferent, SURFACES[:3], plan=plan)
    forms = (1, certifying.PAIRS), (1,), (), (0,), (10**12, 0, loops.COLUMNS), (1, 1, loops.COLUMNS)
    for other in (*map(np.zeros, forms), rounds[0][name][:2]):
        with pytest.raises(ValueError, match="is not one of"):
            certifying.results(plan.budget, [{**rounds[0], name: other}])


@pytest.mark.parametrize(
    "options", [{"rounds": 0}, {"at_once": 0}, {"compute": 1.0}, {"compute": float("nan")}, {"compute": float("inf")}]
)
def test_loops_too_small_for_a_move_are_refused(options):
    with pytest.raises(UsageError, match="one training's compute for each move"):
        InnerLoops(**options)
