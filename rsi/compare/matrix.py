"""The matrix of matched loops: which there are, in which order they run, and how each is configured.

A loop is one run: a task, a seed, and a cell, which is one combination of verifier, policy and proposer. A block is one
task with one seed: every cell once, one after another, so that they meet the same machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import tomli_w
from pydantic import Field, ValidationError, model_validator

from rsi import flags, plugins
from rsi.compare import arms
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.derive import LEAST_RESERVED, reserved
from rsi.durable import read_regular
from rsi.errors import IntegrityError, UsageError
from rsi.evidence import Secret
from rsi.protocols import AsksModels, AsksProgram, Proposer
from rsi.records import Versioned
from rsi.session import build, require_models_usable
from rsi.task import TaskSpec, load_task
from rsi.verification import asking, verifier_of

MATRIX = "matrix.toml"
LONGEST = 1024 * 1024
MOST_LOOPS = 10_000
FACTORS = ("verifier", "policy", "proposer")
"""What may vary."""

Arms = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], Field(min_length=1, max_length=50)]


class Cell(NamedTuple):
    """One combination of what varies."""

    verifier: str
    policy: str
    proposer: str


class Loop(NamedTuple):
    """One run of the comparison."""

    name: str
    task: str
    seed: int
    """Its number, from 1."""
    cell: Cell


class Matrix(Versioned):
    """What is compared, and what all loops have in common: a comparison's `matrix.toml`."""

    tasks: Arms
    verifiers: Arms = (arms.OWN,)
    policies: Arms = (flags.DEFAULT_POLICY,)
    proposers: Arms = ("mutate",)
    seeds: int = Field(default=5, ge=1, le=1000)
    budget: Budget = Budget()
    """Of each loop."""
    certify: bool = True
    alpha: float = Field(default=flags.DEFAULT_ALPHA, gt=0, lt=1)
    certify_share: float = Field(default=flags.DEFAULT_CERTIFY_SHARE, gt=0, lt=1)
    confirm: int = Field(default=0, ge=0, le=100)
    truth: int = Field(default=4, ge=0, le=100)
    """Fresh seeds on which each loop's final code is measured again by its task's own verifier, where another one
    measures in some loop; 0 leaves that out."""
    sandbox: str = "docker"
    parallel: int = Field(default=1, ge=1, le=64)
    """Trials of a loop side by side."""
    training_budget: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
    """From which the seeds of the loops are derived; 0 draws a secret one."""
    digests: dict[str, str] = {}
    """Of each task when the comparison began."""
    programs: dict[str, str] = {}
    """Of the program that each proposer which asks one found at its source then: arm → sha256."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("tasks", "verifiers", "policies", "proposers"):
            values = getattr(self, name)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} names {twice} twice; each is compared once")
        sides = (self.tasks, self.verifiers, self.policies, self.proposers)
        loops = self.seeds * math.prod(map(len, sides))
        if loops > MOST_LOOPS:
            raise ValueError(f"{loops:,} loops are more than the {MOST_LOOPS:,} that a comparison may have")
        return self

    def factors(self) -> dict[str, tuple[str, ...]]:
        """What varies, and the arms of each; the first is what the others are compared with."""
        values = (self.verifiers, self.policies, self.proposers)
        return {factor: found for factor, found in zip(FACTORS, values, strict=True) if len(found) > 1}

    def cells(self) -> tuple[Cell, ...]:
        """Every combination."""
        return tuple(Cell(*values) for values in product(self.verifiers, self.policies, self.proposers))

    def loops(self) -> tuple[Loop, ...]:
        """Every loop once, in the order in which they run.

        Block after block, each cell in turn first: in as many seeds as there are cells, every cell stands at every
        place of a task's blocks once, so that neither a machine that slows down nor one that warms up favours any.
        """
        return tuple(self._ordered())

    def _ordered(self) -> Iterator[Loop]:
        cells = self.cells()
        for seed, (number, task) in product(range(1, self.seeds + 1), enumerate(self.tasks, start=1)):
            cycle, turn = divmod(seed - 1, len(cells))
            order = list(range(len(cells)))
            # Of the matrix alone, so that a comparison that goes on has the order it began with.
            random.Random(f"{len(cells)} {number} {cycle}").shuffle(order)  # noqa: S311 - an order, not a secret
            for place in (*order[turn:], *order[:turn]):
                yield Loop(f"t{number}-s{seed:02d}-c{place + 1:02d}", task, seed, cells[place])

    def named(self, task: str) -> str:
        """A task as it is told: by its folder's name, or by its whole path where another one is called the same."""
        short = _short(task)
        return short if [_short(other) for other in self.tasks].count(short) == 1 else task

    def seed_of(self, loop: Loop) -> int:
        """The same for every cell of a block; no other comparison has it, unless it was told to."""
        # Longer than a trial's seed, from which code could otherwise find it by trying all.
        return int(Secret(key=f"{self.seed:064x}").derive("comparison", loop.seed).key[:15], 16)

    def configuration(self, loop: Loop) -> RunConfiguration:
        """How a loop is configured; UsageError for what cannot be."""
        spec = load_task(loop.task).spec
        return flags.composed(
            loop.task,
            spec,
            proposer=arms.component(loop.cell.proposer, "proposer"),
            policy=arms.component(loop.cell.policy, "policy"),
            sandbox=arms.component(self.sandbox, "sandbox"),
            verifiers=arms.verifiers(loop.cell.verifier, spec),
            budget=self.budget,
            claims=flags.claims(
                certify=self.certify,
                alpha=self.alpha,
                certify_share=self.certify_share,
                null_edits=0.0,
                # The question ends a loop that has run ahead of its holdout; here that is what is compared.
                holdout_questions=0,
            ),
            parallel=self.parallel,
            confirm=self.confirm,
            training_budget=self.training_budget,
            seed=self.seed_of(loop),
        )

    def settled(self) -> Matrix:
        """This one, with final code measured again only where it is not the tasks' own verifiers that measure."""
        specs = [load_task(task).spec for task in self.tasks]
        others = any(arms.verifiers(arm, spec)["verifier"] != _own(spec) for spec in specs for arm in self.verifiers)
        return self if others else self.model_copy(update={"truth": 0})

    def toml(self) -> str:
        """As it is written to a comparison's folder."""
        values = self.model_dump(mode="json", exclude_none=True)
        return "# What is compared here, frozen at its start.\n" + tomli_w.dumps(values)

    def same_as(self, other: Matrix) -> bool:
        """Whether the two ask for the same, whatever was drawn or noted when one of them began."""
        drawn: dict[str, Any] = {"digests": {}, "programs": {}} | ({"seed": 0} if 0 in (self.seed, other.seed) else {})
        return self.model_copy(update=drawn) == other.model_copy(update=drawn)


def _short(task: str) -> str:
    return task.rstrip("/").rpartition("/")[2]


def program_digest(arm: str) -> str:
    """Of the program that a proposer finds at its source now, with what it has learned; empty where it asks none.

    UsageError where there is none to be found.
    """
    proposer: Proposer = build("proposers", arms.component(arm, "proposer"))
    if not isinstance(proposer, AsksProgram):
        return ""
    found = proposer.program()
    state = hashlib.sha256(found.episodes)
    files = {**{name: text.encode() for name, text in found.code.items()}, **found.artifact}
    for name, content in sorted(files.items()):
        state.update(f"{name}\x00{hashlib.sha256(content).hexdigest()}\x00".encode())
    return state.hexdigest()


def _own(spec: TaskSpec) -> Component:
    return Component(name=spec.verifier.name, options=spec.verifier.options)


def read(path: Path) -> Matrix:
    """A matrix from its file; UsageError naming the field where it is none."""
    try:
        values = tomllib.loads(read_regular(path, LONGEST).decode())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}; name a matrix, as docs/comparing.md has one."
        ) from None
    except IntegrityError as error:
        raise UsageError(str(error)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no matrix: {error}; mend it, or restore it as it was.") from None
    return of_values(values, str(path))


def of_values(values: dict[str, Any], where: str) -> Matrix:
    """A matrix of plain values; UsageError naming the field where they are none."""
    try:
        # As JSON and strictly, so that `true` is no number of seeds and "3" is none either.
        matrix = Matrix.model_validate_json(json.dumps(values, allow_nan=False, default=str), strict=True)
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise UsageError(f"{where} holds a number that is not finite; write another one.") from None
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        if wrong["type"] in {"too_short", "string_too_short"}:
            raise UsageError(f"{where}: {place} is an empty cell of the matrix; name what to compare there.") from None
        told = f"{place}: " * bool(place) + wrong["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {told}; docs/comparing.md says what a matrix may hold.") from None
    sides = {name: tuple(arms.absolute(arm) for arm in getattr(matrix, name)) for name in _SIDES}
    tasks = tuple(str(Path(task).resolve()) if (Path(task) / "task.toml").is_file() else task for task in matrix.tasks)
    return matrix.model_copy(update={**sides, "tasks": tasks, "sandbox": arms.absolute(matrix.sandbox)})


_SIDES = ("verifiers", "policies", "proposers")


def check(matrix: Matrix) -> None:
    """UsageError for whatever would spoil a loop, before the first one begins."""
    limits = matrix.budget
    if limits.experiments is None and limits.hours is None and limits.trials is None:
        raise UsageError("Nothing ends the loops; give each a budget with --trials, --experiments or --hours.")
    if limits.experiments == 0 or limits.trials == 1:
        raise UsageError("With this budget a loop measures its baseline alone; give at least --experiments 1.")
    if not matrix.certify and not matrix.confirm:
        raise UsageError(
            "Without milestones nothing measures a gain on the holdout; leave out --no-certify, or give --confirm 8."
        )
    _require_different(matrix)
    sandbox = plugins.load("sandboxes", arms.component(matrix.sandbox, "sandbox").name)
    asked = False
    for loop in matrix.loops()[: len(matrix.tasks) * len(matrix.cells())]:
        configuration = matrix.configuration(loop)
        _require_certifiable(configuration)
        build("policies", configuration.policy)
        asked |= _asks_models(configuration, isolates=getattr(sandbox, "isolates", True) is not False)
    for arm in matrix.proposers:
        program_digest(arm)
    if not asked and (limits.cost_usd or limits.tokens or limits.calls):
        raise UsageError(
            "--max-cost, --max-tokens and --max-calls limit language models, and nothing in this matrix asks one; "
            "leave them out."
        )


def _asks_models(configuration: RunConfiguration, *, isolates: bool) -> bool:
    """Whether a loop asks language models; UsageError where it could not (a key that is missing, no isolation)."""
    judging = asking(verifier_of(configuration, build))
    for verifier in judging:
        verifier.prepare(configuration.budget)
    proposer: Proposer = build("proposers", configuration.proposer)
    if isinstance(proposer, AsksProgram) and not isolates:
        raise UsageError(
            f"The sandbox {configuration.sandbox.name} does not isolate, and the program of {proposer.name} would run "
            "with your rights; use --sandbox docker."
        )
    if not isinstance(proposer, AsksModels):
        return bool(judging)
    if not isolates:
        raise UsageError(
            f"The sandbox {configuration.sandbox.name} does not isolate, and a language model's code would run with "
            "your rights; use --sandbox docker."
        )
    require_models_usable(proposer, load_task(configuration.task), configuration.budget)
    return True


def _require_different(matrix: Matrix) -> None:
    """What is written differently may be the same, and would then be compared with itself."""
    specs = [load_task(task) for task in matrix.tasks]
    sides: dict[str, list[Any]] = {
        "tasks": [loaded.digest() for loaded in specs],
        "verifiers": [[arms.verifiers(arm, loaded.spec) for loaded in specs] for arm in matrix.verifiers],
        "policies": [arms.component(arm, "policy") for arm in matrix.policies],
        "proposers": [arms.component(arm, "proposer") for arm in matrix.proposers],
    }
    for name, meant in sides.items():
        for place, found in enumerate(meant):
            first = meant.index(found)
            if first != place:
                one, other = getattr(matrix, name)[first], getattr(matrix, name)[place]
                raise UsageError(f"{one} and {other} are the same; leave one of these {name} out.")


def _require_certifiable(configuration: RunConfiguration) -> None:
    """Trials set aside for milestones must be enough for a test that can be passed."""
    limit = configuration.budget.trials
    if not configuration.certify or limit is None or reserved(configuration, limit) >= LEAST_RESERVED:
        return
    raise UsageError(
        f"--trials {limit} sets {reserved(configuration, limit)} trials of each loop aside, too few to certify "
        f"anything; {2 * LEAST_RESERVED} trials suffice, or compare without tests with --no-certify --confirm 8."
    )
