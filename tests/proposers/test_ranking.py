"""The arrays that ranking programs are shown, whatever the code that is moved holds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rsi.proposers.ranking import (
    CHOICES,
    KINDS,
    MOVE,
    OUTCOMES,
    PAST,
    Arms,
    chosen,
    dice,
    episodes_of,
    move_row,
    padded,
    past_row,
)

_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(allow_nan=True), st.text(max_size=20)
)


@given(kind=st.one_of(st.sampled_from(KINDS), st.text()), old=_VALUES, new=_VALUES, name=_VALUES)
def test_every_move_becomes_finite_numbers(kind: str, old: object, new: object, name: object) -> None:
    row = move_row(kind, {"from": old, "to": new, "name": name, "direction": "up"}, Arms())
    assert len(row) == len(MOVE)
    assert np.isfinite(np.asarray(row, dtype=np.float32)).all()


@given(gain=st.floats(), cost=st.floats(allow_nan=False), outcome=st.sampled_from(OUTCOMES))
def test_every_outcome_becomes_finite_numbers(gain: float, cost: float, outcome: str) -> None:
    row = past_row([0.0] * len(MOVE), outcome, gain, cost)
    assert len(row) == len(PAST)
    assert np.isfinite(np.asarray(row, dtype=np.float32)).all()


@given(
    preferences=st.lists(st.floats(), min_size=1, max_size=12),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_only_an_available_option_with_the_highest_preference_is_made(
    preferences: list[float], seed: int, data: st.DataObject
) -> None:
    available = np.array(data.draw(st.lists(st.booleans(), min_size=len(preferences), max_size=len(preferences))))
    wanted = np.array(preferences)
    index = chosen(wanted, available, dice(seed, len(preferences)))
    among = [value for value, there in zip(preferences, available, strict=True) if there and not np.isnan(value)]
    if index is None:
        assert not among
    else:
        assert available[index]
        assert wanted[index] == max(among)


def test_equal_preferences_fall_to_every_option_alike() -> None:
    same = np.zeros(4)
    drawn = [chosen(same, np.array([True, True, True, False]), dice(seed, 4)) for seed in range(600)]
    counts = [drawn.count(index) for index in range(4)]
    assert counts[3] == 0
    assert min(counts[:3]) > 150


def test_the_same_thing_keeps_its_number_and_a_choice_its_index() -> None:
    arms = Arms()
    first = move_row("optimizer", {"name": "OPTIMIZER", "from": "sgd", "to": "torch.optim.Adam"}, arms)
    other = move_row("width", {"name": "WIDTH", "from": 8, "to": 16, "direction": "up"}, arms)
    again = move_row("optimizer", {"name": "OPTIMIZER", "from": "sgd", "to": "unheard-of"}, arms)
    assert first[1] == again[1] != other[1]
    assert CHOICES[int(first[5]) - 1] == "adam"
    assert again[5] == 0
    assert other[3] > 0


@given(data=st.data(), loops=st.integers(1, 4), rounds=st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_episodes_are_the_rounds_rows_in_order_with_zeros_behind_them_alone(
    data: st.DataObject, loops: int, rounds: list[int]
) -> None:
    past = []
    for moves in rounds:
        outcomes = data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=loops * moves, max_size=loops * moves))
        one = np.arange(loops * moves * len(PAST), dtype=np.float32).reshape(loops, moves, len(PAST))
        one[:, :, len(MOVE)] = np.array(outcomes).reshape(loops, moves)
        past.append(one)
    found = episodes_of(past)
    assert found.shape == (loops, sum(rounds), len(PAST))
    for loop in range(loops):
        rows = [row for one in past for row in one[loop].tolist() if row[len(MOVE)]]
        assert found[loop, : len(rows)].tolist() == rows
        assert not found[loop, len(rows) :].any()


def test_padding_keeps_the_latest_rows() -> None:
    rows = [[float(number)] for number in range(5)]
    assert padded(rows, 3, 1)[:, 0].tolist() == [2, 3, 4]
    assert padded(rows[:1], 3, 1)[:, 0].tolist() == [0, 0, 0]
    assert padded([], 0, 1).shape == (0, 1)
