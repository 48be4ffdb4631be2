"""`rsi lab collapse`, whole: real training and writing in sandboxes, killed and gone on, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsi.errors import IntegrityError, UsageError
from rsi.ledger import Ledger, read_events
from rsi.redaction import Redactor
from studies.collapse.design import design_of
from studies.collapse.findings import findings_of
from studies.collapse.picture import draw
from studies.collapse.record import LEDGER, Study, create, read, real_text_of
from studies.collapse.rederive import rederive
from studies.collapse.running import runner

ROOT = Path(__file__).parents[2]
SMALL = ("--generations", "2", "--size", "8192", "--sandbox", "process")
LINES = ("--seeds", "1", "--arms", "closed,filtered,accumulated")


def lab(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "RSI_STATE": str(folder / "state"), "RSI_CACHE": str(folder / "cache"), **environment}
    command = [sys.executable, "-m", "cli", "lab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=settings, timeout=120, check=False)


def numbers(study: Study) -> dict[Any, Any]:
    return {entry.cell: (entry.trained_on, entry.text, entry.measures) for entry in study.measured}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collapse")
    done = lab(folder, "collapse", *SMALL, *LINES, "--out", f"{folder / 'study'}")
    assert done.returncode == 0, done.stderr
    assert "After two generations in a closed loop" in done.stdout
    assert "NOT ISOLATED" in done.stdout
    return folder / "study"


def test_a_study_ends_with_table_sentence_figure_and_a_record_that_follows(finished: Path) -> None:
    assert (finished / "collapse.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((finished / "study.json").read_text())["generations"] == 2
    study = read(finished)
    assert study.complete
    assert len(study.measured) == 7
    assert rederive(finished).holds
    shown = lab(finished.parent, "show", str(finished), "--json")
    told = json.loads(shown.stdout)
    assert (told["schema"], told["complete"], told["models"]) == (1, True, 7)
    assert told["accepted"] == pytest.approx(1 / 8)


def test_models_of_the_closed_loop_get_worse_and_the_filter_holds_them_up(finished: Path) -> None:
    bits = {(entry.cell.arm, entry.cell.generation): entry.measures.bits_per_byte for entry in read(finished).measured}
    assert bits["first", 0] < bits["closed", 1] < bits["closed", 2]
    assert bits["filtered", 2] < bits["closed", 2]


def test_the_same_command_shows_a_finished_study_and_trains_nothing(finished: Path) -> None:
    before = (finished / LEDGER).read_bytes()
    with runner("process", 1, lambda study: pytest.fail("something was trained")) as running:
        design = read(finished).design
        assert running.start(finished, design, "", print).complete
    assert (finished / LEDGER).read_bytes() == before


@pytest.mark.long
def test_a_study_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path, finished: Path) -> None:
    arguments = ["collapse", *SMALL, *LINES, "--parallel", "1"]
    settings = {**os.environ, "RSI_CACHE": str(finished.parent / "cache")}
    command = [sys.executable, "-m", "cli", "lab", *arguments, "--out", f"{tmp_path / 'study'}"]
    ledger = tmp_path / "study" / LEDGER
    with subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        while one.poll() is None and not (ledger.is_file() and ledger.read_bytes().count(b"\n") >= 4):
            pass
        one.send_signal(signal.SIGKILL)
    assert 3 <= len(read(tmp_path / "study").measured) < 7
    done = lab(finished.parent, "resume", f"{tmp_path / 'study'}", "--sandbox", "process")
    assert done.returncode == 0, done.stderr
    assert numbers(read(tmp_path / "study")) == numbers(read(finished))


def test_altered_text_and_altered_numbers_are_found(tmp_path: Path, finished: Path) -> None:
    study = read(finished)
    digest = study.measured[0].text
    blob = finished / "blobs" / digest[:2] / digest[2:]
    whole = blob.read_bytes()
    try:
        blob.write_bytes(b"x" + whole[1:])
        found = rederive(finished)
        assert not found.holds
        assert "altered" in found.problems[0]
    finally:
        blob.write_bytes(whole)
    ledger = (finished / LEDGER).read_text()
    (tmp_path / LEDGER).write_text(ledger.replace('"rare":', '"rarer":', 1))
    shown = lab(tmp_path, "show", str(tmp_path))
    assert shown.returncode == 1
    assert "hash" in shown.stderr


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"generations": 0}, "--generations is 0"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"seeds": 1000}, "--seeds is 1000"),
        ({"arms": "mixed:1.5"}, "between 0 and 1"),
        ({"arms": "mixed:0"}, "between 0 and 1"),
        ({"arms": "mixed:nan"}, "between 0 and 1"),
        ({"arms": "mixed"}, "between 0 and 1"),
        ({"arms": "close"}, "did you mean 'closed'"),
        ({"arms": "closed:0.5"}, "there is no arm"),
        ({"arms": "mixed:0.10,mixed:0.1"}, "twice"),
        ({"arms": ","}, "names no arm"),
        ({"size": 1000}, "multiple of 1024"),
    ],
)
def test_what_cannot_be_designed_is_said(changed: dict[str, Any], words: str) -> None:
    asked = {"arms": "closed", "generations": 2, "seeds": 1, "seed": 0, "size": 8192} | changed
    with pytest.raises(UsageError, match=words):
        design_of(asked.pop("arms"), **asked)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arms", "mixed:2"], "between 0 and 1"),
        (["--sandbox", "process", "--data", "nowhere.txt"], "neither a file nor a folder"),
    ],
)
def test_what_cannot_be_studied_is_one_sentence_and_leaves_no_folder(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = lab(tmp_path, "collapse", *arguments, "--out", f"{tmp_path / 'study'}")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_text_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("\n\n".join(f"Paragraph {number} says {number**3}." for number in range(1200)))
    short = ("--data", f"{tmp_path / 'short.txt'}", "--out", f"{tmp_path / 'study'}")
    done = lab(tmp_path, "collapse", *SMALL, *short)
    assert done.returncode == 2, done.stderr
    assert "bytes" in done.stderr
    assert not (tmp_path / "study").exists()


def written_elsewhere(folder: Path) -> Path:
    path = folder / "elsewhere.txt"
    path.write_text(
        "\n\n".join(f"In year {number} there were {number**3 % 9973} of them." * 9 for number in range(900))
    )
    return path


def test_a_study_killed_before_its_first_event_begins_anew(tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished / "blobs", tmp_path / "study" / "blobs")
    (tmp_path / "study" / LEDGER).touch()
    one = ("--generations", "1", "--seeds", "1", "--arms", "closed", "--size", "8192", "--sandbox", "process")
    done = lab(finished.parent, "collapse", *one, "--out", f"{tmp_path / 'study'}")
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "study").measured) == 2


def test_another_studys_folder_and_a_folder_of_something_else_are_left_alone(tmp_path: Path, finished: Path) -> None:
    before = (finished / LEDGER).read_bytes()
    other = lab(finished.parent, "collapse", *SMALL, "--seeds", "3", "--out", str(finished))
    assert other.returncode == 2
    assert "seeds" in other.stderr
    assert (finished / LEDGER).read_bytes() == before
    begun = read(finished)
    with runner("process", 1, lambda study: None) as running, pytest.raises(UsageError, match="another text"):
        running.start(finished, begun.design, str(written_elsewhere(tmp_path)), print)
    (tmp_path / "letter").write_text("dear")
    foreign = lab(finished.parent, "collapse", *SMALL, "--out", str(tmp_path))
    assert foreign.returncode == 2
    assert "holds no study" in foreign.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.txt", "letter"]


def test_a_command_that_comes_second_does_not_sweep_away_what_the_first_has_begun(
    tmp_path: Path, finished: Path
) -> None:
    """Both looked while there was nothing yet, and then prepared their text."""
    started = read(finished).started
    text = real_text_of(finished, started)
    create(tmp_path / "study", started, text).close()
    with pytest.raises(UsageError, match="Another process has begun a study"):
        create(tmp_path / "study", started, text)
    assert read(tmp_path / "study").started == started


def test_a_link_in_the_place_of_the_figure_or_the_design_is_replaced_and_not_followed(
    tmp_path: Path, finished: Path
) -> None:
    study, mine, folder = read(finished), tmp_path / "mine", tmp_path / "study"
    mine.write_text("mine")
    folder.mkdir()
    for name in ("study.json", "collapse.png"):
        (folder / name).symlink_to(mine)
    draw(findings_of(study, 40), folder / "collapse.png")
    (folder / "collapse.png").unlink()
    create(folder, study.started, real_text_of(finished, study.started)).close()
    assert mine.read_text() == "mine"
    assert json.loads((folder / "study.json").read_text())["generations"] == 2


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "study").write_text("mine")
    started = read(finished).started
    with pytest.raises(UsageError, match="is a file"):
        create(tmp_path / "study", started, real_text_of(finished, started))
    assert (tmp_path / "study").read_text() == "mine"


def test_a_study_of_one_model_is_refused_in_the_folder_of_another(finished: Path) -> None:
    before = (finished / LEDGER).read_bytes()
    other = lab(finished.parent, "collapse", *SMALL, *LINES, "--model", "charlm", "--out", str(finished))
    assert other.returncode == 2
    assert "asked for otherwise (order, model)" in other.stderr
    assert (finished / LEDGER).read_bytes() == before


def test_an_unknown_model_is_one_sentence_and_leaves_no_folder(tmp_path: Path) -> None:
    done = lab(tmp_path, "collapse", "--model", "charml", "--out", f"{tmp_path / 'study'}")
    assert done.returncode == 2
    assert "there is no model 'charml': did you mean 'charlm'?" in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_study_of_before_there_were_models_is_one_of_the_table(tmp_path: Path, finished: Path) -> None:
    def change(body: dict[str, Any]) -> None:
        del body["design"]["model"]

    folder = rewritten(finished, tmp_path, change, which=0)
    assert read(folder).design.model == "table"
    assert rederive(folder).holds
    with runner("process", 1, lambda study: pytest.fail("something was trained")) as running:
        assert running.start(folder, read(finished).design, "", print).complete


def test_a_missing_engine_is_the_environments_fault(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path / 'no.sock'}"
    done = lab(tmp_path, "collapse", "--out", f"{tmp_path / 'study'}", DOCKER_HOST=nowhere)
    assert done.returncode == 3, done.stderr
    assert not (tmp_path / "study").exists()


def rewritten(folder: Path, to: Path, change: Callable[[dict[str, Any]], None], which: int = -1) -> Path:
    """A copy of a study of which an event was changed, and its chain hashed anew by whoever changed it."""
    shutil.copytree(folder / "blobs", to / "blobs")
    events = list(read_events(folder / LEDGER))
    change(events[which].body)
    with Ledger.create(to / LEDGER, Redactor.none()) as ledger:
        for event in events:
            ledger.append(event.kind, event.body)
    return to


@pytest.mark.parametrize(("field", "words"), [("measures", "measures do not follow"), ("trained_on", "trained on")])
def test_numbers_that_do_not_follow_are_found_though_the_chain_holds(
    tmp_path: Path, finished: Path, field: str, words: str
) -> None:
    def change(body: dict[str, Any]) -> None:
        body[field] = {**body[field], "rare": 0.123} if field == "measures" else "0" * 64

    found = rederive(rewritten(finished, tmp_path, change))
    assert [words in problem for problem in found.problems] == [True]


def test_a_record_of_models_that_were_not_asked_for_is_refused(tmp_path: Path, finished: Path) -> None:
    folder = rewritten(finished, tmp_path, lambda body: body["cell"].update(arm="\x1b[31mclosed"))
    with pytest.raises(IntegrityError, match="altered"):
        read(folder)


@pytest.mark.docker
def test_in_containers_the_same_study_has_the_same_numbers(tmp_path: Path, finished: Path) -> None:
    design = design_of("closed", generations=1, seeds=1, seed=0, size=8192)
    with runner("docker", 1, lambda study: None) as running:
        study = running.start(tmp_path / "study", design, "", print)
    assert study.complete
    assert rederive(tmp_path / "study").holds
    ours = {entry.cell.generation: entry.measures for entry in study.measured}
    theirs = {entry.cell.generation: entry for entry in read(finished).measured if entry.cell.arm == "closed"}
    assert ours[1].bits_per_byte > ours[0].bits_per_byte
    assert ours[1].bits_per_byte == pytest.approx(theirs[1].measures.bits_per_byte, abs=0.5)
