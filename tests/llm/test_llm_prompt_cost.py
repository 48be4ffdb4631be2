"""The benchmark of prompt cost, on few experiments, and the bounds that the project promises on fifty."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_prompts_cost_at_most_a_third_and_mostly_repeat() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "prompt_cost.py"), "--runs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    told = json.loads(done.stdout)
    assert told["experiments"] == 50
    assert told["together"]["ratio"] <= 1 / 3
    assert told["output"]["ratio"] <= 1 / 3
    assert told["unchanged_prefix"]["mean"] >= 0.6
