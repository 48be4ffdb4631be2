"""Write text with a trained model: `artifact/model.safetensors` in, `text.bin` out. Runs in a sandbox."""

import os
from pathlib import Path

import gpt
import torch

WARM_UP = 32  # bytes that each stream writes, from blank lines on, before what it writes is kept
SIDE_BY_SIDE = 1024  # streams; with more the processor's caches no longer hold them


def write(model, streams, length, generator):
    """Streams of text, uint8 (streams, length), drawn from the model as it is: temperature 1, nothing cut off.

    Passage by passage, each byte after the four before its passage and what the passage holds so far, as in training.
    """
    begun = torch.full((streams, gpt.SHORTEST), ord("\n"))
    return torch.cat([_write(model, part, length, generator) for part in begun.split(SIDE_BY_SIDE)])


def _write(model, before, length, generator):
    passages = []
    for _ in range(0, WARM_UP + length, gpt.PIECE):
        context = before
        for _ in range(gpt.PIECE):
            shares = gpt.following(model, context).softmax(dim=1)
            context = torch.cat([context, torch.multinomial(shares, 1, generator=generator)], dim=1)
        passages.append(context[:, gpt.SHORTEST :])
        before = context[:, -gpt.SHORTEST :]
    return torch.cat(passages, dim=1)[:, WARM_UP : WARM_UP + length].to(torch.uint8)


if __name__ == "__main__":
    model = gpt.load(Path(os.environ["RSI_IN"]) / "artifact")
    generator = torch.Generator().manual_seed(int(os.environ["RSI_SEED"]))
    text = write(model, int(os.environ["RSI_STREAMS"]), int(os.environ["RSI_LENGTH"]), generator)
    text.numpy().tofile(Path(os.environ["RSI_OUT"]) / "text.bin")
