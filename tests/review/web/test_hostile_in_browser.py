"""A run that is hostile in every text, in a real browser: shown as text, and nothing of it does anything."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from browsing import sideways, viewing, watched
from playwright.sync_api import expect

from rsi.review.web.report import write_report
from rsi.sanitize import for_page
from rsi.testing.hostile_text import METRIC, SCRIPTS, TEXTS, plant

pytestmark = pytest.mark.browser

OURS = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "a",
        "header",
        "nav",
        "button",
        "main",
        "footer",
        "kbd",
    ),
    *("kbd", "section", "h1", "h2", "h3", "p", "div", "span", "strong", "em", "i", "dl", "dt", "dd", "br", "code"),
    *("pre",),
    *("figure", "figcaption", "svg", "g", "path", "text", "circle", "label", "input", "select", "option", "form"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "ol", "ul", "li", "details", "summary", "blockquote"),
    "script",
}
"""Elements that templates and script make; no `img`, `iframe`, `object`, `base`, `math`."""
SEEN = """() => {
  const seen = {tags: [], attributes: [], links: [], text: document.documentElement.textContent};
  const tags = new Set(), attributes = new Set(), links = new Set();
  for (const e of document.querySelectorAll("*")) {
    tags.add(e.tagName.toLowerCase());
    for (const a of e.attributes) {
      attributes.add(a.name);
      if (["href", "src", "action", "xlink:href"].includes(a.name)) links.add(a.value);
    }
  }
  return {tags: [...tags], attributes: [...attributes], links: [...links],
          scripts: document.scripts.length, styles: document.styleSheets.length,
          pwned: typeof window.__pwned, text: document.documentElement.textContent};
}"""
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\ufeff\u00ad]"
)


@pytest.fixture(scope="module")
def hostile(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the whole corpus in all its texts; its chain holds."""
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("hostile") / pristine.name))
    plant(folder, metric="val_loss", challenge="points")
    return folder


def does_nothing(page: Any, requests: list[str], said: list[str], own: str, scripts: int) -> str:
    """That nothing of the corpus became anything but text; the page's text."""
    seen = page.evaluate(SEEN)
    assert seen["pwned"] == "undefined"
    assert said == []
    assert all(url.startswith(own) for url in requests), requests
    assert set(seen["tags"]) <= OURS
    assert not {name for name in seen["attributes"] if name.startswith("on") or name in {"srcdoc", "formaction"}}
    assert all(re.match(r"(#|/|data:,$)", link) and not link.startswith("//") for link in seen["links"])
    assert seen["scripts"] == scripts
    assert seen["styles"] == 1
    assert not HIDDEN.search(seen["text"])
    return str(seen["text"])


@pytest.mark.parametrize("script", [True, False])
def test_a_report_shows_the_corpus_as_text(chromium: Any, hostile: Path, tmp_path: Path, script: bool) -> None:
    written = write_report(hostile, tmp_path / "report.html")
    assert written.bytes < 8_000_000  # of each line of five million characters a few hundred are shown
    with watched(chromium, script=script) as seen:
        own = (tmp_path / "report.html").as_uri()
        seen.page.goto(own)
        if script:
            seen.page.fill("#search", "<script>")
            for block in seen.page.locator("details").all():
                block.evaluate("e => { e.open = true; }")
            seen.page.locator("#plot").focus()
            seen.page.keyboard.press("End")
            assert "<img src=x onerror" in seen.page.locator("#tip").inner_text()
        text = does_nothing(seen.page, seen.requests, seen.said, own, scripts=3)
        for payload in TEXTS:
            assert for_page(payload) in text
        assert "<U+202E>gnp.exe<U+202C>" in text
        assert "<U+001B>]0;owned<U+0007>" in text
        assert "{{ 7 * 191 }}" in text
        assert "further characters" in text
        assert METRIC in text


def test_no_page_of_view_lets_the_corpus_act(chromium: Any, hostile: Path, tmp_path: Path) -> None:
    shutil.copytree(hostile, tmp_path / "runs" / "'\"><script>window.__pwned=50<")
    shutil.copytree(hostile, tmp_path / "runs" / "second")
    with viewing(tmp_path / "runs") as server, watched(chromium) as seen:
        seen.page.goto(server.address)
        waiting, been = [server.base + "/"], set()
        while waiting:
            address = waiting.pop()
            if address in been:
                continue
            been.add(address)
            seen.page.goto(address)
            does_nothing(seen.page, seen.requests, seen.said, server.base, scripts=2)
            links = seen.page.evaluate("[...document.querySelectorAll('a')].map(a => a.href.split('#')[0])")
            assert all(link.startswith(server.base) for link in links)
            waiting += links
        assert len(been) >= 2 + 2 * (3 + 7)
        seen.page.goto(server.base + "/")
        for box in seen.page.locator("input[type=checkbox]").all():
            box.check()
        seen.page.get_by_role("button", name="Compare").click()
        assert "side by side" in seen.page.inner_text("h1")
        does_nothing(seen.page, seen.requests, seen.said, server.base, scripts=2)


def test_the_policy_of_a_report_stops_what_a_slip_in_escaping_would_let_through(
    chromium: Any, pristine: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    write_report(pristine, target)
    # Of what a style or an address does, a policy in the page cannot stop a refresh; escaping alone does.
    slip = "".join(SCRIPTS) + "<script>window.__pwned=60</script><img src=https://127.0.0.1:9/x onerror=__pwned=61>"
    slip += "<p id=styled style='color: rgb(1, 2, 3)'>x</p><style>#styled { color: rgb(1, 2, 3) }</style>"
    page = target.read_text(encoding="utf-8")
    for place in ("<main", "</main>"):  # before the first element, and behind all of the page
        target.write_text(page.replace(place, f"<div>{slip}</div>{place}" if place == "<main" else slip + place))
        with watched(chromium) as seen:
            blocked = set()
            seen.page.on("requestfailed", lambda request, into=blocked: into.add((request.url, request.failure)))
            seen.page.goto(target.as_uri(), wait_until="domcontentloaded")
            assert seen.page.evaluate("typeof window.__pwned") == "undefined"
            # The browser tells of what the policy kept from being asked for as well.
            others = {url for url in seen.requests if not url.startswith((target.as_uri(), "data:"))}
            assert {(url, "csp") for url in others} == blocked
            assert "Content Security Policy" in " ".join(seen.said)


def test_text_without_a_break_scrolls_nothing_sideways(chromium: Any, hostile: Path, tmp_path: Path) -> None:
    write_report(hostile, tmp_path / "report.html")
    with watched(chromium, width=360) as seen:
        for anchor in ("", "#experiment-1", "#findings", "#integrity"):
            seen.page.goto((tmp_path / "report.html").as_uri() + anchor)
            assert sideways(seen.page) == 0, anchor


def test_a_line_is_in_sight_however_long_the_page_above_it_is(chromium: Any, hostile: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(hostile, target)
    in_sight = "e => { const b = e.getBoundingClientRect(); return b.top >= 0 && b.top < innerHeight; }"
    with watched(chromium) as seen:
        seen.page.goto(target.as_uri() + "#e1-diff-9")
        assert seen.page.locator("#e1-diff-9").evaluate(in_sight)
        seen.page.goto(target.as_uri() + "#integrity")
        assert seen.page.evaluate("scrollY") == 0
        seen.page.goto(target.as_uri() + "#e6-diff-9")
        expect(seen.page.locator("#e6-diff-9")).to_contain_class("target")
        assert seen.page.locator("#e6-diff-9").evaluate(in_sight)


def test_data_for_the_script_cannot_end_its_element(hostile: Path, tmp_path: Path) -> None:
    write_report(hostile, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("rows", "page"):
        text = page.split(f'<script type="application/json" id="{name}">')[1].split("</script>")[0]
        assert not re.search("[<>&\u2028\u2029]", text)
        assert json.loads(text)
    rows = json.loads(page.split('id="rows">')[1].split("</script>")[0])
    assert "[bold red]loud[/] :skull:" in rows[1][8]
