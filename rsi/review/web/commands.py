"""The commands `rsi report` and `rsi view`. Heavy imports happen inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsi.flags import AsJson, RunName
from rsi.output import print_json, say


def report(
    name: RunName,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run as one web page that needs no network, for a mail or an archive."""
    from rsi import runs
    from rsi.review.web.report import write_report
    from rsi.review.wording import count, size

    written = write_report(runs.find(name), output, force=force)
    if as_json:
        print_json({"schema": 1, **written.model_dump(mode="json")})
        return
    left = written.experiments - written.told
    more = f"; {count(left, 'experiment')} only in its table, to keep it small" if left else ""
    say(f"{written.path} holds the report, {size(written.bytes)}{more}.")
    if not written.holds:
        say("The record does not hold; the page says where, and so does `rsi verify`.")
