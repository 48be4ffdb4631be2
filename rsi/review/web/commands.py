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
    """Write a run, or an evolution, as one web page that needs no network, for a mail or an archive."""
    from rsi import runs
    from rsi.generations.evolution import is_evolution
    from rsi.review.web.generations import write_generations
    from rsi.review.web.report import write_report
    from rsi.review.wording import count, size

    if is_evolution(Path(name)):
        page = write_generations(Path(name), output, force=force)
        if as_json:
            print_json({"schema": 1, **page.model_dump(mode="json")})
        else:
            say(f"{page.path} holds the page of {count(page.generations, 'generation')}, {size(page.bytes)}.")
        return
    written = write_report(runs.find(name), output, force=force)
    if as_json:
        print_json({"schema": 1, **written.model_dump(mode="json")})
        return
    left = written.experiments - written.told
    more = f"; {count(left, 'experiment')} only in its table, to keep it small" if left else ""
    say(f"{written.path} holds the report, {size(written.bytes)}{more}.")
    if written.record == "unchecked":
        say("Not all of the record was derived again, for the run names programs of its own; the page says which.")
    elif written.record == "broken":
        say("The record does not hold; the page says where, and so does `rsi verify`.")


def view(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of runs, or a run; by default RSI_RUNS or runs.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes any that is free.")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show the runs of a folder as web pages on this machine, read-only, following those that go on; Ctrl-C ends it."""
    import secrets
    import webbrowser

    from rsi import runs
    from rsi.review.web.server import serve
    from rsi.review.web.shelf import Shelf

    def ready(address: str) -> None:
        print(address, flush=True)
        say("Open that address in a browser; the token in it is what lets you in. Ctrl-C ends this.")
        if open_:
            webbrowser.open(address)

    shelf = Shelf(folder or runs.runs_folder())
    if not shelf.folders():
        say(f"There is no run in {shelf.folder} yet; the page shows those that come.")
    try:
        serve(shelf, port, secrets.token_urlsafe(24), ready)
    except KeyboardInterrupt:
        say("Ended.")
