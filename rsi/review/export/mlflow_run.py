"""One run of this program as runs of MLflow: parameters, figures over experiments, what is certified, artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsi.durable import read_regular
from rsi.errors import RsiError
from rsi.records import ExperimentStatus
from rsi.review.export.gather import Gathering
from rsi.review.export.mlflow_names import LONGEST_PARAMETER, LONGEST_TAG, flat, name, value
from rsi.review.export.records import ExperimentLine, RunLine
from rsi.review.lines import Line

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

LARGEST_ARTIFACT = 64 * 1024 * 1024
BATCH = 500
"""Figures in one request."""
FEW = 100
"""Parameters in one request: no store takes more."""
_STATUS = {"finished": "FINISHED", "running": "RUNNING", "paused": "KILLED"}
_PICTURES = {"progress.png": b"\x89PNG\r\n\x1a\n", "results.tsv": b""}
"""Files of a run folder that are handed on, with what they begin with. No page: a store would show it as its own."""


class Telling:
    """Tells one run to one store."""

    def __init__(self, gathering: Gathering, client: MlflowClient, scratch: Path) -> None:
        self._gathering, self._client, self._scratch = gathering, client, scratch
        self._run: RunLine = gathering.run()
        self.renamed: dict[str, str] = {}

    def tell(self, experiment: str) -> str:
        """Put it there; `made`, `updated` or `was already there`."""
        origin, head = self._gathering.origin, self._run.integrity.head
        found = self._find(experiment, origin)
        if found is not None and self._tags(found).get("rsi.complete") == head:
            did = "was already there"
        else:
            did = "updated" if found is not None else "made"
            run = found or self._create(experiment, origin, self._run.run)
            self._client.set_tag(run, "rsi.complete", "")
            self._parameters(run)
            self._figures(run)
            for line in self._kept():
                self._nested(experiment, run, line)
            self._artifacts(run)
            self._set_tags(run)
            summary = self._run.summary
            ended = None if self._run.going_on else self._late
            self._client.set_terminated(run, _STATUS[summary.status], ended)
            # Last: without it the next export does all of this again.
            self._client.set_tag(run, "rsi.complete", head)
        lines = self._gathering.reading.lines
        self._gathering.counts.clear()
        self._gathering.counts.update({"run": 1, "experiment": len(lines), "nested": len(self._kept())})
        return did

    # --- the run ----------------------------------------------------------------------------------------------------

    def _find(self, experiment: str, identity: str) -> str | None:
        found = self._client.search_runs([experiment], filter_string=f"tags.`rsi.id` = '{identity}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _create(self, experiment: str, identity: str, shown: str, parent: str | None = None, time: str = "") -> str:
        tags = {"rsi.id": identity, "mlflow.runName": value(shown, 200), "mlflow.source.name": "rsi export"}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        started = _milliseconds(time or self._run.summary.started)
        return str(self._client.create_run(experiment, start_time=started, tags=tags).info.run_id)

    def _tags(self, run: str) -> dict[str, str]:
        return dict(self._client.get_run(run).data.tags)

    def _parameters(self, run: str) -> None:
        said, there = self._run, self._client.get_run(run).data.params
        told = {
            **said.configuration.model_dump(mode="json"),
            "objective": said.objective.model_dump(mode="json"),
            "image": said.sandbox.image_digest,
            "task_digest": said.task_digest,
            "versions": said.versions,
        }
        self._told_once(run, told, there)

    def _set_tags(self, run: str) -> None:
        said, summary = self._run, self._run.summary
        tags: dict[str, object] = {
            "rsi.run": said.run,
            "rsi.head": said.integrity.head,
            "rsi.events": said.integrity.events,
            "rsi.status": summary.status,
            "rsi.reason": summary.reason,
            "rsi.task": summary.task,
            "rsi.improvement": " ".join(said.improvement),
            "rsi.sure": said.sure,
            "rsi.isolated": summary.isolated,
            "rsi.grounded": summary.grounded,
            "rsi.integrity": said.integrity.statement,
            "rsi.problems": "; ".join(self._gathering.problems()),
            "rsi.renamed": "; ".join(f"{theirs} is {ours}" for ours, theirs in self.renamed.items()),
        }
        self._tagged(run, tags)

    def _told_once(self, run: str, told: dict[str, Any], there: dict[str, str]) -> None:
        """Parameters: the store takes each once, and they are frozen when a run starts."""
        from mlflow.entities import Param  # noqa: PLC0415 - an extra

        named = {self._name(ours): text for ours, text in flat("", told)}
        new = [Param(key, value(text, LONGEST_PARAMETER)) for key, text in named.items() if key not in there]
        for start in range(0, len(new), FEW):
            self._client.log_batch(run, params=new[start : start + FEW])

    def _tagged(self, run: str, tags: dict[str, object]) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415

        self._client.log_batch(run, tags=[RunTag(key, value(text, LONGEST_TAG)) for key, text in tags.items()])

    # --- figures ----------------------------------------------------------------------------------------------------

    def _figures(self, run: str) -> None:
        """Over experiments, and of the run; a figure that is there already is not told again."""
        by_name: dict[str, list[tuple[int, float, int]]] = {}
        for key, step, figure, time in self._told():
            by_name.setdefault(self._name(key), []).append((step, figure, time))
        new: list[Metric] = []
        for key, told in by_name.items():
            there: dict[int, float] = {}
            for metric in sorted(self._client.get_metric_history(run, key), key=lambda metric: metric.timestamp):
                there[metric.step] = metric.value
            for step, figure, time in told:
                if step not in there:
                    new.append(_metric(key, figure, time, step))
                elif there[step] != figure:  # an incumbent was measured again since: the newer time wins
                    new.append(_metric(key, figure, self._late, step))
        for start in range(0, len(new), BATCH):
            self._client.log_batch(run, metrics=new[start : start + BATCH])

    def _told(self) -> Iterator[tuple[str, int, float, int]]:
        metric = self._run.objective.metric
        cost, found = 0.0, 0
        lines = {line.experiment: line for line in self._gathering.reading.lines}
        for point in self._gathering.reading.points:
            line = lines[point.experiment]
            cost, found = cost + line.cost_usd, found + line.findings
            figures = {f"dev.{metric}": point.value, f"best.{metric}": point.best, "gain": line.gain}
            for key, figure in {**figures, "cost_usd": cost, "findings": float(found)}.items():
                if figure is not None:
                    yield key, point.experiment, figure, _milliseconds(self._gathering.closed(point.experiment))
        for key, figure in self._totals():
            yield key, 0, figure, self._late

    def _totals(self) -> Iterator[tuple[str, float]]:
        summary = self._run.summary
        for key in ("experiments", "kept", "discarded", "crashed", "rejected", "refused", "trials", "tokens"):
            yield f"total.{key}", float(getattr(summary, key))
        for key in ("wall_seconds", "train_seconds", "predict_seconds", "cost_usd"):
            yield f"total.{key}", float(getattr(summary, key))
        if summary.certified is not None and summary.certified.improvement is not None:
            interval = summary.certified.improvement
            for part in ("estimate", "low", "high"):
                figure = getattr(interval, part)
                if figure is not None:
                    yield f"certified_gain.{part}", float(figure)
        if summary.provisional is not None and summary.provisional.gain is not None:
            yield "provisional_gain", summary.provisional.gain

    # --- kept experiments -------------------------------------------------------------------------------------------

    def _kept(self) -> list[Line]:
        lines = self._gathering.reading.lines
        return [line for line in lines if line.experiment and line.status is ExperimentStatus.KEPT]

    def _nested(self, experiment: str, parent: str, line: Line) -> None:
        """A kept edit, so that its parameters and its gain can be compared beside the others'."""
        record = next(iter(self._gathering.experiment(line.experiment)))
        assert isinstance(record, ExperimentLine)
        identity = f"{self._gathering.origin}.{line.experiment}"
        run = self._find(experiment, identity) or self._create(
            experiment, identity, f"{line.experiment}: {line.words}", parent, record.time
        )
        there = self._client.get_run(run).data
        told = {"experiment": record.experiment, "parent": record.parent, "kind": record.kind, "detail": record.detail}
        self._told_once(run, told, there.params)
        for key, figure in ((f"dev.{self._run.objective.metric}", line.value), ("gain", line.gain)):
            if figure is not None and there.metrics.get(self._name(key)) != figure:
                self._client.log_metric(run, self._name(key), figure, self._late, line.experiment)
        tags: dict[str, object] = {
            "rsi.run": record.run,
            "rsi.commit": record.commit or "",
            "rsi.standing": record.standing,
            "rsi.why": record.why,
            "rsi.rationale": record.rationale,
        }
        self._tagged(run, tags)
        if record.diff is not None and (data := record.diff.data()) is not None:
            self._artifact(run, "change.diff", data)
        self._client.set_terminated(run, "FINISHED", _milliseconds(record.closed))

    # --- artifacts --------------------------------------------------------------------------------------------------

    def _artifacts(self, run: str) -> None:
        for file, beginning in _PICTURES.items():
            try:
                data = read_regular(self._gathering.reading.folder / file, LARGEST_ARTIFACT)
            except (RsiError, OSError):
                continue  # both are drawn from the record, and a run that has just begun has none
            if data[: len(beginning)] == beginning:
                self._artifact(run, file, data)
        self._artifact(run, "integrity.json", self._run.integrity.model_dump_json(indent=2).encode())
        self._artifact(run, "run.json", self._run.model_dump_json(by_alias=True, indent=2).encode())

    def _artifact(self, run: str, file: str, data: bytes) -> None:
        path = self._scratch / file
        path.write_bytes(data)
        self._client.log_artifact(run, str(path))
        path.unlink()

    # --- names and times --------------------------------------------------------------------------------------------

    def _name(self, ours: str) -> str:
        theirs = name(ours)
        if theirs != ours:
            self.renamed[ours] = theirs
        return theirs

    @cached_property
    def _late(self) -> int:
        """The latest time on record that is at hand, in milliseconds."""
        closed = (self._gathering.closed(line.experiment) for line in self._gathering.reading.lines)
        return _milliseconds(max(closed, default="") or self._run.summary.started)


def _milliseconds(time: str) -> int:
    try:
        return int(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        return 0


def _metric(key: str, figure: float, time: int, step: int) -> Metric:
    from mlflow.entities import Metric  # noqa: PLC0415 - an extra

    return Metric(key, figure, time, step)
