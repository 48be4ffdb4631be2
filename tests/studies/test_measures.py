"""Measures of a generation against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from studies.collapse.measures import Yardstick, entropy, losses_of, measure
from studies.collapse.ngrams import grams


def test_entropy_is_that_of_a_fair_and_of_a_loaded_die() -> None:
    assert entropy(np.arange(8)) == pytest.approx(3)
    assert entropy(np.array([1, 1, 1, 2])) == pytest.approx(2 - 0.75 * math.log2(3))
    assert entropy(np.zeros(9, np.int64)) == 0


def test_text_is_measured_against_real_text() -> None:
    text = np.frombuffer(b"abcdabcdabcd", np.uint8)[None]
    real = np.unique(grams(np.frombuffer(b"abcdxyz", np.uint8)[None], 4))
    yardstick = Yardstick(size=12, rare=np.frombuffer(b"dxy", np.uint8), quadruples=real)
    found = measure(yardstick, text, np.array([1.0, 4.0]))
    assert found.bits_per_byte == 2.5
    assert found.distinct == 4  # abcd, bcda, cdab, dabc
    assert found.reached == pytest.approx(1 / 4)  # abcd, of abcd, bcdx, cdxy, dxyz
    assert found.rare == pytest.approx(1 / 3)
    assert found.entropy == pytest.approx(-(2 * 0.3 * math.log2(0.3) + 2 * 0.2 * math.log2(0.2)))


def test_no_more_text_is_looked_at_than_of_other_arms() -> None:
    streams = np.frombuffer(b"aaaabbbbccccdddd", np.uint8).reshape(4, 4)
    yardstick = Yardstick(size=8, rare=np.frombuffer(b"bd", np.uint8), quadruples=grams(streams, 4)[:, 0])
    found = measure(yardstick, streams, np.ones(1))
    assert (found.distinct, found.rare) == (2, 0.5)


def test_a_uniform_answer_costs_eight_bits_and_one_without_finite_numbers_sixteen() -> None:
    targets = np.array([3, 200], np.uint8)
    assert losses_of(np.zeros((2, 256), np.float32), targets) == pytest.approx([8, 8])
    spoilt = np.zeros((2, 256), np.float32)
    spoilt[1, 7] = np.nan
    assert losses_of(spoilt, targets).tolist() == [16, 16]
