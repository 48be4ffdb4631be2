"""Whatever befell an honest run, its record holds: no false alarm after crashes, losses, further trials or budgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_run

from rsi.configuration import Budget
from rsi.events import BODIES
from rsi.ledger import Event
from rsi.review.verify import VerifyReport, verify
from rsi.session import resume
from rsi.state import RunState
from rsi.testing.altering import load

PATIENT = """
from rsi.records import Discard, Keep, Measure, Propose


class Patient:
    name = "patient"

    def decide(self, comparison, history):
        metric = comparison.objective.metric
        candidate, incumbent = comparison.candidate.values(metric), comparison.incumbent.values(metric)
        if len(candidate) < 3:
            return Measure(rule=self.name, reason="once more", arm="candidate", trials=2)
        if len(incumbent) < 3:
            return Measure(rule=self.name, reason="and the other", arm="incumbent", trials=2)
        better = max(candidate) < min(incumbent)
        return (Keep if better else Discard)(rule=self.name, reason="three each")

    def plan(self, history):
        return Propose(rule=self.name, reason="always")
"""


@pytest.fixture(autouse=True)
def _heads_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))


def holds(folder: Path) -> VerifyReport:
    report = verify(folder, trust_paths=True)
    assert report.problems == ()
    return report


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs any more."""


@pytest.mark.parametrize("kind", [kind for kind in BODIES if kind not in {"run.started", "run.paused", "run.resumed"}])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_run_killed_at_an_event_holds_before_and_after_it_is_resumed(tmp_path: Path, kind: str, nth: int) -> None:
    seen = 0

    def kill(event: Event, _state: RunState) -> None:
        nonlocal seen
        seen += event.kind == kind
        if event.kind == kind and seen == nth:
            raise Killed

    try:
        folder = make_run(tmp_path, confirm=2, listeners=[kill])
    except Killed:
        folder = next((tmp_path / "runs").iterdir())
        holds(folder)
        if load(folder)[-1]["kind"] != "run.finished":
            with resume(folder, lambda _sentence: None) as session:
                assert session.go() == 0
    assert load(folder)[-1]["kind"] == "run.finished"
    holds(folder)


@pytest.mark.parametrize(
    "marker", ["oom", "timeout", "cpu", "disk", "output", "forbidden", "lost-once", "predict-crash", "nan"]
)
def test_a_run_in_which_something_went_wrong_holds(tmp_path: Path, marker: str) -> None:
    patches = [
        ("VALUE = 1.0", f"VALUE = 2.0\nX = 1  # fake: {marker}", "goes wrong"),
        ("VALUE = 1.0" if marker != "lost-once" else "VALUE = 2.0", "VALUE = 2.9", "goes well"),
    ]
    report = holds(make_run(tmp_path, patches, confirm=2))
    assert report.counts.verdicts > 3


@pytest.mark.parametrize(("marker", "code"), [("lost", 3), ("interrupted", 130)])
def test_a_run_that_paused_within_a_trial_holds(tmp_path: Path, marker: str, code: int) -> None:
    folder = make_run(tmp_path, [("VALUE = 1.0", f"VALUE = 2.0\nX = 1  # fake: {marker}", "stops")], code=code)
    assert load(folder)[-1]["kind"] == "run.paused"
    holds(folder)


def test_further_trials_of_either_arm_hold(tmp_path: Path) -> None:
    policy = tmp_path / "patient.py"
    policy.write_text(PATIENT)
    folder = make_run(tmp_path, policy=f"{policy}:Patient", confirm=2)
    decisions = [event["body"]["decision"]["kind"] for event in load(folder) if event["kind"] == "policy.decided"]
    assert decisions.count("measure") > 3
    assert decisions.count("keep") > 1
    holds(folder)


@pytest.mark.parametrize("policy", ["expected-gain", "sequential"])
def test_a_run_whose_policy_looks_at_its_history_holds(tmp_path: Path, policy: str) -> None:
    folder = make_run(tmp_path, policy=policy)
    rules = {event["body"]["decision"]["rule"] for event in load(folder) if event["kind"] == "policy.decided"}
    assert rules == {policy}
    holds(folder)


def test_a_run_that_keeps_no_artifacts_holds(tmp_path: Path) -> None:
    report = holds(make_run(tmp_path, artifacts=0))
    assert report.counts.dropped > 3


def test_a_finished_run_with_more_budget_and_a_second_confirmation_holds(tmp_path: Path) -> None:
    folder = make_run(tmp_path, confirm=2)
    source = tmp_path / "patches" / "007.patch"
    source.write_text("# closer still\n--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,1 @@\n-VALUE = 2.9\n+VALUE = 3.0\n")
    with resume(folder, lambda _sentence: None, Budget(experiments=7)) as session:
        assert session.go() == 0
    kinds = [event["kind"] for event in load(folder)]
    assert kinds.count("confirmation.finished") == 2
    report = holds(folder)
    assert report.counts.confirmations == 2
