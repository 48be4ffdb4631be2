"""The model that is trained and the tables that judge its text: one estimate, written on each side of the wall."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import studies.collapse
from studies.collapse.ngrams import NgramTable, grams
from tasks import digits

TEXT = b"the cat sat on the mat; the rat ate the cat that sat. " * 3 + bytes(range(97, 123))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`program/table/table.py`, which the host never imports."""
    monkeypatch.syspath_prepend(str(digits()))
    path = Path(studies.collapse.__file__).parent / "program" / "table" / "table.py"
    spec = importlib.util.spec_from_file_location("table_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("tensors", None)
    return module


def rows_of(text: bytes) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(np.frombuffer(text, np.uint8), 5)


def test_runs_are_numbered_by_their_bytes() -> None:
    assert grams(np.array([[1, 2, 3]], np.uint8), 2).tolist() == [[258, 515]]


def test_a_probability_is_what_a_pencil_says() -> None:
    """`aab`: of three bytes two are a, of two bytes after an a one is; a discount of a half."""
    found = NgramTable([np.frombuffer(b"aab", np.uint8)[None]], 2, 0.5)
    alone = (2 - 0.5) / 3 + 0.5 * 2 / 3 / 256
    after = (1 - 0.5) / 2 + 0.5 * 2 / 2 * alone
    assert 2 ** found.log2(np.array([[97, 97]], np.uint8))[0, 0] == pytest.approx(after)


def test_probabilities_of_all_bytes_after_a_context_sum_to_one() -> None:
    found = NgramTable([rows_of(TEXT)], 4, 0.75)
    for context in (b"the", b"zzz", b"t;t"):
        rows = np.array([[*context, byte] for byte in range(256)], np.uint8)
        assert (2 ** found.log2(rows)).sum() == pytest.approx(1)


def test_model_and_judge_estimate_alike(table: ModuleType) -> None:
    rows = rows_of(TEXT)
    model = table.levels(table.count(rows))
    asked = np.vstack([rows[:40], np.random.default_rng(0).integers(0, 256, (40, 5)).astype(np.uint8)])
    shares = table.probabilities(model, table.numbered(asked[:, :4]))
    assert shares.sum(axis=1) == pytest.approx(np.ones(80))
    # Both count the bytes that have four before them, with one to five bytes each.
    level = NgramTable([rows], 5, table.DISCOUNT)
    ends = [np.ascontiguousarray(rows[:, 5 - length :]) for length in range(1, 6)]
    level._levels = [NgramTable([end], length, table.DISCOUNT)._levels[-1] for length, end in enumerate(ends, start=1)]
    assert np.log2(shares[np.arange(80), asked[:, 4]]) == pytest.approx(level.log2(asked)[:, 0])


def test_what_a_model_writes_is_as_frequent_as_it_answers(table: ModuleType) -> None:
    model = table.levels(table.count(rows_of(TEXT)))
    context = table.numbered(np.frombuffer(b"the ", np.uint8)[None])
    drawn = table.draw(model, np.repeat(context, 20_000), np.random.default_rng(5))
    counts = np.bincount(drawn, minlength=256) / 20_000
    assert counts == pytest.approx(table.probabilities(model, context)[0], abs=0.015)
