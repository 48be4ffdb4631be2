"""A report from a double click: what a reviewer does with it in a real browser, and that it loads nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import grave_violations, sideways, watched
from playwright.sync_api import expect

from rsi.blobs import Blobs
from rsi.redaction import Redactor
from rsi.review import notes
from rsi.review.web.report import write_report
from rsi.testing.altering import load, store

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with one of each outcome, a finding at a diff's line and one at a stream's, and a note."""
    folder = tmp_path_factory.mktemp("report")
    run = Path(shutil.copytree(pristine, folder / pristine.name))
    stdout = Blobs(run / "blobs", Redactor.none()).put(b"".join(b"step %d loss 1.5\n" % n for n in range(1, 900)))
    events = load(run)
    trained = next(e for e in events if e["kind"] == "trial.trained" and e["body"]["trial"].startswith("3."))
    trained["body"]["stdout"], trained["body"]["course"] = stdout, None
    trained["body"]["findings"] = [
        {
            "severity": "critical",
            "code": "tests.diff",
            "message": "a line of the diff",
            "pointer": "diff:5 (train.py:1)",
        },
        {"severity": "warning", "code": "tests.stream", "message": "a printed line", "pointer": "stdout:600"},
    ]
    store(run, events)
    head, number = events[-1]["hash"], len(events)
    notes.write(run, notes.Note(experiment=3, text="odd", mark="suspicious", author="me", head=head, events=number))
    write_report(run, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def opened(chromium: Any, report: Path) -> Iterator[Any]:
    """The report in a page; that nothing but the file was asked for is checked at the end."""
    with watched(chromium) as seen:
        seen.page.goto(report.as_uri())
        yield seen.page
        assert {url.partition("#")[0] for url in seen.requests} == {report.as_uri()}
        assert seen.said == []


def numbers(page: Any) -> list[str]:
    """Experiments in the table, as it shows them."""
    return list(page.locator("#experiments tbody tr td:first-child").all_inner_texts())


def test_the_overview_says_what_is_claimed_and_draws_every_experiment(opened: Any) -> None:
    assert "val_loss on the holdout fell" in opened.locator("#overview .claim .first").inner_text()
    assert opened.locator("#dots circle").count() == 7
    assert opened.locator(".page:visible").count() == 1
    assert numbers(opened) == [str(n) for n in range(7)]


def test_the_table_searches_filters_and_sorts(opened: Any) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("too far")
    assert numbers(opened) == ["3"]
    assert "1 of 7" in opened.locator("#shown").inner_text()
    opened.fill("#search", "")
    opened.select_option("#status", "kept")
    assert numbers(opened) == ["1", "6"]
    opened.select_option("#status", "")
    opened.select_option("#severity", "critical")
    assert numbers(opened) == ["3", "5"]
    opened.select_option("#severity", "")
    opened.get_by_role("button", name="gain").click()
    assert numbers(opened)[0] == "1"
    assert opened.locator("th[data-column='3']").get_attribute("aria-sort") == "descending"
    opened.get_by_role("button", name="gain").click()
    assert numbers(opened)[0] == "3"


def test_an_experiment_opens_from_the_table_and_the_back_button_leaves_it(opened: Any) -> None:
    opened.locator("#experiments a", has_text=re.compile(r"^3$")).click()
    expect(opened.locator("#experiment-3")).to_be_visible()
    expect(opened.locator("#overview")).not_to_be_visible()
    assert "Raise VALUE: too far" in opened.locator("#experiment-3 .lead").inner_text()
    assert "marked suspicious by me" in opened.locator("#experiment-3 .note").inner_text()
    opened.go_back()
    expect(opened.locator("#overview")).to_be_visible()


def test_a_finding_leads_to_its_line_of_the_diff(opened: Any) -> None:
    opened.get_by_role("link", name="Findings").click()
    opened.get_by_role("link", name="diff:5 (train.py:1)").click()
    line = opened.locator("#e3-diff-5")
    expect(line).to_contain_class("target")
    assert "VALUE = 9.0" in line.inner_text()
    assert line.evaluate("e => e.getBoundingClientRect().top >= 0 && e.getBoundingClientRect().bottom <= innerHeight")


def test_a_finding_leads_to_its_line_of_the_output_though_the_middle_is_cut(opened: Any) -> None:
    opened.get_by_role("link", name="Findings").click()
    opened.get_by_role("link", name="stdout:600").click()
    line = opened.locator(".l.target")
    expect(line).to_be_visible()
    assert line.inner_text().split() == ["600", "step", "600", "loss", "1.5"]
    assert "lines left out: rsi show" in opened.locator("#experiment-3 .stream").first.inner_text()


def test_dark_is_a_button_away(opened: Any) -> None:
    def paper() -> str:
        return str(opened.evaluate("getComputedStyle(document.body).backgroundColor"))

    before = paper()
    opened.get_by_role("button", name="Switch to dark colours").click()
    assert paper() != before
    opened.get_by_role("button", name="Switch to light colours").click()
    assert paper() == before


def test_keys_go_through_all_of_it(opened: Any) -> None:
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the content"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "main"
    opened.keyboard.press("j")
    opened.keyboard.press("j")
    assert opened.evaluate("document.activeElement.textContent") == "1"
    opened.keyboard.press("Enter")
    expect(opened.locator("#experiment-1")).to_be_visible()
    opened.keyboard.press("j")
    expect(opened.locator("#experiment-2")).to_be_visible()
    opened.keyboard.press("k")
    opened.keyboard.press("k")
    expect(opened.locator("#experiment-0")).to_be_visible()
    opened.keyboard.press("/")
    expect(opened.locator("#search")).to_be_focused()


def test_the_staircase_answers_to_arrows_and_to_the_pointer(opened: Any) -> None:
    opened.locator("#plot").focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowRight")
    plot = opened.locator("#plot")
    assert plot.get_attribute("aria-valuetext").startswith("experiment 1, kept: val_loss")
    assert opened.locator("#tip").inner_text() == plot.get_attribute("aria-valuetext")
    dot = opened.locator("#dots circle").nth(3).bounding_box()
    opened.mouse.move(dot["x"] + 2, dot["y"] + 2)
    assert opened.locator("#tip").inner_text().startswith("experiment 3, discarded")
    opened.mouse.click(dot["x"] + 2, dot["y"] + 2)
    expect(opened.locator("#experiment-3")).to_be_visible()


@pytest.mark.parametrize("anchor", ["", "#experiment-3", "#findings", "#integrity", "#e3-t3.1-train"])
def test_nothing_scrolls_sideways_on_a_narrow_screen(chromium: Any, report: Path, anchor: str) -> None:
    with watched(chromium, width=360) as seen:
        seen.page.goto(report.as_uri() + anchor)
        assert sideways(seen.page) == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("anchor", ["", "#experiment-3", "#e3-t3.1-train", "#findings", "#integrity"])
def test_no_grave_violation_of_accessibility(chromium: Any, report: Path, anchor: str, dark: bool) -> None:
    with watched(chromium, dark=dark) as seen:
        seen.page.goto(report.as_uri() + anchor)
        assert grave_violations(seen.page) == []


def test_paper_holds_what_is_folded_on_the_screen(chromium: Any, report: Path) -> None:
    with watched(chromium) as seen:
        seen.page.goto(report.as_uri())
        seen.page.emulate_media(media="print")
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        text = seen.page.inner_text("main")
        assert "step 1 loss 1.5" in text
        assert "Raise VALUE: nearly there" in text
        seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert seen.page.locator("details[open]").count() == 0


def test_printing_opens_what_is_folded_and_begins_a_page_for_every_experiment(chromium: Any, report: Path) -> None:
    with watched(chromium) as seen:
        seen.page.goto(report.as_uri())
        count = "document.querySelectorAll('details:not([open])').length"
        seen.page.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {count}; }})")
        paper = seen.page.pdf()
        assert seen.page.evaluate("window.folded") == 0
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 3 + 7


def test_without_script_all_of_it_can_be_read(chromium: Any, report: Path) -> None:
    with watched(chromium, script=False) as seen:
        seen.page.goto(report.as_uri())
        assert seen.page.locator(".page").count() == 3 + 7
        assert seen.page.locator("#experiment-3").is_visible()
        assert seen.page.locator("#experiments tbody tr").count() == 7
        seen.page.locator("#experiments a", has_text=re.compile(r"^6$")).click()
        assert seen.page.url.endswith("#experiment-6")
