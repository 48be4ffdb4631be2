"""Verifiers that reject nothing by a number: budget, floor; and the one that compares files."""

import hashlib

import numpy as np
import pytest

from evals.budget import Budget
from evals.floor import Floor
from evals.protected_files import ProtectedFiles
from rsi.course import Course, FileSeen, Listing
from rsi.evidence import Answered, Evidence, Inspection, Material
from rsi.execution import Usage
from rsi.records import Finding, Rejected, Scored, Severity, VerifierError
from rsi.testing.verifier_conformance import training_execution


def used(cpu, memory=100):
    usage = Usage(wall_seconds=1.0, cpu_seconds=cpu, peak_memory_bytes=memory)
    return training_execution().model_copy(update={"usage": usage})


def evidence(**values):
    return Evidence(**{"split": "dev", "purpose": "screen", "training": used(1.0), **values})


def found(verdict):
    assert isinstance(verdict, Scored)
    return [(finding.severity, finding.code) for finding in verdict.findings]


# --- budget -------------------------------------------------------------------------------------------------------

READ = Inspection(
    findings=(Finding(severity=Severity.WARNING, code="reading.budget", message="…", pointer="diff:9 (train.py:4)"),)
)


@pytest.mark.parametrize(
    ("cpu", "inspected", "expected"),
    [
        (1.2, {}, []),
        (1.2, {"diff-reading": READ}, []),
        (2.0, {}, [(Severity.NOTICE, "budget.more")]),
        (2.0, {"diff-reading": READ}, [(Severity.WARNING, "budget.extended")]),
        (9.0, {}, [(Severity.WARNING, "budget.extended")]),
        (None, {}, [(Severity.NOTICE, "budget.unmeasured")]),
    ],
)
def test_more_cpu_time_is_told_and_with_a_changed_budget_it_is_a_warning(cpu, inspected, expected):
    told = evidence(training=used(cpu), reference_training=used(1.0), inspected=inspected)
    assert found(Budget().verify(told)) == expected


def test_memory_is_told_and_a_baseline_is_compared_with_nothing():
    told = evidence(training=used(1.0, 300), reference_training=used(1.0))
    assert found(Budget().verify(told)) == [(Severity.NOTICE, "budget.memory")]
    assert found(Budget().verify(evidence(training=used(50.0)))) == []


# --- floor --------------------------------------------------------------------------------------------------------


def losses(value):
    return {"loss": np.full((4, 5), value, dtype=np.float32)}


@pytest.mark.parametrize(
    ("loss", "gains", "expected"),
    [
        (1.2, (), []),
        (0.9, (), [(Severity.WARNING, "floor.below")]),
        (2.0, (0.1, -0.2, 0.05, 0.0), [(Severity.WARNING, "floor.jump")]),
        (2.0, (0.1, -0.2), []),
        (2.0, (0.1, -0.6, 0.05, 0.0), []),
        (3.8, (0.001, 0.001, 0.0, 0.0), []),
    ],
)
def test_better_than_can_be_is_told(loss, gains, expected):
    told = evidence(answered=(Answered(challenge="windows", scores=losses(loss)),), reference=losses(4.0), gains=gains)
    assert found(Floor(bound=1.0).verify(told)) == expected


# --- protected files ----------------------------------------------------------------------------------------------


def seen(files):
    return Listing(
        files=tuple(
            FileSeen(path=path, size=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
            for path, text in files.items()
        )
    )


GIVEN = {"code/train.py": "x = 1", "code/tensors.py": "y = 2", "data/train.bin": "abc"}


def inspected(given=GIVEN, after=GIVEN, course=True):
    material = Material(
        code={"train.py": "x = 1"},
        parent=None,
        protected={"tensors.py": "y = 2"},
        diff="",
        artifact={},
        training=training_execution(),
        course=Course(inputs=seen(given), inputs_after=seen(after) if after is not None else None) if course else None,
        training_data={},
        held_out=None,
    )
    return ProtectedFiles().inspect(material)


@pytest.mark.parametrize(
    ("inspection", "code", "rejects"),
    [
        (inspected(), "protected.held", ""),
        (inspected(after=None), "protected.unseen", ""),
        (inspected(course=False), "protected.unseen", ""),
        (inspected(given={**GIVEN, "code/tensors.py": "y = 3"}), "protected.other", "code/tensors.py"),
        (inspected(given={**GIVEN, "code/sitecustomize.py": ""}), "protected.other", "code/sitecustomize.py"),
        (inspected(after={**GIVEN, "code/tensors.py": "y = 3"}), "protected.changed", "code/tensors.py"),
        (inspected(after={**GIVEN, "code/more.py": ""}), "protected.changed", "code/more.py"),
        (inspected(after={"code/train.py": "x = 1"}), "protected.changed", "code/tensors.py"),
    ],
)
def test_what_was_mounted_is_what_was_hashed(inspection, code, rejects):
    assert [finding.code for finding in inspection.findings] == [code]
    assert rejects in inspection.rejects
    assert bool(inspection.rejects) == bool(rejects)
    told = evidence(inspected={"protected-files": inspection})
    assert isinstance(ProtectedFiles().verify(told), Rejected if rejects else Scored)


def test_what_nobody_compared_is_an_error():
    assert isinstance(ProtectedFiles().verify(evidence()), VerifierError)
