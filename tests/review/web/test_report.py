"""The file that `rsi report` writes: whole or not at all, the same bytes again, cut where it is too much."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rsi import events as e
from rsi.blobs import Blobs
from rsi.calls.request import Answer, Message, Request
from rsi.errors import IntegrityError, UsageError
from rsi.redaction import Redactor
from rsi.review.web import pages
from rsi.review.web.report import write_report
from rsi.spending import Spending
from rsi.testing.altering import load, store

ROOT = Path(__file__).parents[3]


def written(folder: Path, target: Path, **more: int) -> str:
    write_report(folder, target, **more)  # type: ignore[arg-type]
    return target.read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_bytes(pristine: Path, tmp_path: Path) -> None:
    assert written(pristine, tmp_path / "a.html") == written(pristine, tmp_path / "b.html")


def test_an_existing_file_is_replaced_only_where_that_is_asked_for(pristine: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists; name another place with -o, or replace it with --force"):
        write_report(pristine, target)
    assert target.read_text() == "mine"
    write_report(pristine, target, force=True)
    assert target.read_text().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="is no file"):
        write_report(pristine, tmp_path, force=True)


def test_a_link_in_the_target_s_place_is_refused_and_not_written_through(pristine: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "report.html").symlink_to(tmp_path / "other")
    with pytest.raises(UsageError, match="is a link"):
        write_report(pristine, tmp_path / "report.html", force=True)
    assert (tmp_path / "other").read_text() == "mine"


def test_neither_a_device_nor_a_run_s_own_record_is_ever_replaced(run_folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.html")
    with pytest.raises(UsageError, match="is no file"):
        write_report(run_folder, tmp_path / "report.html", force=True)
    assert (tmp_path / "report.html").is_fifo()
    ledger, commits = run_folder / "ledger.jsonl", run_folder / "code.git" / "HEAD"
    before = ledger.read_bytes(), commits.read_bytes()
    for target in (ledger, commits, run_folder / "notes.jsonl"):
        with pytest.raises(UsageError, match="run"):
            write_report(run_folder, target, force=True)
    assert (ledger.read_bytes(), commits.read_bytes()) == before
    assert not (run_folder / "notes.jsonl").exists()


SLOW = """
import sys, time
from pathlib import Path
from rsi.review.web import report
def never_done(*_):
    print("writing", flush=True)
    time.sleep(600)
report._pieces = never_done
report.write_report(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_of_a_report_that_was_told_to_end(pristine: Path, tmp_path: Path, told: signal.Signals) -> None:
    command = [sys.executable, "-c", SLOW, str(pristine), str(tmp_path / "report.html")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == b"writing\n"
        assert list(tmp_path.iterdir())
        writing.send_signal(told)
        assert writing.wait(timeout=60) != 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays(pristine: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        write_report(pristine, tmp_path / "nowhere" / "report.html")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "ledger.jsonl").touch()
    with pytest.raises(IntegrityError):
        write_report(tmp_path / "empty", tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_policy_names_the_hashes_of_the_one_style_and_the_one_script(pristine: Path, tmp_path: Path) -> None:
    page = written(pristine, tmp_path / "report.html")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind, body in (("style", re.findall(r"<style>(.*?)</style>", page, re.DOTALL)),
                       ("script", re.findall(r"<script>(.*?)</script>", page, re.DOTALL))):  # fmt: skip
        assert len(body) == 1
        digest = base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert set(rules) == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}


def test_details_beyond_the_room_are_named_with_their_command(pristine: Path, tmp_path: Path) -> None:
    report = write_report(pristine, tmp_path / "report.html", largest=60_000)
    assert 0 < report.told < report.experiments == 7
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<section class="page experiment"') == 7
    # What was kept and what is flagged comes before the rest.
    told = {int(n) for n in re.findall(r'id="e(\d+)-title"', page)}
    assert {0, 1, 6} <= told
    left = min(set(range(7)) - told)
    assert f"<code>rsi show {pristine.name} {left}</code>" in page


def test_a_run_with_missing_blobs_is_shown_with_a_banner(run_folder: Path, tmp_path: Path) -> None:
    events = load(run_folder)
    trained = next(event["body"] for event in events if event["kind"] == "trial.trained")
    committed = [event["body"] for event in events if event["kind"] == "experiment.committed"][1]
    for digest in {trained["stdout"], committed["diff"], events[0]["body"]["task"]}:
        (run_folder / "blobs" / digest[:2] / digest[2:]).unlink()
    report = write_report(run_folder, tmp_path / "report.html")
    assert report.record == "broken"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "This record does not hold." in page
    assert f"Blob {committed['diff']} is missing" in page
    assert report.told == 7


def test_a_broken_chain_is_shown_up_to_where_it_breaks(run_folder: Path, tmp_path: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    place = next(n for n, event in enumerate(load(run_folder)) if event["body"].get("experiment") == 5)
    lines[place] = lines[place].replace('"experiment":5', '"experiment":4', 1)
    ledger.write_text("".join(lines))
    report = write_report(run_folder, tmp_path / "report.html")
    assert (report.record, report.experiments) == ("broken", 5)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What is shown is what stands before" in page
    assert 'id="experiment-4"' in page
    assert 'id="experiment-5"' not in page


def test_the_integrity_page_gives_head_counts_and_the_command(pristine: Path, tmp_path: Path) -> None:
    head = load(pristine)[-1]["hash"]
    page = written(pristine, tmp_path / "report.html")
    assert "not all of it was checked" in page  # the fake verifier is a file that the run names, and is not run
    assert "is not loaded unasked" in page
    assert "This record does not hold" not in page
    assert f"<code>rsi verify {pristine.name} --head {head}</code>" in page
    assert "What it does not prove" in page


def test_a_run_name_is_quoted_where_a_command_holds_it(run_folder: Path, tmp_path: Path) -> None:
    moved = run_folder.rename(run_folder.parent / "run; rm -rf $HOME")
    page = written(moved, tmp_path / "report.html")
    assert "rsi verify &#39;run; rm -rf $HOME&#39;" in page


def test_the_command_says_where_the_file_is_and_how_big(pristine: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    command = [sys.executable, "-m", "cli", "report", str(pristine), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert re.match(rf"{target} holds the report, \d+\.\d KiB\.\nNot all of the record was derived again", done.stderr)
    again = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert again.returncode == 2
    assert "--force" in again.stderr
    as_json = subprocess.run([*command, "--force", "--json"], capture_output=True, text=True, cwd=ROOT, check=False)
    told = json.loads(as_json.stdout)
    assert (told["schema"], told["experiments"], told["told"], told["record"]) == (1, 7, 7, "unchecked")
    assert told["bytes"] == target.stat().st_size


def test_every_string_that_a_template_puts_out_is_made_visible_and_escaped() -> None:
    template = pages.environment().from_string('<a title="{{ x }}">{{ x }}</a>{{ x ~ x | upper }}')
    shown = template.render(x='\u202e\x1b"<b>')
    assert not re.search("[\u202e\x1b]|<b>", shown, re.IGNORECASE)
    assert shown.count("&lt;U+202E&gt;&lt;U+001B&gt;&#34;&lt;b&gt;") == 3


def test_one_experiment_that_cannot_be_told_spoils_no_other(run_folder: Path, tmp_path: Path) -> None:
    events = load(run_folder)
    trained = next(x["body"] for x in events if x["kind"] == "trial.trained" and x["body"]["trial"].startswith("1."))
    course = {"series": {"seconds": [1.0, 1.0], "cpu_seconds": [1.0, 2.0], "memory_bytes": [10**400, 2]}}
    trained["course"] = Blobs(run_folder / "blobs", Redactor.none()).put(json.dumps(course).encode())
    store(run_folder, events)
    page = written(run_folder, tmp_path / "report.html")
    assert page.count("It cannot be told: OverflowError") == 1
    assert page.count("-title") >= 3 + 2 * 6


def test_every_kind_of_call_to_a_model_is_told(run_folder: Path, tmp_path: Path) -> None:
    blobs = Blobs(run_folder / "blobs", Redactor.none())
    request = Request(model="m", messages=(Message(role="user", parts=("What <b>now</b>?",)),), max_output_tokens=9)
    answer = Answer(text="Raise it.", finish="stop", input_tokens=1, output_tokens=2)
    events = load(run_folder)
    place = next(n for n, x in enumerate(events) if x["kind"] == "experiment.proposed" and x["body"]["experiment"] == 1)
    asked, failed = (
        e.CallReserved(reservation=f"1.1.{n}", experiment=1, call=1, attempt=n, purpose="propose", model="m",
                       request=blobs.put(request.model_dump_json().encode()), request_digest=request.digest(),
                       worst=Spending(calls=1))
        for n in (2, 1)
    )  # fmt: skip
    settled = e.CallSettled(reservation="1.1.2", answer=blobs.put(answer.model_dump_json().encode()), finish="stop",
                            input_tokens=1, output_tokens=2)  # fmt: skip
    refused = e.CallFailed(reservation="1.1.1", kind="rate_limited", reason="slow down", charged=False)
    new = [("call.reserved", failed), ("call.failed", refused), ("call.reserved", asked), ("call.settled", settled)]
    events[place:place] = [{**events[place], "kind": kind, "body": body.model_dump(mode="json")} for kind, body in new]
    store(run_folder, events)
    page = written(run_folder, tmp_path / "report.html")
    assert "[user]\nWhat &lt;b&gt;now&lt;/b&gt;?" in page
    assert "Raise it." in page
    assert "No answer, call 1.1.1 to propose, m" in page
    assert "slow down" in page


def test_the_core_works_where_the_page_s_libraries_are_not(pristine: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('starlette', 'uvicorn', 'rsi.review.web.pages'): sys.modules[name] = None\n"
        "from rsi.review.reading import read\nfrom pathlib import Path\nimport cli\n"
        f"print(read(Path({str(pristine)!r})).summary.kept)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "2"


def test_what_other_policies_would_have_decided_stands_with_each_decision(pristine: Path, tmp_path: Path) -> None:
    page = written(pristine, tmp_path / "report.html")
    for number in (1, 3, 6):
        part = page[page.index(f'id="e{number}-others"') :].split("</table>", 1)[0]
        assert re.findall(r'<th scope="row">([a-z-]+)</th>', part) == [
            "expected-gain",
            "fixed",
            "sequential",
            "threshold",
        ]
        assert "have measured more" in part
    assert "greedy" not in page[page.index('id="e1-others"') :].split("</table>", 1)[0]
