"""The host's side of the prediction protocol: files for a fresh B, and its one array back.

What stands on the wire is described in `docs/prediction-protocol.md`. Bytes from B are never parsed: their number is
checked, then they are taken as numbers. Arrays of our own (inputs, kept scores) travel as `.npy`.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping

import numpy as np

from rsi.evidence import Array, Challenge
from rsi.records import CodeFiles

ANSWER = "answer.bin"
LARGEST_HEADER = 1024
"""Bytes of a `.npy` header; it is a literal that NumPy evaluates, so a long one is refused unread."""


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
            f"The prediction for {challenge.name!r} left {len(extra)} file(s) beside {ANSWER}; only that one may be there."
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

    Allocates nothing for what a header merely claims: the claim must match the bytes that are there.
    """
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("the array is not in version 1.0 of the .npy format; write it with encode_array")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=LARGEST_HEADER)
    if dtype.kind not in "biuf":
        raise ValueError(f"the array holds {dtype}; only booleans, integers and floats are stored")
    body = content[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"the array claims shape {shape} of {dtype}, but {len(body)} bytes follow its header")
    return np.frombuffer(body, dtype=dtype).reshape(shape, order="F" if fortran else "C")
