"""What is learned from the inner loops of a run: whole rounds on dev, checked as what comes from elsewhere is."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from evolving import REMEMBERING, evolved, fake_programs

from rsi.evidence import Array
from rsi.generations.gathering import MOST, inner_episodes
from rsi.prediction import encode_array
from rsi.proposers.experience import LONGEST
from rsi.proposers.ranking import PAST
from rsi.runs import ReadRun
from rsi.state import RunState


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    folder = tmp_path_factory.mktemp("remembered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(folder / "state"))
        patch.setenv("RSI_CACHE", str(folder / "cache"))
        fake_programs(folder / "guess", verifier=REMEMBERING)
        return evolved(folder, generations=1).history().generations[0].run


def rounds_of(run: ReadRun, *rounds: Array) -> RunState:
    """The run's state, as if every trial had left these rounds."""
    digests = [run.blobs.put(encode_array(one)) for one in rounds]
    state = copy.copy(run.state)
    state.trials = {}
    for name, trial in run.state.trials.items():
        first = next(answered for answered in trial.answered if "past" in answered.scores)
        answered = tuple(first.model_copy(update={"scores": {"past": digest}}) for digest in digests)
        state.trials[name] = trial.model_copy(update={"answered": answered})
    return state


def of_moves(outcomes: Sequence[Sequence[int]]) -> Array:
    """One round's rows, (loops, moves, columns), with those outcomes."""
    rows = np.zeros((*np.shape(outcomes), len(PAST)), dtype=np.float32)
    rows[:, :, PAST.index("outcome")] = outcomes
    return rows


@pytest.mark.parametrize(
    "hostile",
    [
        np.zeros((10**7, 0, len(PAST)), np.float32),
        np.zeros((0, 1, len(PAST)), np.float32),
        np.zeros((MOST + 1, 1, len(PAST)), np.float32),
        of_moves([[1] * (LONGEST + 1)]),
        np.full((1, 1, len(PAST)), 1e300),
        np.full((1, 1, len(PAST)), np.nan, np.float32),
        of_moves([[4]]),
        of_moves([[1] * 128] * MOST),
        np.ones((1, 1, len(PAST) + 1), np.float32),
        np.ones(1, np.float32),
    ],
    ids=["no-moves", "no-loops", "loops", "moves", "doubles", "nan", "outcome", "bytes", "columns", "flat"],
)
def test_rows_that_no_inner_loops_leave_teach_nothing_and_take_no_memory(remembered: ReadRun, hostile: Array) -> None:
    for rounds in ([hostile], [of_moves([[1]]), hostile]):
        state = rounds_of(remembered, *rounds)
        tracemalloc.start()
        try:
            assert inner_episodes(state, remembered.blobs).shape == (0, 1, len(PAST))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * 2**20


def test_no_trial_gives_episodes_longer_than_may_be_learned_from(remembered: ReadRun) -> None:
    half = of_moves([[1] * (LONGEST // 2)])
    assert inner_episodes(rounds_of(remembered, half, half), remembered.blobs).shape[1:] == (LONGEST, len(PAST))
    assert len(inner_episodes(rounds_of(remembered, half, half, of_moves([[1]])), remembered.blobs)) == 0


def test_of_very_many_episodes_the_latest_are_learned_from(remembered: ReadRun) -> None:
    many = of_moves([[1, 0]] * (MOST - 1))
    state = rounds_of(remembered, many)
    *_, latest = (name for name, trial in state.trials.items() if trial.started.split == "dev")
    few = rounds_of(remembered, of_moves([[0, 3], [0, 0], [2, 3]]))
    state.trials[latest] = few.trials[latest]
    found = inner_episodes(state, remembered.blobs)
    assert found.shape == (MOST, 2, len(PAST))
    assert found[-3:, :, PAST.index("outcome")].tolist() == [
        [1, 0],
        [3, 0],
        [2, 3],
    ]  # without the loop that never moved


def test_what_was_not_scored_or_was_asked_for_a_keep_is_no_loop(remembered: ReadRun) -> None:
    one = of_moves([[1]])
    whole = inner_episodes(rounds_of(remembered, one), remembered.blobs)
    state = rounds_of(remembered, one, one)
    for name, trial in state.trials.items():
        first, second = trial.answered
        answered = (first, second.model_copy(update={"purpose": "keep"}))
        state.trials[name] = trial.model_copy(update={"answered": answered})
    assert np.array_equal(inner_episodes(state, remembered.blobs), whole)
    for name, trial in state.trials.items():
        state.trials[name] = trial.model_copy(update={"screened": None, "checked": None})
    assert len(inner_episodes(state, remembered.blobs)) == 0


def test_a_trial_whose_rounds_are_damaged_teaches_nothing(remembered: ReadRun) -> None:
    assert len(inner_episodes(remembered.state, remembered.blobs))
    state = rounds_of(remembered, of_moves([[1]]))
    damaged = remembered.blobs.put(b"not an array")
    for digest in (damaged, "0" * 64, "no digest"):
        for name, trial in state.trials.items():
            first = trial.answered[0]
            spoiled = first.model_copy(update={"scores": {"past": digest}})
            state.trials[name] = trial.model_copy(update={"answered": (first, spoiled)})
        assert len(inner_episodes(state, remembered.blobs)) == 0
        state = rounds_of(remembered, of_moves([[1]]))
