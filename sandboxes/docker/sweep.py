"""What killed processes left at the engine: found by label, told from what is alive, and removed.

A cell belongs to the process that its label names. One that is alive keeps its cells, one that is dead loses them.
Where that cannot be told from here, the lease decides. A cell's holder lives exactly as long as its owner holds the
holder's standard input open; the engine sees that connection end with the owner, wherever the owner was: the kernel
closes the socket, or across a network the keep-alive does. So a cell whose holder has ended, and whose making must be
over by now, is nobody's. What bears no label of ours is never looked at.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from rsi.errors import EnvironmentFault
from rsi.records import Record
from sandboxes.docker import owner
from sandboxes.docker.engine import translated
from sandboxes.docker.policy import LEASE_LABEL
from sandboxes.place import Gone

MAKING_SECONDS = 600.0
"""By the engine's clock; a living owner's cell has a running holder long before."""
UP = ("running", "paused", "restarting")


class Standing(StrEnum):
    """Whose a cell is."""

    LIVING = "living"
    """Of a process that lives."""
    LEASED = "leased"
    """Of a process that cannot be seen from here; its lease has not run out."""
    DEAD = "dead"
    """Of a process that has ended."""
    EXPIRED = "expired"
    """Of a process that cannot be seen from here and no longer holds its lease."""

    @property
    def removable(self) -> bool:
        """Whether nobody needs it any more."""
        return self in (Standing.DEAD, Standing.EXPIRED)


class FoundCell(Record):
    """The containers and volumes of one cell, as the engine tells them."""

    owner: str
    cell: str
    standing: Standing
    containers: dict[str, str]
    """Id → name."""
    volumes: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many things of the engine's it is."""
        return len(self.containers) + len(self.volumes)


def sweep(api: Any, owner_alive: Callable[[str], bool | None] = owner.is_alive) -> int:
    """Remove every cell that is nobody's; returns how many containers and volumes went."""
    return sum(remove(api, cell) for cell in survey(api, owner_alive) if cell.standing.removable)


def survey(api: Any, owner_alive: Callable[[str], bool | None] = owner.is_alive) -> tuple[FoundCell, ...]:
    """Every cell at the engine, this process's and other people's of this program included."""
    with translated():
        containers = api.containers(all=True, filters={"label": owner.OWNER_LABEL})
        volumes = (api.volumes(filters={"label": owner.OWNER_LABEL}) or {}).get("Volumes") or []
        now = _instant(api.info().get("SystemTime")) or time.time()
    cells: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for thing in (*containers, *volumes):
        labels = thing.get("Labels") or {}
        cells[labels[owner.OWNER_LABEL], labels.get(owner.CELL_LABEL, "")].append(thing)
    alive = {name: owner_alive(name) for name, _ in cells}
    return tuple(
        FoundCell(
            owner=name,
            cell=cell,
            standing=_standing(alive[name], things, now),
            containers={thing["Id"]: (thing.get("Names") or ["?"])[0].lstrip("/") for thing in things if "Id" in thing},
            volumes=tuple(thing["Name"] for thing in things if "Id" not in thing),
        )
        for (name, cell), things in sorted(cells.items(), key=lambda item: item[0])
    )


def remove(api: Any, cell: FoundCell) -> int:
    """Remove what can be removed of a cell; how many containers and volumes went."""
    # Containers first: a volume that is in use cannot go.
    gone = [_try(api.remove_container, container, force=True) for container in cell.containers]
    gone += [_try(api.remove_volume, volume, force=True) for volume in cell.volumes]
    return sum(gone)


def _standing(alive: bool | None, things: list[dict[str, Any]], now: float) -> Standing:
    if alive is not None:
        return Standing.LIVING if alive else Standing.DEAD
    made = [_made(thing) for thing in things]
    if any(when is None or now - when <= MAKING_SECONDS for when in made):
        return Standing.LEASED
    containers = [thing for thing in things if "Id" in thing]
    # Cells of earlier versions have holders that bear no lease: of those, anything that runs counts.
    holders = [thing for thing in containers if LEASE_LABEL in (thing.get("Labels") or {})] or containers
    return Standing.LEASED if any(thing.get("State") in UP for thing in holders) else Standing.EXPIRED


def _made(thing: dict[str, Any]) -> float | None:
    """When a container or a volume was made, by the engine's clock; None where it does not say."""
    return float(thing["Created"]) if "Id" in thing else _instant(thing.get("CreatedAt"))


def _instant(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _try(act: Callable[..., object], name: str, *, force: bool) -> bool:
    with contextlib.suppress(Gone, EnvironmentFault), translated():
        act(name, force=force)
        return True
    return False
