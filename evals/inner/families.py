"""Families of inner tasks, each instance with a floor that is known: what the best possible answer would score.

- `surface`: simulated (`evals.inner.surface`); the floor is the optimum.
- `regression`: a random network teaches, with noise; the floor is the variance of the noise that is in the targets.
- `classification`: a mixture of Gaussians; the floor is the loss of the true posterior on the same examples.
- `sequence`: a Markov source over symbols; the floor is the loss of the true transition probabilities.
- `digits`: some of the scanned 8 by 8 digits that come with scikit-learn, real data; the floor is 0, which no loss is
  below and nothing reaches.

A slot says which family and how hard; the instance is drawn from a key, so no two trials meet the same one.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.inner import network
from evals.inner.knobs import INDEX, Floats, baseline
from evals.inner.surface import Surface
from rsi.evidence import Array
from rsi.preparation import python_file

FAMILIES: Final = ("surface", "regression", "classification", "sequence", "digits")
DIGITS: Final = "sklearn/datasets/data/digits.csv.gz"
SLOT: Final = ("family", "inputs", "outputs", "layers", "difficulty", "badness", "interacting")
"""Columns of a slot. family: index into FAMILIES. difficulty: share of noise in a regression's targets, overlap of a
mixture's parts, how even a source's transitions are, or how much noise lies on scanned pixels, in their deviations (64
inputs and ten outputs whatever the slot says). badness: how far off the baseline's settings are."""
TRAIN_ROWS: Final = 256
HELD_ROWS: Final = 256
NOISE_TRIALS: Final = 8
"""Trainings of the baseline from which the noise of an instance is known, as a task's author states it."""
ORDER: Final = 2
"""Of the Markov sources."""
WIDTH: Final = INDEX["width"]


class Instance(NamedTuple):
    """One inner task."""

    start: Floats
    """The baseline's settings."""
    floor: float
    shape: network.Shape | None
    """None for a surface."""
    data: network.Data | None
    surface: Surface | None


def generator(key: bytes, *labels: str | int) -> np.random.Generator:
    """NumPy's PCG64, seeded with a hash of the key and what the draw is for."""
    named = hashlib.sha256(key + "\x00".join(map(str, labels)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(named[:16], "big")))


def instances(slots: Array, key: bytes) -> tuple[Instance, ...]:
    """The instance of every slot, (T, columns of SLOT), under a key; ValueError for what are no slots."""
    if slots.ndim != 2 or slots.shape[1] != len(SLOT):
        raise ValueError(f"slots must have {len(SLOT)} columns: {', '.join(SLOT)}")
    return _drawn(tuple(map(tuple, slots.tolist())), key)


@lru_cache(maxsize=8)
def _drawn(slots: tuple[tuple[float, ...], ...], key: bytes) -> tuple[Instance, ...]:
    """Remembers the last few: a trial asks for its instances once a round, and they are a function of both."""
    return tuple(_instance(slot, generator(key, "instance", number)) for number, slot in enumerate(slots))


def _instance(slot: Sequence[float], draw: np.random.Generator) -> Instance:
    values = dict(zip(SLOT, slot, strict=True))
    family = FAMILIES[int(values["family"])]
    start = baseline(draw, values["badness"])
    if family == "surface":
        surface = Surface(draw, start, values["interacting"])
        return Instance(start, 0.0, None, None, surface)
    inputs, outputs = int(values["inputs"]), 10 if family == "digits" else int(values["outputs"])
    data, floor = _MAKE[family](draw, inputs, outputs, values["difficulty"])
    shape = network.Shape(data.inputs.shape[1], outputs, int(values["layers"]), classes=family != "regression")
    return Instance(start, floor, shape, data, None)


def _regression(
    draw: np.random.Generator,
    inputs: int,
    outputs: int,  # noqa: ARG001 - one number is predicted
    difficulty: float,
) -> tuple[network.Data, float]:
    x = draw.standard_normal((TRAIN_ROWS + HELD_ROWS, inputs))
    hidden = np.tanh(x @ draw.standard_normal((inputs, 6)) * 1.5 / inputs**0.5 + draw.standard_normal(6))
    clean = hidden @ draw.standard_normal(6) + 0.3 * x @ draw.standard_normal(inputs)
    clean = (clean - clean.mean()) / clean.std()
    noise = difficulty**0.5 * draw.standard_normal(len(x))
    targets = ((1 - difficulty) ** 0.5 * clean + noise)[:, None].astype(np.float32)
    return _parted(x, targets), float((noise[TRAIN_ROWS:] ** 2).mean())


def _classification(
    draw: np.random.Generator, inputs: int, outputs: int, difficulty: float
) -> tuple[network.Data, float]:
    parts = 2 * outputs  # two a class, so that no straight line parts them
    means = draw.standard_normal((parts, inputs)) * 2.2
    labels = np.arange(parts) % outputs
    part = draw.integers(0, parts, TRAIN_ROWS + HELD_ROWS)
    spread = 0.5 + 2 * difficulty
    x = means[part] + spread * draw.standard_normal((len(part), inputs))
    logs = -((x[:, None, :] - means[None]) ** 2).sum(axis=2) / (2 * spread**2)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    of_class = np.stack([weights[:, labels == number].sum(axis=1) for number in range(outputs)], axis=1)
    posterior = of_class / of_class.sum(axis=1, keepdims=True)
    target = labels[part]
    right = posterior[np.arange(len(target)), target]
    return _parted(x / x.std(), target), float(-np.log(right[TRAIN_ROWS:] + 1e-300).mean())


def _sequence(draw: np.random.Generator, inputs: int, outputs: int, difficulty: float) -> tuple[network.Data, float]:
    rows = TRAIN_ROWS + HELD_ROWS
    logits = draw.standard_normal((outputs,) * ORDER + (outputs,)) / difficulty
    table = np.exp(logits - logits.max(axis=-1, keepdims=True))
    table /= table.sum(axis=-1, keepdims=True)
    seen = list(draw.integers(0, outputs, ORDER))
    uniform = draw.random(rows + inputs)
    for number in range(rows + inputs):
        symbols = table[tuple(seen[-ORDER:])].cumsum()
        seen.append(min(int(np.searchsorted(symbols, uniform[number])), outputs - 1))
    stream = np.array(seen)
    at = np.arange(inputs, inputs + rows)
    windows = np.stack([stream[at - back] for back in range(1, inputs + 1)], axis=1)
    x = np.eye(outputs)[windows].reshape(rows, -1)
    target = stream[at]
    right = table[windows[:, 1], windows[:, 0], target]
    return _parted(x, target), float(-np.log(right[TRAIN_ROWS:]).mean())


def _digits(
    draw: np.random.Generator,
    inputs: int,  # noqa: ARG001 - 64 pixels
    outputs: int,  # noqa: ARG001 - ten digits
    difficulty: float,
) -> tuple[network.Data, float]:
    pixels, labels = _scanned()
    rows = draw.permutation(len(pixels))[: TRAIN_ROWS + HELD_ROWS]
    x = pixels[rows] + difficulty * draw.standard_normal((len(rows), pixels.shape[1]))
    return _parted(x, labels[rows]), 0.0


_MAKE: Final = {
    "regression": _regression,
    "classification": _classification,
    "sequence": _sequence,
    "digits": _digits,
}


@cache
def _scanned() -> tuple[Floats, NDArray[np.int64]]:
    """All scanned digits: pixels of mean 0 and variance 1 over the whole, (1797, 64), and labels (1797,)."""
    with gzip.open(python_file(DIGITS), "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",")
    pixels = table[:, :-1]
    return (pixels - pixels.mean()) / pixels.std(), table[:, -1].astype(np.int64)


def _parted(x: Floats, targets: NDArray[np.generic]) -> network.Data:
    inputs = x.astype(np.float32)
    return network.Data(inputs[:TRAIN_ROWS], targets[:TRAIN_ROWS], inputs[TRAIN_ROWS:], targets[TRAIN_ROWS:])


def trained(made: Sequence[Instance], which: Sequence[int], settings: Sequence[Floats], seeds: Sequence[int]) -> Floats:
    """One held-out loss a training, NaN where it diverged.

    Args:
        made: The instances.
        which: Training → instance.
        settings: Of each training.
        seeds: Of each training.
    """
    found = np.full(len(which), np.nan)
    groups: dict[network.Shape, list[int]] = {}
    for number, instance in enumerate(which):
        one = made[instance]
        if one.surface is not None:
            found[number] = one.surface.measured(settings[number], seeds[number])
        elif one.shape is not None:
            groups.setdefault(one.shape, []).append(number)
    for shape, members in groups.items():
        used = sorted({which[number] for number in members})
        data = [one.data for one in (made[number] for number in used) if one.data is not None]
        at = np.array([used.index(which[number]) for number in members])
        rows = np.stack([settings[number] for number in members])
        found[members] = network.losses(shape, data, at, rows, [seeds[number] for number in members])
    return found


def cost(instance: Instance, width: float) -> float:
    """Of a training of that width, 1 for the baseline's: a quarter is overhead, the rest grows with the weights."""
    shape = instance.shape or network.Shape(8, 8, 1, classes=True)

    def weights(width: float) -> float:
        return shape.inputs * width + (shape.layers - 1) * width**2 + width * shape.outputs

    return 0.25 + 0.75 * weights(width) / weights(float(instance.start[WIDTH]))
