"""The task `charlm`'s own GPT, small: the study's sizes, whole rows to train on, and what is asked of the model.

`charlm.py` beside this file is the task's `train.py`, put there unchanged by the study. A row is eight bytes, of which
the last four are the passage that the row adds; so seven bytes are the longest context that the model ever sees.
"""

from pathlib import Path

import charlm
import numpy as np
import torch
from safetensors.torch import load_file

SHORTEST = 4  # bytes that a question shows, and that stand before a passage that is written
PIECE = 4  # bytes of a passage
ROW = SHORTEST + PIECE
PASSES = 3  # times that each row is drawn, on average

charlm.LAYERS = 1
charlm.WIDTH = 48
charlm.CONTEXT = ROW - 1
charlm.BATCH_SIZE = 128  # rows
charlm.LEARNING_RATE = 4e-3


def draw_rows(text, generator):
    """Whole rows of the training text: inputs and, one byte on, targets, both (batch, 7)."""
    rows = text.view(-1, ROW)
    drawn = rows[torch.randint(len(rows), (charlm.BATCH_SIZE,), generator=generator)].long()
    return drawn[:, :-1], drawn[:, 1:]


def train():
    """A model trained on `data/train.bin`, whose length sets the budget."""
    charlm.draw_batch = draw_rows
    rows = (charlm.DATA / "train.bin").stat().st_size // ROW
    charlm.BUDGET = PASSES * rows * charlm.CONTEXT
    return charlm.train()


def load(artifact):
    """The model whose weights lie in that folder."""
    model = charlm.GPT()
    model.load_state_dict(load_file(Path(artifact) / "model.safetensors"))
    return model.eval()


@torch.no_grad()
def following(model, contexts):
    """Logits (N, 256) of the byte after each context (N, T)."""
    return model(contexts)[:, -1]


def predict(artifact, inputs):
    """Logits (N, 256), float32, of the byte after each of `inputs["contexts"]`, uint8 (N, 4)."""
    model = load(artifact)
    contexts = torch.from_numpy(inputs["contexts"]).long()
    return np.concatenate([following(model, part).numpy() for part in contexts.split(1024)])
