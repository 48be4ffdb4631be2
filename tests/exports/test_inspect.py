"""The log as inspect_ai's own reader loads it, compared with the run's record."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from exported_runs import EVIL, Known
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inspect_ai.event import InfoEvent, ModelEvent, SandboxEvent, ScoreEvent
from inspect_ai.log import (
    EvalLog,
    EvalSample,
    read_eval_log,
    read_eval_log_sample_summaries,
    write_eval_log,
)

from rsi.records import ExperimentStatus
from rsi.review.export import inspect_log
from rsi.review.export.gather import Gathering
from rsi.review.export.inspect_events import Telling, shown
from rsi.review.export.records import (
    CallLine,
    Content,
    DecisionLine,
    ExecutionLine,
    ExperimentLine,
    FindingLine,
    MeasurementLine,
    VerdictLine,
    moment,
)


@pytest.fixture(params=["eval", "json"])
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exported(known: Known, where: Path) -> EvalLog:
    inspect_log.export(Gathering(known.folder), where, force=False)
    return read_eval_log(where, resolve_attachments=True)


def samples(log: EvalLog) -> list[EvalSample]:
    assert log.samples is not None
    return log.samples


def test_samples_are_experiments(any_run: Known, ending: str, tmp_path: Path) -> None:
    log = exported(any_run, tmp_path / f"x.{ending}")
    lines = any_run.of(ExperimentLine)
    assert [sample.id for sample in samples(log)] == [line.experiment for line in lines]
    for sample, line in zip(samples(log), lines, strict=True):
        assert sample.scores is not None
        assert sample.scores["decision"].value == line.status.value
        assert sample.scores["decision"].explanation == line.why
        assert (sample.error is not None) == (line.status is ExperimentStatus.CRASHED)
        assert shown(line.rationale).strip() in sample.output.completion
        assert sample.metadata["rationale"] == line.rationale
        if line.diff is not None:
            assert line.diff.content in sample.output.completion
            assert sample.metadata["diff"]["content"] == line.diff.content
    assert log.status == "success"
    assert log.eval.dataset.samples == len(lines)


def test_scores_are_the_measurements(finished: Known, ending: str, tmp_path: Path) -> None:
    log = exported(finished, tmp_path / f"x.{ending}")
    assert log.eval.metadata is not None
    metric = finished.run.state.run.objective.metric
    for sample in samples(log):
        assert sample.scores is not None
        mean = finished.run.state.mean(int(sample.id))
        if mean is None:
            assert metric not in sample.scores
        else:
            assert sample.scores[metric].as_float() == pytest.approx(mean)
            assert sample.scores[shown(EVIL)].value == 1.5
            assert sample.scores["metric:decision"].value == 2.5
    assert log.results is not None
    assert log.results.scores[0].scored_samples == sum(line.value is not None for line in finished.of(ExperimentLine))
    told = [
        (name, value)
        for sample in samples(log)
        for event in sample.events
        if isinstance(event, ScoreEvent)
        for name, value in dict(event.score.value).items()  # type: ignore[arg-type]
    ]
    assert sorted(told) == sorted((line.name, line.value) for line in finished.of(MeasurementLine))


def test_executions_are_sandbox_events_with_both_streams_whole(any_run: Known, ending: str, tmp_path: Path) -> None:
    log = exported(any_run, tmp_path / f"x.{ending}")
    events = [event for sample in samples(log) for event in sample.events if isinstance(event, SandboxEvent)]
    lines = any_run.of(ExecutionLine)
    assert len(events) == len(lines) > 0
    by_seq = {line.seq: line for line in lines}
    for event in events:
        assert event.metadata is not None
        line = by_seq[event.metadata["seq"]]
        for stream, content in (("stdout", line.stdout), ("stderr", line.stderr)):
            assert content is not None
            assert Content.model_validate(event.metadata[stream]).data() == any_run.run.blobs.get(content.sha256)
        assert event.action == "exec"
        assert event.result == line.execution.exit_code
        assert event.timestamp == moment(line.execution.started)
        assert event.completed == moment(line.execution.ended)
        assert event.metadata["execution"]["usage"] == line.execution.usage.model_dump(mode="json")
        assert event.output is not None
        assert line.stdout is not None
        assert shown(line.stdout.text()) in event.output
        assert not set(event.output) & set("\x00\x1b\x7f\u202e\u2028")
        assert event.cmd is not None
        assert event.cmd.startswith("python ")


def test_verdicts_decisions_and_findings_are_there(finished: Known, ending: str, tmp_path: Path) -> None:
    log = exported(finished, tmp_path / f"x.{ending}")
    told: dict[str, list[object]] = {}
    for sample in samples(log):
        for event in sample.events:
            if isinstance(event, InfoEvent):
                told.setdefault(str(event.source), []).append(event.data)
    for source, kind in (("verdict", VerdictLine), ("decision", DecisionLine), ("finding", FindingLine)):
        assert len(told[f"rsi.{source}"]) == sum(
            line.experiment is not None if isinstance(line, VerdictLine | DecisionLine)
            else line.finding.experiment is not None
            for line in finished.of(kind)
        )  # fmt: skip
    messages = [entry["message"] for sample in samples(log) for entry in sample.metadata["found"]]
    assert EVIL in messages


def test_the_header_names_the_head_and_how_to_verify(any_run: Known, ending: str, tmp_path: Path) -> None:
    log = exported(any_run, tmp_path / f"x.{ending}")
    head = any_run.run.state.head
    assert log.eval.metadata is not None
    assert log.eval.metadata["head"] == head
    assert f"--head {head}" in log.eval.metadata["statement"]
    assert log.eval.metadata["integrity"]["events"] == any_run.run.state.events
    assert log.results is not None
    names = {score.name: score for score in log.results.scores}
    objective = names[any_run.run.state.run.objective.metric]
    assert objective.metrics["best"].value == any_run.run.state.mean(any_run.run.state.incumbent)
    assert str(any_run.folder.parent) not in log.model_dump_json()


def test_a_confirmed_gain_comes_with_its_interval(finished: Known, ending: str, tmp_path: Path) -> None:
    log = exported(finished, tmp_path / f"x.{ending}")
    confirmed = finished.run.state.confirmation
    assert confirmed is not None
    assert confirmed.improvement is not None
    assert log.results is not None
    [gain] = [score for score in log.results.scores if score.name == "confirmed gain"]
    assert gain.metrics["estimate"].value == confirmed.improvement.estimate
    assert gain.metrics["low"].value == confirmed.improvement.low
    assert gain.metrics["high"].value == confirmed.improvement.high


def test_a_certified_gain_comes_with_its_interval_and_its_test(certified: Known, ending: str, tmp_path: Path) -> None:
    log = exported(certified, tmp_path / f"x.{ending}")
    summary = Gathering(certified.folder).reading.summary
    assert summary.certified is not None
    interval = summary.certified.improvement
    assert interval is not None
    assert log.results is not None
    [gain] = [score for score in log.results.scores if score.name == "certified gain"]
    told = [gain.metrics[part].value for part in ("estimate", "low", "high")]
    assert told == [interval.estimate, interval.low, interval.high]
    assert gain.metadata is not None
    assert gain.metadata["experiment"] == summary.certified.experiment
    assert log.results.metadata is not None
    assert [milestone["passed"] for milestone in log.results.metadata["milestones"]] == [True]
    metric = certified.run.state.run.objective.metric
    scores = samples(log)[summary.certified.experiment].scores
    assert scores is not None
    # The trials on the holdout, for the test, are told and do not count for the search's own figure.
    assert scores[metric].value == certified.run.state.mean(summary.certified.experiment)
    assert {m["split"] for m in (scores[metric].metadata or {})["measurements"]} == {"dev", "holdout"}


def test_calls_are_model_events_and_add_up(asked: Known, ending: str, tmp_path: Path) -> None:
    log = exported(asked, tmp_path / f"x.{ending}")
    events = [event for sample in samples(log) for event in sample.events if isinstance(event, ModelEvent)]
    lines = asked.of(CallLine)
    assert len(events) == len(lines) == len(asked.run.state.calls)
    for event, line in zip(events, lines, strict=True):
        assert [(message.role, message.text) for message in event.input] == list(line.prompt)
        assert event.output.completion == line.answer
        assert event.output.usage is not None
        assert event.output.usage.total_tokens == line.input_tokens + line.output_tokens
    spent = asked.run.state.spending()
    assert sum(usage.total_tokens for usage in log.stats.model_usage.values()) == spent.tokens
    first = samples(log)[1]
    assert isinstance(first.input, list)
    assert "Propose experiment 1." in "".join(message.text for message in first.input)


def test_the_archive_has_the_members_that_inspect_s_own_writer_makes(finished: Known, tmp_path: Path) -> None:
    log = exported(finished, tmp_path / "x.eval")
    write_eval_log(log, tmp_path / "own.eval")
    ours, theirs = (
        {name for name in ZipFile(tmp_path / file).namelist() if not name.startswith("_journal/summaries")}
        for file in ("x.eval", "own.eval")
    )
    assert ours == theirs
    summaries = read_eval_log_sample_summaries(tmp_path / "x.eval")
    assert [summary.id for summary in summaries] == [sample.id for sample in samples(log)]
    assert read_eval_log_sample_summaries(tmp_path / "own.eval") == summaries


def test_two_exports_of_the_same_record_say_the_same(finished: Known, tmp_path: Path) -> None:
    one, other = (exported(finished, tmp_path / name).model_dump(mode="json") for name in ("a.json", "b.json"))
    assert one == other


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(text=st.text(st.characters()), data=st.binary())
def test_any_text_and_any_bytes_survive(finished: Known, tmp_path: Path, text: str, data: bytes) -> None:
    record = finished.of(ExecutionLine)[0]
    assert isinstance(record, ExecutionLine)
    content = Content.of("0" * 64, data)
    changed = record.model_copy(update={"stdout": content, "stage": text})
    decided = finished.of(DecisionLine)[0].model_copy(update={"why": text})
    log = read_eval_log(_log(tmp_path))
    sample = samples(log)[0]
    began = moment(record.time)
    assert began is not None
    sample.events = Telling("run", began).events([changed, decided])
    path = tmp_path / "any.eval"
    log.samples = [sample]
    write_eval_log(log, path)
    [back] = samples(read_eval_log(path))
    [event] = [event for event in back.events if isinstance(event, SandboxEvent)]
    assert event.metadata is not None
    assert Content.model_validate(event.metadata["stdout"]).data() == data
    # What JSON cannot carry, inspect's writer spells out; in a record there is none, since pydantic refuses it there.
    spelled = text.encode("utf-8", "backslashreplace").decode()
    assert event.metadata["stage"] == spelled
    [info] = [event for event in back.events if isinstance(event, InfoEvent)]
    assert json.loads(json.dumps(info.data))["why"] == spelled


def _log(folder: Path) -> Path:
    """A small log to put things in."""
    path = folder / "small.json"
    if not path.exists():
        from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec  # noqa: PLC0415

        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00", task="t", dataset=EvalDataset(), model="m", config=EvalConfig()
        )
        sample = EvalSample(id=1, epoch=1, input="", target="")
        write_eval_log(EvalLog(eval=spec, samples=[sample]), path)
    return path
