"""Many simulated runs of several policies under several noises: what each truly gained, and what it said."""

from __future__ import annotations

import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Annotated, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from rsi import plugins
from rsi.configuration import Budget, Component
from rsi.errors import UsageError
from rsi.protocols import Policy
from rsi.records import Record
from rsi.session import build
from simulated.figures import Figures, figures_of
from simulated.oracle import Oracle
from simulated.running import Plan, simulate
from simulated.surface import Surface

ORACLE = "oracle"
"""Not registered: it can be asked in simulated runs alone."""
CONFIDENCE = 0.95
RESAMPLES = 999


Level = Annotated[float, Field(gt=0, le=1000)]


class Study(Record):
    """What is compared: every policy on the same surfaces, with the same seeds, at equal compute."""

    policies: tuple[Component, ...] = Field(min_length=1)
    levels: tuple[Level, ...] = Field(default=(0.5, 1.0, 2.0, 4.0), min_length=1)
    """Seed noise in multiples of the mean helpful effect."""
    runs: int = Field(default=200, ge=2)
    trials: int = Field(default=600, ge=2)
    """Of a run, whatever they are for."""
    seed: int = 0
    surface: Surface = Surface()
    """Its seed and noise are set run by run."""
    regions: int = Field(default=128, ge=1)
    removals: float = Field(default=0.0, ge=0, le=1)
    certify: bool = True
    alpha: float = Field(default=0.05, gt=0, lt=1)
    certify_share: float = Field(default=0.15, gt=0, lt=1)
    attribution: int = Field(default=0, ge=0)
    """Trials more, after each run, to find which of its edits matter; 0 leaves that out."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names) or len(set(self.levels)) < len(self.levels):
            raise ValueError("each policy and each noise is named once")
        return self


class Estimate(Record):
    """A mean over runs with its interval; no bounds where all runs agree or a resample has nothing to average."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Row(Record):
    """One policy under one noise."""

    policy: str
    level: float
    runs: int
    measured: dict[str, Estimate]


class Results(Record):
    """What a study found, in the order of levels, then policies."""

    schema_version: int = 1

    study: Study
    rows: tuple[Row, ...]

    def row(self, policy: str, level: float) -> Row:
        """The row of a policy at a level."""
        return next(row for row in self.rows if (row.policy, row.level) == (policy, level))


def of_words(
    policies: Sequence[str], levels: str, surface: Sequence[str], *, runs: int, trials: int, seed: int
) -> Study:
    """A study as the command line names it; UsageError in a sentence for what cannot be."""
    for name in policies:
        if name != ORACLE:
            plugins.load("policies", name)
    truth = {}
    for word in surface:
        field, equals, number = word.partition("=")
        if field not in Surface.model_fields or field in {"seed", "noise"} or not equals:
            known = ", ".join(name for name in Surface.model_fields if name not in {"seed", "noise"})
            raise UsageError(f"--surface takes FIELD=NUMBER, not {word!r}; fields are {known}.")
        truth[field] = _number("--surface", number)
    noise = tuple(_number("--noise", word) for word in levels.split(",") if word)
    if not noise:
        raise UsageError("--noise names no number; give some by commas, as in --noise 1,2.")
    try:
        return Study(
            policies=tuple(Component(name=name) for name in policies),
            levels=noise,
            runs=runs,
            trials=trials,
            seed=seed,
            surface=Surface.model_validate(truth),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][:1])
        where = {"levels": "--noise"}.get(field, field)
        told = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"That cannot be simulated: {told}; see `rsi simulate --help`.") from None


def _number(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{option} takes numbers, not {text!r}; mend it.")
    return value


Progress = Callable[[int, int], None]
"""Told how many runs are done, and of how many."""


def compare(study: Study, workers: int | None = None, progress: Progress | None = None) -> Results:
    """Run it all, on every processor unless told otherwise; the results do not depend on how many there are."""
    cells = [(level, policy) for level in study.levels for policy in study.policies]
    jobs = [(level, policy, number) for level, policy in cells for number in range(study.runs)]
    found: dict[tuple[float, str], list[Figures]] = {(level, policy.name): [] for level, policy in cells}
    for done, ((level, policy, _), figures) in enumerate(zip(jobs, _all(study, jobs, workers), strict=True), 1):
        found[level, policy.name].append(figures)
        if progress is not None:
            progress(done, len(jobs))
    rows = [
        Row(
            policy=policy.name,
            level=level,
            runs=study.runs,
            measured=_measured(found[level, policy.name], found.get((level, "greedy"))),
        )
        for level, policy in cells
    ]
    return Results(study=study, rows=tuple(rows))


def one_run(study: Study, job: tuple[float, Component, int]) -> Figures:
    """One run of one policy; the same surface and seeds for every policy."""
    level, component, number = job
    seed = study.seed + number
    policy: Policy = Oracle() if component.name == ORACLE else build("policies", component)
    surface = study.surface.model_copy(update={"seed": seed, "noise": level * study.surface.mean_help})
    plan = Plan(
        surface,
        policy,
        Budget(trials=study.trials),
        seed=seed,
        regions=study.regions,
        removals=study.removals,
        certify=study.certify,
        alpha=study.alpha,
        certify_share=study.certify_share,
    )
    return figures_of(simulate(plan), study.attribution)


def _all(study: Study, jobs: Sequence[tuple[float, Component, int]], workers: int | None) -> Iterator[Figures]:
    count = workers or len(os.sched_getaffinity(0))
    if count == 1:
        yield from (one_run(study, job) for job in jobs)
        return
    with ProcessPoolExecutor(count, get_context("spawn"), _end_with, (os.getpid(),)) as pool:
        yield from pool.map(partial(one_run, study), jobs, chunksize=4)


def _end_with(parent: int) -> None:
    """A worker whose parent was killed would go on to the end of its jobs: nobody waits for them, so it ends too."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# --- averages -------------------------------------------------------------------------------------------------------


def _measured(runs: Sequence[Figures], greedy: Sequence[Figures] | None) -> dict[str, Estimate]:
    ratios = {
        name: ratio([over for over, _ in pairs], [under for _, under in pairs]) for name, pairs in _shares(runs).items()
    }
    if greedy is not None:
        ratios["of_greedy"] = ratio([run.true_gain for run in runs], [run.true_gain for run in greedy])
    return ratios


def _shares(runs: Sequence[Figures]) -> dict[str, list[tuple[float, float]]]:
    return {name: [run.measures()[name] for run in runs] for name in runs[0].measures()}


def ratio(over: Sequence[float], under: Sequence[float]) -> Estimate:
    """The sum of one over the sum of the other, run by run resampled together (bootstrap, percentiles).

    A mean is a ratio to ones. Efron and Tibshirani 1993, chapter 13; by scipy.
    """
    one, other = np.asarray(over, dtype=float), np.asarray(under, dtype=float)
    if other.sum() <= 0:
        return Estimate(value=None)
    value = float(one.sum() / other.sum())
    if np.ptp(one) == 0 and np.ptp(other) == 0:
        return Estimate(value=value)
    from scipy.stats import bootstrap  # noqa: PLC0415 - takes a second

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample without anything to divide by has no ratio, and is said below
        found = bootstrap(
            (one, other),
            lambda a, b, axis: a.sum(axis=axis) / np.where((total := b.sum(axis=axis)) > 0, total, np.nan),
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        )
    low, high = (float(bound) for bound in found.confidence_interval)
    return Estimate(value=value, low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None)
