"""B's half of the prediction protocol: load the candidate's module, ask it once, write down its answer.

`RSI_IN` holds `request.json` ({"module": "train", "shape": [300, 10]}), `code/`, `artifact/` and `inputs/*.npy`. What
`predict(artifact: Path, inputs: dict[str, ndarray])` returns goes to `$RSI_OUT/answer.bin`: little-endian float32 in C
order, of exactly the asked shape. An exception ends the program with status 1 and its traceback; the host trusts
nothing that happens here.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def main() -> None:
    """Answer the one request."""
    # Taken before candidate code runs, which is free to change the environment.
    folder, out = Path(os.environ["RSI_IN"]), Path(os.environ["RSI_OUT"])
    request = json.loads((folder / "request.json").read_text())
    inputs = {path.stem: np.load(path, allow_pickle=False) for path in sorted((folder / "inputs").glob("*.npy"))}
    sys.path.insert(0, str(folder / "code"))
    module = importlib.import_module(request["module"])
    answer = checked(module.predict(folder / "artifact", inputs), tuple(request["shape"]))
    (out / "answer.bin").write_bytes(answer.tobytes())


def checked(answer: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The answer as little-endian float32 in C order; TypeError or ValueError for what is not that array."""
    array = np.asarray(answer)
    if array.dtype.kind != "f":
        raise TypeError(f"predict() must return floating-point numbers, not {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"predict() returned shape {array.shape}, asked for {shape}")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which the verifier rejects
        return np.ascontiguousarray(array, dtype="<f4")


if __name__ == "__main__":
    main()
