"""A run as inspect_ai's log: what stands in its header, and each experiment as a sample."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
)
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
from inspect_ai.scorer import Score
from inspect_ai.util import SandboxEnvironmentSpec
from inspect_ai.viewer import ViewerConfig

from rsi import __version__
from rsi.records import ExperimentStatus
from rsi.review.export.gather import Gathering
from rsi.review.export.inspect_events import Telling, identity, messages, shown, usage_of
from rsi.review.export.records import (
    CallLine,
    ExecutionLine,
    ExperimentLine,
    Exported,
    FindingLine,
    MeasurementLine,
    MilestoneLine,
    NoteLine,
    RunLine,
    TrialLine,
    moment,
)
from rsi.statistics import Interval

OWN_SCORES = ("decision", "gain")
"""Scores beside the measurements; a metric that is called so is renamed."""
_STATUS = {"finished": "success", "running": "started", "paused": "cancelled"}


class Run:
    """Tells a run; the log comes last, since it holds what the samples add up to."""

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._run: RunLine = gathering.run()
        self._rest = list(gathering.rest())
        self._usage: dict[str, ModelUsage] = {}
        self._names: dict[str, str] = {}
        """Of scores → of the metrics that they are."""
        self._ended = self._run.summary.started
        self._samples = self._scored = 0
        self.renamed: dict[str, str] = {}

    # --- samples ----------------------------------------------------------------------------------------------------

    def sample(self, number: int) -> EvalSample:
        """One experiment."""
        records = list(self._gathering.experiment(number))
        first = records[0]
        assert isinstance(first, ExperimentLine)
        if number == 0:
            records += [record for record in self._rest if isinstance(record, ExecutionLine)]
        calls = [record for record in records if isinstance(record, CallLine)]
        usage = _usage([*calls])
        for model, used in usage.items():
            self._usage[model] = self._usage.get(model, ModelUsage()) + used
        self._samples += 1
        self._scored += first.value is not None
        self._ended = max(self._ended, first.closed, first.time)
        output = self._output(first)
        asked = self._asked(first, calls)
        began, ended = moment(first.time), moment(first.closed)
        notes = [record.note for record in self._rest if isinstance(record, NoteLine)]
        return EvalSample(
            id=number,
            epoch=1,
            input=asked,
            target=self._target(),
            messages=[*asked, output.choices[0].message],
            output=output,
            scores=self._scores(first, records),
            metadata={
                "run": first.run,
                **first.model_dump(mode="json", exclude={"schema_version", "record", "run", "experiment"}),
                "found": [_plain(record.finding) for record in records if isinstance(record, FindingLine)],
                "notes": [_plain(note) for note in notes if note.experiment == number],
            },
            events=Telling(first.run, began or moment(self._run.summary.started) or _EPOCH).events(records),
            sandbox=SandboxEnvironmentSpec(type=self._run.sandbox.name),
            model_usage=usage,
            started_at=began.isoformat() if began else None,
            completed_at=ended.isoformat() if ended else None,
            total_time=(ended - began).total_seconds() if began and ended else None,
            working_time=first.seconds,
            uuid=identity(first.run, first),
            error=_error(first),
        )

    def _asked(self, line: ExperimentLine, calls: list[CallLine]) -> list[ChatMessage]:
        """The prompt of the last answered question; for other proposers the task's instruction and the parent."""
        prompted = [call for call in calls if call.prompt and call.purpose != "check"]
        ids = identity(line.run, line)
        if prompted:
            return messages(next((call for call in prompted if call.outcome == "answered"), prompted[0]), ids)
        words = "Measure the task's own code." if line.experiment == 0 else f"Improve experiment {line.parent}'s code."
        return [ChatMessageUser(id=f"{ids} asked", content=f"{self._run.instruction}\n\n{words}".strip())]

    def _output(self, line: ExperimentLine) -> ModelOutput:
        model = line.provenance.model or self._model()
        diff = "" if line.diff is None else f"\n\n```diff\n{line.diff.text()}\n```"
        output = ModelOutput.from_content(model=model, content=shown(line.rationale + diff).strip())
        message = output.choices[0].message
        assert isinstance(message, ChatMessageAssistant)
        message.id = f"{identity(line.run, line)} answered"
        return output

    def _target(self) -> str:
        objective = self._run.objective
        return f"{objective.metric}: {objective.direction.value}"

    def _scores(self, line: ExperimentLine, records: list[Exported]) -> dict[str, Score]:
        """The decision, the gain, and each metric as the mean over the trials that were measured to decide."""
        scores = {
            "decision": Score(value=line.status.value, explanation=line.why, metadata={"standing": line.standing})
        }
        if line.gain is not None:
            scores["gain"] = Score(value=line.gain, explanation=f"over experiment {line.parent}; positive is better")
        # A trial that was rejected later, or failed, has measurements that do not count: they stay in its events.
        scored = {
            r.trial for r in records if isinstance(r, TrialLine) and r.outcome == "scored" and r.role == "measure"
        }
        every: dict[str, list[MeasurementLine]] = {}
        counted: dict[str, dict[str, float]] = {}
        for record in records:
            if isinstance(record, MeasurementLine):
                every.setdefault(record.name, []).append(record)
                if record.trial in scored:  # the check before a keep comes after the screening, and stands
                    counted.setdefault(record.name, {})[record.trial] = record.value
        for name, values in counted.items():
            scores[self._score_name(name)] = Score(
                value=sum(values.values()) / len(values),
                explanation=f"mean over {len(values)} of {line.trials} trials",
                metadata={"measurements": [_plain(m, "schema_version", "record", "run", "name") for m in every[name]]},
            )
        return scores

    def _score_name(self, metric: str) -> str:
        harmless = shown(metric)
        name = f"metric:{harmless}" if harmless in OWN_SCORES or harmless.startswith("metric:") else harmless
        while name in self._names and self._names[name] != metric:  # two that differ in what is not shown
            name += "*"
        self._names[name] = metric
        if name != metric:
            self.renamed[metric] = name
        return name

    # --- the header -------------------------------------------------------------------------------------------------

    def log(self) -> EvalLog:
        """All but the samples, once they were told."""
        run, summary = self._run, self._run.summary
        status = _STATUS[summary.status]
        return EvalLog(
            status=status,
            eval=self._spec(),
            plan=EvalPlan(
                name=summary.proposer,
                steps=[EvalPlanStep(solver=summary.proposer, params=dict(run.configuration.proposer.options))],
            ),
            results=self._results(),
            stats=EvalStats(
                started_at=summary.started,
                completed_at="" if run.going_on else self._ended,
                model_usage=self._usage,
            ),
        )

    def _spec(self) -> EvalSpec:
        run, summary = self._run, self._run.summary
        return EvalSpec(
            eval_id=f"{run.run}@{run.integrity.head[:16]}",
            run_id=run.run,
            created=summary.started,
            task=summary.task,
            task_id=run.run,
            task_version=run.task_digest,
            task_description="; ".join(run.improvement),
            task_args=run.configuration.model_dump(mode="json"),
            solver=summary.proposer,
            solver_args=dict(run.configuration.proposer.options),
            tags=["rsi", summary.policy],
            dataset=EvalDataset(name=summary.task, samples=self._samples, sample_ids=list(range(self._samples))),
            sandbox=SandboxEnvironmentSpec(type=run.sandbox.name),
            model=self._model(),
            config=EvalConfig(epochs=1),
            # Candidates and models wrote most of it: the viewer is to show text, not pages, pictures and links.
            viewer=ViewerConfig(trust_content=False),
            packages={"rsi": __version__},
            metadata={
                "integrity": _plain(run.integrity),
                "head": run.integrity.head,
                "statement": run.integrity.statement,
                "improvement": list(run.improvement),
                "sure": run.sure,
                "isolated": summary.isolated,
                "grounded": summary.grounded,
                "sandbox": _plain(run.sandbox),
                "versions": run.versions,
                "missing": list(self._gathering.problems()),
                "found": [_plain(record.finding) for record in self._rest if isinstance(record, FindingLine)],
                "unproposed_calls": [_plain(record) for record in self._rest if isinstance(record, CallLine)],
            },
        )

    def _results(self) -> EvalResults:
        run, summary = self._run, self._run.summary
        objective = run.objective.metric
        scores = [
            EvalScore(
                name=objective,
                scorer="rsi",
                scored_samples=self._scored,
                unscored_samples=self._samples - self._scored,
                metrics=_metrics({"baseline": summary.baseline.value, "best": summary.best.value}),
                metadata={"direction": summary.direction, "best_experiment": summary.best.experiment},
            ),
            EvalScore(
                name="decision",
                scorer="rsi",
                scored_samples=self._samples,
                metrics=_metrics({"kept": summary.kept, "discarded": summary.discarded, "rejected": summary.rejected,
                                  "crashed": summary.crashed, "refused": summary.refused}),
            ),
        ]  # fmt: skip
        certified = summary.certified
        if certified is not None and certified.improvement is not None:
            scores.append(_interval("certified gain", certified.improvement, experiment=certified.experiment))
        confirmation = summary.confirmation
        if confirmation is not None and confirmation.improvement is not None:
            scores.append(
                _interval("confirmed gain", confirmation.improvement, experiment=confirmation.best_experiment)
            )
        return EvalResults(
            total_samples=self._samples,
            completed_samples=self._samples - summary.crashed,
            scores=scores,
            metadata={
                "improvement": list(run.improvement),
                "milestones": [_plain(record.milestone) for record in self._rest if isinstance(record, MilestoneLine)],
                "metrics": self._names,
                "summary": summary.model_dump(mode="json", by_alias=True),
            },
        )

    def _model(self) -> str:
        """The first model that was asked; for a proposer that asks none, what proposed instead."""
        return next(iter(self._usage), f"rsi/{self._run.summary.proposer}")


_EPOCH = datetime.fromtimestamp(0, UTC)


def _usage(calls: list[CallLine]) -> dict[str, ModelUsage]:
    used: dict[str, ModelUsage] = {}
    for call in calls:
        if call.outcome == "answered":
            used[call.model] = used.get(call.model, ModelUsage()) + usage_of(call)
    return used


def _error(line: ExperimentLine) -> EvalError | None:
    if line.status is not ExperimentStatus.CRASHED:
        return None
    return EvalError(message=shown(line.why), traceback="", traceback_ansi="")


def _metrics(values: dict[str, float | int | None]) -> dict[str, EvalMetric]:
    return {name: EvalMetric(name=name, value=value) for name, value in values.items() if value is not None}


def _interval(name: str, interval: Interval, experiment: int) -> EvalScore:
    values = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    metadata = {"confidence": interval.confidence, "pairs": interval.n, "method": interval.method}
    return EvalScore(name=name, scorer="rsi", metrics=_metrics(values), metadata={**metadata, "experiment": experiment})


def _plain(record: Any, *without: str) -> dict[str, Any]:
    values: dict[str, Any] = record.model_dump(mode="json", by_alias=True, exclude=set(without))
    return values
