"""A short soak: after two dozen trials, a third of them failing, nothing is left; the benchmark runs a thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import soak  # a script's module, beside the script

sys.path.pop(0)


@pytest.mark.docker
@pytest.mark.long  # that one trial or one run leaves nothing behind is held by tests of their own
def test_two_dozen_trials_leave_nothing_behind() -> None:
    report = soak.soak(24, parallel=2, pool=2, say=False)
    assert report["leaks"] == {}
    assert sum(report["endings"].values()) == 24
    assert report["after"]["containers"] == report["after"]["volumes"] == report["after"]["temporary_files"] == 0
    assert {"completed", "crashed", "out_of_memory", "forbidden_output", "output_exceeded"} <= set(report["endings"])
    # On the way there was something to leave behind.
    assert max(sample["containers"] for sample in report["samples"]) >= 2
