"""Arrays to and from a `.safetensors` file, in NumPy alone: eight bytes of length, a JSON header, the numbers.

Protected: the training code uses it and cannot change it. The format is that of the safetensors library, so that
whoever has that library can read an artifact with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "<i4": "I32", "|u1": "U8"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}


def save(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write named arrays; their folder is made where it is missing."""
    header: dict[str, object] = {}
    body = b""
    for name, array in arrays.items():
        start = len(body)
        body += np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def load(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read what `save` wrote."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            values = np.frombuffer(content[end + start : end + stop], dtype=DTYPES[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"])
    return arrays
