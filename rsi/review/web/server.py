"""The pages of `rsi view`: every run of a folder on loopback, read-only, a run that goes on followed as it does."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from rsi import __version__
from rsi.errors import EnvironmentFault, RsiError, UsageError
from rsi.review.findings import RANK
from rsi.review.web import links, pages
from rsi.review.web.compare import MOST, compared
from rsi.review.web.gate import Gate
from rsi.review.web.integrity import broken_off, standing
from rsi.review.web.live import news
from rsi.review.web.overview import notes_of, overview
from rsi.review.web.report import page_data
from rsi.review.web.shelf import Opened, Shelf
from rsi.review.web.story import SERVED, story
from rsi.review.web.table import rows

MOST_FINDINGS = 500
_OF_A_RUN = 200


def application(shelf: Shelf, token: str, port: int, stopping: Callable[[], bool]) -> ASGIApp:
    """What answers requests; `stopping` says whether the server is about to end."""
    site = _Site(shelf, stopping)
    routes = [
        Route("/", site.runs),
        Route("/findings", site.all_findings),
        Route("/compare", site.compare),
        Route("/runs/{run}", site.run),
        Route("/runs/{run}/rows", site.rows),
        Route("/runs/{run}/events", site.events),
        Route("/runs/{run}/findings", site.findings),
        Route("/runs/{run}/integrity", site.integrity),
        Route("/runs/{run}/experiments/{number:int}", site.experiment),
    ]
    handlers: dict[Any, Any] = {404: site.not_here, RsiError: site.problem, Exception: site.problem}
    return Gate(Starlette(routes=routes, exception_handlers=handlers), token, port, pages.policy(served=True))


class _Site:
    """One method a page; what is slow runs in a thread of its own, since none of these is a coroutine."""

    def __init__(self, shelf: Shelf, stopping: Callable[[], bool]) -> None:
        self._shelf = shelf
        self._stopping = stopping
        self._templates = pages.environment()

    def _page(self, template: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
        given = {"served": True, "version": __version__, "page": {}, "run": "", **values}
        text = self._templates.get_template(template).render(given)
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def _refused(self, sentence: str, status: int) -> HTMLResponse:
        return self._page("sentence.jinja", {"sentence": sentence}, status)

    def not_here(self, _request: Request, _error: Exception) -> Response:
        """Any other address."""
        return self._refused("There is no such page.", 404)

    def problem(self, _request: Request, error: Exception) -> Response:
        """What cannot be shown, in a sentence."""
        told = str(error) if isinstance(error, RsiError) else f"{type(error).__name__}: {error}"
        return self._refused(told, 404 if isinstance(error, UsageError) else 500)

    def _opened(self, request: Request) -> tuple[str, Opened]:
        name = request.path_params["run"]
        opened = self._shelf.open(name)
        if opened is None:
            raise UsageError("There is no run of that name here; the list of runs shows those that there are.")
        return name, opened

    def runs(self, _request: Request) -> Response:
        """Every run."""
        listed = [(name, row, links.ViewLinks(name)) for name, row in self._shelf.rows()]
        return self._page("runs.jinja", {"listed": listed, "folder": str(self._shelf.folder), "most": MOST})

    def run(self, request: Request) -> Response:
        """The overview of one."""
        name, opened = self._opened(request)
        own = links.ViewLinks(name)
        problem = opened.reading.problem
        problems = broken_off(opened.reading)
        values = overview(opened.reading, own, problems)
        over = opened.reading.summary.status == "finished" or bool(problem)
        page = page_data(values, own, rows=f"{own.home}/rows", live="" if over else f"{own.home}/events")
        return self._page("run.jinja", {**values, "run": name, "page": page})

    def rows(self, request: Request) -> Response:
        """The table of one, for the page's script."""
        _, opened = self._opened(request)
        return Response(str(pages.data(rows(opened.reading.lines))), media_type="application/json")

    def events(self, request: Request) -> Response:
        """What is new of one, as it comes."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        name, _ = self._opened(request)
        stream = news(self._shelf, name, request, self._stopping)
        return StreamingResponse(stream, media_type="text/event-stream")

    def experiment(self, request: Request) -> Response:
        """One experiment whole."""
        name, opened = self._opened(request)
        reading, number = opened.reading, request.path_params["number"]
        line = next((line for line in reading.lines if line.experiment == number), None)
        if line is None:
            raise UsageError(f"This run has no experiment {number}; it has 0 to {len(reading.lines) - 1}.")
        values = overview(reading, links.ViewLinks(name), ())
        told = story(reading, line, notes_of(reading)[0], SERVED)
        more = {
            "others": opened.others,
            "story": told,
            "room": SERVED,
            "anchor_of": links.where,
            "run": name,
            "page": {},
        }
        return self._page("run_experiment.jinja", {**values, **more})

    def findings(self, request: Request) -> Response:
        """What deserves a look in one."""
        name, opened = self._opened(request)
        found = opened.reading.findings
        values = {
            "run": name,
            "name": name,
            "links": links.ViewLinks(name),
            "anchor_of": links.where,
            "found": found[:MOST_FINDINGS],
            "found_left": max(0, len(found) - MOST_FINDINGS),
        }
        return self._page("run_findings.jinja", values)

    def integrity(self, request: Request) -> Response:
        """Whether the record of one is whole."""
        name = request.path_params["run"]
        report = self._shelf.verified(name)
        if report is None:
            raise UsageError("There is no run of that name here; the list of runs shows those that there are.")
        values = {"run": name, "name": name, "links": links.ViewLinks(name), "report": report}
        values["standing"] = standing(report)
        return self._page("run_integrity.jinja", values)

    def all_findings(self, _request: Request) -> Response:
        """What deserves a look, across runs."""
        found, left_out = [], 0
        for name in self._shelf.folders():
            try:
                opened = self._shelf.open(name)
            except RsiError:
                continue  # the list of runs says what is wrong with it
            if opened is not None:
                own = opened.reading.findings
                left_out += max(0, len(own) - _OF_A_RUN)
                found += [(item, name, links.ViewLinks(name)) for item in own[:_OF_A_RUN]]
        found.sort(key=lambda entry: (-RANK[entry[0].severity], not entry[0].kept, entry[1], entry[0].seq))
        left_out += max(0, len(found) - MOST_FINDINGS)
        values = {"found": found[:MOST_FINDINGS], "left": left_out, "anchor_of": links.where}
        return self._page("all_findings.jinja", values)

    def compare(self, request: Request) -> Response:
        """Runs side by side."""
        names = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 2 <= len(names) <= MOST:
            raise UsageError(f"Choose two to {MOST} runs in the list; then they are shown side by side.")
        chosen = [(name, opened.reading) for name in names if (opened := self._shelf.open(name)) is not None]
        if len(chosen) != len(names):
            raise UsageError("There is no run of that name here; the list of runs shows those that there are.")
        return self._page("compare.jinja", compared(chosen))


def serve(shelf: Shelf, port: int, token: str, ready: Callable[[str], None]) -> None:
    """Answer on 127.0.0.1 until Ctrl-C; `ready` is called with the address once it does.

    EnvironmentFault where the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise EnvironmentFault(f"Port {port} cannot be had: {reason}; give --port another one, or 0.") from None
        actual = listening.getsockname()[1]
        ending = _Ending()
        config = uvicorn.Config(
            application(shelf, token, actual, ending.stopping),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
        ending.server = uvicorn.Server(config)
        ready(f"http://127.0.0.1:{actual}/?token={token}")
        ending.server.run(sockets=[listening])


class _Ending:
    """Whether the server is about to end: then streams of news end too, which it would wait for."""

    server: uvicorn.Server | None = None

    def stopping(self) -> bool:
        return self.server is not None and self.server.should_exit
