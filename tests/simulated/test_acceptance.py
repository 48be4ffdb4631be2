"""The benchmark's judgement: what was to be reached, and whether it was."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from rsi.configuration import Component
from simulated.study import Estimate, Results, Row, Study

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "acceptance.py"


@pytest.fixture(scope="module")
def acceptance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("acceptance", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(**measured: float | None) -> Results:
    study = Study(policies=(Component(name="greedy"),), levels=(2.0,), runs=2, trials=2)
    estimates = {name: Estimate(value=value) for name, value in measured.items()}
    return Results(study=study, rows=(Row(policy="greedy", level=2.0, runs=2, measured=estimates),))


@pytest.mark.parametrize(
    ("figure", "reached", "enough"),
    [
        ("of_greedy", 1.3, True),
        ("of_greedy", 1.29, False),
        ("of_greedy", None, None),
        ("certified_of_true", 0.7, True),
        ("certified_of_true", 0.69, False),
        ("false_runs", 0.05, True),
        ("false_runs", 0.06, False),
        ("reported_of_true", 0.94, False),
        ("reported_of_true", 1.04, True),
        ("attributed_of_true", 0.6, False),
        ("attributed_idle", 0.05, True),
    ],
)
def test_each_figure_is_judged_by_what_was_to_be_reached(
    acceptance: ModuleType, figure: str, reached: float | None, enough: bool | None
) -> None:
    (found,) = acceptance.judged(results(**{figure: reached}), "greedy")
    assert (found["figure"], found["enough"]) == (figure, enough)
