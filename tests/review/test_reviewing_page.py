"""The walk of `docs/reviewing.md` is true: every command does what stands under it, and the page of a run answers as well."""

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
real = [
    pytest.mark.docker,
    pytest.mark.skipif(not CAN_TRACE, reason="the walk is over a traced run: that takes root and strace"),
]


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
@pytest.mark.skipif(not CAN_TRACE, reason="the walk is over a traced run: that takes root and strace")
@pytest.mark.parametrize("number", range(len(steps())), ids=lambda number: f"{number}: {steps()[number].command[:60]}")
def test_every_command_of_the_page_prints_what_stands_under_it(walked: list[Done], number: int) -> None:
    step, code, output = walked[number]
    assert code == 0, output
    assert not (line := missing(step.promised, output)), f"$ {step.command}\n{output}\n\nnot borne out: {line}"


def test_what_is_compared_is_every_line_but_where_the_page_says_so() -> None:
    output = "one 1.5 s\ntwo\nthree\n"
    assert not missing(("one 1.7 s", "two", "three"), output)
    assert not missing(("one … s", "…"), output)
    assert not missing(("…", "three"), output)
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
