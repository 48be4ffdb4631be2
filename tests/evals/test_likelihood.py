import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax as reference

from evals.likelihood import CLIP_NATS, clipped_losses, log_softmax, standard_error

LOGITS = arrays(np.float32, (4, 7), elements=st.floats(-(2.0**100), 2.0**100, width=32))


@given(LOGITS)
def test_log_softmax_agrees_with_scipy(logits):
    np.testing.assert_allclose(
        log_softmax(logits), reference(logits.astype(np.float64), axis=-1), rtol=1e-9, atol=1e-12
    )


@given(LOGITS, st.floats(-1e20, 1e20))
def test_losses_lie_between_nothing_and_the_clip(logits, shift):
    losses = clipped_losses(logits.astype(np.float64) + shift, np.array([0, 3, 6, 1]))
    assert ((losses >= 0) & (losses <= CLIP_NATS)).all()


@given(arrays(np.float64, (4, 7), elements=st.floats(-50, 50)), st.floats(-1e3, 1e3))
def test_a_shift_of_all_logits_changes_no_loss(logits, shift):
    targets = np.array([0, 3, 6, 1])
    np.testing.assert_allclose(clipped_losses(logits + shift, targets), clipped_losses(logits, targets), atol=1e-9)


@given(LOGITS, st.integers(1, 40))
def test_losses_are_the_same_to_the_last_bit_in_pieces_of_any_size(logits, size):
    targets = np.array([[0, 3], [6, 1]])
    whole = np.minimum(-np.take_along_axis(log_softmax(logits), targets.reshape(-1, 1), axis=-1), CLIP_NATS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evals.likelihood.PIECE_NUMBERS", size)
        assert clipped_losses(logits.reshape(2, 2, 7), targets).tolist() == whole.reshape(2, 2).tolist()


def test_a_uniform_guess_costs_the_logarithm_of_the_number_of_classes():
    losses = clipped_losses(np.zeros((2, 3, 256), dtype=np.float32), np.zeros((2, 3), dtype=np.uint8))
    assert losses == pytest.approx(np.full((2, 3), math.log(256)))


@pytest.mark.parametrize("top", [0.5, 0.9, 0.99, 0.999, 0.99999])
def test_betting_everything_gains_next_to_nothing_from_the_clip(top):
    rest = 1 - top
    honest = -(top * math.log2(top) + rest * math.log2(rest))
    bet = rest * CLIP_NATS / math.log(2)
    assert honest - bet < 0.001


def test_one_value_has_no_standard_error():
    assert standard_error(np.array([1.0])) is None
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)
