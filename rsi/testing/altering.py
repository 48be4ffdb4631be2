"""What an attacker with the run folder can do: change events and hash the chain again, as the ledger would have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Events = list[dict[str, Any]]


def load(folder: Path) -> Events:
    """The events of a ledger as plain values."""
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def store(folder: Path, events: Events) -> None:
    """Number and hash them anew, and write them."""
    previous, lines = "0" * 64, []
    for seq, event in enumerate(events):
        fields = {key: value for key, value in event.items() if key != "hash"} | {"seq": seq, "previous": previous}
        previous = hashlib.sha256(_canonical(fields).encode()).hexdigest()
        lines.append(_canonical(fields | {"hash": previous}) + "\n")
    (folder / "ledger.jsonl").write_text("".join(lines))


def alter(folder: Path, change: Callable[[Events], None]) -> None:
    """Change the events in place, then hash the chain again."""
    events = load(folder)
    change(events)
    store(folder, events)


def find(events: Events, kind: str, **fields: Any) -> int:
    """The first event of that kind whose body has those fields."""
    return next(
        i for i, x in enumerate(events) if x["kind"] == kind and all(x["body"][k] == v for k, v in fields.items())
    )


def _canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
