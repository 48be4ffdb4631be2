import pytest
from hypothesis import given
from hypothesis import strategies as st
from verifier_cases import CASES

from evals.reported import Reported
from rsi.records import Rejected, Scored
from rsi.testing.verifier_conformance import blank


def verdict(stdout: bytes, metric: str = "val_bpb"):
    return Reported(metric=metric).verify(blank(CASES["reported"]).model_copy(update={"training_stdout": stdout}))


@pytest.mark.parametrize(
    ("stdout", "value"),
    [
        (b"val_bpb: 0.9979\n", 0.9979),
        (b"val_bpb:          0.997900\npeak_vram_mb:     45060.2\n", 0.9979),
        (b"val_bpb = 1e-3", 0.001),
        (b"val_bpb: 3\nval_bpb: 2\nother: 1\n", 2.0),
        (b"  Val_BPB: -.5  (best)\n", -0.5),
        (b"\xff\xfe\nval_bpb: 7.\n", 7.0),
    ],
)
def test_takes_the_last_number_of_that_name(stdout, value):
    found = verdict(stdout)
    assert isinstance(found, Scored)
    assert found.value("val_bpb") == value


@pytest.mark.parametrize(
    "stdout",
    [b"", b"val_bpb\n", b"xval_bpb: 1\n", b"val_bpb: fast\n", b"val_bpb: nan\n", b"val_bpb: 1e9999\n", b"loss: 1\n"],
)
def test_no_finite_number_is_a_rejection(stdout):
    assert isinstance(verdict(stdout), Rejected)


def test_points_at_the_line_and_says_that_nobody_measured_it():
    found = verdict(b"hello\nval_bpb: 1\n")
    assert [(finding.code, finding.pointer) for finding in found.findings] == [("ungrounded", "stdout:2")]


def test_a_metric_with_signs_in_its_name_is_taken_literally():
    assert isinstance(verdict(b"aXb: 1\n", metric="a.b"), Rejected)
    assert isinstance(verdict(b"a.b: 1\n", metric="a.b"), Scored)


@given(st.binary(max_size=200))
def test_never_raises_for_what_was_printed(stdout):
    assert isinstance(verdict(stdout), Scored | Rejected)
