"""An excerpt tells an experiment as the whole run does, whatever a run can hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsi import runs
from rsi.configuration import Component
from rsi.records import ExperimentStatus
from rsi.review import reading
from rsi.review.experiment import experiment_json
from rsi.session import resume
from rsi.testing.altering import load, store

sys.path.insert(0, str(Path(__file__).parent.parent / "loop"))
from composing import SCRIPTED, configuration, said
from composing import run as compose
from oracle import experiment_of


def patching(*edits: str) -> Component:
    return Component(name=SCRIPTED.replace("Scripted", "Patching"), options={"script": " ".join(edits)})


def told_alike(folder: Path) -> None:
    whole, read = runs.read(folder), reading.read(folder)
    for number in whole.state.experiments:
        assert experiment_json(read.excerpt(number), number) == experiment_json(whole, number), number
    assert [read.experiment_of(event) for event in whole.events] == [experiment_of(x, whole) for x in whole.events]


def made(folder: Path, script: str, **changes: object) -> runs.ReadRun:
    config = configuration(folder, script, **{"certify": True, "shared_seeds": True} | changes)
    code, record = compose(folder, config)
    assert code == 0
    return record


def test_with_a_milestone_that_is_passed(tmp_path: Path) -> None:
    record = made(tmp_path, "30 50 20 35:crash")
    assert record.state.certified
    told_alike(record.folder)


def test_with_one_that_fails_an_ablation_and_a_removal(tmp_path: Path) -> None:
    record = made(tmp_path, "40.0001 40.0002 40.0003 40.0004 40.0005 40.0006")
    assert record.state.ablations
    assert any(entry.proposed.removes for entry in record.state.experiments.values())
    told_alike(record.folder)


def test_with_null_edits(tmp_path: Path) -> None:
    configuration(tmp_path)
    (tmp_path / "task" / "train.py").write_text("import random\n\nrandom.seed(1)\n\n\nVALUE = 40\n")
    edits = ("value=30", "value=29", "value=28")
    record = made(tmp_path, "1 2 3", certify=False, null_share=0.5, proposer=patching(*edits))
    assert any(entry.proposed.null for entry in record.state.experiments.values())
    told_alike(record.folder)


def test_with_audits(tmp_path: Path) -> None:
    record = made(tmp_path, "39 38 37", holdout_questions=5)
    assert record.state.audits
    told_alike(record.folder)


@pytest.mark.parametrize("certify", [False, True])
def test_with_what_is_carried_over_to_another_incumbent(tmp_path: Path, certify: bool) -> None:
    configuration(tmp_path)
    (tmp_path / "task" / "train.py").write_text("VALUE = 40\n\n\n# two\n")
    edits = ("value=30", "two=plain", "value=20")
    record = made(tmp_path, "1 2 3", certify=certify, parallel=2, proposer=patching(*edits))
    assert ExperimentStatus.REAPPLIED in {entry.status for entry in record.state.experiments.values()}
    told_alike(record.folder)


def test_with_an_attribution(tmp_path: Path) -> None:
    record = made(tmp_path, "30 50 20", certify=False)
    with resume(record.folder, said, attribute=48) as session:
        assert session.go() == 0
    assert runs.read(record.folder).state.ablations
    told_alike(record.folder)


def test_at_every_moment_of_a_run(tmp_path: Path) -> None:
    record = made(tmp_path, "30 50 20")
    events = load(record.folder)
    for end in range(3, len(events), 5):
        store(record.folder, events[:end])
        told_alike(record.folder)
