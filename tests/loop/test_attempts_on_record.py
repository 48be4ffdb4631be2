"""What code attempted goes into the record, with findings that derive again; it decides nothing."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
from composing import configuration, go_on, run, said
from rich.console import Console

from rsi.attempts import Attempt, AttemptKind, Coverage, Grade
from rsi.briefing import brief
from rsi.configuration import Budget, Component
from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import Job, Outcome, Watch
from rsi.records import ExperimentStatus, Severity
from rsi.review import reading
from rsi.review.experiment import show_experiment
from rsi.review.filtering import Filter
from rsi.review.log_lines import print_log
from rsi.review.show import show_run
from rsi.review.verify import verify
from rsi.runs import ReadRun, list_runs
from rsi.session import start
from rsi.testing.fake_sandbox import FakeSandbox


class Blind(FakeSandbox):
    """It says that it traces and sees nothing."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As the fake's, less what was traced."""
        outcome = super().run(job, watch)
        seen = tuple(attempt for attempt in outcome.execution.attempts if attempt.grade is Grade.OBSERVED)
        return outcome.model_copy(update={"execution": outcome.execution.model_copy(update={"attempts": seen})})


class Busy(FakeSandbox):
    """Its programs attempt more than an execution lists, and name a secret."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As the fake's, with a list beside it."""
        outcome = super().run(job, watch)
        many = tuple(
            Attempt(grade=Grade.OBSERVED, kind=AttemptKind.FILE, target=f"/s3cr3t-value-{number}", detail="read")
            for number in range(40)
        )
        execution = outcome.execution.model_copy(
            update={"attempts": many[:24], "coverage": (Coverage(grade=Grade.OBSERVED, complete=True),)}
        )
        return outcome.model_copy(update={"execution": execution, "attempts": many})


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))


def shown(record: ReadRun, experiment: int) -> str:
    console = Console(file=io.StringIO(), width=250)
    show_experiment(record, experiment, console)
    print_log([reading.read(record.folder)], Filter(kinds=("trial.trained",)), console)
    show_run(reading.read(record.folder), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_attempt_is_a_finding_at_the_line_of_the_diff_and_decides_nothing(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "7:connect"))
    assert code == 0
    assert record.state.count(ExperimentStatus.KEPT) == 1
    (trial,) = [record.state.trials[name] for name in record.state.experiments[1].trials]
    assert trial.trained is not None
    (finding,) = trial.trained.findings
    assert (finding.severity, finding.code) == (Severity.CRITICAL, "attempt.connection")
    assert "192.0.2.1:80" in finding.message
    diff = record.blobs.get(record.state.experiments[1].committed.diff).decode().split("\n")  # type: ignore[union-attr, arg-type]
    at = int(finding.pointer.removeprefix("diff:").partition(" ")[0])
    assert diff[at - 1] == "+# fake: connect"
    assert finding.pointer.endswith("(train.py:2)")
    text = shown(record, 1)
    assert text.count("192.0.2.1:80") >= 3  # in the experiment, in the log, in the summary
    assert verify(record.folder, trust_paths=True).ok
    told = brief(record.state, record.task(), record.blobs.get, {"train.py": ""})
    assert told.history
    assert "192.0.2.1" not in told.model_dump_json()


def test_a_finding_that_was_taken_out_or_put_in_does_not_derive_again(tmp_path: Path) -> None:
    _, record = run(tmp_path, configuration(tmp_path, "7:connect"))
    path = record.folder / "ledger.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    trained = [event for event in events if event["kind"] == "trial.trained" and event["body"]["findings"]]
    (found,) = trained
    before = found["body"]["findings"]
    for altered in ([], before * 2):
        found["body"]["findings"] = altered
        previous = "0" * 64
        for event in events:
            event["previous"] = previous
            fields = {key: value for key, value in event.items() if key != "hash"}
            canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
            previous = event["hash"] = hashlib.sha256(canonical.encode()).hexdigest()
        path.write_text(
            "".join(json.dumps(e, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n" for e in events)
        )
        problems = verify(record.folder, trust_paths=True).problems
        assert (found["seq"], "finding") in {(problem.seq, problem.kind) for problem in problems}


def test_a_run_that_traces_says_so_in_its_configuration_and_every_trial(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, "7:connect", trace=True))
    assert code == 0
    assert record.state.run.configuration.trace
    executions = [execution for name, execution in record.state.executions() if name]
    assert {tuple(coverage.grade for coverage in x.coverage) for x in executions} == {tuple(Grade)}
    connections = [attempt.grade for x in executions for attempt in x.attempts]
    assert set(connections) == set(Grade)
    assert verify(record.folder, trust_paths=True).ok
    _, further = go_on(record.folder, Budget(experiments=2))
    assert further.state.finished is not None


def test_a_run_whose_sandbox_cannot_trace_is_refused_before_it_exists(tmp_path: Path) -> None:
    for name, error in ((f"{__file__}:Blind", EnvironmentFault), ("process", UsageError)):
        wanted = configuration(tmp_path, "7", trace=True, sandbox=Component(name=name))
        with pytest.raises(error, match="trace"):
            start(wanted, said, root=tmp_path / "runs")
    assert list_runs(tmp_path / "runs") == []


def test_what_is_not_listed_is_kept_beside_and_secrets_in_it_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "s3cr3t-value-7")
    _, record = run(tmp_path, configuration(tmp_path, "7", sandbox=Component(name=f"{__file__}:Busy")))
    trained = [trial.trained for trial in record.state.trials.values() if trial.trained is not None]
    for body in trained:
        assert body.attempts is not None
        listed = [Attempt.model_validate(value) for value in json.loads(record.blobs.get(body.attempts))]
        assert len(listed) == 40
        assert listed[:7] == list(body.execution.attempts[:7])
        assert "s3cr3t-value-7" not in body.model_dump_json() + str(listed)
        assert body.findings
    report = verify(record.folder, trust_paths=True)
    assert report.ok, report.problems
    assert any("named a secret" in note for note in report.notes)
