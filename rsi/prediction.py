"""The host's side of the prediction protocol: files for a fresh B, and its one array back.

What stands on the wire is described in `docs/prediction-protocol.md`. Bytes from B are never parsed: their number is
checked, then they are taken as numbers. Arrays of our own (inputs, kept scores) travel as `.npy`.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping

import numpy as np

from rsi.evidence import Array, Challenge
from rsi.records import CodeFiles

ANSWER = "answer.bin"
LARGEST_HEADER = 1024
LARGEST_EMPTY = 1 << 20
"""Product of the other sizes of an array that holds nothing: a mean over its empty axis has so many numbers."""
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<|](?:b1|[iu][1248]|f[248]))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}(?:, ?|(?=\))))*)\),? *\} *\n?"
)
"""What `numpy.save` writes for plain numbers, and nothing else that Python would read there."""


class MalformedAnswer(Exception):
    """B ended without leaving exactly the bytes that were asked for; the message says how."""


def job_inputs(
    code: CodeFiles,
    protected: CodeFiles,
    artifact: Mapping[str, bytes],
    challenge: Challenge,
    *,
    module: str = "train",
) -> dict[str, bytes]:
    """Every input file of a predict job, by path.

    Args:
        code: the candidate's editable files.
        protected: the task's protected files; they win where a path is in both.
        artifact: what training left, by file name.
        challenge: whose inputs B must answer; the context stays here.
        module: the candidate's module that offers `predict`.
    """
    request = {"module": module, "shape": list(challenge.answer_shape)}
    inputs = {f"code/{path}": text.encode() for path, text in {**code, **protected}.items()}
    inputs |= {f"artifact/{name}": content for name, content in artifact.items()}
    inputs |= {f"inputs/{name}.npy": encode_array(array) for name, array in challenge.inputs.items()}
    inputs["request.json"] = json.dumps(request).encode()
    return inputs


def read_answer(outputs: Mapping[str, bytes], challenge: Challenge) -> Array:
    """The answer as float32 of the asked shape, read-only; MalformedAnswer for anything but one file of that length.

    Values are not looked at: what a NaN means is the verifier's business.
    """
    if ANSWER not in outputs:
        raise MalformedAnswer(f"The prediction for {challenge.name!r} left no {ANSWER}.")
    extra = sorted(set(outputs) - {ANSWER})
    if extra:
        raise MalformedAnswer(
            f"The prediction for {challenge.name!r} left {len(extra)} more file(s); only {ANSWER} may be there."
        )
    content = outputs[ANSWER]
    expected = 4 * math.prod(challenge.answer_shape)
    if len(content) != expected:
        raise MalformedAnswer(
            f"The prediction for {challenge.name!r} holds {len(content)} bytes instead of the {expected} of a float32 "
            f"array of shape {challenge.answer_shape}."
        )
    return np.frombuffer(content, dtype="<f4").reshape(challenge.answer_shape)


def encode_array(array: Array) -> bytes:
    """An array as the bytes of a `.npy` file; TypeError for one that holds objects."""
    if array.dtype.hasobject:
        raise TypeError("an array of Python objects cannot be stored; convert it to numbers first")
    buffer = io.BytesIO()
    # Not ascontiguousarray, which would turn a scalar into an array of one.
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def decode_array(content: bytes) -> Array:
    """The array in the bytes of a `.npy` file, read-only; ValueError for anything that is not exactly one.

    The header is matched, not evaluated, and nothing is allocated for what it merely claims: the claim must agree with
    the bytes that are there.
    """
    start = len(MAGIC) + 2
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    header = HEADER.fullmatch(content[start:end]) if content.startswith(MAGIC) and end <= LARGEST_HEADER else None
    if header is None:
        raise ValueError("this is no plain .npy array (version 1.0, booleans, integers or floats)")
    dtype, body = np.dtype(header[1].decode()), content[end:]
    shape = tuple(int(size) for size in header[3].split(b",") if size.strip())
    if not body and math.prod(size for size in shape if size) > LARGEST_EMPTY:
        raise ValueError(f"the array claims shape {shape}, though it holds nothing")
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"the array claims shape {shape} of {dtype}, but {len(body)} bytes follow its header")
    return np.frombuffer(body, dtype=dtype).reshape(shape, order="F" if header[2] == b"True" else "C")
