"""Inner tasks are what they say: real trainings with a floor that nothing beats, the same under the same key."""

import numpy as np
import pytest

from evals.inner import network
from evals.inner.episodes import slot
from evals.inner.families import FAMILIES, cost, instances, trained
from evals.inner.knobs import INDEX, KNOBS, MOVES, baseline, moved
from evals.inner.surface import DIVERGES, RATE, effective

KEY = b"a key for tests"
HARD = {"inputs": 4, "outputs": 4, "layers": 1, "difficulty": 0.3, "badness": 1.0}
REAL = ("regression", "classification", "sequence", "digits")


def made(family, count=4, **values):
    row = slot(family=FAMILIES.index(family), **{**HARD, "outputs": 1 if family == "regression" else 4, **values})
    return instances(np.array([row] * count), KEY)


def with_knob(settings, kind, value):
    after = settings.copy()
    after[INDEX[kind]] = value
    return after


@pytest.mark.parametrize("family", FAMILIES)
def test_no_training_beats_the_floor(family):
    tasks = made(family)
    which = [loop for loop in range(4) for _ in MOVES]
    settings = [moved(tasks[loop].start, option) for loop in range(4) for option in range(len(MOVES))]
    settings = [tasks[loop].start if one is None else one for loop, one in zip(which, settings, strict=True)]
    noise = [tasks[loop].surface.noise if tasks[loop].surface else 0.0 for loop in which]
    losses = trained(tasks, which, settings, list(range(len(which))))
    floors = np.array([tasks[loop].floor for loop in which]) - 4 * np.array(noise)
    assert np.isfinite(losses).mean() > 0.9
    assert (losses[np.isfinite(losses)] >= floors[np.isfinite(losses)]).all()


@pytest.mark.parametrize("family", REAL)
def test_what_is_held_out_is_not_trained_on(family):
    data = made(family, 1)[0].data
    assert not np.array_equal(data.inputs, data.held_inputs)
    assert not np.array_equal(data.targets, data.held_targets)
    if family != "sequence":  # where windows of a few symbols come again
        assert not {tuple(row) for row in data.inputs.tolist()} & {tuple(row) for row in data.held_inputs.tolist()}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_move_or_another_pays(family):
    tasks = made(family, 3)
    best = []
    for loop, task in enumerate(tasks):
        settings = [task.start, *(one for one in (moved(task.start, n) for n in range(len(MOVES))) if one is not None)]
        losses = np.mean(
            [trained(tasks, [loop] * len(settings), settings, [seed] * len(settings)) for seed in (1, 2)], 0
        )
        best.append((losses[0] - np.nanmin(losses)) / (losses[0] - task.floor))
    assert np.mean(best) > 0.1


@pytest.mark.parametrize("family", REAL)
def test_training_alone_and_in_a_stack_of_others_are_one(family):
    tasks = made(family)
    wide, narrow = (with_knob(tasks[1].start, "width", width) for width in (32.0, 6.0))
    others = with_knob(with_knob(tasks[0].start, "optimizer", 3.0), "batch_size", 8.0)
    together = trained(tasks, [0, 1, 1, 2], [others, wide, narrow, tasks[2].start], [7, 8, 9, 10])
    alone = [trained(tasks, [1], [wide], [8])[0], trained(tasks, [1], [narrow], [9])[0]]
    np.testing.assert_allclose(together[1:3], alone, rtol=1e-4)
    assert together[1] != together[2]


def test_units_beyond_the_width_take_no_part():
    task = made("regression", 1, layers=2)[0]
    settings = with_knob(with_knob(task.start, "width", 6.0), "activation", 3.0)  # of which 0 is not 0
    stack = network.Stack(task.shape, [task.data], np.array([0]), settings[None], [5])
    for part in range(8):
        stack.learn(part)
    before = stack.held_out_losses()
    for number, (weights, bias) in enumerate(stack.parts_of):
        if number < task.shape.layers:
            weights[:, :, 6:] += 7
            bias[:, :, 6:] -= 7
        if number:
            weights[:, 6:] += 7
    np.testing.assert_array_equal(stack.held_out_losses(), before)


def test_every_choice_and_number_of_a_real_training_matters():
    tasks = made("classification")
    start = with_knob(with_knob(tasks[0].start, "optimizer", 3.0), "weight_decay", 0.01)
    for kind, value in {
        "learning_rate": 0.3, "batch_size": 8.0, "width": 31.0, "betas": 0.1, "weight_decay": 0.5, "initialisation": 5,
        "clip": 0.01, "eps": 1e-2, "warmup": 0.3, "regularisation": 0.2, "decay": 2.0, "optimizer": 1.0,
        "activation": 2.0, "bias": 1.0 - start[INDEX["bias"]],
    }.items():  # fmt: skip
        other = with_knob(start, kind, value)
        if np.array_equal(other, start):
            continue
        one, two = trained(tasks, [0, 0], [start, other], [3, 3])
        assert one != two, kind


def test_gradients_agree_with_finite_differences():
    generator = np.random.default_rng(0)
    for classes, layers in ((True, 2), (False, 1)):
        shape = network.Shape(3, 4 if classes else 1, layers, classes)
        x = generator.standard_normal((16, 3)).astype(np.float32)
        targets = generator.integers(0, 4, 16) if classes else generator.standard_normal((16, 1)).astype(np.float32)
        data = network.Data(x, targets, x, targets)
        for activation, _ in enumerate(KNOBS[INDEX["activation"]].choices):
            settings = with_knob(with_knob(baseline(generator, 0.1), "activation", activation), "batch_size", 16.0)
            settings = with_knob(with_knob(settings, "bias", 1.0), "regularisation", 0.0)
            stack = network.Stack(shape, [data], np.array([0]), settings[None], [5])
            stack.order = np.arange(16)[None]
            stack.learn(0)
            gradient = stack.gradient[0].copy()  # of half a batch, before anything has moved
            stack.held = x[None, :8], targets[None, :8]
            for place in generator.integers(0, stack.weights.shape[1], 40):
                losses = []
                for step in (1e-2, -1e-2):
                    stack.weights[0, place] += step
                    losses.append(stack.held_out_losses()[0] / 2)
                    stack.weights[0, place] -= step
                slope = (losses[0] - losses[1]) / 2e-2
                if gradient[place] or KNOBS[INDEX["activation"]].choices[activation] != "relu":
                    assert slope == pytest.approx(gradient[place], abs=3e-3)


def test_the_same_key_draws_the_same_instances_and_another_key_others():
    row = np.array([slot(family=2, **HARD)])
    one, same, other = instances(row, b"one"), instances(row.copy(), b"one"), instances(row, b"other")
    np.testing.assert_array_equal(one[0].data.inputs, same[0].data.inputs)
    assert not np.array_equal(one[0].data.inputs, other[0].data.inputs)
    assert one[0].floor != other[0].floor


def test_a_learning_rate_far_too_high_fails():
    tasks = (*made("surface", 1), *made("regression", 1))
    settings = [with_knob(task.start, "learning_rate", 30.0) for task in tasks]
    assert np.isnan(trained(tasks, [0, 1], settings, [1, 2])).all()


def test_wider_costs_more():
    task = made("sequence", 1)[0]
    width = float(task.start[INDEX["width"]])
    assert cost(task, width) == 1
    assert cost(task, 2 * width) > 1.5
    assert 0.25 < cost(task, width / 2) < 1


def test_slots_of_other_columns_are_refused():
    with pytest.raises(ValueError, match="slots must have 7 columns"):
        instances(np.zeros((3, 5)), KEY)


def test_every_simulated_baseline_trains():
    row = slot(family=FAMILIES.index("surface"), badness=3.0, interacting=0.5)
    surfaces = [one.surface for one in instances(np.array([row] * 2000), KEY)]
    begun = [effective(one.start) - one.surface.best[RATE] for one in instances(np.array([row] * 2000), KEY)]
    assert max(begun) > 0.98 * DIVERGES, "some begin at the edge"
    assert all(np.isfinite([one.gap, one.noise]).all() and one.noise > 0 for one in surfaces)


def test_batch_and_momentum_act_through_the_effective_learning_rate():
    start = made("surface", 1)[0].start
    faster = with_knob(start, "batch_size", start[INDEX["batch_size"]] / 2)
    held = with_knob(faster, "learning_rate", start[INDEX["learning_rate"]] / 2)
    assert effective(faster) == pytest.approx(effective(start) + np.log(2))
    assert effective(held) == pytest.approx(effective(start))
    steadier = with_knob(start, "betas", 1 - (1 - start[INDEX["betas"]]) / 2)
    assert effective(steadier) == pytest.approx(effective(start) + np.log(2))


def test_scanned_digits_are_real_others_each_time_and_none_is_in_both_parts():
    one, other = made("digits", 2, difficulty=0.0)
    assert one.shape.inputs == 64
    assert one.shape.outputs == 10
    assert not np.array_equal(one.data.inputs, other.data.inputs)
    rows = {row.tobytes() for row in one.data.inputs}
    assert not rows & {row.tobytes() for row in one.data.held_inputs}
    assert set(one.data.targets) == set(range(10))
