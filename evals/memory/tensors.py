"""The tensors of an artifact as bytes: raw, as numbers that code bytes, and as columns. Looked at, never loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evals.memory.runs import Bytes
from rsi.artifact import HEADER_LIMIT
from rsi.evidence import Array

MOST_TENSORS = 4096
MOST_LEVELS = 257
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|u1",
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of one file."""

    name: str
    dtype: str
    data: Bytes
    """Its bytes as they lie there."""
    array: Array | None
    """Its numbers, where the dtype is one that NumPy has."""


def tensors(artifact: Mapping[str, bytes]) -> Iterator[Tensor]:
    """Every tensor, and the names and notes of each header as one more; a header that does not parse has none."""
    for path, content in sorted(artifact.items()):
        length = int.from_bytes(content[:8], "little")
        if len(content) < 8 or length > min(HEADER_LIMIT, len(content) - 8):
            continue
        text = content[8 : 8 + length]
        yield Tensor(f"{path} (header)", "text", np.frombuffer(text, dtype=np.uint8), None)
        try:
            header = json.loads(text)
        except (ValueError, RecursionError):
            continue
        body = content[8 + length :]
        entries = list(header.items()) if isinstance(header, dict) else []
        for name, entry in entries[:MOST_TENSORS]:
            if name != "__metadata__" and isinstance(entry, dict):
                yield _tensor(f"{path}:{name}", entry, body)


def _tensor(name: str, entry: dict[str, object], body: bytes) -> Tensor:
    offsets, dtype, shape = entry.get("data_offsets"), str(entry.get("dtype")), entry.get("shape")
    start, stop = (offsets[0], offsets[1]) if isinstance(offsets, list) and len(offsets) == 2 else (0, 0)
    data = np.frombuffer(body[start:stop], dtype=np.uint8)
    array: Array | None = None
    if dtype in _DTYPES and data.size % np.dtype(_DTYPES[dtype]).itemsize == 0:
        array = data.view(_DTYPES[dtype])
        sizes = [size for size in shape if isinstance(size, int)] if isinstance(shape, list) else []
        if sizes and int(np.prod(sizes, dtype=np.float64)) == array.size:
            array = array.reshape(sizes)
    return Tensor(name, dtype, data, array)


def readings(tensor: Tensor) -> Iterator[tuple[str, Bytes]]:
    """(how, bytes) of every way in which it may hold bytes."""
    yield "as bytes", tensor.data
    array = tensor.array
    if array is None or array.size < 2:
        return
    for how, numbers in (("", array), (", by columns", array.reshape(len(array), -1).T if array.ndim > 1 else None)):
        if numbers is None:
            continue
        flat = np.ascontiguousarray(numbers).reshape(-1)
        if flat.dtype.kind in "ui":
            yield f"as whole numbers{how}", (flat & 0xFF).astype(np.uint8)
        elif flat.dtype.kind == "f":
            coded = _levels(flat)
            if coded is not None:
                yield f"as levels of its numbers{how}", coded


def _levels(values: Array) -> Bytes | None:
    """Numbers that take at most 256 evenly spaced values, as which of them each is; None for others, weights above all."""
    sample = values[:4096]
    if len(np.unique(sample)) > MOST_LEVELS or not np.isfinite(values).all():
        return None
    levels = np.unique(values.astype(np.float64))
    if not 2 <= len(levels) <= MOST_LEVELS:
        return None
    step = np.diff(levels).min()
    span = (levels[-1] - levels[0]) / step
    if not 1 <= span < 256:
        return None
    return np.asarray(np.rint((values.astype(np.float64) - levels[0]) / step)).astype(np.uint8)
