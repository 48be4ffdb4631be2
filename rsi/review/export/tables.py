"""The tables of `--format parquet`: which columns each has, of which type, and how a record fills them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from rsi.review.export.records import (
    CallLine,
    Content,
    DecisionLine,
    ExecutionLine,
    ExperimentLine,
    Exported,
    FindingLine,
    MeasurementLine,
    MilestoneLine,
    NoteLine,
    RunLine,
    TrialLine,
    VerdictLine,
)
from rsi.statistics import Interval

Type = Literal["text", "int", "float", "bool", "time", "bytes", "json"]
"""`json` is text that holds one JSON value, where a record is deeper than a table."""


class Column(NamedTuple):
    """One column; None where a record has no such value."""

    name: str
    type: Type
    value: Callable[[Any], Any]


class Table(NamedTuple):
    """One table, which is one file."""

    name: str
    line: type[Exported]
    columns: tuple[Column, ...]


def _plain(type_: Type, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, type_, _field(name)) for name in names)


def _field(path: str) -> Callable[[Any], Any]:
    def value(record: Any) -> Any:
        for name in path.split("."):
            record = None if record is None else getattr(record, name)
        return record

    return value


def _at(type_: Type, prefix: str, *names: str) -> tuple[Column, ...]:
    """Fields of a record within the record, by their own names."""
    return tuple(Column(name, type_, _field(f"{prefix}.{name}")) for name in names)


def _json(name: str, value: Callable[[Any], Any] | None = None) -> Column:
    take = value or _field(name)
    return Column(name, "json", lambda record: json.dumps(_jsonable(take(record))))


def _jsonable(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    return [_jsonable(item) for item in value] if isinstance(value, tuple) else value


def _text(name: str, value: Callable[[Any], Any]) -> Column:
    return Column(name, "text", value)


def _content(name: str) -> tuple[Column, ...]:
    """Bytes as they are, their sha256, and why they are not there."""

    def data(record: Any) -> bytes | None:
        content: Content | None = getattr(record, name)
        return None if content is None else content.data()

    return (
        Column(name, "bytes", data),
        Column(f"{name}_sha256", "text", _field(f"{name}.sha256")),
        Column(f"{name}_problem", "text", _field(f"{name}.problem")),
    )


def _interval(name: str, take: Callable[[Any], Interval | None]) -> tuple[Column, ...]:
    def part(field: str) -> Callable[[Any], Any]:
        return lambda record: getattr(take(record), field, None)

    return (
        Column(name, "float", part("estimate")),
        Column(f"{name}_low", "float", part("low")),
        Column(f"{name}_high", "float", part("high")),
        Column(f"{name}_confidence", "float", part("confidence")),
    )


def _certified(record: RunLine) -> Interval | None:
    certified = record.summary.certified
    return certified.improvement if certified is not None else None


_PLACED = (*_plain("text", "run"), *_plain("int", "seq"), *_plain("time", "time"))

_RUNS = (
    *_plain("text", "run"),
    *_at("text", "summary", "task", "status", "reason", "proposer", "policy", "direction"),
    _text("sandbox", _field("summary.sandbox")),
    *_plain("bool", "going_on"),
    *_at("bool", "summary", "grounded", "isolated", "certify"),
    *_at("int", "summary", "experiments", "kept", "discarded", "crashed", "rejected", "refused", "undecided"),
    *_at("int", "summary", "reapplied", "trials", "events", "input_tokens", "output_tokens", "disk_bytes"),
    *_at("float", "summary", "wall_seconds", "train_seconds", "predict_seconds", "scoring_seconds", "cost_usd"),
    Column("started", "time", _field("summary.started")),
    _text("metric", _field("objective.metric")),
    Column("baseline_value", "float", _field("summary.baseline.value")),
    Column("best_value", "float", _field("summary.best.value")),
    Column("best_experiment", "int", _field("summary.best.experiment")),
    Column("certified_experiment", "int", _field("summary.certified.experiment")),
    *_interval("certified_gain", _certified),
    *_plain("text", "sure", "task_digest", "instruction"),
    _json("improvement"),
    _text("head", _field("integrity.head")),
    _text("statement", _field("integrity.statement")),
    _json("integrity_problems", _field("integrity.problems")),
    _json("configuration"),
    _json("versions"),
)
_EXPERIMENTS = (
    *_PLACED,
    *_plain("int", "experiment", "parent"),
    _text("status", _field("status.value")),
    *_plain("text", "why", "standing", "kind", "rationale", "by_itself", "problem", "gravest", "comment"),
    *_plain("time", "closed"),
    *_plain("float", "value", "gain", "seconds"),
    *_plain("int", "trials", "findings", "tree_tokens"),
    *_plain("text", "commit", "tree_digest"),
    *_plain("bool", "approved"),
    *_at("text", "provenance", "proposer", "model"),
    *_at("int", "provenance", "input_tokens", "output_tokens"),
    *_at("float", "provenance", "cost_usd"),
    _json("detail"),
    _json("changed"),
    *_content("diff"),
)
_TRIALS = (
    *_PLACED,
    *_plain("text", "trial", "role", "split", "outcome", "why", "weights_of"),
    *_plain("int", "experiment", "slot", "seed", "milestone", "ablation"),
    _text("failed_kind", _field("failed_kind.value")),
    _json("without"),
    _json("artifact"),
)
_EXECUTIONS = (
    *_PLACED,
    *_plain("int", "experiment"),
    *_plain("text", "trial", "stage"),
    *_at("text", "execution", "sandbox", "purpose", "image", "detail"),
    _text("ended_how", _field("execution.kind.value")),
    *_at("time", "execution", "started", "ended"),
    *_at("int", "execution", "exit_code", "signal"),
    *_at("bool", "execution", "out_of_memory"),
    *_at("float", "execution.usage", "wall_seconds", "cpu_seconds", "cpu_user_seconds", "cpu_system_seconds"),
    *_at("int", "execution.usage", "peak_memory_bytes", "peak_processes", "read_bytes", "written_bytes"),
    *_at("int", "execution.usage", "device_read_bytes", "device_written_bytes", "peak_stored_bytes"),
    *_at("float", "execution", "setup_seconds", "collect_seconds"),
    *_at("int", "execution", "stdout_bytes", "stderr_bytes", "discarded_stdout_bytes", "discarded_stderr_bytes"),
    *_content("stdout"),
    *_content("stderr"),
    _json("argv", _field("execution.argv")),
    _json("limits", _field("execution.limits")),
    _json("files", _field("execution.files")),
    _json("fault", _field("execution.fault")),
    _json("coverage", _field("execution.coverage")),
    _json("attempts"),
    _json("course"),
)
_VERDICTS = (*_PLACED, *_plain("int", "experiment"), *_plain("text", "trial", "purpose", "kind", "why", "by"))
_MEASUREMENTS = (
    *_PLACED,
    *_plain("int", "experiment"),
    *_plain("text", "trial", "role", "split", "purpose", "name"),
    *_plain("float", "value", "standard_error"),
    *_plain("bool", "objective"),
)
_FINDINGS = (
    *_plain("text", "run"),
    *_plain("time", "time"),
    *_at("int", "finding", "seq", "experiment"),
    *_at("text", "finding", "trial", "stage", "code", "message", "pointer"),
    _text("severity", _field("finding.severity.value")),
    _text("place", _field("finding.place.kind")),
    *_at("text", "finding.place", "file"),
    *_at("int", "finding.place", "line", "diff_line"),
)
_DECISIONS = (
    *_PLACED,
    *_plain("int", "experiment", "trials"),
    *_plain("text", "decision", "rule", "why", "arm"),
    Column("incumbent", "int", _field("comparison.incumbent.experiment")),
    _json("comparison"),
)
_CALLS = (
    *_PLACED,
    *_plain("int", "experiment", "call", "attempt", "max_output_tokens"),
    *_plain("text", "purpose", "model", "reported_model", "outcome", "why", "effort", "answer", "finish", "problem"),
    *_plain("bool", "charged"),
    *_plain("int", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
    *_plain("float", "cost_usd", "seconds"),
    _json("prompt"),
)
_MILESTONES = (
    *_plain("text", "run"),
    *_at("int", "milestone", "number", "candidate", "reference", "pairs", "most_pairs", "estimated"),
    *_at("bool", "milestone", "passed", "closed"),
    *_at("text", "milestone", "reason"),
    *_interval("improvement", lambda record: record.milestone.improvement),
    _json("taken_back", _field("milestone.taken_back")),
)
_NOTES = (
    *_plain("text", "run"),
    *_at("int", "note", "experiment", "events"),
    *_at("text", "note", "text", "mark", "author", "head"),
    *_at("time", "note", "time"),
)

TABLES = (
    Table("runs", RunLine, _RUNS),
    Table("experiments", ExperimentLine, _EXPERIMENTS),
    Table("trials", TrialLine, _TRIALS),
    Table("executions", ExecutionLine, _EXECUTIONS),
    Table("verdicts", VerdictLine, _VERDICTS),
    Table("measurements", MeasurementLine, _MEASUREMENTS),
    Table("findings", FindingLine, _FINDINGS),
    Table("decisions", DecisionLine, _DECISIONS),
    Table("calls", CallLine, _CALLS),
    Table("milestones", MilestoneLine, _MILESTONES),
    Table("notes", NoteLine, _NOTES),
)
