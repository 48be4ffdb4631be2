"""Patience: an engine that is gone is waited for, one incident counts once, and a run that only loses trials ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rsi.patience
from rsi.errors import EngineLost, EnvironmentFault, UsageError
from rsi.events import TrialFailed, TrialStarted
from rsi.execution import ExitKind
from rsi.patience import INCIDENTS, Patience
from rsi.state import TrialState


def trial(name: str, kind: ExitKind | None = None) -> TrialState:
    """A trial that ended with that failure, or with a verdict."""
    experiment = int(name.partition(".")[0])
    started = TrialStarted(trial=name, experiment=experiment, slot=0, role="measure", split="dev", seed=1)
    if kind is None:
        return TrialState(started=started)
    return TrialState(started=started, failed=TrialFailed(trial=name, stage="train", kind=kind, reason="so"))


class Engine:
    """An engine that is away for a while, by a clock that only waiting moves on."""

    def __init__(self, back_after: float | None = 0.0) -> None:
        self.now = 0.0
        self.back_after = back_after
        self.said: list[str] = []
        self.stop_at: float | None = None

    def describe(self) -> None:
        if self.back_after is None or self.now < self.back_after:
            raise EngineLost("No engine answers.")

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.stop_at is not None and self.now >= self.stop_at

    def patience(self, monkeypatch: pytest.MonkeyPatch) -> Patience:
        monkeypatch.setattr(rsi.patience.time, "monotonic", lambda: self.now)
        return Patience(self.describe, self.wait, self.said.append)


def always() -> None:
    """An engine that is there."""


def untold(_sentence: str) -> None:
    """Nobody listens."""


def patient(describe: Callable[[], object] = always) -> Patience:
    return Patience(describe, lambda _seconds: False, untold)


def test_an_engine_that_comes_back_is_waited_for_and_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(back_after=40.0)
    assert engine.patience(monkeypatch).heed([trial("1.1", ExitKind.LOST)]) == ""
    assert 40 <= engine.now < 42
    assert "gone" in engine.said[0]
    assert "back after 40 s" in engine.said[-1]
    assert len(engine.said) == 4


def test_an_engine_that_stays_away_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(back_after=None)
    told = engine.patience(monkeypatch).heed([trial("1.1", ExitKind.LOST)])
    assert "did not come back within 60 s (No engine answers)" in told
    assert 60 <= engine.now < 62
    monkeypatch.setenv("RSI_ENGINE_PATIENCE", "5")
    engine = Engine(back_after=None)
    assert "within 5 s" in engine.patience(monkeypatch).heed([trial("1.1", ExitKind.LOST)])


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_a_patience_that_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RSI_ENGINE_PATIENCE", text)
    with pytest.raises(UsageError, match="RSI_ENGINE_PATIENCE"):
        patient()


def test_who_wants_to_stop_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(back_after=None)
    engine.stop_at = 3.0
    assert engine.patience(monkeypatch).heed([trial("1.1", ExitKind.LOST)]) == ""
    assert engine.now == 3.0


def test_what_waiting_cannot_mend_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()

    def no_image() -> None:
        raise EnvironmentFault("The image is gone; build it.")

    engine.describe = no_image  # type: ignore[method-assign]
    told = engine.patience(monkeypatch).heed([trial("1.1", ExitKind.LOST)])
    assert told == "a trial was lost, and no other can run (The image is gone; build it)"
    assert engine.now == 0.0


def test_trials_that_die_with_one_engine_are_one_incident() -> None:
    patience = patient()
    for first in range(1, INCIDENTS):
        names = [f"{first}.{number}" for number in range(4)]
        assert patience.heed([trial(names[0], ExitKind.LOST)], under_way=names[1:]) == ""
        assert patience.heed([trial(name, ExitKind.LOST) for name in names[1:3]], under_way=names[3:]) == ""
        assert patience.heed([trial(names[3], ExitKind.LOST)]) == ""
    assert "3 times in a row" in patience.heed([trial("9.1", ExitKind.LOST)])


def test_nothing_ended_is_no_news() -> None:
    patience = patient()
    for number in range(1, INCIDENTS):
        assert patience.heed([trial(f"{number}.1", ExitKind.LOST)]) == ""
        assert patience.heed([]) == ""
    assert patience.heed([trial("9.1", ExitKind.LOST)]) != ""


@given(st.lists(st.sampled_from([None, ExitKind.LOST, ExitKind.CRASHED]), max_size=30))
def test_only_losses_in_a_row_end_a_run_and_as_soon_as_there_are_so_many(kinds: list[ExitKind | None]) -> None:
    patience, in_a_row = patient(), 0
    for number, kind in enumerate(kinds):
        in_a_row = in_a_row + 1 if kind is ExitKind.LOST else 0
        told = patience.heed([trial(f"{number}.1", kind)])
        assert bool(told) == (kind is ExitKind.LOST and in_a_row >= INCIDENTS)
