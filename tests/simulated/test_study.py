"""Studies: the same seed gives the same result on any number of processes; what they say is what the runs did."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from rsi.configuration import Budget, Component
from rsi.errors import UsageError
from rsi.policies.greedy import Greedy
from rsi.records import ExperimentStatus
from simulated.figures import figures_of
from simulated.oracle import Oracle
from simulated.picture import draw
from simulated.running import Plan, simulate
from simulated.study import Results, Study, compare, of_words, ratio
from simulated.surface import Surface
from simulated.table import table

TWO = (Component(name="greedy"), Component(name="oracle"))


@pytest.fixture(scope="module")
def results() -> Results:
    return compare(Study(policies=TWO, levels=(1.0, 4.0), runs=5, trials=70, certify=False), workers=1)


def test_the_same_seed_gives_the_same_result_on_any_number_of_processes(results: Results) -> None:
    again = compare(results.study, workers=2)
    assert again.model_dump_json() == results.model_dump_json()
    assert Results.model_validate_json(results.model_dump_json()) == results
    other = compare(results.study.model_copy(update={"seed": 100}), workers=1)
    assert other.rows != results.rows


def test_the_oracle_keeps_nothing_in_vain(results: Results) -> None:
    low, high = (results.row("oracle", level).measured for level in (1.0, 4.0))
    assert low["null_kept"].value == high["null_kept"].value == 0
    of_greedy = low["of_greedy"].value
    assert of_greedy is not None
    assert of_greedy > 1


def test_a_greedy_record_overstates_what_was_gained(results: Results) -> None:
    greedy = results.row("greedy", 4.0).measured
    assert greedy["provisional_minus_true"].low is not None
    assert greedy["provisional_minus_true"].low > 0
    assert greedy["null_kept"].value is not None
    assert greedy["null_kept"].value > 0.2


def test_what_is_certified_and_reported_is_true_where_noise_is_small() -> None:
    study = Study(policies=TWO[:1], levels=(0.5,), runs=3, trials=100, seed=7, attribution=200)
    measured = compare(study, workers=1).rows[0].measured
    assert measured["trials"].value is not None
    assert measured["trials"].value <= 100
    assert measured["claims"].value is not None
    assert measured["claims"].value >= 1
    assert measured["certified_of_true"].value == pytest.approx(1, abs=0.2)
    assert measured["reported_of_true"].value == pytest.approx(1, abs=0.2)
    assert measured["false_claims"].value == 0
    assert measured["attributed_of_true"].value == pytest.approx(1, abs=0.3)


def test_figures_are_the_sums_of_what_was_kept() -> None:
    run = simulate(Plan(Surface(seed=2, noise=0.03), Greedy(), Budget(experiments=80), seed=2))
    figures = figures_of(run)
    kept = [n for n, x in run.state.experiments.items() if n and x.status is ExperimentStatus.KEPT]
    effects = [run.worth(n).true - run.worth(run.state.experiments[n].proposed.parent).true for n in kept]
    assert figures.true_gain == pytest.approx(sum(effects))
    assert (figures.kept, figures.null_kept) == (len(kept), sum(effect <= 1e-12 for effect in effects))
    assert figures.null_kept > 0
    assert figures.trials == figures.search_trials == 81


def test_an_oracle_is_of_no_use_outside() -> None:
    with pytest.raises(AssertionError, match="simulated runs alone"):
        Oracle().decide(None, None)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=12), st.floats(0.1, 10))
def test_intervals_hold_their_value_and_go_with_the_scale(values: list[float], scale: float) -> None:
    ones = [1.0] * len(values)
    found = ratio(values, ones)
    assert found.value == pytest.approx(sum(values) / len(values))
    if found.low is not None and found.high is not None:
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
        larger = ratio([scale * value for value in values], ones)
        assert (larger.low, larger.high) == pytest.approx((scale * found.low, scale * found.high), abs=1e-9)


def test_an_interval_covers_a_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(1.0, 1.0, (200, 30))
    found = [ratio(list(row), [1.0] * 30) for row in draws]
    covered = sum(e.low <= 1.0 <= e.high for e in found if e.low is not None and e.high is not None)
    assert 180 <= covered <= 198


def test_nothing_to_divide_by_is_no_number() -> None:
    assert ratio([0.0, 0.0], [0.0, 0.0]).value is None
    assert ratio([1.0, 1.0], [1.0, 1.0]).low is None
    losing = ratio([1.0, 2.0, 3.0], [2.0, 0.5, -1.0])
    assert (losing.low, losing.high) == (None, None), "a resample in which nothing was gained has no ratio"


@pytest.mark.parametrize(
    ("policies", "levels", "surface", "words"),
    [
        (["nope"], "1", [], "no policy called"),
        (["greedy"], "x", [], "--noise takes numbers"),
        (["greedy"], "nan", [], "--noise takes numbers"),
        (["greedy"], "0", [], "--noise"),
        (["greedy"], "", [], "--noise names no number"),
        (["greedy", "greedy"], "1", [], "named once"),
        (["greedy"], "1", ["seed=1"], "FIELD=NUMBER"),
        (["greedy"], "1", ["drift"], "FIELD=NUMBER"),
        (["greedy"], "1", ["helpful=2"], "helpful"),
        (["greedy"], "1", ["helpful=0.9"], "more than 1 together"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_a_sentence(
    policies: list[str], levels: str, surface: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        of_words(policies, levels, surface, runs=2, trials=10, seed=0)


def test_a_study_can_be_read_and_looked_at(results: Results, tmp_path: Path) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(results))
    text = console.export_text()
    assert "greedy" in text
    assert "oracle" in text
    assert "null kept" in text
    for ending in ("png", "svg"):
        for name in ("one", "two"):
            draw(results, tmp_path / f"{name}.{ending}")
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
