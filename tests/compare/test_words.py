"""The sentences under a comparison: who beats whom and at what price, or how many seeds would show it."""

from __future__ import annotations

from test_differences import loop

from rsi.compare.differences import compared
from rsi.compare.results import LoopResult
from rsi.compare.words import sentences


def of(rows: list[LoopResult], basis: str = "certified") -> tuple[str, ...]:
    return sentences(compared(rows, basis), rows)  # type: ignore[arg-type]


def two(p: list[float], q: list[float], **more: object) -> list[LoopResult]:
    own = [loop("p", seed, gain) for seed, gain in enumerate(p, 1)]
    return own + [loop("q", seed, gain, **more) for seed, gain in enumerate(q, 1)]


def test_the_better_one_is_named_first_with_its_interval_and_its_compute() -> None:
    (sentence,) = of(two([0.1, 0.11, 0.1, 0.12], [0.13, 0.132, 0.129, 0.14], compute=10.9))
    assert sentence == (
        "q beats p by 0.0253 ± 0.0079 val_bpb at 9% more compute (certified gain, 95% interval, four pairs)."
    )
    (turned,) = of(two([0.13, 0.132, 0.129, 0.14], [0.1, 0.11, 0.1, 0.12], compute=8.0))
    assert turned.startswith("p beats q by 0.0253 ± 0.0079 val_bpb at 25% more compute")
    (same,) = of(two([0.1, 0.11, 0.1, 0.12], [0.13, 0.132, 0.129, 0.14]))
    assert "at the same compute" in same


def test_where_nothing_shows_it_is_said_how_many_more_seeds_would() -> None:
    p, q = [0.10, 0.12, 0.11, 0.13, 0.1], [0.11, 0.11, 0.12, 0.12, 0.115]
    (sentence,) = of(two(p, q))
    assert sentence.startswith("No difference between q and p could be shown (-0.012 to 0.018 val_bpb, certified gain")
    assert sentence.endswith("; 9 more seeds would show one of 0.01 val_bpb with 80% probability.")


def test_what_is_out_of_reach_is_not_proposed() -> None:
    (sentence,) = of(two([1.0, 20.0, 3.0], [9.0, 2.0, 5.0]))
    assert "3 more seeds would show one of" in sentence
    assert "0.01 val_bpb" not in sentence


def test_enough_pairs_are_said_to_be_enough() -> None:
    drawn = [0.1 + 0.0001 * n for n in range(6)]
    (sentence,) = of(two(drawn, list(reversed(drawn))))
    assert "one of 0.01 val_bpb would have shown with a probability of 80% or more" in sentence


def test_several_comparisons_say_that_they_are_corrected() -> None:
    rows = [loop(arm, seed, 0.1 * seed * (1 + place)) for place, arm in enumerate("pqr") for seed in (1, 2, 3)]
    assert all("95% interval, corrected for 2 comparisons" in sentence for sentence in of(rows))


def test_one_pair_and_pairs_that_are_all_alike_claim_nothing() -> None:
    (one,) = of(two([0.1], [0.2]))
    assert (
        one == "No difference between q and p could be tested: one pair of loops has no spread; give more with --seeds."
    )
    (alike,) = of(two([0.0, 0.0], [0.0, 0.0]))
    assert "could be tested: the gain is the same in all two pairs" in alike


def test_an_ungrounded_arm_is_marked_and_its_word_claims_nothing() -> None:
    rows = [
        *(loop("p", seed, 0.1 * seed, truth=0.1 * seed) for seed in (1, 2, 3)),
        *(loop("q", seed, 9.0, truth=-0.3 + 0.11 * seed, grounded=False) for seed in (1, 2, 3)),
    ]
    claim, *notes = of(rows, "grounded")
    assert claim.startswith("p beats q [UNGROUNDED] by")
    assert notes == ["q [UNGROUNDED]: its loops claim 9.000 val_bpb on average; what they kept is worth -0.080."]
    (claim, note) = of(rows)
    assert claim.startswith("Nothing is claimed of q [UNGROUNDED] and p")
    assert note.endswith("what they kept was not measured again.")


def test_what_is_left_out_is_told() -> None:
    rows = two([0.1, 0.2, 0.3], [0.2, 0.3, 0.1])
    rows[0] = rows[0].model_copy(update={"status": "paused", "reason": "asked."})
    rows[4] = rows[4].model_copy(update={"gain": None})
    _, undone, unknown = of(rows)
    assert undone == "One loop of 6 is not at the end and left out: ta-s01-cp-own paused because asked."
    assert "The gain of one loop is not known" in unknown


def test_hostile_names_do_nothing_to_a_terminal() -> None:
    arms = (("p", 1.0), ("\x1b]0;x\x07q", 5.0))
    rows = [
        loop(arm, seed, much + seed**2 * much / 90, metric="\x1b[2Jval") for arm, much in arms for seed in (1, 2, 3)
    ]
    rows[0] = rows[0].model_copy(update={"status": "paused", "reason": "\x1b[2J"})
    told = of(rows)
    assert "val at the same compute" in told[0]
    assert all("\x1b" not in sentence and "\x07" not in sentence for sentence in told)
