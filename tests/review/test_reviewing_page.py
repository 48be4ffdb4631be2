"""The walk of `docs/reviewing.md` is true: commands print what stands under them, and a run's page answers as well."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parent / "web"))

from browsing import watched
from walking import PAGE, ROOT, Done, missing, steps, walk

CAN_TRACE = os.geteuid() == 0 and shutil.which("strace") is not None
needs_tracing = pytest.mark.skipif(not CAN_TRACE, reason="the walk is over a traced run: that takes root and strace")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the walk goes."""
    return tmp_path_factory.mktemp("walk") / "here"


@pytest.fixture(scope="module")
def walked(place: Path) -> list[Done]:
    """All of it, done once."""
    place.mkdir()
    return walk(place)


@pytest.mark.docker
@needs_tracing
@pytest.mark.long
@pytest.mark.parametrize("number", range(len(steps())), ids=[step.command[:50] for step in steps()])
def test_every_command_of_the_page_prints_what_stands_under_it(walked: list[Done], number: int) -> None:
    step, code, output = walked[number]
    assert code == 0, output
    assert not (line := missing(step.promised, output)), f"$ {step.command}\n{output}\n\nnot borne out: {line}"


def test_what_is_compared_is_every_line_but_where_the_page_says_so() -> None:
    output = "one 1.5 s\ntwo\nthree\n"
    assert not missing(("one 1.7 s", "two", "three"), output)
    assert not missing(("one … s", "…"), output)
    assert not missing(("…", "three"), output)
    assert not missing(("…", "three …"), output)
    assert missing(("one 1.7 s", "three"), output) == "three"
    assert missing(("…", "two"), output)
    assert missing(("one 1.7 m", "…"), output)


def test_what_the_page_links_to_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert all((PAGE.parent / link).exists() for link in links), links
    for page in (ROOT / "README.md", ROOT / "docs" / "reading.md"):
        assert "reviewing.md" in page.read_text(encoding="utf-8")


# --- the same questions, on the page ---------------------------------------------------------------------------------


@pytest.fixture
def opened(chromium: Any, walked: list[Done], place: Path) -> Iterator[Any]:
    """The report that the walk wrote, in a browser; nothing but the file is asked for."""
    assert walked[-1].code == 0, walked[-1].output
    report = place / "page.html"
    with watched(chromium) as seen:
        seen.page.goto(report.as_uri())
        yield seen.page
        assert {url.partition("#")[0] for url in seen.requests} == {report.as_uri()}
        assert seen.said == []


def experiment(page: Any, number: int) -> Any:
    """Its page, gone to as a reader does."""
    page.evaluate(f"location.hash = 'experiment-{number}'")
    expect(page.locator(f"#experiment-{number}")).to_be_visible()
    return page.locator(f"#experiment-{number}")


@pytest.mark.docker
@pytest.mark.browser
@needs_tracing
@pytest.mark.long
def test_the_page_answers_what_was_kept_and_why(opened: Any) -> None:
    rows = opened.locator("#experiments tbody tr")
    became = [row.locator("td").nth(1).inner_text() for row in rows.all()]
    assert became == ["baseline", "kept", "discarded", "kept", "crashed"]
    assert "Provisional" in opened.locator("#overview .claim .first").inner_text()
    why = experiment(opened, 1).get_by_text("Why:").locator("..").inner_text()
    assert re.search(r"better by 0\.\d+ over \d+ pairs, e-value", why)
    assert "by the rule sequential" in experiment(opened, 2).locator(".decided").last.inner_text()
    assert "e-value" in experiment(opened, 2).get_by_text("Why:").locator("..").inner_text()


@pytest.mark.docker
@pytest.mark.browser
@needs_tracing
@pytest.mark.long
def test_the_page_answers_what_each_tried_to_reach(opened: Any) -> None:
    for number, reached in {1: False, 2: False, 3: True, 4: True}.items():
        page = experiment(opened, number)
        targets = set(page.locator(".attempts td.said").all_text_contents())
        assert ({"127.0.0.1:8080", "127.0.0.1:2375", "/etc/shadow"} <= targets) is reached, (number, targets)
        assert any("traced" in words for words in page.locator("details.ran summary").all_inner_texts())
    page = experiment(opened, 3)
    told = page.locator("ol.findings").first.locator("li").all_inner_texts()
    assert sum("tried to reach `127.0.0.1:8080`" in words for words in told) == 1
    assert any("looks for absolute (/var/cache/rsi)" in words for words in told)
    line = page.locator(".diff .l", has_text="/etc/shadow")
    assert "outside its folders" in line.inner_text()
    assert "marked suspicious by walk" in page.locator(".note").inner_text()


@pytest.mark.docker
@pytest.mark.browser
@needs_tracing
@pytest.mark.long
def test_the_page_answers_whether_the_record_is_whole(opened: Any, place: Path) -> None:
    opened.get_by_role("link", name="Integrity").click()
    told = opened.locator("#integrity").inner_text()
    (head,) = re.findall(r"head=([0-9a-f]{64})", (place / "kept").read_text(encoding="utf-8"))
    assert "it holds" in told.lower()
    assert head in told
    assert "a record that was made up as a whole" in told


@pytest.mark.docker
@pytest.mark.browser
@needs_tracing
@pytest.mark.long
def test_the_page_answers_what_other_policies_would_have_decided(opened: Any) -> None:
    for number, would in {1: "have kept it", 2: "have kept it", 3: "have kept it"}.items():
        table = experiment(opened, number).get_by_role("region", name=f"Other policies on experiment {number}")
        assert would in table.get_by_role("row", name="greedy").inner_text()
    table = experiment(opened, 2).get_by_role("region", name="Other policies on experiment 2")
    assert "have discarded it" in table.get_by_role("row", name="fixed").inner_text()
    assert experiment(opened, 4).locator("#e4-others").count() == 0
