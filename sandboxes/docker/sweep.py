"""Removes what killed processes left at the engine: containers and volumes whose owner no longer lives."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rsi.errors import EnvironmentFault
from sandboxes.docker import owner
from sandboxes.docker.engine import translated
from sandboxes.place import Gone

FOREIGN_GRACE_SECONDS = 3600.0


def sweep(api: Any, owner_alive: Callable[[str], bool | None] = owner.is_alive) -> int:
    """Remove every cell whose owner is gone; returns how many containers and volumes went.

    Where an owner's life cannot be seen from here (`None`), a cell goes only when none of its containers runs and
    it was made over an hour ago: a living owner's cell always has a running holder by then.
    """
    with translated():
        containers = api.containers(all=True, filters={"label": owner.OWNER_LABEL})
        volumes = (api.volumes(filters={"label": owner.OWNER_LABEL}) or {}).get("Volumes") or []
    cells: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for thing in (*containers, *volumes):
        labels = thing.get("Labels") or {}
        cells[labels[owner.OWNER_LABEL], labels.get(owner.CELL_LABEL, "")].append(thing)
    alive = {name: owner_alive(name) for name, _ in cells}
    removed = 0
    for (name, _), things in cells.items():
        if alive[name] is False or (alive[name] is None and _abandoned(things)):
            # Containers first: a volume that is in use cannot go.
            removed += sum(_remove(api, thing) for thing in sorted(things, key=lambda thing: "Id" not in thing))
    return removed


def _abandoned(things: list[dict[str, Any]]) -> bool:
    running = any(thing.get("State") in ("running", "paused", "restarting") for thing in things)
    return not running and all(_age(thing) > FOREIGN_GRACE_SECONDS for thing in things)


def _age(thing: dict[str, Any]) -> float:
    """Seconds since a container or a volume was made, by the engine's clock and ours."""
    if "Id" in thing:
        return time.time() - float(thing["Created"])
    try:
        made = datetime.fromisoformat(thing["CreatedAt"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - made).total_seconds()


def _remove(api: Any, thing: dict[str, Any]) -> bool:
    with contextlib.suppress(Gone, EnvironmentFault), translated():
        if "Id" in thing:
            api.remove_container(thing["Id"], force=True)
        else:
            api.remove_volume(thing["Name"], force=True)
        return True
    return False
