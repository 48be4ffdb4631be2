"""Train the model: `data/rows.bin` in, `model.safetensors` out. Runs in a sandbox."""

import os
from pathlib import Path

import numpy as np
import table
import tensors

if __name__ == "__main__":
    rows = np.fromfile(Path(os.environ["RSI_DATA"]) / "rows.bin", dtype=np.uint8)
    weights = table.count(rows.reshape(-1, int(os.environ["RSI_ROW"])))
    tensors.save(Path(os.environ["RSI_OUT"]) / "model.safetensors", weights)
