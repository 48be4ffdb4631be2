"""The tables as pyarrow reads them: every record a row, every value and byte as it was."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from exported_runs import EVIL, Known

from rsi.review.export import parquet
from rsi.review.export.gather import Gathering
from rsi.review.export.records import CallLine, ExecutionLine, ExperimentLine, MeasurementLine
from rsi.review.export.tables import TABLES
from rsi.testing.altering import load, store


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(folder / f"{table}.parquet").to_pylist()
    return found


def test_every_record_is_a_row(any_run: Known, tmp_path: Path) -> None:
    outcome = parquet.export(Gathering(any_run.folder), tmp_path / "x", force=False)
    for table in TABLES:
        assert len(rows(tmp_path / "x", table.name)) == len(any_run.of(table.line)), table.name
    assert json.loads((tmp_path / "x" / "export.json").read_text())["records"] == outcome.records
    [run] = rows(tmp_path / "x", "runs")
    assert run["head"] == any_run.run.state.head
    assert str(any_run.folder) not in str(run)


def test_values_and_times_are_those_of_the_record(finished: Known, tmp_path: Path) -> None:
    parquet.export(Gathering(finished.folder), tmp_path / "x", force=False)
    for row, line in zip(rows(tmp_path / "x", "experiments"), finished.of(ExperimentLine), strict=True):
        assert isinstance(line, ExperimentLine)
        assert (row["experiment"], row["value"], row["gain"]) == (line.experiment, line.value, line.gain)
        assert row["time"] == datetime.fromisoformat(line.time)
        assert (row["rationale"], row["kind"]) == (line.rationale, line.kind)
        assert json.loads(row["detail"]) == line.detail
    measured = [(line.trial, line.name, line.value) for line in finished.of(MeasurementLine)]
    assert [(row["trial"], row["name"], row["value"]) for row in rows(tmp_path / "x", "measurements")] == measured
    assert any(name == EVIL for _, name, _ in measured)


def test_both_streams_come_byte_for_byte(any_run: Known, tmp_path: Path) -> None:
    parquet.export(Gathering(any_run.folder), tmp_path / "x", force=False)
    for row, line in zip(rows(tmp_path / "x", "executions"), any_run.of(ExecutionLine), strict=True):
        assert isinstance(line, ExecutionLine)
        for stream, content in (("stdout", line.stdout), ("stderr", line.stderr)):
            assert content is not None
            assert row[stream] == any_run.run.blobs.get(content.sha256)
            assert row[f"{stream}_sha256"] == content.sha256


def test_prompts_answers_and_what_they_cost_are_there(asked: Known, tmp_path: Path) -> None:
    parquet.export(Gathering(asked.folder), tmp_path / "x", force=False)
    calls = rows(tmp_path / "x", "calls")
    assert len(calls) == len(asked.run.state.calls) == len(asked.of(CallLine)) > 3
    spent = asked.run.state.spending()
    assert sum(row["input_tokens"] + row["output_tokens"] for row in calls) == spent.tokens
    assert all("Propose experiment" in row["prompt"] for row in calls if row["purpose"] == "propose")
    assert all(row["answer"] for row in calls)


def test_large_tables_are_written_in_groups(finished: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    parquet.export(Gathering(finished.folder), tmp_path / "x", force=False)
    file = pyarrow.parquet.ParquetFile(tmp_path / "x" / "executions.parquet")
    assert file.num_row_groups == file.metadata.num_rows > 3


def test_numbers_and_times_that_no_column_takes_are_left_out_and_named(finished: Known, tmp_path: Path) -> None:
    import shutil  # noqa: PLC0415

    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    events = load(folder)
    for event in events:
        if event["kind"] == "trial.started":
            event["body"]["seed"] = 10**30
        elif event["kind"] == "trial.trained":
            event["body"]["execution"]["ended"] = "yesterday"
    store(folder, events)
    outcome = parquet.export(Gathering(folder), tmp_path / "x", force=False)
    assert {row["seed"] for row in rows(tmp_path / "x", "trials")} == {None}
    assert any("seed" in problem for problem in outcome.problems)
    assert any("ended" in problem for problem in outcome.problems)
