"""What is new of a run that goes on, as server-sent events: looked for twice a second, read only when it changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from rsi.errors import RsiError
from rsi.records import Direction
from rsi.review.improvement import how_sure, sentences
from rsi.review.web.chart import staircase
from rsi.review.web.overview import facts
from rsi.review.web.pages import data
from rsi.review.web.shelf import Opened, Shelf, Stamp, stamp_of
from rsi.review.web.table import row
from rsi.review.wording import count
from rsi.sanitize import for_page

EVERY_SECONDS = 0.5
_QUIET_ROUNDS = 30
"""After so many without news a comment is sent, so that nobody in between takes the connection for dead."""
_FIRST_ROWS = 500
"""Rows that the first message holds: the page loads the whole table beside it, and older ones have been closed."""


class _Told:
    """What one page has been told so far."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Any]] | None = None

    def news(self, opened: Opened) -> str:
        reading = opened.reading
        summary = reading.summary
        rows = {line.experiment: row(line) for line in reading.lines}
        known = self._rows
        new = list(rows.values())[-_FIRST_ROWS:] if known is None else [r for n, r in rows.items() if known.get(n) != r]
        self._rows = rows
        chart = staircase(reading.points, summary.baseline.metric, Direction(summary.direction))
        words = f"{count(summary.experiments, 'experiment')}, {summary.kept} kept; {summary.status}"
        value = {
            "sure": how_sure(summary),
            "sentences": sentences(summary),
            "facts": facts(summary),
            "rows": new,
            "chart": chart and chart.model_dump(mode="json"),
            "words": words if known is not None else "",
            "over": summary.status == "finished",
        }
        return _message("news", str(data(value)))


async def news(shelf: Shelf, name: str, request: Request, stopping: Callable[[], bool]) -> AsyncIterator[str]:
    """Messages until the run is over, the page is gone or the server stops."""
    told, stamp, quiet = _Told(), None, 0
    while not stopping() and not await request.is_disconnected():
        try:
            now = await run_in_threadpool(_stamp, shelf, name)
            if now is None:
                return
            if now != stamp:
                opened = await run_in_threadpool(shelf.open, name)
                if opened is None:
                    return
                stamp, quiet = opened.stamp, 0
                yield await run_in_threadpool(told.news, opened)
                if opened.reading.summary.status == "finished":
                    return
        except RsiError as error:
            yield _message("broken", json.dumps(for_page(str(error))))
            return
        quiet += 1
        if quiet % _QUIET_ROUNDS == 0:
            yield ": still here\n\n"
        await asyncio.sleep(EVERY_SECONDS)


def _stamp(shelf: Shelf, name: str) -> Stamp | None:
    folder = shelf.folders().get(name)
    return None if folder is None else stamp_of(folder)


def _message(kind: str, text: str) -> str:
    """Data is one line: in JSON a line end is written as an escape."""
    return f"event: {kind}\ndata: {text}\n\n"
