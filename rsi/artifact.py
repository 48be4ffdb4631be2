"""What training may leave behind: safetensors files and nothing else. Looked at, never loaded.

The layout is checked as far as it can be without trust: length of the header, a flat JSON object, tensors that lie
inside the file. Weights themselves are opaque bytes to the host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

HEADER_LIMIT = 256 * 1024


def problem(outputs: Mapping[str, bytes]) -> str | None:
    """What is wrong with an artifact, as half a sentence; None where nothing is."""
    if not outputs:
        return "training left no .safetensors file in RSI_OUT"
    for path, data in sorted(outputs.items()):
        if not path.endswith(".safetensors"):
            return f"{path!r} is not a .safetensors file"
        wrong = _header_problem(data)
        if wrong:
            return f"{path!r} is not a valid safetensors file: {wrong}"
    return None


def _header_problem(data: bytes) -> str | None:
    if len(data) < 8:
        return "it is shorter than its header"
    length = int.from_bytes(data[:8], "little")
    if length > HEADER_LIMIT or length > len(data) - 8:
        return "its header is longer than allowed"
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return "its header is not JSON"
    if not isinstance(header, dict):
        return "its header is not an object"
    room = len(data) - 8 - length
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not (
            isinstance(offsets, list)
            and len(offsets) == 2
            and all(type(offset) is int for offset in offsets)
            and 0 <= offsets[0] <= offsets[1] <= room
        ):
            return "a tensor lies outside the file"
    return None
