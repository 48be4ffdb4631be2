"""What an evolution was asked to do, frozen at its start: `evolution.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field, ValidationError

from rsi import flags
from rsi.begun import LONGEST
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.durable import read_regular
from rsi.errors import IntegrityError, UsageError
from rsi.evidence import Secret
from rsi.generations.guard import PATIENCE
from rsi.records import Versioned
from rsi.task import TaskSpec

PLAN = "evolution.toml"
EVOLVED = "evolved"
"""The proposer that lets the last promoted program propose."""


class Plan(Versioned):
    """One evolution. All generations have the same budget."""

    task: str = "proposer"
    """As it was named; what counts is the copy in the folder."""
    task_digest: str = ""
    data_sha256: str = ""
    """Of the data that the task brings."""
    generations: int = Field(ge=1, le=100)
    budget: Budget
    """Of each generation."""
    proposer: Component = Component(name=EVOLVED)
    """`evolved`: the last promoted program proposes, at first the one that ships."""
    policy: Component = Component(name=flags.DEFAULT_POLICY)
    sandbox: Component = Component(name="docker")
    parallel: int = Field(default=1, ge=1, le=64)
    alpha: float = Field(default=flags.DEFAULT_ALPHA, gt=0, lt=1)
    """The chance that any promotion of all generations together is false, at most."""
    certify_share: float = Field(default=0.4, gt=0, lt=1)
    patience: int = Field(default=PATIENCE, ge=1, le=100)
    """So many generations in a row without a promotion end it."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """From which the generations' seeds are derived; 0 draws a secret one."""
    learned_from: tuple[str, ...] = ()
    """Runs whose experiments every generation may learn from, besides."""
    without: tuple[str, ...] = ()
    """Tasks whose runs are never learned from."""
    episodes_sha256: str = ""
    """Of the file with what was gathered from those runs."""
    unsafe_no_isolation: bool = False

    def seed_of(self, generation: int) -> int:
        """The seed of a generation's run."""
        # Longer than a trial's seed, from which code could otherwise find it by trying all.
        return int(Secret(key=f"{self.seed:064x}").derive("generation", generation).key[:15], 16)

    def configuration(
        self, generation: int, spec: TaskSpec, *, task: Path, data: Path, proposer: Component, alpha: float
    ) -> RunConfiguration:
        """How a generation's run is configured.

        Args:
            generation: Its number.
            spec: Of its task.
            task: The folder with its task.
            data: The folder with its episodes.
            proposer: Who proposes in it.
            alpha: Its share of the evolution's.
        """
        return flags.composed(
            str(task.resolve()),
            spec,
            proposer=proposer,
            policy=self.policy,
            sandbox=self.sandbox,
            verifiers=flags.verifiers(spec),
            budget=self.budget,
            claims={
                "certify": True,
                "alpha": alpha,
                "certify_share": self.certify_share,
                # The guard between generations asks that; questions to the holdout within one would cost it trials.
                "holdout_questions": 0,
                "shared_seeds": True,
            },
            parallel=self.parallel,
            data=str(data),
            seed=self.seed_of(generation),
            unsafe_no_isolation=self.unsafe_no_isolation,
        )

    def toml(self) -> str:
        """As it is written to an evolution's folder."""
        values = self.model_dump(mode="json", exclude_none=True)
        return "# What evolves here, frozen at its start.\n" + tomli_w.dumps(values)

    def same_as(self, other: Plan) -> bool:
        """Whether the two ask for the same, whatever was drawn or noted when one of them began."""
        drawn: dict[str, Any] = {"task_digest": "", "data_sha256": "", "episodes_sha256": ""}
        drawn |= {"seed": 0} if 0 in (self.seed, other.seed) else {}
        return self.model_copy(update=drawn) == other.model_copy(update=drawn)


def read_plan(path: Path) -> Plan:
    """A plan from its file; UsageError where there is none, IntegrityError where it is damaged."""
    try:
        return Plan.model_validate(tomllib.loads(read_regular(path, LONGEST).decode()))
    except OSError:
        raise UsageError(
            f"{path.parent} is no evolution: it has no {PLAN}; `rsi evolve --generations 3` begins one."
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: {error}; restore it as it was.") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise IntegrityError(f"{path} is damaged: {place}: {wrong['msg']}; restore it as it was.") from None
