"""Which of several models is asked next: the one that buys most gain for its money, by what is known of each so far."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rsi.records import ExperimentStatus, HistoryEntry, Objective


class Choice(NamedTuple):
    """A model and why it was chosen."""

    model: str
    why: str


class _Tally(NamedTuple):
    asked: int
    kept: int
    gain: float
    spent: float
    """Dollars, or tokens."""


def choose(
    models: Sequence[str], history: Sequence[HistoryEntry], objective: Objective, priced: bool, seed: int
) -> Choice:
    """Thompson sampling over gain per dollar, or per token where a price is not known.

    A model's chance to have its edit kept is drawn from its Beta posterior under a uniform prior, times its mean gain
    where kept (the seed noise counts as one observation), over its mean spending. Every model is asked once first.
    Pure: the same history and seed give the same choice.
    """
    if len(models) == 1:
        return Choice(models[0], "the only model")
    tallies = {model: _tally(model, history, priced) for model in models}
    for model in models:
        if tallies[model].asked == 0:
            return Choice(model, "not asked yet")
    generator = random.Random(seed)  # noqa: S311 - a draw that must be the same again, no secret
    drawn = {model: _draw(tallies[model], objective.noise, generator) for model in models}
    best = max(models, key=lambda model: drawn[model])
    return Choice(best, _reason(best, models, tallies, drawn, "dollar" if priced else "token"))


def _tally(model: str, history: Sequence[HistoryEntry], priced: bool) -> _Tally:
    mine = [entry for entry in history if entry.model == model]
    kept = [entry for entry in mine if entry.status is ExperimentStatus.KEPT]
    return _Tally(
        asked=len(mine),
        kept=len(kept),
        gain=sum(max(0.0, entry.gain or 0.0) for entry in kept),
        spent=sum(entry.cost_usd if priced else float(entry.tokens) for entry in mine),
    )


def _draw(tally: _Tally, noise: float, generator: random.Random) -> float:
    chance = generator.betavariate(1 + tally.kept, 1 + tally.asked - tally.kept)
    gain = (noise + tally.gain) / (1 + tally.kept)
    spending = tally.spent / tally.asked
    return chance * gain / spending if spending > 0 else chance * gain * 1e12


def _reason(
    best: str, models: Sequence[str], tallies: Mapping[str, _Tally], drawn: Mapping[str, float], unit: str
) -> str:
    told = "; ".join(
        f"{model}: {tallies[model].kept} of {tallies[model].asked} kept, "
        f"{_rate(tallies[model]):.3g} gained a {unit}, drawn {drawn[model]:.3g}"
        for model in models
    )
    return f"{best} drew the most gain a {unit} ({told})"


def _rate(tally: _Tally) -> float:
    return tally.gain / tally.spent if tally.spent > 0 else 0.0
