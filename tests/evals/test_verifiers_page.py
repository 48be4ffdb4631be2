"""The worked example of `docs/verifiers.md` does what the page says: extracted, tested, and red-teamed for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "verifiers.md"
BLOCK = re.compile(r"^```(?:python|toml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with every file that the page tells its reader to write."""
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def ran(example: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in that folder, with this program within reach."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RSI_STATE": str(example / "state")}
    return subprocess.run(
        [sys.executable, *words], cwd=example, env=environment, capture_output=True, text=True, check=False
    )


def redteam(example: Path, *words: str) -> tuple[int, dict[str, object]]:
    """The command of the page; exit code and JSON."""
    given = ("redteam", "--task", "digits", "--folder", "cases", "--verifier", "half_again.py:HalfAgain")
    done = ran(example, "-c", "import cli; cli.main()", *given, "--json", "--seed", "1", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_page_s_own_test_passes(example: Path) -> None:
    done = ran(example, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_half_again.py")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


@pytest.mark.docker
@pytest.mark.long  # the short form of the corpus, with and without a layer, is in `make test`
def test_the_page_s_attack_is_caught_by_its_verifier_and_not_without_it(example: Path) -> None:
    code, found = redteam(example)
    cases = {case["name"]: case for case in found["cases"]}
    assert code == 0, cases
    assert cases["leans-on-the-batch"]["layers"] == ["half-again"]
    assert cases["leans-on-itself"]["outcome"] == "passed"
    assert found["verifiers"] == {"digits": ["classification", "half-again"]}
    code, found = redteam(example, "--without", "half-again", "--no-honest")
    (case,) = found["cases"]
    assert (code, case["outcome"]) == (1, "missed"), case


def test_every_command_and_option_of_the_page_is_there() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import cli; cli.main()", "redteam", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = set(re.findall(r"`(--[a-z-]+)", PAGE.read_text().split("## `rsi redteam`")[1].split("### The JSON")[0]))
    assert options
    assert all(option in shown for option in options), [option for option in options if option not in shown]
