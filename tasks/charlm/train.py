"""A byte-level GPT, trained on plain text: the code that the proposer edits.

By hand: `python prepare.py`, then `python train.py`. Two things are asked of any edited version:

- run as a script, it trains within about RSI_BUDGET tokens and leaves `model.safetensors` in RSI_OUT;
- imported, it trains nothing and offers `predict`, which a fresh process calls on held-out text.
"""

import math
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F  # noqa: N812 - what everyone calls it

# --- hyperparameters -------------------------------------------------------------------------------------------

LAYERS = 2
WIDTH = 64
HEADS = 4
MLP_RATIO = 4
DROPOUT = 0.0
INIT_STD = 0.1

BATCH_SIZE = 16
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
BETA1 = 0.9
BETA2 = 0.999

CONTEXT = 128  # bytes that a held-out window shows; longer is never asked
VOCABULARY = 256
LOG_EVERY = 20

# --- where things are; the harness sets these ------------------------------------------------------------------

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("RSI_DATA", HERE / "data" / "train"))
OUT = Path(os.environ.get("RSI_OUT", HERE / "artifact"))
SEED = int(os.environ.get("RSI_SEED", "0"))
BUDGET = int(os.environ.get("RSI_BUDGET", "262144"))  # tokens to train on

torch.set_num_threads(1)  # a trial has one CPU; more threads than CPUs are slower


# --- model -----------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Causal self-attention over several heads."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=True)
        self.out = nn.Linear(WIDTH, WIDTH, bias=True)

    def forward(self, x):
        """(batch, time, width) → the same; a position sees itself and what is before it."""
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time, width))


class MLP(nn.Module):
    """Two linear maps with a non-linearity between them."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(WIDTH, MLP_RATIO * WIDTH, bias=True)
        self.act = nn.GELU()
        self.down = nn.Linear(MLP_RATIO * WIDTH, WIDTH, bias=True)

    def forward(self, x):
        """(batch, time, width) → the same, each position by itself."""
        return self.down(self.act(self.up(x)))


class Block(nn.Module):
    """One layer: attention, then the MLP, each on normalised input and added to the stream."""

    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = MLP()
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x):
        """(batch, time, width) → the same."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


class GPT(nn.Module):
    """Bytes in, logits of the next byte out."""

    def __init__(self):
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embedding = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.apply(self.initialise)

    def initialise(self, module):
        """Small normal weights, zero biases."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=INIT_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens):
        """(batch, time) of byte values → (batch, time, 256) logits."""
        positions = torch.arange(tokens.shape[1])
        x = self.token_embedding(tokens) + self.position_embedding(positions)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


# --- training --------------------------------------------------------------------------------------------------


def draw_batch(text, generator):
    """Random pieces of the training text: inputs and, one byte on, targets, both (batch, context)."""
    starts = torch.randint(len(text) - CONTEXT - 1, (BATCH_SIZE,), generator=generator)
    pieces = text[starts[:, None] + torch.arange(CONTEXT + 1)].long()
    return pieces[:, :-1], pieces[:, 1:]


def train():
    """Train for the budget and return the model."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    text = torch.from_numpy(np.fromfile(DATA / "train.bin", dtype=np.uint8))
    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), weight_decay=WEIGHT_DECAY)
    steps = max(1, BUDGET // (BATCH_SIZE * CONTEXT))
    for step in range(steps):
        inputs, targets = draw_batch(text, generator)
        logits = model(inputs)
        loss = F.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % LOG_EVERY == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item() / math.log(2):.4f}", flush=True)
    return model


def save(model, folder):
    """Write the weights, each its own copy: shared storage (tied weights) cannot be written otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


# --- prediction ------------------------------------------------------------------------------------------------


@torch.no_grad()
def predict(artifact, inputs):
    """Logits (N, 128, 256), float32: [n, t] is for the byte that follows windows[n, : t + 1].

    `artifact` is the folder that `save` wrote; `inputs["windows"]` is uint8, (N, 128). Each window is read by itself,
    from left to right: answers that use later bytes or other windows are found out and rejected.
    """
    model = GPT()
    model.load_state_dict(load_file(Path(artifact) / "model.safetensors"))
    model.eval()
    windows = torch.from_numpy(inputs["windows"]).long()
    return np.concatenate([model(rows).numpy() for rows in windows.split(32)])


if __name__ == "__main__":
    save(train(), OUT)
