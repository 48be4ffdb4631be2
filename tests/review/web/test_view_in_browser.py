"""`rsi view` in a real browser: a run is followed while it goes on, runs are compared, all of it is accessible."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browsing import Server, grave_violations, sideways, viewing, watched
from conftest import make_run
from playwright.sync_api import expect

from rsi.chain import Event
from rsi.state import RunState

pytestmark = pytest.mark.browser


class Gates:
    """Lets a run go on experiment by experiment."""

    def __init__(self) -> None:
        self.reached = {number: threading.Event() for number in range(7)}
        self.opened = {number: threading.Event() for number in range(7)}

    def listener(self, event: Event, _state: RunState) -> None:
        """Waits before what follows on a proposal until that experiment's gate is open."""
        if event.kind == "experiment.proposed":
            number = event.body["experiment"]
            self.reached[number].set()
            assert self.opened[number].wait(60)


@contextmanager
def under_way(folder: Path, until: int) -> Iterator[tuple[Path, Gates]]:
    """The folder of a real run that is being written and waits at that experiment, and what lets it go on."""
    gates = Gates()
    for number in range(until):
        gates.opened[number].set()
    run = threading.Thread(target=make_run, args=(folder,), kwargs={"listeners": [gates.listener]})
    run.start()
    try:
        assert gates.reached[until].wait(60)
        yield folder / "runs", gates
    finally:
        for gate in gates.opened.values():
            gate.set()
        run.join(60)


def test_a_run_that_goes_on_is_followed_without_loading_the_page_again(chromium: Any, tmp_path: Path) -> None:
    with under_way(tmp_path, 3) as (folder, gates), viewing(folder) as server, watched(chromium) as seen:
        page = seen.page
        page.goto(server.address)
        page.locator("#runs a").click()
        rows = page.locator("#experiments tbody tr")
        expect(rows).to_have_count(4)
        assert page.locator("#facts dd").first.inner_text() == "running"
        assert rows.nth(3).inner_text().split()[1] == "open"
        # What a reader is at stays as it is: what was typed, what has the focus, where the page stands.
        page.evaluate("window.same = true")
        page.select_option("#status", "")
        page.locator("#experiments a", has_text=re.compile(r"^1$")).focus()
        page.evaluate("scrollTo(0, 300)")
        at = "document.activeElement.getBoundingClientRect().top"
        before = page.evaluate(at)
        expect(page.locator("#dots circle")).to_have_count(3)
        for number in (3, 4):
            gates.opened[number].set()
        expect(rows).to_have_count(6)
        expect(page.locator("#dots circle")).to_have_count(5)
        assert "discarded" in rows.nth(3).inner_text()
        assert page.evaluate("[window.same, document.activeElement.textContent]") == [True, "1"]
        assert page.evaluate(at) == pytest.approx(before, abs=1)
        expect(page.locator("#live")).to_have_text("five experiments, 1 kept; running")
        for gate in gates.opened.values():
            gate.set()
        expect(page.locator("#facts dd").first).to_have_text("finished")
        assert page.locator("#experiments .is-kept").count() == 2
        assert page.evaluate("window.same") is True
        assert seen.said == []
        assert all(url.startswith(server.base) for url in seen.requests)


def test_a_run_of_which_nothing_is_scored_yet_gets_its_staircase(chromium: Any, tmp_path: Path) -> None:
    with under_way(tmp_path, 0) as (folder, gates), viewing(folder) as server, watched(chromium) as seen:
        seen.page.goto(server.address)
        seen.page.locator("#runs a").click()
        expect(seen.page.locator("#caption")).to_have_text("Nothing has been scored yet.")
        gates.opened[0].set()
        gates.opened[1].set()
        expect(seen.page.locator("#dots circle")).to_have_count(2)
        expect(seen.page.locator("#caption")).to_have_text("val_loss of every experiment; lower is better.")
        seen.page.locator("#plot").focus()
        seen.page.keyboard.press("End")
        expect(seen.page.locator("#tip")).to_contain_text("experiment 1, kept")
        assert seen.said == []


@pytest.fixture(scope="module")
def server(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two runs."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(pristine, folder / "one")
    shutil.copytree(pristine, folder / "two")
    with viewing(folder) as running:
        yield running


PAGES = ("/", "/findings", "/compare?run=one&run=two", "/runs/one", "/runs/one/findings", "/runs/one/integrity",
         "/runs/one/experiments/3", "/nothing")  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_no_grave_violation_of_accessibility(chromium: Any, server: Server, dark: bool) -> None:
    with watched(chromium, dark=dark) as seen:
        seen.page.goto(server.address)
        for path in PAGES:
            seen.page.goto(server.base + path)
            assert (path, grave_violations(seen.page)) == (path, [])


def test_nothing_scrolls_sideways_on_a_narrow_screen(chromium: Any, server: Server) -> None:
    with watched(chromium, width=360) as seen:
        seen.page.goto(server.address)
        for path in PAGES:
            seen.page.goto(server.base + path)
            assert (path, sideways(seen.page)) == (path, 0)


def test_a_reviewer_filters_runs_compares_two_and_opens_what_was_kept(chromium: Any, server: Server) -> None:
    with watched(chromium) as seen:
        page = seen.page
        page.goto(server.address)
        assert "token" not in page.url
        page.keyboard.press("/")
        page.keyboard.type("two")
        assert page.locator("#runs tbody tr:visible").count() == 1
        page.fill("#sieve", "")
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare").click()
        assert page.locator("path.stairs").count() == 2
        page.locator("li a", has_text=re.compile(r"^6$")).first.click()
        assert "Raise VALUE: nearly there" in page.inner_text(".lead")
        page.keyboard.press("k")
        page.wait_for_url("**/experiments/5")
        page.get_by_role("button", name="Switch to dark colours").click()
        page.keyboard.press("k")
        page.wait_for_url("**/experiments/4")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert seen.said == []


def test_a_finding_across_runs_leads_to_its_place(chromium: Any, server: Server) -> None:
    with watched(chromium) as seen:
        seen.page.goto(server.address)
        seen.page.get_by_role("link", name="Findings").click()
        link = seen.page.locator(".findings li").first.locator("a").last
        link.click()
        seen.page.wait_for_url("**/experiments/5#**")
        expect(seen.page.locator(".target")).to_be_visible()
