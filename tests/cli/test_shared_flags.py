"""Flags that commands share in a body: each command takes them one by one, in the place of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rsi.errors import UsageError
from rsi.flags import CallLimits, Limits, Models, ModelsInARun, fixed, proposer, spelled_out


@dataclass(frozen=True, kw_only=True)
class Body:
    width: Annotated[int, typer.Option(min=1, help="Of it.")] = 3
    name: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Of it too.")] = None


@spelled_out
def command(
    context: typer.Context,
    *,
    what: Annotated[str, typer.Argument()],
    body: Body,
    loud: Annotated[bool, typer.Option("--loud")] = False,
) -> None:
    """What it does."""
    assert context.command.name == "command"
    print(what, body, loud)


def told(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_a_bodys_flags_are_given_one_by_one_and_the_rest_is_as_ever() -> None:
    assert told("x") == (0, f"x {Body()} False\n")
    assert told("x", "--width", "5", "--name", "a", "--name", "b", "--loud") == (
        0,
        f"x {Body(width=5, name=['a', 'b'])} True\n",
    )
    assert told("x", "--width", "0")[0] == 2
    assert told("x", "--body", "1")[0] == 2
    assert "What it does." in told("--help")[1]
    assert "Of it." in told("--help")[1]


def test_no_limit_is_no_budget_and_each_is_told_by_its_flag() -> None:
    assert Limits().given() is None
    found = Limits(experiments=3, max_calls=2).given()
    assert found is not None
    assert (found.experiments, found.calls, found.trials) == (3, 2, None)
    only = CallLimits().budget(experiments=1)
    assert only is not None
    for flag, limits in {
        "--hours": Limits(hours=0),
        "--max-cost": Limits(max_cost=-1.0),
        "--max-tokens": Limits(max_tokens=0),
        "--max-calls": Limits(max_calls=0),
    }.items():
        with pytest.raises(UsageError, match=f"^{flag} must be a number more than 0"):
            limits.given()


def test_what_is_said_of_models_reaches_a_proposer_that_asks_them_and_no_other() -> None:
    asked = ModelsInARun(model=["a", "b"], effort="low", history=5)
    options = proposer("llm", {}, asked).options
    assert (options["model"], options["effort"], options["history"]) == ("a,b", "low", 5)
    for models, flag in ((Models(model=["a"]), "--model"), (ModelsInARun(prompt_tokens=9), "--prompt-tokens")):
        with pytest.raises(UsageError, match=flag):
            proposer("mutate", {}, models)
    assert proposer("mutate", {}, ModelsInARun()).options == {}


@pytest.mark.parametrize("seed", [-1, 0, 2**63])
def test_a_seed_that_fixes_nothing_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="--seed"):
        fixed(seed)
    assert fixed(None) is None
    assert fixed(2**63 - 1) == 2**63 - 1
