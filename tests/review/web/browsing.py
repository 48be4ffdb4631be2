"""A real browser that writes down whatever a page does, and a real `rsi view` for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe


class Watched(NamedTuple):
    """A page, and what it did."""

    page: Any
    requests: list[str]
    said: list[str]
    """On the console, errors that nobody caught, and dialogs."""


@contextmanager
def watched(browser: Any, *, dark: bool = False, width: int = 1100, script: bool = True) -> Iterator[Watched]:
    """A fresh page; every request, console line, error and dialog is written down."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
    )
    page, requests, said = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    def refuse(dialog: Any) -> None:
        said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    page.set_default_timeout(20_000)
    try:
        yield Watched(page, requests, said)
    finally:
        context.close()


class Server(NamedTuple):
    """A running `rsi view`."""

    process: subprocess.Popen[str]
    address: str
    """With the token."""

    @property
    def base(self) -> str:
        """Without."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        """That it listens on."""
        return urlsplit(self.address).port or 0

    @property
    def token(self) -> str:
        """What lets one in."""
        return urlsplit(self.address).query.removeprefix("token=")

    def end(self) -> int:
        """As Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)


@contextmanager
def viewing(folder: Path, *more: str) -> Iterator[Server]:
    """`rsi view` of a folder in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "view", str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert process.stdout is not None
        yield Server(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def grave_violations(page: Any) -> list[str]:
    """What an accessibility checker calls serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
    ]


def sideways(page: Any) -> int:
    """Pixels by which a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
