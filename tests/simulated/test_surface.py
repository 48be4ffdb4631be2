"""The surface is what it says: shares, sizes, noise, correlation, drift, ceiling, interactions, exploits, crashes."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulated.checking import Trusting
from simulated.code import addition, baseline, task
from simulated.surface import Nature, Surface, effect, score, value

NAMES = [f"{n:05x}" for n in range(20_000)]


def coded(*names: str, regions: int = 4) -> str:
    """Code with those lines, one after the other in the same region."""
    return baseline(regions) + "".join(f"effect_{name} = 1\n" for name in names)


def test_shares_and_sizes_are_those_asked_for() -> None:
    surface = Surface(seed=1, helpful=0.15, null=0.40, exploiting=0.05, mean_help=0.01, harm=0.04, crashing=0.1)
    effects = [effect(surface, name) for name in NAMES]
    share = {nature: sum(e.nature is nature for e in effects) / len(effects) for nature in Nature}
    assert share == pytest.approx({"helpful": 0.15, "null": 0.40, "harmful": 0.40, "exploiting": 0.05}, abs=0.01)
    helpful = [e.true for e in effects if e.nature is Nature.HELPFUL]
    assert statistics.mean(helpful) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(helpful) == pytest.approx(0.01, rel=0.08)
    harmful = [e.true for e in effects if e.nature is Nature.HARMFUL]
    assert statistics.fmean(x * x for x in harmful) ** 0.5 == pytest.approx(0.04, rel=0.03)
    assert max(harmful) < 0
    assert all(e.true == e.on_dev == 0 for e in effects if e.nature is Nature.NULL)
    assert all(e.true == 0 < e.on_dev for e in effects if e.nature is Nature.EXPLOITING)
    assert sum(e.crashes for e in effects) / len(effects) == pytest.approx(0.1, abs=0.01)


def test_a_smaller_tail_is_heavier_and_keeps_the_mean() -> None:
    sizes = {}
    for tail in (1.0, 0.5):
        surface = Surface(seed=2, helpful=1.0, null=0.0, mean_help=0.01, tail=tail)
        sizes[tail] = [effect(surface, name).true for name in NAMES]
        assert statistics.mean(sizes[tail]) == pytest.approx(0.01, rel=0.06)
    assert max(sizes[0.5]) > 2 * max(sizes[1.0])


@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 5))
def test_what_code_is_worth_depends_neither_on_order_nor_on_where_lines_stand(order: list[str], seed: int) -> None:
    surface = Surface(seed=seed, interacting=0.5, interaction=0.02)
    assert value(surface, coded(*order)).true == pytest.approx(value(surface, coded("a", "b", "c", "d")).true)
    apart = "\n# region 9\n".join(f"effect_{name} = 1" for name in order)
    assert value(surface, apart).true == pytest.approx(sum(effect(surface, name).true for name in order))


def test_lines_of_one_region_interact_where_that_is_asked_for() -> None:
    together = coded("a", "b", "c", "d")
    alone = value(Surface(seed=3), together)
    assert alone.true == pytest.approx(sum(effect(Surface(seed=3), name).true for name in "abcd"))
    among = value(Surface(seed=3, interacting=1.0, interaction=0.02), together)
    assert among.true != alone.true
    assert among.true - alone.true == pytest.approx(among.on_dev - alone.on_dev)


def test_gains_approach_the_ceiling_and_losses_do_not() -> None:
    helps = Surface(seed=4, helpful=1.0, null=0.0, mean_help=0.05, ceiling=0.2)
    worth = [value(helps, coded(*NAMES[:count])).true for count in (1, 2, 5, 20, 80)]
    assert worth == sorted(worth)
    assert worth[-1] == pytest.approx(0.2, rel=0.01)
    assert value(helps, coded(NAMES[0])).true < effect(helps, NAMES[0]).true
    harms = Surface(seed=4, helpful=0.0, null=0.0, ceiling=0.2)
    assert value(harms, coded("a")).true == effect(harms, "a").true


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_noise_has_its_size_and_its_correlation_under_shared_seeds(shared: float) -> None:
    surface = Surface(seed=5, noise=0.02, shared=shared)
    one, other = ([score(surface, code, seed)[0] for seed in range(4000)] for code in ("# a\n", "# b\n"))
    assert statistics.stdev(one) == pytest.approx(0.02, rel=0.05)
    assert statistics.mean(one) == pytest.approx(1.0, abs=0.002)
    assert statistics.correlation(one, other) == pytest.approx(shared, abs=0.06)
    assert score(surface, "# a\n", 7) == score(surface, "# a\n", 7)


def test_an_exploit_moves_dev_and_not_the_holdout() -> None:
    surface = Surface(seed=6, helpful=0.0, null=0.0, exploiting=1.0, noise=0.0)
    dev, holdout = score(surface, coded("a"), 1)
    assert (dev, holdout) == (1.0 - effect(surface, "a").on_dev, 1.0)


def test_the_machine_drifts_slowly_by_the_amplitude() -> None:
    surface = Surface(seed=7, noise=0.0, drift=0.05, drift_period=100)
    course = [score(surface, "", 1, trials)[0] - 1.0 for trials in range(100)]
    assert max(course) == pytest.approx(0.05, rel=0.01)
    assert min(course) == pytest.approx(-0.05, rel=0.01)
    assert max(abs(a - b) for a, b in itertools.pairwise(course)) < 0.004


def test_shares_of_more_than_all_edits_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than 1 together"):
        Surface(helpful=0.5, null=0.4, exploiting=0.2)


def test_additions_differ_in_tokens_and_reach_every_region() -> None:
    whole, sizes, regions = task(8), set(), set()
    for draw in range(200):
        checked = Trusting().check(addition("a", draw, 8), whole.code, list(whole.code), 10_000)
        assert not hasattr(checked, "reason")
        sizes.add(checked.tree_tokens)  # type: ignore[union-attr]
        regions.add(checked.code["train.py"].split("\neffect_")[0].count("\n"))  # type: ignore[union-attr]
    assert len(sizes) == 6
    assert len(regions) == 8
