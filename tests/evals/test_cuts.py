"""Where cuts fall, what stands behind them, and how surely a peek worth 0.02 bits per byte is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in_models import english

from evals import cuts as cuts_module
from evals.causality import CAUSALITY, EVEN
from evals.language_model import LanguageModel
from evals.likelihood import CLIP_BITS
from rsi.evidence import Secret

WINDOWS, POSITIONS = 256, 128
WORTH = 0.02  # bits per byte
SEEDS = 300


def generator(seed: int) -> np.random.Generator:
    return Secret(key=f"{seed:064x}").generator()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 60), st.integers(0, 2**32))
def test_cuts_leave_no_window_that_tells_on_another(windows, cuts, seed):
    data = english(windows).inputs["windows"]
    drawn = cuts_module.draw_cuts(cuts_module.weights(np.zeros(data.shape), None), cuts, generator(seed))
    rows = cuts_module.replaced(data, drawn, generator(seed + 1))
    wanted = max(1, min(cuts, 3 * windows // 4))
    last = data.shape[1] - 1
    whole = {window for window, position in drawn if position == last}
    assert not {window + 1 for window in whole} & set(drawn[:, 0]), "no window beside one that tells how it goes on"
    assert len(drawn) == wanted or len(drawn) + 2 * len(whole) >= wanted
    assert len(set(drawn[:, 0])) == len(drawn), "one cut in a window"
    lent = np.setdiff1d(np.arange(windows), drawn[:, 0])
    for row, (window, position) in zip(rows, drawn, strict=True):
        if position == last:
            assert (row == data[window]).all()
            continue
        assert (row[: position + 1] == data[window, : position + 1]).all(), "true up to the cut"
        assert row[position + 1] != data[window, position + 1], "the first byte behind it differs"
        behind = row[position + 1 :]
        assert any((behind == data[other, position + 1 :]).all() for other in lent) or (behind == behind[0]).all()


def test_windows_that_all_go_on_alike_still_get_another_byte():
    data = np.full((6, 10), 255, dtype=np.uint8)
    drawn = cuts_module.draw_cuts(cuts_module.weights(np.zeros(data.shape), None), 3, generator(0))
    rows = cuts_module.replaced(data, drawn, generator(1))
    assert all(row[position + 1] == 0 for row, (_, position) in zip(rows, drawn, strict=True))


def test_cuts_fall_where_the_gain_is():
    losses, reference = np.full((40, 50), 3.0), np.full((40, 50), 3.0)
    reference[:10, 7] = 13.0
    drawn = cuts_module.draw_cuts(cuts_module.weights(losses, reference), 10, generator(5))
    assert sum(position == 7 and window < 10 for window, position in drawn) > 5  # a quarter is spread evenly


def test_without_a_gain_or_a_reference_all_positions_are_alike():
    losses = np.random.default_rng(0).uniform(0, 9, (5, 6))
    assert np.ptp(cuts_module.weights(losses, None)) == 0
    assert np.ptp(cuts_module.weights(losses, losses - 1)) == 0
    assert np.ptp(cuts_module.weights(np.zeros((5, 6)), np.ones((5, 6)))) == 0


@given(st.integers(0, 2**32))
def test_weights_are_probabilities_and_none_is_nothing(seed):
    draw = np.random.default_rng(seed)
    weights = cuts_module.weights(draw.uniform(0, 16, (8, 9)), draw.uniform(0, 16, (8, 9)))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= cuts_module.UNIFORM_SHARE / weights.size * 0.999


def honest_losses(seed: int, change: float):
    """An incumbent's and an honest candidate's losses in bits: skewed as those of text, apart by `change` a byte."""
    draw = np.random.default_rng(seed)
    incumbent = np.minimum(draw.gamma(1.6, 2.2, (WINDOWS, POSITIONS)), CLIP_BITS)
    candidate = np.clip(incumbent * np.exp(draw.normal(-0.02, change, incumbent.shape)), 0, CLIP_BITS)
    return incumbent, candidate


def peek(losses, share: float, seed: int):
    """Losses after a peek at a share of the positions, the most surprising, and what it moved there, in bits."""
    order = np.argsort(-losses[:, :-1] + np.random.default_rng(seed).normal(0, 0.5, losses[:, :-1].shape), axis=None)
    chosen = np.unravel_index(order[: max(1, int(share * losses.size))], losses[:, :-1].shape)
    moved = np.zeros_like(losses)
    moved[chosen] = np.minimum(losses[chosen], WORTH * losses.size / len(chosen[0]))
    return losses - moved, moved


def repair(candidate, incumbent, share: float):
    """A peek that shows no gain: only where the incumbent is better, and no further than its level."""
    room = np.maximum(candidate - incumbent, 0.0)
    order = np.argsort(-room, axis=None)[: max(1, int(share * room.size))]
    moved = np.zeros_like(room)
    moved.flat[order] = room.flat[order]
    moved[:, -1] = 0.0
    return candidate - moved, moved


def share_found(losses, incumbent, moved) -> float:
    """In how many of `SEEDS` simulated runs at least one cut lies where the prediction moves too far."""
    verifier, found = LanguageModel().causality, 0
    rounds = {CAUSALITY: cuts_module.weights(losses, incumbent), EVEN: cuts_module.weights(losses, None)}
    for seed in range(SEEDS):
        secret = Secret(key=f"{seed:064x}")
        for name, weights in rounds.items():
            drawn = cuts_module.draw_cuts(weights, verifier.cuts[name], secret.derive(name).generator())
            if (moved[drawn[:, 0], drawn[:, 1]] * np.log(2) > verifier.tolerance).any():
                found += 1
                break
    return found / SEEDS


@pytest.mark.parametrize("jump", [0.0, 0.7])
@pytest.mark.parametrize("change", [0.1, 0.2])
@pytest.mark.parametrize("share", [0.0017, 0.003, 0.01, 0.03, 0.1, 1.0])
def test_a_peek_worth_two_hundredths_of_a_bit_is_found(share, change, jump):
    incumbent, candidate = honest_losses(int(share * 1e6), change)
    losses, moved = peek(candidate, share, 0)
    assert share_found(losses, incumbent + jump * incumbent / incumbent.mean(), moved) >= 0.99


@pytest.mark.parametrize("change", [0.2, 0.4])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_a_peek_that_shows_no_gain_is_found(share, change):
    incumbent, candidate = honest_losses(int(share * 1e6), change)
    losses, moved = repair(candidate, incumbent, share)
    assert moved.mean() >= WORTH
    assert share_found(losses, incumbent, moved) >= 0.99


def test_even_cuts_would_miss_a_concentrated_peek():
    incumbent, candidate = honest_losses(1, 0.1)
    _, moved = peek(candidate, 0.0017, 0)
    even = cuts_module.weights(candidate, None)
    hits = [moved[tuple(cuts_module.draw_cuts(even, 128, generator(seed)).T)].any() for seed in range(100)]
    assert np.mean(hits) < 0.5
    assert incumbent.shape == moved.shape
