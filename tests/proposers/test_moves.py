"""Each transformation on a snippet: what it finds, what it writes, and, where no PyTorch is needed, what that does."""

from __future__ import annotations

import ast
import json
import math
from itertools import pairwise
from typing import Any

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.proposers.mutation import constants
from rsi.proposers.mutation.child import discover, first_new
from rsi.proposers.mutation.schedule import DECAYS
from rsi.proposers.mutation.syntax import source, with_keyword

LOOP = """
import torch

LEARNING_RATE = 0.5


def train(model, steps):
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for step in range(steps):
        model.loss().backward()
        optimizer.step()
"""

MODEL = """
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(8)
        self.up = nn.Linear(8, 32)
        self.down = nn.Linear(32, 8, bias=True)
        self.act = nn.GELU(approximate="tanh")

    def forward(self, x):
        return x + self.down(F.gelu(self.act(self.up(self.norm1(x))), approximate="tanh"))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(256, 8)
        self.head = nn.Linear(8, 256, bias=False)
"""


def moves(text: str, kind: str | None = None) -> list[dict[str, Any]]:
    return [move for move in discover({"train.py": text}) if kind in (None, move["kind"])]


def made(text: str, *order: dict[str, Any]) -> str:
    answer = first_new({"code": {"train.py": text}, "orders": [list(order)], "tried": []})
    assert answer is not None
    result = answer["code"]["train.py"]
    ast.parse(result)
    return str(result)


def only(text: str, kind: str, **detail: Any) -> dict[str, Any]:
    found = [m for m in moves(text, kind) if detail.items() <= m["detail"].items()]
    assert len(found) == 1, found
    return found[0]


def values(text: str, name: str) -> set[Any]:
    return {move["detail"]["to"] for move in moves(text) if move["detail"]["name"] == name}


# --- constants --------------------------------------------------------------------------------------------------


def test_numbers_move_on_a_log_scale_and_ints_stay_ints() -> None:
    text = "LEARNING_RATE = 1e-3\nBATCH_SIZE = 16\nLAYERS = 4\nprint(LEARNING_RATE, BATCH_SIZE, LAYERS)\n"
    assert values(text, "LEARNING_RATE") == {0.0015, 0.002, 0.003, 0.005, 0.00067, 0.0005, 0.00033, 0.0002}
    assert values(text, "BATCH_SIZE") == {4, 8, 32, 64}
    assert values(text, "LAYERS") == {2, 3, 5, 6, 8}
    assert "LEARNING_RATE = 3e-3\n" in made(text, only(text, "learning_rate", to=0.003))
    assert "BATCH_SIZE = 8\n" in made(text, only(text, "batch_size", to=8))


def test_betas_move_by_what_is_forgotten() -> None:
    text = "BETA2 = 0.999\nprint(BETA2)\n"
    assert {0.99, 0.995, 0.98} <= values(text, "BETA2")
    assert all(0 < value < 1 for value in values(text, "BETA2"))


@pytest.mark.parametrize("name", ["SEED", "LOG_EVERY", "VOCABULARY", "CLASSES", "CONTEXT", "BUDGET"])
def test_what_the_task_fixes_does_not_move(name: str) -> None:
    assert moves(f"{name} = 8\nprint({name})\n") == []


def test_a_constant_that_nothing_uses_does_not_move() -> None:
    assert moves("LEARNING_RATE = 1e-3\n") == []


def test_a_name_assigned_twice_does_not_move() -> None:
    assert moves("RATE = 1.0\nRATE = 2.0\nprint(RATE)\n") == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(1, 64))
def test_widths_stay_divisible_by_what_divides_them_now(heads: int, per_head: int) -> None:
    text = f"WIDTH = {heads * per_head}\nHEADS = {heads}\n\n\ndef f(width):\n    return width // HEADS, WIDTH\n"
    for move in moves(text):
        names = {"WIDTH": heads * per_head, "HEADS": heads, move["detail"]["name"]: move["detail"]["to"]}
        assert names["WIDTH"] % names["HEADS"] == 0


def test_depth_is_exchanged_for_width_at_about_equal_cost() -> None:
    text = "LAYERS = 4\nWIDTH = 128\nHEADS = 4\nprint(LAYERS, WIDTH, HEADS)\n"
    found = moves(text, "shape")
    assert found
    for move in found:
        namespace: dict[str, Any] = {}
        exec(made(text, move), namespace)
        cost = namespace["LAYERS"] * namespace["WIDTH"] ** 2
        assert cost == pytest.approx(4 * 128**2, rel=0.2)
        assert namespace["WIDTH"] % 4 == 0


def test_switches_flip_and_choices_take_another_key_of_their_table() -> None:
    text = 'FAST = True\nKIND = "a"\nTABLE = {"a": 1, "b": 2, "c": 3}\nprint(FAST, TABLE[KIND])\nprint(TABLE[KIND])\n'
    assert "FAST = False" in made(text, only(text, "switch"))
    assert [move["detail"]["to"] for move in moves(text, "choice")] == ["b", "c"]
    assert 'KIND = "c"' in made(text, only(text, "choice", to="c"))
    assert [m["kind"] for m in moves('ACTIVATION = "a"\nT = {"a": 1, "b": 2}\nprint(T[ACTIVATION])\n')] == [
        "activation"
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.integers(-1000, 10**6), st.floats(1e-9, 1e6)), st.sampled_from(["LEARNING_RATE", "WIDTH", "X", "BETA"])
)
def test_every_value_that_is_offered_is_another_one_of_the_same_type(value: float, name: str) -> None:
    text = f"{name} = {value!r}\nprint({name})\n"
    module = cst.parse_module(text)
    for number in constants.numbers(module).values():
        for target in constants.targets(number, {number.name: number}, {}):
            written = ast.literal_eval(constants.written(number, target))
            assert type(written) is type(value)
            assert written == pytest.approx(target)
            assert target != value


# --- schedule and clipping --------------------------------------------------------------------------------------


class Optimizer:
    def __init__(self, rate: float) -> None:
        self.param_groups = [{"lr": rate}]
        self.rates: list[float] = []

    def step(self) -> None:
        self.rates.append(self.param_groups[0]["lr"])


def rates_of(text: str, steps: int) -> list[float]:
    """Run the loop with an optimiser that notes its learning rate at every step."""
    optimizer = Optimizer(0.5)
    text = text.replace("import torch\n", "")
    namespace: dict[str, Any] = {"made": optimizer, "warm": None}
    exec(text.replace("torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)", "made"), namespace)

    class Model:
        def loss(self) -> Model:
            return self

        def backward(self) -> None:
            pass

    namespace["train"](Model(), steps)
    return optimizer.rates


@pytest.mark.parametrize("decay", [name for name in DECAYS if name != "constant"])
def test_a_decay_lets_the_rate_fall_over_the_whole_training(decay: str) -> None:
    rates = rates_of(made(LOOP, only(LOOP, "decay", to=decay)), 100)
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert 0 < rates[-1] < 0.1
    assert 0.45 < rates[0] <= 0.5


def test_a_warm_up_rises_to_the_full_rate_and_stays_there() -> None:
    rates = rates_of(made(LOOP, only(LOOP, "warmup", to=0.2)), 100)
    assert rates[:20] == sorted(rates[:20])
    assert 0 < rates[0] < 0.02
    assert rates[20:] == [0.5] * 80


def test_a_schedule_is_changed_in_place_by_later_moves() -> None:
    text = made(LOOP, only(LOOP, "schedule", to="cosine", warmup=0.1))
    assert rates_of(text, 100)[50] == pytest.approx(0.25, rel=0.05)
    assert not moves(text, "schedule")
    linear = made(text, only(text, "decay", to="linear"))
    assert rates_of(linear, 100)[74] == pytest.approx(0.5 * (1 - 0.745))
    slower = made(linear, only(linear, "warmup", to=0.3))
    assert rates_of(slower, 100)[10] < rates_of(linear, 100)[10]
    assert linear.count("def learning_rate_scale") == slower.count("param_groups") == 1
    plain = made(LOOP, only(LOOP, "decay", to="linear"))
    assert rates_of(made(plain, only(plain, "warmup", to=0.1)), 100)[0] < 0.05


def test_a_loop_without_an_optimiser_scales_the_rate_where_it_is_used() -> None:
    text = (
        "RATE = 1.0\n\n\ndef train(weights, steps):\n    for step in range(steps):\n"
        "        for name in weights:\n            weights[name] -= RATE * 1.0\n    return weights\n"
    )
    namespace: dict[str, Any] = {}
    exec(made(text, only(text, "decay", to="linear")), namespace)
    assert namespace["train"]({"w": 0.0}, 100)["w"] == pytest.approx(-50)


def test_clipping_comes_between_the_gradient_and_the_step() -> None:
    lines = [line.strip() for line in made(LOOP, only(LOOP, "clip", to=1.0)).splitlines()]
    place = lines.index("torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP)")
    assert lines[place - 1] == "model.loss().backward()"
    assert lines[place + 1] == "optimizer.step()"
    assert "GRADIENT_CLIP = 1.0" in lines


def test_code_without_a_counted_loop_gets_no_schedule() -> None:
    text = LOOP.replace("for step in range(steps):", "while True:")
    assert not moves(text, "schedule")
    assert not moves(text, "clip")


# --- optimiser --------------------------------------------------------------------------------------------------


def optimizer_line(text: str) -> str:
    return next(line.strip() for line in text.splitlines() if "torch.optim" in line)


def test_another_optimiser_gets_arguments_that_it_takes_and_a_rate_that_suits() -> None:
    text = LOOP.replace("lr=LEARNING_RATE", "lr=LEARNING_RATE, betas=(0.9, 0.99), eps=1e-9, weight_decay=0.1")
    sgd = made(text, only(text, "optimizer", to="SGD"))
    assert optimizer_line(sgd) == (
        "optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE * 50, weight_decay=0.1, momentum=0.9, "
        "nesterov=True)"
    )
    back = optimizer_line(made(sgd, only(sgd, "optimizer", to="AdamW")))
    assert back == "optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1)"
    nadam = made(text, only(text, "optimizer", to="NAdam"))
    assert optimizer_line(nadam).endswith("weight_decay=0.1, decoupled_weight_decay=True)")
    assert "decoupled" not in made(nadam, only(nadam, "optimizer", to="Adam"))


def test_betas_and_epsilon_are_set_in_the_call_itself() -> None:
    assert "betas=(0.9, 0.95)" in made(LOOP, only(LOOP, "betas", to="(0.9, 0.95)"))
    assert "eps=1e-6" in made(LOOP, only(LOOP, "eps", to="1e-6"))
    assert not moves(LOOP.replace("lr=LEARNING_RATE", "lr=LEARNING_RATE, betas=(B, 0.9)"), "betas")


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.booleans(), st.sampled_from(["a", "z"]))
def test_a_keyword_set_and_taken_away_leaves_the_other_arguments(names: list[str], trailing: bool, name: str) -> None:
    text = "f(1" + "".join(f", {n}=2" for n in names) + ("," if trailing else "") + ")"
    call = cst.parse_expression(text)
    assert isinstance(call, cst.Call)
    for value in ("3", None):
        changed = ast.parse(source(with_keyword(call, name, value))).body[0]
        assert isinstance(changed, ast.Expr)
        assert isinstance(changed.value, ast.Call)
        keywords = {k.arg: ast.literal_eval(k.value) for k in changed.value.keywords}
        assert keywords == {n: 2 for n in names if n != name} | ({} if value is None else {name: 3})


# --- layers -----------------------------------------------------------------------------------------------------


def test_activations_are_swapped_as_layers_and_as_functions() -> None:
    assert "self.act = nn.SiLU()" in made(MODEL, only(MODEL, "activation", to="SiLU"))
    assert "F.relu(self.act(self.up(self.norm1(x))))" in made(MODEL, only(MODEL, "activation", to="F.relu"))
    squared = made(MODEL, only(MODEL, "activation", to="SquaredReLU"))
    assert squared.index("class SquaredReLU(nn.Module)") < squared.index("class Block")
    back = made(squared, only(squared, "activation", **{"from": "SquaredReLU", "to": "Tanh"}))
    assert "self.act = nn.Tanh()" in back


def test_normalisation_is_exchanged_and_moved_behind_the_sum() -> None:
    assert "self.norm1 = nn.RMSNorm(8)" in made(MODEL, only(MODEL, "normalisation"))
    assert "return self.norm1(x + self.down(F.gelu(self.act(self.up(x))" in made(MODEL, only(MODEL, "norm_placement"))


def test_output_projections_start_at_zero_after_everything_else_was_initialised() -> None:
    zero = made(MODEL, only(MODEL, "output_initialisation", to="zero"))
    assert "self.down.weight.data.mul_(0.0)" in zero
    applied = MODEL + "        self.apply(initialise)\n"
    lines = [line.strip() for line in made(applied, only(applied, "output_initialisation", to="zero")).splitlines()]
    place = lines.index("self.apply(initialise)")
    assert lines[place + 2] == 'if name.endswith("down.weight"):'
    assert not moves(zero, "output_initialisation")


def test_biases_are_dropped_everywhere_and_given_back() -> None:
    without = made(MODEL, only(MODEL, "bias", to=False))
    assert without.count("bias=False") == 3
    assert made(without, only(without, "bias", to=True)).count("bias=True") == 3
    assert not [m for m in moves(MODEL + "print(Model().down.bias)\n", "bias") if m["detail"]["to"] is False]


def test_an_embedding_and_a_layer_of_the_same_shape_are_tied_and_untied() -> None:
    tied = made(MODEL, only(MODEL, "tying"))
    assert "self.head.weight = self.embedding.weight" in tied
    assert made(tied, only(tied, "tying", to="apart")) == MODEL
    assert not moves(MODEL.replace("nn.Linear(8, 256", "nn.Linear(9, 256"), "tying")


# --- all together -----------------------------------------------------------------------------------------------


def test_moves_made_one_after_another_are_both_there() -> None:
    both = made(MODEL, only(MODEL, "tying"), only(MODEL, "activation", to="SiLU"))
    assert "self.head.weight = self.embedding.weight" in both
    assert "nn.SiLU()" in both


def test_a_move_that_another_one_made_impossible_is_passed_over() -> None:
    move = only(MODEL, "tying")
    orders = [[move, move], [move]]
    answer = first_new({"code": {"train.py": MODEL}, "orders": orders, "tried": []})
    assert answer is not None
    assert answer["index"] == 1


def test_moves_are_named_uniquely() -> None:
    for text in (LOOP, MODEL):
        names = [json.dumps(move, sort_keys=True) for move in moves(text)]
        assert len(names) == len(set(names))


def test_every_decay_ends_at_most_at_a_tenth() -> None:
    for factor in DECAYS.values():
        assert eval(factor, {"math": math, "done": 0.0}) == pytest.approx(1.0)
        assert factor == "1.0" or eval(factor, {"math": math, "done": 1.0}) <= 0.1 + 1e-12
