"""The command line as a person meets it: one sentence for what is wrong, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RSI = str(Path(sys.executable).with_name("rsi"))


def rsi(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "RSI_STATE": str(folder / "state"), "RSI_CACHE": str(folder / "cache"), **environment}
    return subprocess.run(
        [RSI, *arguments], capture_output=True, text=True, cwd=folder, env=settings, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "charml"], 2, "did you mean 'charlm'"),
        (["run", "digits", "--proposer", "mutant"], 2, "did you mean 'mutate'"),
        (["run", "digits", "--policy", "greedi"], 2, "did you mean 'greedy'"),
        (["run", "digits", "--sandbox", "dockre"], 2, "did you mean 'docker'"),
        (["run", "digits", "--verifier", "classify"], 2, "did you mean 'classification'"),
        (["run", "digits", "--hours", "-1"], 2, "--hours"),
        (["run", "digits", "--hours", "nan"], 2, "--hours"),
        (["run", "digits", "--disk-quota", "nan"], 2, "--disk-quota"),
        (["run", "digits", "--experiments", "-3"], 2, "experiments"),
        (["run", "digits", "--proposer", "replay"], 2, "--source"),
        (["run", "digits", "--source", "x"], 2, "--source"),
        (["run", "digits", "--data", "nowhere.csv", "--sandbox", "process"], 2, "neither a file nor a folder"),
        (["run", "charlm", "--sandbox", "process"], 2, "PyTorch"),
        (["run", "digits", "--sandbox", "process", "--runtime", "runsc"], 2, "go with --sandbox docker"),
        (["run", "digits", "--gpus", "two"], 2, "say all, a number, or device=0,1"),
        (["image", "load", "nowhere.rsi"], 2, "cannot be read"),
        (["image", "load", "."], 1, "plain file"),
        (["show", "latest"], 2, "rsi run"),
        (["show", "."], 2, "not a run folder"),
        (["resume", "nothing"], 2, "no run"),
        (["verify", "nothing"], 2, "no run"),
        (["run", "digits", "--exprements", "3"], 2, "--experiments"),
        (["run", "digits", "--hours", "inf"], 2, "--hours must be a number more than 0"),
        (["run", "digits", "--alpha", "0"], 2, "--alpha is 0"),
        (["run", "digits", "--alpha", "1"], 2, "--alpha is 1"),
        (["run", "digits", "--certify-share", "nan"], 2, "--certify-share is nan"),
        (["run", "digits", "--null-edits", "nan"], 2, "--null-edits is nan"),
        (["run", "digits", "--no-certify", "--alpha", "0.1"], 2, "--no-certify has none"),
        (["run", "digits", "--effort", "high"], 2, "--effort goes with --proposer llm"),
        (["run", "digits", "--sandbox", "process", "--max-cost", "3"], 2, "the proposer mutate asks none"),
        (["run", "digits", "--policy", "greedy", "--policy-option", "k=1"], 2, "greedy has no option 'k'"),
        (["run", "digits", "--sandbox", "process", "--parallel", "65"], 2, "--parallel"),
        (["simulate", "--policy", "greedi"], 2, "did you mean 'greedy'"),
        (["simulate", "--noise", ","], 2, "--noise names no number"),
        (["simulate", "--noise", "nan"], 2, "--noise takes numbers"),
        (["simulate", "--picture", "x.docx"], 2, "end it in .png, .svg, .pdf"),
        (["simulate", "--picture", "nowhere/x.png"], 3, "cannot be written"),
        (["image", "remove", "debian"], 2, "not an image of this project"),
        (["attribute", "nothing"], 2, "no run"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = rsi(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_an_engine_that_does_not_answer_is_the_environments_fault(tmp_path: Path) -> None:
    done = rsi(tmp_path, "run", "digits", "--experiments", "1", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"docker", "numpy", "libcst", "litellm", "matplotlib", "scipy", "rich"}
    code = f"import sys, cli; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    done = rsi(tmp_path, "--help")
    assert done.returncode == 0
    for command in ("run", "resume", "list", "show", "diff", "log", "verify", "doctor", "task"):
        assert command in done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run of `digits` in the process sandbox."""
    folder = tmp_path_factory.mktemp("finished")
    done = rsi(folder, "run", "digits", "--sandbox", "process", "--experiments", "4", "--confirm", "2", "--seed", "3",
               "--parallel", "1", "--policy", "greedy", "--no-certify")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "NOT ISOLATED" in done.stdout
    assert "ledger head" in done.stdout.splitlines()[-1]
    return folder


def test_show_json_holds_what_other_programs_need(finished: Path) -> None:
    shown = json.loads(rsi(finished, "show", "latest", "--json").stdout)
    names = (
        "run task experiments kept discarded crashed rejected baseline best ledger_head wall_seconds train_seconds "
        "overhead_seconds"
    )
    assert set(names.split()) <= shown.keys()
    assert shown["schema"] == 1
    assert shown["experiments"] == 4
    assert shown["isolated"] is False
    assert {"metric", "value"} <= shown["baseline"].keys()
    assert shown["overhead_seconds"] >= 0


def test_every_reading_command_answers_and_its_json_parses(finished: Path) -> None:
    for arguments in (["list"], ["show", "latest"], ["show", "latest", "1"], ["diff", "latest"], ["log", "latest"]):
        assert rsi(finished, *arguments).returncode == 0, arguments
    for arguments in (["list"], ["show", "latest", "1"], ["verify", "latest"]):
        done = rsi(finished, *arguments, "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)
    lines = rsi(finished, "log", "latest", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["log", "latest", "--kind", "trail"], "did you mean"),
        (["log", "latest", "--experiment", "99"], "has no experiment 99; it has 0 to 4"),
        (["log", "latest", "--experiment", "-1"], "has no experiment -1; it has 0 to 4"),
        (["findings", "latest", "--experiment", "99"], "has no experiment 99; it has 0 to 4"),
        (["show", "latest", "99"], "has no experiment 99"),
        (["attribute", "latest", "--trials", "1"], "give more with --trials"),
        (["resume", "latest", "--max-cost", "1"], "the proposer mutate asks none"),
    ],
)
def test_what_a_run_does_not_have_is_one_sentence_and_changes_nothing(
    finished: Path, arguments: list[str], words: str
) -> None:
    (ledger,) = finished.glob("runs/*/ledger.jsonl")
    before = ledger.read_bytes()
    done = rsi(finished, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert ledger.read_bytes() == before


def test_the_run_folder_holds_what_the_design_promises(finished: Path) -> None:
    (folder,) = (finished / "runs").iterdir()
    for name in ("run.toml", "ledger.jsonl", "blobs", "code.git", "results.tsv", "progress.png"):
        assert (folder / name).exists(), name
    header, *rows = (folder / "results.tsv").read_text().splitlines()
    assert header.split("\t") == ["commit", "val_nll", "memory_gb", "status", "description"]
    assert len(rows) == 5
    log = subprocess.run(
        ["git", "--git-dir", str(folder / "code.git"), "log", "--oneline", "kept"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert log.returncode == 0


def test_verify_names_the_event_that_was_altered_and_resume_refuses(finished: Path, tmp_path: Path) -> None:
    (folder,) = (finished / "runs").iterdir()
    copy = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copy)
    assert rsi(tmp_path, "verify", str(copy)).returncode == 0
    ledger = copy / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace('"experiment":0', '"experiment":1', 1).replace('"trial":"0.1"', '"trial":"0.2"', 1)
    ledger.write_text("".join(lines))
    done = rsi(tmp_path, "verify", str(copy))
    assert done.returncode == 1
    assert "7" in done.stdout
    before = ledger.read_bytes()
    refused = rsi(tmp_path, "resume", str(copy), "--experiments", "9")
    assert refused.returncode == 1
    assert ledger.read_bytes() == before


def test_a_finished_run_is_not_resumed_without_more_budget(finished: Path) -> None:
    done = rsi(finished, "resume", "latest")
    assert done.returncode == 2
    assert "--experiments" in done.stderr


@pytest.mark.long
def test_replaying_a_run_trains_its_proposals_again(finished: Path) -> None:
    (folder,) = (finished / "runs").iterdir()
    done = rsi(finished, "run", "digits", "--sandbox", "process", "--proposer", "replay", "--source", str(folder),
               "--parallel", "1", "--policy", "greedy", "--no-certify", RSI_RUNS=str(finished / "again"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    old = json.loads(rsi(finished, "show", str(folder), "--json").stdout)
    new = json.loads(rsi(finished, "show", "latest", "--json", RSI_RUNS=str(finished / "again")).stdout)
    assert new["experiments"] == old["experiments"]


def test_the_first_interrupt_pauses_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    settings = {**os.environ, "RSI_STATE": str(tmp_path / "state"), "RSI_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [RSI, "run", "digits", "--sandbox", "process", "--experiments", "500", "--no-certify"],
        cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and '"policy.decided"' not in "".join(
        path.read_text() for path in tmp_path.glob("runs/*/ledger.jsonl")
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    shown = json.loads(rsi(tmp_path, "show", "latest", "--json").stdout)
    assert shown["status"] == "paused"
    done = rsi(tmp_path, "resume", "latest", "--experiments", str(shown["experiments"] + 1))
    assert done.returncode == 0, done.stderr
    assert rsi(tmp_path, "verify", "latest").returncode == 0


@pytest.mark.long
def test_two_interrupts_leave_at_once_and_the_run_can_still_be_resumed(tmp_path: Path) -> None:
    settings = {**os.environ, "RSI_STATE": str(tmp_path / "state"), "RSI_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [RSI, "run", "digits", "--sandbox", "process", "--experiments", "500", "--no-certify"],
        cwd=tmp_path, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("runs/*/results.tsv")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert process.returncode == 130
    done = rsi(tmp_path, "resume", "latest", "--experiments", "1")
    assert done.returncode == 0, done.stderr
    assert rsi(tmp_path, "verify", "latest").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--alpha", "0"], "--alpha is 0"),
        (["--alpha", "1"], "--alpha is 1"),
        (["--alpha", "-0.1"], "--alpha is -0.1"),
        (["--alpha", "nan"], "--alpha is nan"),
        (["--certify-share", "1"], "--certify-share is 1"),
        (["--null-edits", "0.6"], "--null-edits is 0.6"),
        (["--null-edits", "nan"], "--null-edits is nan"),
        (["--policy-option", "margin"], "key=value"),
        (["--policy-option", "margin=[1]"], "margin: write a number"),
        (["--policy-option", "margin=nan"], "margin: write a number"),
        (["--policy-option", "margin=1e"], "margin: write a number"),
        (["--policy", "greedy", "--policy-option", "margin=1"], "greedy has no option 'margin': it takes none"),
    ],
)
def test_what_cannot_be_tested_with_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = rsi(tmp_path, "run", "digits", "--sandbox", "process", *arguments)
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert words in sentence
    assert not (tmp_path / "runs").exists()


POLICY = """from rsi.policies.greedy import Greedy

class Tuned(Greedy):
    name = "tuned"

    def __init__(self, margin: float = 0.0, word: str = "", strict: bool = False) -> None:
        assert (margin, word, strict) == (1.5, "bare-word", True)
"""


def test_a_policys_options_are_typed_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "tuned.py").write_text(POLICY)
    run = ["run", "digits", "--sandbox", "process", "--experiments", "0", "--policy", "tuned.py:Tuned"]
    unknown = rsi(tmp_path, *run, "--policy-option", "margn=1")
    assert unknown.returncode == 2
    assert "has no option 'margn': did you mean 'margin'?" in unknown.stderr
    options = [item for text in ("margin=1.5", "word=bare-word", "strict=true") for item in ("--policy-option", text)]
    done = rsi(tmp_path, *run, *options)
    assert done.returncode == 0, done.stderr
    told = json.loads(rsi(tmp_path, "log", "latest", "--kind", "run.started", "--json").stdout)["body"]["configuration"]
    assert told["policy"]["options"] == {"margin": 1.5, "word": "bare-word", "strict": True}
    assert (told["certify"], told["alpha"], told["shared_seeds"]) == (True, 0.05, True)


@pytest.mark.long
def test_a_run_tests_what_it_gains_unless_told_not_to(tmp_path: Path) -> None:
    run = ["run", "digits", "--sandbox", "process", "--seed", "3", "--parallel", "1", "--policy", "greedy"]
    done = rsi(tmp_path, *run, "--trials", "16", "--certify-share", "0.5", "--experiments", "3")
    assert done.returncode == 0, done.stderr
    shown = json.loads(rsi(tmp_path, "show", "latest", "--json").stdout)
    assert shown["milestones"], "nothing was kept, so nothing was shown; choose another seed"
    assert shown["trials"] <= 16
    assert ("Certified: " in done.stdout) == (shown["certified"] is not None)
    assert ("Nothing is certified" in done.stdout) == (shown["certified"] is None)
    more = rsi(tmp_path, "resume", "latest", "--trials", "17")
    assert more.returncode == 0, more.stderr


def test_attribution_needs_kept_edits_and_enough_trials(finished: Path) -> None:
    kept = json.loads(rsi(finished, "show", "latest", "--json").stdout)["kept"]
    assert kept, "nothing was kept, so nothing was shown; choose another seed"
    done = rsi(finished, "attribute", "latest", "--trials", "3")
    assert done.returncode == 2
    assert "takes at least" in done.stderr
