"""An evolution as others see it: the page, hostile words in it, and its program as a source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from evolving import begun, evolved, fake_programs, go, interval, outcome, said

from rsi.errors import UsageError
from rsi.generations.evolution import open_folder
from rsi.generations.outcome import digest_of
from rsi.generations.picture import draw_beside
from rsi.generations.report import Report, Told, report_of
from rsi.generations.running import run_generations
from rsi.proposers.evolved_source import program_of
from rsi.review.web.generations import write_generations

HOSTILE = "</script><img src=x onerror=alert(1)> [red]$\\frac{1}{2}$\x1b[31m\u202eevil"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("state", "cache", "runs"):
            patch.setenv(f"RSI_{name.upper()}", str(folder / name))
        return evolved(folder).folder


def test_the_page_holds_figure_table_diffs_and_the_command_of_each_run(whole: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    written = write_generations(whole, page)
    text = page.read_text()
    assert written.generations == 2
    assert "data:image/png;base64," in text
    assert text.count('<span class="l del">') == text.count('<span class="l add">') >= 1
    assert text.count("rsi show ") == 2
    assert not re.search(r"(src|href)=\"(?!#|data:)", text), "nothing is loaded from anywhere"
    with pytest.raises(UsageError, match="--force"):
        write_generations(whole, page)


def test_what_stands_in_an_evolution_or_in_a_generation_is_a_source_with_name_version_and_digest(whole: Path) -> None:
    history = open_folder(whole).history()
    stands = history.standing
    found = program_of(whole)
    assert found.origin.startswith(f"{stands.program.label} (sha256 {stands.program.sha256[:12]})")
    assert digest_of(found.code) == stands.program.sha256
    assert program_of(whole / "generation-1").code == program_of(history.generations[0].run.folder).code
    assert program_of(whole / "generation-0").origin.startswith("proposer@0")
    assert program_of(whole / "generation-0").code["proposer.py"] == "VALUE = 40\n"


def test_a_generation_that_promoted_nothing_is_no_source_and_says_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("state", "cache", "runs"):
        monkeypatch.setenv(f"RSI_{name.upper()}", str(tmp_path / name))
    fake_programs(tmp_path / "guess", value=3)
    evolution = begun(tmp_path, generations=1)
    assert run_generations(evolution, go, said) == 0
    with pytest.raises(UsageError, match="proposer@0 stands there"):
        program_of(evolution.place(1))
    assert program_of(evolution.folder).code["proposer.py"] == "VALUE = 3\n"


def test_an_error_rate_below_one_percent_is_not_told_as_none(whole: Path) -> None:
    history = open_folder(whole).history()
    told = report_of(whole, history._replace(plan=history.plan.model_copy(update={"alpha": 0.004}))).sentences
    assert any("is at most 0.4%." in sentence for sentence in told)


def test_hostile_words_reach_neither_markup_nor_terminal_nor_picture(whole: Path, tmp_path: Path) -> None:
    report = report_of(whole, open_folder(whole).history())
    first = report.generations[0]
    hostile = outcome(reason=HOSTILE, unit=HOSTILE[:60], proposed_by=HOSTILE, gain=interval(0.5))
    changed = first.model_copy(update={"outcome": hostile, "diff": f"--- a\n+++ b\n@@ -1 +1 @@\n-x\n+{HOSTILE}\n"})
    told = report.model_copy(update={"generations": (changed,)})
    assert draw_beside(told, tmp_path / "generations.png", insists=True)
    page = _page(told)
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def _page(report: Report) -> str:
    from rsi import __version__  # noqa: PLC0415
    from rsi.generations.report import verdict_of, with_bounds  # noqa: PLC0415
    from rsi.review.web import pages  # noqa: PLC0415
    from rsi.review.web.code import diff_lines  # noqa: PLC0415

    template = pages.environment().get_template("generations.jinja")
    return template.render(
        served=False, policy="", version=__version__, name="x", report=report, picture="", came_to=verdict_of,
        bounds=with_bounds, lines=lambda diff: diff_lines(diff, 100),
    )  # fmt: skip


def test_the_json_reads_back_as_it_was(whole: Path) -> None:
    report = report_of(whole, open_folder(whole).history())
    values = json.loads(report.model_dump_json())
    assert values["schema"] == 1
    assert Report.model_validate(values) == report
    assert isinstance(report.generations[0], Told)
