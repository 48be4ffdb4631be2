"""When the generations end by themselves."""

from __future__ import annotations

from evolving import interval, outcome

from rsi.generations.guard import believed, guard


def test_a_gain_that_carries_over_goes_on() -> None:
    assert guard([outcome(1), outcome(2)]) is None


def test_a_gain_on_inner_tasks_that_held_out_ones_do_not_grant_is_specialising() -> None:
    halt = guard([outcome(1), outcome(2, promoted=False, gain=None, dev_gain=0.9, carried=interval(0.0, 0.1))])
    assert halt is not None
    assert (halt.reason, halt.generation) == ("specialising", 2)
    assert "does not carry over" in halt.sentence


def test_a_promoted_generation_can_be_specialising_too() -> None:
    halt = guard([outcome(promoted=True, gain=interval(0.1, 0.02), carried=interval(0.1, 0.02), dev_gain=2.0)])
    assert halt is not None
    assert halt.reason == "specialising"


def test_luck_is_not_taken_for_specialising() -> None:
    """The best of ten programs that gain nothing is ahead by two standard errors; a failed test then says nothing."""
    lucky = outcome(promoted=False, gain=None, dev_gain=0.15, dev_error=0.07, carried=interval(0.0, 0.05))
    assert believed(lucky) == 0.0
    assert guard([lucky]) is None


def test_an_interval_that_cannot_rule_out_that_it_carries_over_is_no_alarm() -> None:
    assert guard([outcome(promoted=False, gain=None, dev_gain=0.9, carried=interval(0.1, 0.5))]) is None


def test_two_in_a_row_that_promote_nothing_end_it_and_a_promotion_between_them_does_not() -> None:
    idle = {"promoted": False, "gain": None, "carried": None, "tested": False, "kept": 0, "dev_gain": 0.0}
    assert guard([outcome(1), outcome(2, **idle)]) is None
    halt = guard([outcome(1), outcome(2, **idle), outcome(3, **idle)])
    assert halt is not None
    assert halt.reason == "stalled"
    assert "proposer@1 stays" in halt.sentence
    assert guard([outcome(1, **idle), outcome(2), outcome(3, **idle)]) is None
    assert guard([outcome(1, **idle), outcome(2, **idle)], patience=3) is None


def test_a_generation_that_is_under_way_ends_nothing() -> None:
    going = outcome(2, promoted=None, status="running", dev_gain=5.0, carried=interval(0.0, 0.01))
    assert guard([outcome(1), going]) is None
