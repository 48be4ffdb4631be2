"""The grounded filter's law: who is accepted how often, and what that does to text that drifted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.collapse.acceptance import accept, inclusion, log_weights, passages, reference_of, systematic
from studies.collapse.design import CONTEXT, PIECE, STREAM, Design, arms_of
from studies.collapse.ngrams import NgramTable

WEIGHTS = st.lists(st.floats(-40, 40), min_size=2, max_size=60)


@given(weights=WEIGHTS, share=st.floats(0.01, 0.99))
@settings(max_examples=150, deadline=None)
def test_chances_are_weights_over_one_bound_cut_at_one_and_sum_to_the_wanted_number(
    weights: list[float], share: float
) -> None:
    logs = np.array(weights)
    wanted = max(1, min(len(logs) - 1, round(share * len(logs))))
    found = inclusion(logs, wanted)
    assert found.chances.sum() == pytest.approx(wanted, abs=1e-6)
    assert found.chances == pytest.approx(np.minimum(1, 2.0 ** (logs - found.log2_bound)))
    assert (np.diff(found.chances[np.argsort(logs)]) >= 0).all()


def test_passages_of_equal_weight_have_equal_chances() -> None:
    assert inclusion(np.full(40, 3.7), 5).chances == pytest.approx(np.full(40, 1 / 8))


@pytest.mark.parametrize("wanted", [0, 10, 11])
def test_as_many_as_are_offered_cannot_be_wanted(wanted: int) -> None:
    with pytest.raises(ValueError, match="fewer are accepted"):
        inclusion(np.zeros(10), wanted)


@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_exactly_the_wanted_number_is_drawn_each_passage_once(weights: list[float], seed: int) -> None:
    wanted = max(1, len(weights) // 3)
    drawn = systematic(inclusion(np.array(weights), wanted).chances, np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn.tolist())) == wanted


def test_each_passage_is_drawn_as_often_as_its_chance_says() -> None:
    chances = np.array([1.0, 0.9, 0.5, 0.3, 0.2, 0.1])
    generator = np.random.default_rng(7)
    counts = np.zeros(6)
    for _ in range(4000):
        counts[systematic(chances, generator)] += 1
    assert counts / 4000 == pytest.approx(chances, abs=0.03)


def test_passages_are_all_that_a_stream_holds_each_with_what_is_before_it() -> None:
    streams = np.arange(2 * (CONTEXT + 8), dtype=np.uint8).reshape(2, -1)
    rows = passages(streams)
    assert rows.shape == (2 * 8 // PIECE, CONTEXT + PIECE)
    assert rows[0].tolist() == list(range(8))
    assert rows[:, CONTEXT:].reshape(2, -1).tolist() == streams[:, CONTEXT:].tolist()


def drifted(share: float, rows: int, seed: int) -> np.ndarray:
    """Text of two letters, of which one has that share."""
    letters = np.random.default_rng(seed).random((rows, CONTEXT + STREAM)) < share
    return np.where(letters, ord("b"), ord("a")).astype(np.uint8)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_text_that_drifted_to_either_side_is_pulled_back_to_real_text(share: float) -> None:
    design = Design(generations=1, seeds=1, arms=arms_of("filtered"), size=8192, offered=4, order=2)
    reference = reference_of(design, [drifted(0.5, 40, 1)])
    accepted, told = accept(design, drifted(share, 128, 2), reference, np.random.default_rng(3))
    assert len(accepted) == told.accepted == design.passages == told.offered // 4
    before, after = share, float((accepted[:, CONTEXT:] == ord("b")).mean())
    assert abs(after - 0.5) < 0.5 * abs(before - 0.5)
    assert told.distance_accepted < 0.6 * told.distance_offered


def test_text_that_did_not_drift_is_left_as_it_is() -> None:
    design = Design(generations=1, seeds=1, arms=arms_of("filtered"), size=8192, offered=4, order=2)
    reference = reference_of(design, [drifted(0.3, 80, 1)])
    accepted, told = accept(design, drifted(0.3, 128, 2), reference, np.random.default_rng(3))
    assert float((accepted[:, CONTEXT:] == ord("b")).mean()) == pytest.approx(0.3, abs=0.02)
    assert told.at_bound == 0


def test_a_passage_is_not_held_common_because_it_counted_itself() -> None:
    design = Design(generations=1, seeds=1, arms=arms_of("filtered"), size=8192, offered=4, order=2)
    streams = drifted(0.5, 64, 2)
    streams[0, 100:140] = ord("z")
    rows = passages(streams)
    table = reference_of(design, [np.vstack([drifted(0.5, 40, 1), streams[:1]])]).table
    repeated = rows[30:31, CONTEXT - 1 :]
    own = NgramTable([rows[: len(rows) // 2, CONTEXT - 1 :]], 2, design.discount)
    counting_itself = float((table.log2(repeated) - own.log2(repeated)).sum())
    assert bytes(repeated[0]) == b"zzzzz"
    assert log_weights(design, rows, len(streams), table)[30] > counting_itself + 8
