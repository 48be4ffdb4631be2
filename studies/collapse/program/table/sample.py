"""Write text with a trained model: `artifact/model.safetensors` in, `text.bin` out. Runs in a sandbox."""

import os
from pathlib import Path

import numpy as np
import table
import tensors

WARM_UP = 32  # bytes that each stream writes, from blank lines on, before what it writes is kept


def write(model, streams, length, generator):
    """Streams of text, uint8 (streams, length), drawn from the model as it is: no temperature, nothing cut off."""
    contexts = table.numbered(np.full((streams, table.CONTEXT), ord("\n")))
    written = np.empty((streams, length), np.uint8)
    for place in range(-WARM_UP, length):
        following = table.draw(model, contexts, generator)
        contexts = (contexts * table.VOCABULARY + following) % table.VOCABULARY**table.CONTEXT
        if place >= 0:
            written[:, place] = following
    return written


if __name__ == "__main__":
    weights = tensors.load(Path(os.environ["RSI_IN"]) / "artifact" / "model.safetensors")
    streams, length = int(os.environ["RSI_STREAMS"]), int(os.environ["RSI_LENGTH"])
    text = write(table.levels(weights), streams, length, np.random.default_rng(int(os.environ["RSI_SEED"])))
    text.tofile(Path(os.environ["RSI_OUT"]) / "text.bin")
