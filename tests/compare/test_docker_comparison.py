"""A comparison in real containers: two policies on `digits`, matched to the draw."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Rsi

from rsi.review.reading import read
from rsi.review.verify import verify
from rsi.runs import list_runs

pytestmark = pytest.mark.docker


@pytest.mark.long
def test_two_policies_are_compared_on_docker(tmp_path: Path, rsi: Rsi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSI_CACHE")
    limits = ("--experiments", 2, "--no-certify", "--confirm", 2, "--parallel", 2)
    done = rsi("digits", "--policy", "greedy,threshold(k=1)", "--seeds", 1, *limits, "--to", tmp_path / "c", "--json")
    assert done.code == 0, done.err
    report = done.json
    assert (report["schema"], report["complete"]) == (1, True)
    assert [arm["arm"] for arm in report["compared"]["arms"]] == ["greedy", "threshold(k=1)"]
    assert "one pair of loops has no spread" in report["sentences"][0]
    runs = [run for root in sorted((tmp_path / "c" / "loops").iterdir()) for run in list_runs(root)]
    assert len(runs) == 2
    assert all(verify(run).ok and read(run).summary.isolated for run in runs)
    baselines = [read(run).summary.baseline.value for run in runs]
    assert baselines[0] == pytest.approx(baselines[1]), "the same seeds train the same baseline"
    assert all(loop["compute"] > 0 for loop in report["loops"])
