"""How kinds of knobs behave over small real trainings: the numbers of evals/inner/surface.py, `HABITS` and `LIKED`.

    python benchmarks/inner_habits.py [--instances 192]

Real trainings of the families that dev and the shipped episodes have (regression, classification) and no others: the
holdout's are for judging. From each instance's baseline one knob at a time is swept, three seeds a setting, and a
parabola on the knob's own scale (`Knob.coordinate`) is fitted to the settings about the best one. The learning rate's
scale is that of the effective rate, ln(rate / ((1 - momentum) batch)) (the linear scaling rule, Goyal et al. 2017);
while batch and momentum are swept it is held where it was, so that they tell what they do besides:

centre, spread   where the best setting lies over instances, on that scale, and how widely
curvature        what a squared step off it costs, in shares of the gap between baseline and floor: the median
tail             how widely its logarithm spreads
told             of how many instances the sweep says where the best lies: it moves the loss by `MATTERS` of the gap
diverges         of learning rates: how far above the best one training diverges, the median where it does
liked, differs   of choices: the mean over instances of what each gains over the first one, in shares of the gap, and
                 its standard deviation

Spreads are half the range from the 16th to the 84th percentile, so that a few odd sweeps do not set them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from evals.inner.episodes import slot  # noqa: E402
from evals.inner.families import FAMILIES, Instance, instances, trained  # noqa: E402
from evals.inner.knobs import INDEX, KNOBS, Floats, Knob  # noqa: E402
from evals.inner.surface import effective  # noqa: E402

KEY = b"inner habits 001"
SEEDS = 3
RATE = INDEX["learning_rate"]
REACH = 3.0
POINTS = 13
NEAR = 2
"""Settings on each side of the best one that the parabola is fitted to."""
MATTERS = 0.05
FLAT = 1e-3
"""A curvature below this counts as this."""


def main() -> None:
    """Sweep and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=192)
    made = drawn(parser.parse_args().instances)
    base = swept(made, [[one.start] for one in made])[:, 0]
    gap = base - np.array([one.floor for one in made])
    found: dict[str, Any] = {}
    for number, knob in enumerate(KNOBS):
        settings = [[placed(one, number, value) for value in grid(knob, one.start[number])] for one in made]
        losses = swept(made, settings) / gap[:, None]
        found[knob.kind] = (
            choices(losses) if knob.choices or knob.kind == "bias" else numbers(knob, number, settings, losses)
        )
    print(json.dumps(found, indent=2))


def drawn(count: int) -> list[Instance]:
    """Instances of the two families, at the difficulties of dev and about them, whose baseline trains and has a gap."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(count):
        if number % 2:
            shape = {"inputs": int(draw.integers(4, 9)), "outputs": 1, "difficulty": draw.uniform(0.05, 0.2)}
            rows.append(slot(family=FAMILIES.index("regression"), layers=1, badness=1.0, **shape))
        else:
            shape = {"inputs": int(draw.integers(4, 9)), "outputs": int(draw.integers(3, 6))}
            rows.append(
                slot(
                    family=FAMILIES.index("classification"),
                    layers=1,
                    badness=1.0,
                    difficulty=draw.uniform(0.15, 0.35),
                    **shape,
                )
            )
    made = instances(np.array(rows), KEY)
    base = swept(list(made), [[one.start] for one in made])[:, 0]
    return [one for one, loss in zip(made, base, strict=True) if np.isfinite(loss) and loss - one.floor > 0.01]


def grid(knob: Knob, start: float) -> Floats:
    """The settings of a sweep, the start's neighbourhood in even steps of the knob's scale, or all choices."""
    if knob.choices:
        return np.arange(len(knob.choices), dtype=float)
    if knob.values:
        return np.array(knob.values)
    middle = knob.coordinate(start)
    if knob.kind == "betas":
        values = 1 - np.exp(-np.linspace(0.0, 5.2, POINTS))
    else:
        values = np.exp(np.linspace(middle - REACH, middle + REACH, POINTS))
    if knob.whole:
        values = np.unique(np.maximum(knob.whole, np.round(values / knob.whole) * knob.whole))
        values = np.pad(values, (0, POINTS - len(values)), mode="edge")
    return np.clip(values, knob.low, knob.high)


def placed(one: Instance, number: int, value: float) -> Floats:
    """The baseline's settings with one knob elsewhere."""
    settings = one.start.copy()
    settings[number] = value
    if KNOBS[number].kind in {"batch_size", "betas"}:
        settings[RATE] *= np.exp(effective(one.start) - effective(settings))
    return settings


def swept(made: list[Instance], settings: list[list[Floats]]) -> Floats:
    """Mean loss of each instance at each of its settings, (instances, settings); NaN where training diverged."""
    width = len(settings[0])
    which = [at for at in range(len(made)) for _ in range(width * SEEDS)]
    rows = [row for one in settings for row in one for _ in range(SEEDS)]
    seeds = [seed for _ in range(len(made) * width) for seed in range(SEEDS)]
    return trained(made, which, rows, seeds).reshape(len(made), width, SEEDS).mean(axis=2)


def numbers(knob: Knob, number: int, settings: list[list[Floats]], losses: Floats) -> dict[str, float]:
    """Of a knob that is a number."""
    centres, curvatures, diverges = [], [], []
    for rows, loss in zip(settings, losses, strict=True):
        x = np.array([effective(row) if number == RATE else knob.coordinate(float(row[number])) for row in rows])
        kept = np.isfinite(loss)
        order = np.argsort(loss)[: min(2 * NEAR + 1, int(kept.sum()))]
        if len(np.unique(x[order])) < 3:
            continue
        square, slope, _ = np.polyfit(x[order], loss[order], 2)
        best = float(x[order[0]])
        if square > 0:
            best = float(np.clip(-slope / (2 * square), x[order].min(), x[order].max()))
        curvatures.append(max(float(square), FLAT))
        if np.ptp(loss[kept]) > MATTERS:
            centres.append(best)
        if not kept.all() and x[~kept].max() > best:
            diverges.append(float(x[~kept & (x > best)].min()) - best)
    found = {
        "centre": float(np.median(centres)) if centres else 0.0,
        "spread": spread(centres),
        "told": len(centres),
        "curvature": float(np.median(curvatures)),
        "tail": spread(list(np.log(curvatures))),
    }
    if diverges and knob.kind == "learning_rate":
        found["diverges"] = float(np.median(diverges))
    return {name: round(value, 4) for name, value in found.items()}


def spread(values: list[float]) -> float:
    """Half the range of the middle 68%; of normal draws their standard deviation."""
    return float(np.diff(np.quantile(values, (0.16, 0.84)))[0] / 2) if values else 0.0


def choices(losses: Floats) -> dict[str, Any]:
    """Of a knob that is a choice."""
    gained = np.clip(losses[:, :1] - losses, -2, 2)
    return {
        "liked": [round(float(np.nanmean(column)), 3) for column in gained.T],
        "differs": [round(float(np.nanstd(column)), 3) for column in gained.T],
    }


if __name__ == "__main__":
    main()
