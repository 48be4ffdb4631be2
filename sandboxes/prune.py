"""`rsi sandbox prune`: by hand what every start of a sandbox does, and the temporary folders besides."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rsi.records import Record
from rsi.sanitize import for_terminal
from sandboxes import image
from sandboxes.docker.sweep import FoundCell, Standing, remove, survey
from sandboxes.leftovers import LeftFolder, leftover_folders, remove_folder

if TYPE_CHECKING:
    from rich.console import Console

WHY = {
    Standing.LIVING: "its process lives",
    Standing.LEASED: "its process cannot be seen from here, and may live",
    Standing.DEAD: "its process has ended",
    Standing.EXPIRED: "its process cannot be seen from here, and has let go of it",
}


class PruneReport(Record):
    """What was found, and what became of it."""

    dry_run: bool
    removed: tuple[FoundCell, ...]
    """With `dry_run`: what would be."""
    kept: tuple[FoundCell, ...]
    failed: tuple[FoundCell, ...] = ()
    """What the engine did not remove, in whole or in part."""
    folders: tuple[LeftFolder, ...] = ()
    """Temporary folders that went, or would."""


def prune(*, dry_run: bool = False) -> PruneReport:
    """Remove what belongs to no living process: cells at the engine and folders here. Images are never touched.

    EngineLost where no engine answers, EngineForbidden where this user may not use it.
    """
    with closing(image.connect()) as client:
        cells = survey(client.api)
        dead = [cell for cell in cells if cell.standing.removable]
        failed = [] if dry_run else [cell for cell in dead if remove(client.api, cell) < cell.size]
        # Another process may have been at it at the same moment; what is gone is gone.
        still = {cell.cell for cell in survey(client.api)} if failed else set()
    folders = leftover_folders()
    gone = folders if dry_run else tuple(folder for folder in folders if remove_folder(folder))
    left = tuple(cell for cell in failed if cell.cell in still)
    return PruneReport(
        dry_run=dry_run,
        removed=tuple(cell for cell in dead if cell not in left),
        kept=tuple(cell for cell in cells if not cell.standing.removable),
        failed=left,
        folders=gone,
    )


def as_json(report: PruneReport) -> dict[str, object]:
    """The documented shape, version 1."""
    return {"schema": 1, **report.model_dump(mode="json")}


def render(report: PruneReport, console: Console) -> None:
    """A line for each cell and folder, then a sentence."""
    verb = "would remove" if report.dry_run else "removed"
    for word, cells in ((verb, report.removed), ("could not remove", report.failed), ("leaves", report.kept)):
        for cell in cells:
            console.print(f"{word} {_what(cell)}: {WHY[cell.standing]}", markup=False, soft_wrap=True)
    for folder in report.folders:
        size = f"{folder.bytes / 2**20:.0f} MiB"
        console.print(f"{verb} {_shown(folder.path)} ({size}): no process uses it", markup=False, soft_wrap=True)
    if not (report.removed or report.failed or report.folders):
        console.print("Nothing is left over.", markup=False)


def _what(cell: FoundCell) -> str:
    return for_terminal(", ".join((*cell.containers.values(), *cell.volumes)))


def _shown(path: Path) -> str:
    return for_terminal(str(path))
