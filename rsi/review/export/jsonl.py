"""`--format jsonl`: one record a line, as `docs/schemas/export-1.schema.json` says; ASCII only, `end` comes last."""

from __future__ import annotations

from pathlib import Path

from rsi.review.export.gather import Gathering
from rsi.review.export.outcome import Outcome
from rsi.review.export.records import Exported
from rsi.review.target import new_file


def export(gathering: Gathering, target: Path, *, force: bool) -> Outcome:
    """Write the run's records; UsageError where the target exists, EnvironmentFault where it cannot be written."""
    with new_file(target, force=force) as path, path.open("x", encoding="ascii", newline="\n") as file:
        for record in gathering.lines():
            file.write(line(record) + "\n")
    return gathering.outcome("jsonl", str(target))


def line(record: Exported) -> str:
    """A record as printable ASCII: no character of a hostile text ends a line, steers a terminal, reorders a page."""
    return record.model_dump_json(by_alias=True, ensure_ascii=True).replace("\x7f", "\\u007f")
