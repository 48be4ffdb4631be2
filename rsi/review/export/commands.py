"""The command `rsi export`. Heavy imports happen inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsi.flags import AsJson
from rsi.output import print_json, say

if TYPE_CHECKING:
    from rsi.review.export.outcome import Outcome

FORMATS = ("inspect", "jsonl", "mlflow", "parquet")


def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a beginning of it, a path, or latest.")] = "",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="inspect, jsonl, parquet or mlflow.")] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="TARGET",
            help="inspect: a file .eval or .json; jsonl: a file; parquet: a folder; mlflow: a folder or a store's URI.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of jsonl, no more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hand a run on to other tools: inspect_ai, MLflow, anything that reads Parquet or JSON lines."""
    if schema:
        from rsi.review.export.records import json_schema

        print_json(json_schema())
        return
    from rsi.errors import UsageError
    from rsi.plugins import nearest

    if form not in FORMATS:
        asked = f"There is no format {form!r}" if form else "Say which format with --format"
        raise UsageError(f"{asked}: {nearest(form, FORMATS)}")
    if not name or not output:
        raise UsageError(f"Name a run and where it goes: `rsi export latest --format {form} -o TARGET`.")
    outcome = _export(name, form, output, force=force)
    for problem in outcome.problems:
        say(f"rsi: {problem}; the export says so too.")
    if outcome.going_on:
        say(f"rsi: {outcome.run} is going on; this is the run up to event {outcome.events - 1}.")
    if as_json:
        print_json(outcome)
    else:
        print(_told(outcome))


def _export(name: str, form: str, output: str, *, force: bool) -> Outcome:
    from rsi import runs
    from rsi.review.export.gather import Gathering

    folder = runs.find(name)
    if form == "jsonl":
        from rsi.review import target
        from rsi.review.export import jsonl

        target.check(Path(output), force=force)
        return jsonl.export(Gathering(folder), Path(output), force=force)
    if form == "parquet":
        from rsi.review import target
        from rsi.review.export import parquet

        parquet.require()
        target.check(Path(output), force=force, folder=True)
        return parquet.export(Gathering(folder), Path(output), force=force)
    if form == "inspect":
        from rsi.review import target
        from rsi.review.export import inspect_log

        inspect_log.require(Path(output))
        target.check(Path(output), force=force)
        return inspect_log.export(Gathering(folder), Path(output), force=force)
    from rsi.review.export import mlflow_store

    mlflow_store.require()
    return mlflow_store.export(Gathering(folder), output)


def _told(outcome: Outcome) -> str:
    """One sentence on what was exported, and names that had to change."""
    from rsi.review.wording import count, one_line

    experiments = count(outcome.records.get("experiment", 0), "experiment")
    did = outcome.did or "written"
    told = f"{one_line(outcome.run)}: {experiments}, {count(outcome.events, 'event')}, head {outcome.head}; "
    told += f"{did} as {outcome.format} in {one_line(outcome.target, 1000)}."
    for ours, theirs in outcome.renamed.items():
        told += f"\n  {one_line(ours)!r} is called {one_line(theirs)!r} there"
    return told
