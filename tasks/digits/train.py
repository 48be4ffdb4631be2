"""A small network for scanned digits, forward and backward written out in NumPy: the code that the proposer edits.

By hand: `python prepare.py`, then `python train.py`. Two things are asked of any edited version:

- run as a script, it trains on about RSI_BUDGET samples and leaves `model.safetensors` in RSI_OUT;
- imported, it trains nothing and offers `predict`, which a fresh process calls on held-out images.
"""

import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import tensors

# --- hyperparameters; a choice names an entry of the table below it -------------------------------------------

LAYERS = 1
WIDTH = 24
BATCH_SIZE = 32
LEARNING_RATE = 0.05
WEIGHT_DECAY = 0.0
MOMENTUM = 0.9
BETA2 = 0.99
DROPOUT = 0.0
LABEL_SMOOTHING = 0.0
PIXEL_NOISE = 0.0
CLIP_NORM = 100.0
WARMUP = 0.0  # share of the steps

ACTIVATION = "tanh"
OPTIMIZER = "sgd"
INITIALIZATION = "lecun"
SCHEDULE = "constant"

CLASSES = 10
LOG_EVERY = 50

# --- where things are; the harness sets these ------------------------------------------------------------------

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("RSI_DATA", HERE / "data" / "train"))
OUT = Path(os.environ.get("RSI_OUT", HERE / "artifact"))
SEED = int(os.environ.get("RSI_SEED", "0"))
BUDGET = int(os.environ.get("RSI_BUDGET", "40000"))  # samples to train on

# --- the choices -----------------------------------------------------------------------------------------------

# Each is the function and its derivative; the derivative takes the function's argument.
ACTIVATIONS = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1, 0.1).astype(x.dtype)),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),
}

# Standard deviation of a weight, from the number of inputs and outputs.
INITIALIZATIONS = {
    "small": lambda _, __: 0.01,
    "lecun": lambda fan_in, _: math.sqrt(1 / fan_in),
    "he": lambda fan_in, _: math.sqrt(2 / fan_in),
    "glorot": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
}

# Factor of the learning rate, from the share of the steps that is done.
SCHEDULES = {
    "constant": lambda _: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


def sgd(gradient, _):
    """Down the gradient."""
    return gradient


def momentum(gradient, state):
    """Down a running sum of gradients (Polyak, 1964)."""
    state["mean"] = MOMENTUM * state.get("mean", 0.0) + gradient
    return state["mean"]


def nesterov(gradient, state):
    """Momentum that looks one step ahead."""
    state["mean"] = MOMENTUM * state.get("mean", 0.0) + gradient
    return gradient + MOMENTUM * state["mean"]


def adam(gradient, state):
    """Running mean over the root of the running square, bias corrected (Kingma and Ba, 2015, algorithm 1)."""
    state["step"] = state.get("step", 0) + 1
    state["mean"] = MOMENTUM * state.get("mean", 0.0) + (1 - MOMENTUM) * gradient
    state["square"] = BETA2 * state.get("square", 0.0) + (1 - BETA2) * gradient**2
    mean = state["mean"] / (1 - MOMENTUM ** state["step"])
    square = state["square"] / (1 - BETA2 ** state["step"])
    return 0.1 * mean / (np.sqrt(square) + 1e-8)


OPTIMIZERS = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}


# --- the network -----------------------------------------------------------------------------------------------


def initialise(generator, pixels):
    """Weights and biases of every layer, float32: `w0` (pixels, width), `b0` (width,), and so on."""
    sizes = [pixels, *[WIDTH] * LAYERS, CLASSES]
    model = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        scale = INITIALIZATIONS[INITIALIZATION](fan_in, fan_out)
        model[f"w{layer}"] = (scale * generator.standard_normal((fan_in, fan_out))).astype(np.float32)
        model[f"b{layer}"] = np.zeros(fan_out, dtype=np.float32)
    return model


def forward(model, x, masks=None):
    """Images (N, 64) → logits (N, 10), with what the backward pass needs: each layer's input and sum."""
    activation, _ = ACTIVATIONS[ACTIVATION]
    depth = len(model) // 2
    kept = []
    for layer in range(depth):
        z = x @ model[f"w{layer}"] + model[f"b{layer}"]
        kept.append((x, z))
        x = activation(z) if layer < depth - 1 else z
        if masks is not None and layer < depth - 1:
            x = x * masks[layer]
    return x, kept


def backward(model, kept, slope, masks):
    """The gradient of the loss in every weight, from its slope (N, 10) in the logits."""
    _, derivative = ACTIVATIONS[ACTIVATION]
    gradients = {}
    for layer in reversed(range(len(kept))):
        x, _ = kept[layer]
        gradients[f"w{layer}"] = x.T @ slope
        gradients[f"b{layer}"] = slope.sum(axis=0)
        if layer > 0:
            slope = (slope @ model[f"w{layer}"].T) * masks[layer - 1] * derivative(kept[layer - 1][1])
    return gradients


def softmax(logits):
    """Rows of logits → rows of probabilities."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def scale(images):
    """Pixels from 0 to 16 → from 0 to 1."""
    return images / np.float32(16)


# --- training --------------------------------------------------------------------------------------------------


def train():
    """Train for the budget and return the model."""
    generator = np.random.default_rng(SEED)
    images, labels = scale(np.load(DATA / "images.npy")), np.load(DATA / "labels.npy")
    model = initialise(generator, images.shape[1])
    states = {name: {} for name in model}
    steps = max(1, BUDGET // BATCH_SIZE)
    for step in range(steps):
        chosen = generator.integers(len(images), size=BATCH_SIZE)
        x = images[chosen] + PIXEL_NOISE * generator.standard_normal((BATCH_SIZE, images.shape[1])).astype(np.float32)
        targets = np.eye(CLASSES, dtype=np.float32)[labels[chosen]] * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / CLASSES
        masks = [(generator.random((BATCH_SIZE, WIDTH)) >= DROPOUT) / (1 - DROPOUT) for _ in range(LAYERS)]

        logits, kept = forward(model, x, masks)
        probabilities = softmax(logits)
        gradients = backward(model, kept, (probabilities - targets) / BATCH_SIZE, masks)

        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
        done = step / steps
        rate = LEARNING_RATE * SCHEDULES[SCHEDULE](done) * min(1.0, (step + 1) / (WARMUP * steps + 1))
        for name, weights in model.items():
            gradient = gradients[name] * min(1.0, CLIP_NORM / (norm + 1e-12))
            update = OPTIMIZERS[OPTIMIZER](gradient, states[name]) + WEIGHT_DECAY * weights
            model[name] = (weights - rate * update).astype(np.float32)
        if step % LOG_EVERY == 0 or step == steps - 1:
            loss = -np.log(probabilities[np.arange(BATCH_SIZE), labels[chosen]] + 1e-12).mean()
            print(f"step {step} loss {loss:.4f}", flush=True)
    return model


# --- prediction ------------------------------------------------------------------------------------------------


def predict(artifact, inputs):
    """Logits (N, 10), float32, for `inputs["images"]`, float32, (N, 64); `artifact` is the folder with the weights."""
    model = tensors.load(Path(artifact) / "model.safetensors")
    logits, _ = forward(model, scale(inputs["images"]))
    return logits.astype(np.float32)


if __name__ == "__main__":
    tensors.save(OUT / "model.safetensors", train())
