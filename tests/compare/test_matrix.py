"""The matrix: every cell once a block, matched budgets and seeds, places balanced; written down and read again."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import PROPOSER, SANDBOX, WORD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsi.compare import arms, folder
from rsi.compare.matrix import Matrix, check, of_values, read
from rsi.configuration import Budget, Component
from rsi.errors import UsageError
from rsi.task import load_task

POLICIES = ("greedy", "fixed", "sequential", "threshold", "expected-gain")
PROPOSERS = ("mutate", "random", PROPOSER)


quickly = settings(deadline=None, max_examples=40)
"""How long one example takes says how busy the machine is."""


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    return Matrix(
        tasks=tuple(f"task{n}" for n in range(draw(st.integers(1, 3)))),
        policies=tuple(draw(st.permutations(POLICIES))[: draw(st.integers(1, 5))]),
        proposers=tuple(draw(st.permutations(PROPOSERS))[: draw(st.integers(1, 3))]),
        seeds=draw(st.integers(1, 12)),
        seed=draw(st.integers(1, 2**62)),
    )


@quickly
@given(matrices())
def test_every_cell_runs_once_in_every_block(matrix: Matrix) -> None:
    seen = Counter((loop.task, loop.seed, loop.cell) for loop in matrix.loops())
    assert set(seen.values()) == {1}
    assert len(seen) == len(matrix.tasks) * matrix.seeds * len(matrix.policies) * len(matrix.proposers)
    assert len({loop.name for loop in matrix.loops()}) == len(seen)


@quickly
@given(matrices())
def test_a_block_is_run_whole_before_the_next_begins(matrix: Matrix) -> None:
    blocks = [(loop.seed, loop.task) for loop in matrix.loops()]
    changes = sum(one != other for one, other in pairwise(blocks))
    assert changes == len(set(blocks)) - 1


@quickly
@given(matrices())
def test_no_cell_is_favoured_by_its_place_in_a_task(matrix: Matrix) -> None:
    size, places = len(matrix.cells()), Counter()
    for index, loop in enumerate(matrix.loops()):
        places[loop.task, loop.cell, index % size] += 1
    for task in matrix.tasks:
        counted = [places[task, cell, place] for cell in matrix.cells() for place in range(size)]
        assert max(counted) - min(counted) <= 1


@quickly
@given(matrices())
def test_seeds_are_those_of_the_block_and_the_order_is_always_the_same(matrix: Matrix) -> None:
    assert matrix.loops() == Matrix.model_validate(matrix.model_dump()).loops()
    assert len({matrix.seed_of(loop) for loop in matrix.loops()}) == matrix.seeds
    other = matrix.model_copy(update={"seed": matrix.seed + 1})
    assert {matrix.seed_of(loop) for loop in matrix.loops()}.isdisjoint(map(other.seed_of, other.loops()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(matrix=matrices())
def test_loops_differ_in_their_cell_and_seed_alone(matrix: Matrix, task: Path) -> None:
    matrix = matrix.model_copy(update={"tasks": (str(task),), "budget": Budget(trials=50), "sandbox": SANDBOX})
    same = {"policy": Component(name=""), "proposer": Component(name=""), "seed": 0}
    found = {matrix.configuration(loop).model_copy(update=same).model_dump_json() for loop in matrix.loops()}
    assert len(found) == 1


def test_arms_are_read_with_options_paths_and_several_verifiers(task: Path) -> None:
    assert arms.split("fixed(trials=3, x=a),greedy", "policy") == ("fixed(trials=3, x=a)", "greedy")
    assert arms.component("fixed(trials=3)", "policy") == Component(name="fixed", options={"trials": 3})
    assert arms.component("llm(model=openai/x-1.5)", "proposer").options == {"model": "openai/x-1.5"}
    assert arms.short(f"own+{WORD}(a=1)") == "own+Word(a=1)"
    spec = load_task(str(task)).spec
    assert arms.verifiers("own", spec) == {"verifier": Component(name=spec.verifier.name), "verifiers": ()}
    assert arms.verifiers("own+floor(limit=2.5)", spec)["verifiers"] == (
        Component(name="floor", options={"limit": 2.5}),
    )
    assert arms.verifiers(WORD, spec)["verifier"] == Component(name=WORD)


def test_a_file_says_the_same_as_flags_and_a_frozen_matrix_reads_back_equal(tmp_path: Path, task: Path) -> None:
    values = {"tasks": [str(task)], "policies": ["greedy", "fixed"], "seeds": 2, "budget": {"trials": 50}}
    asked = of_values({**values, "sandbox": SANDBOX}, "")
    (tmp_path / "m.toml").write_text(asked.toml())
    assert read(tmp_path / "m.toml") == asked
    begun = folder.begin(asked, tmp_path / "c")
    assert folder.open_folder(tmp_path / "c").matrix == begun.matrix
    assert begun.matrix.seed != 0
    assert begun.matrix.same_as(asked.settled())
    assert not begun.matrix.same_as(asked.model_copy(update={"seeds": 3}))


def test_two_comparisons_draw_other_secret_seeds(tmp_path: Path, task: Path) -> None:
    asked = of_values({"tasks": [str(task)], "budget": {"trials": 50}}, "")
    drawn = {folder.begin(asked, tmp_path / name).matrix.seed for name in "ab"}
    assert len(drawn) == 2


def test_final_code_is_measured_again_only_where_others_measure(tmp_path: Path, task: Path) -> None:
    values = {"tasks": [str(task)], "budget": {"trials": 50}}
    assert of_values({**values, "verifiers": ["own", "own+floor"]}, "").settled().truth == 0
    assert of_values({**values, "verifiers": ["own", WORD]}, "").settled().truth == 4


@pytest.mark.parametrize(("trials", "fine"), [(35, False), (36, True)])
def test_a_budget_that_cannot_certify_is_told_with_what_would(task: Path, trials: int, fine: bool) -> None:
    matrix = of_values({"tasks": [str(task)], "budget": {"trials": trials}, "sandbox": SANDBOX}, "")
    if fine:
        check(matrix)
    else:
        with pytest.raises(UsageError, match="36 trials suffice"):
            check(matrix)
