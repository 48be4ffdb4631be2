"""Proposals of an earlier run, or a folder of patches, one after another."""

from __future__ import annotations

from pathlib import Path

from rsi.errors import UsageError
from rsi.protocols import Exhausted
from rsi.records import Brief, Edit, EditFormat, Proposal, Provenance

_PATCHES = (".patch", ".diff")
_RATIONALE_LINES = 20


class Replay:
    """The n-th proposal is the n-th of `source`: a run folder, or a folder of `*.patch` and `*.diff` files.

    A patch's rationale is what stands above its first file header, `#` taken away. A patch is applied to the
    incumbent of its turn, so one that built on a change that is not kept this time is refused and the run goes on.
    """

    name = "replay"

    def __init__(self, source: str) -> None:
        folder = Path(source)
        if not folder.is_dir():
            raise UsageError(f"{source} is not a folder; name a run folder, or one with *.patch or *.diff files.")
        self._folder = folder
        self._is_run = (folder / "ledger.jsonl").is_file()
        self._recorded = _of_run(folder) if self._is_run else ()
        self._patches = sorted((p for p in folder.iterdir() if p.suffix in _PATCHES), key=lambda path: path.name)
        if not self._is_run and not self._patches:
            raise UsageError(
                f"{source} holds neither a run (ledger.jsonl) nor *.patch or *.diff files; name one that does."
            )

    def propose(self, brief: Brief) -> Proposal:
        """The proposal of that number; Exhausted behind the last one."""
        index = brief.turn - 1
        if self._is_run:
            if index >= len(self._recorded):
                raise Exhausted(f"Every proposal of {self._folder.name} has been replayed.")
            return self._recorded[index]
        if index >= len(self._patches):
            raise Exhausted(f"All {len(self._patches)} patches of {self._folder.name} have been proposed.")
        return _read_patch(self._patches[index])


def _of_run(folder: Path) -> tuple[Proposal, ...]:
    """All of them, before anything is trained: a run that is broken or proposed nothing is told at once."""
    # Imported here: reading a run knows the ledger and the blobs, which a folder of patches has no need of.
    from rsi.runs import read_proposals  # noqa: PLC0415

    found = tuple(read_proposals(folder))
    if not found:
        raise UsageError(f"The run {folder.name} proposed nothing that could be replayed; name another one.")
    return found


def _read_patch(path: Path) -> Proposal:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}.") from None
    if not text.strip():
        raise UsageError(f"{path} is empty; write a unified diff into it, or remove it.")
    return Proposal(
        edit=Edit(format=EditFormat.UNIFIED_DIFF, text=text),
        rationale=_rationale(text) or f"The patch {path.name}",
        kind="patch",
        detail={"name": path.name},
        provenance=Provenance(proposer=Replay.name),
    )


def _rationale(text: str) -> str:
    lines = []
    for line in text.splitlines()[:_RATIONALE_LINES]:
        if line.startswith(("--- ", "diff ", "index ", "@@")):
            break
        lines.append(line.strip().lstrip("#").strip())
    printable = "".join(character if character.isprintable() else " " for character in " ".join(lines))
    return " ".join(printable.split())
