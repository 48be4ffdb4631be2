"""Real trainings of small networks, many side by side: forward, backward and optimizer in NumPy over stacks.

N trainings of networks of the same shape run as one: every array has them along its first axis, and widths are padded
and masked. Each sees the same number of samples, eight at a time; a larger batch is a sum over several such parts,
after which alone the weights move. So a batch four times as large makes a quarter of the steps, as in real code with a
budget in samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.inner.knobs import INDEX, KNOBS, Floats

Single = NDArray[np.float32]
PART: Final = 8
SAMPLES: Final = 1280
WIDEST: Final = 32
HOPELESS: Final = 20.0
"""A loss that is not below this counts as diverged."""


class Shape(NamedTuple):
    """Of the networks that can be trained side by side."""

    inputs: int
    outputs: int
    layers: int
    """Hidden ones."""
    classes: bool
    """Whether outputs are logits of classes; else one number is predicted."""


class Data(NamedTuple):
    """One instance's examples; targets are float32 (rows, 1), or class numbers (rows,)."""

    inputs: Single
    targets: NDArray[Any]
    held_inputs: Single
    held_targets: NDArray[Any]


def _sigmoid(z: Single) -> Single:
    return np.asarray(1 / (1 + np.exp(-z)), dtype=np.float32)


_ACTIVATIONS: Final[dict[str, tuple[Callable[[Single], Single], Callable[[Single], Single]]]] = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(np.float32)),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "softplus": (lambda z: np.logaddexp(np.float32(0), z), _sigmoid),
}


def losses(
    shape: Shape, data: Sequence[Data], which: NDArray[np.intp], settings: Floats, seeds: Sequence[int]
) -> Floats:
    """Held-out losses (N,) of N trainings: mean squared error, or nats; NaN where one diverged.

    Args:
        shape: Of all networks.
        data: The instances.
        which: Training → instance, (N,).
        settings: (N, knobs).
        seeds: One a training: of its weights and its order of examples.
    """
    with np.errstate(all="ignore"):
        stack = Stack(shape, data, which, settings, seeds)
        for part in range(SAMPLES // PART):
            stack.learn(part)
        return stack.held_out_losses()


def _choices(kind: str) -> list[tuple[int, str]]:
    return list(enumerate(KNOBS[INDEX[kind]].choices))


class Stack:
    """N trainings under way."""

    def __init__(
        self, shape: Shape, data: Sequence[Data], which: NDArray[np.intp], settings: Floats, seeds: Sequence[int]
    ) -> None:
        self.shape, self.which = shape, which
        self.inputs = np.stack([one.inputs for one in data])
        self.targets = np.stack([one.targets for one in data])
        self.held = np.stack([one.held_inputs for one in data]), np.stack([one.held_targets for one in data])
        column = {knob.kind: settings[:, number].astype(np.float32) for number, knob in enumerate(KNOBS)}
        self.column = column
        self.widths = column["width"].astype(int)
        self.mask = (np.arange(WIDEST) < self.widths[:, None]).astype(np.float32)[:, None, :]
        self.parts = (column["batch_size"] / PART).astype(int)
        self.groups = {
            kind: [
                (name, np.flatnonzero(settings[:, INDEX[kind]] == at))
                for at, name in enumerate(KNOBS[INDEX[kind]].choices)
            ]
            for kind in ("activation", "optimizer", "decay")
        }
        sizes = [shape.inputs, *[WIDEST] * shape.layers, shape.outputs]
        self.layers = list(pairwise(sizes))
        generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.weights = np.stack([self._initial(generator, at) for at, generator in enumerate(generators)])
        rows = len(data[0].inputs)
        self.order = np.stack([generator.integers(0, rows, SAMPLES) for generator in generators])
        self.jitter: Single | None = None
        if (column["regularisation"] > 0).any():
            draws = [generator.standard_normal((SAMPLES, shape.inputs), dtype=np.float32) for generator in generators]
            self.jitter = np.stack(draws) * column["regularisation"][:, None, None]
        self.gradient = np.zeros_like(self.weights)
        self.mean, self.square = np.zeros_like(self.weights), np.zeros_like(self.weights)
        self.parts_of, self.sums_of = self._parts_of(self.weights), self._parts_of(self.gradient)
        self.steps = np.zeros(len(seeds), dtype=int)

    def _initial(self, generator: np.random.Generator, at: int) -> Single:
        """Weights of variance scale² / fan-in, biases of zero, as one row."""
        scale, width = float(self.column["initialisation"][at]), int(self.widths[at])
        found = []
        for number, (fan_in, fan_out) in enumerate(self.layers):
            inputs = fan_in if number == 0 else width
            drawn = generator.standard_normal((fan_in, fan_out), dtype=np.float32) * np.float32(scale / inputs**0.5)
            found += [drawn.reshape(-1), np.zeros(fan_out, dtype=np.float32)]
        return np.concatenate(found)

    def _parts_of(self, row: Single) -> list[tuple[Single, Single]]:
        """Weights (N, in, out) and biases (N, 1, out) of every layer, as views."""
        found, at = [], 0
        for fan_in, fan_out in self.layers:
            weights = row[:, at : at + fan_in * fan_out].reshape(-1, fan_in, fan_out)
            at += fan_in * fan_out
            found.append((weights, row[:, None, at : at + fan_out]))
            at += fan_out
        return found

    def _forward(self, x: Single) -> tuple[Single, list[tuple[Single, Single]]]:
        kept: list[tuple[Single, Single]] = []
        parts = self.parts_of
        for number, (weights, bias) in enumerate(parts):
            z = x @ weights + bias
            kept.append((x, z))
            x = self._activated(z, 0) * self.mask if number < len(parts) - 1 else z
        return x, kept

    def _activated(self, z: Single, which: int) -> Single:
        """Each training's own function of its sums, or its slope."""
        present = [(name, rows) for name, rows in self.groups["activation"] if len(rows)]
        if len(present) == 1:
            return _ACTIVATIONS[present[0][0]][which](z)
        out = np.empty_like(z)
        for name, rows in present:
            out[rows] = _ACTIVATIONS[name][which](z[rows])
        return out

    def learn(self, part: int) -> None:
        """Eight samples more; the weights move where a batch is complete."""
        rows = self.order[:, part * PART : (part + 1) * PART]
        x = self.inputs[self.which[:, None], rows]
        if self.jitter is not None:
            x = x + self.jitter[:, part * PART : (part + 1) * PART]
        answers, kept = self._forward(x)
        targets = self.targets[self.which[:, None], rows]
        slope = self._slope(answers, targets) / (PART * self.parts[:, None, None].astype(np.float32))
        parts, sums = self.parts_of, self.sums_of
        for number in reversed(range(len(parts))):
            x, _ = kept[number]
            sums[number][0][...] += x.transpose(0, 2, 1) @ slope
            sums[number][1][...] += slope.sum(axis=1, keepdims=True) * self.column["bias"][:, None, None]
            if number:
                slope = (slope @ parts[number][0].transpose(0, 2, 1)) * self.mask
                slope = slope * self._activated(kept[number - 1][1], 1)
        complete = np.flatnonzero((part + 1) % self.parts == 0)
        if len(complete):
            self._move(complete, (part + 1) * PART / SAMPLES)

    def _slope(self, answers: Single, targets: NDArray[Any]) -> Single:
        if not self.shape.classes:
            return np.asarray(2 * (answers - targets), dtype=np.float32)
        exponentials = np.exp(answers - answers.max(axis=2, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
        np.put_along_axis(
            probabilities, targets[:, :, None], np.take_along_axis(probabilities, targets[:, :, None], 2) - 1, 2
        )
        return np.asarray(probabilities, dtype=np.float32)

    def _move(self, rows: NDArray[np.intp], done: float) -> None:
        def of(kind: str) -> Single:
            return self.column[kind][rows, None]

        self.steps[rows] += 1
        step = self.steps[rows, None].astype(np.float32)
        gradient = self.gradient[rows]
        gradient *= np.minimum(1, of("clip") / (np.sqrt((gradient**2).sum(axis=1, keepdims=True)) + 1e-12))
        self.gradient[rows] = 0
        keep = of("betas")
        mean = keep * self.mean[rows] + gradient
        square = 0.98 * self.square[rows] + 0.02 * gradient**2
        self.mean[rows], self.square[rows] = mean, square
        root = np.sqrt(square / (1 - np.float32(0.98) ** step)) + of("eps")
        place = np.empty(len(self.weights), dtype=int)
        place[rows] = np.arange(len(rows))
        moving = np.zeros(len(self.weights), dtype=bool)
        moving[rows] = True
        update = mean  # sgd, with momentum
        for name, members in self.groups["optimizer"]:
            at = place[members[moving[members]]]
            if name == "nesterov":
                update[at] = gradient[at] + keep[at] * mean[at]
            elif name == "rmsprop":
                update[at] = 0.1 * gradient[at] / root[at]
            elif name == "adam":
                update[at] = 0.1 * mean[at] * (1 - keep[at]) / (1 - keep[at] ** step[at]) / root[at]
        rate = of("learning_rate") * self._scheduled(rows, done)
        self.weights[rows] -= rate * (update + of("weight_decay") * self.weights[rows])

    def _scheduled(self, rows: NDArray[np.intp], done: float) -> Single:
        factor = np.ones(len(self.weights), dtype=np.float32)
        for name, members in self.groups["decay"]:
            if name == "linear":
                factor[members] = 1 - done
            elif name == "cosine":
                factor[members] = 0.5 * (1 + np.cos(np.pi * done))
        return (factor * np.minimum(1, done / np.maximum(self.column["warmup"], 1e-6)))[rows, None]

    def held_out_losses(self) -> Floats:
        """Mean loss of each, NaN where it is no number or beyond hope."""
        inputs, targets = self.held[0][self.which], self.held[1][self.which]
        answers = self._forward(inputs)[0].astype(np.float64)
        if self.shape.classes:
            shifted = answers - answers.max(axis=2, keepdims=True)
            normal = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
            found = -np.take_along_axis(normal, targets[:, :, None], 2)[:, :, 0].mean(axis=1)
        else:
            found = ((answers - targets) ** 2).mean(axis=(1, 2))
        return np.where(np.isfinite(found) & (found < HOPELESS), found, np.nan)
