"""`rsi lab collapse --model charlm`: the task's own GPT trains, answers and writes in containers that have PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from rsi.configuration import Component
from rsi.errors import UsageError
from rsi.protocols import Sandbox
from rsi.session import build
from studies.collapse import jobs
from studies.collapse.design import CONTEXT, Design, design_of, model_of
from studies.collapse.record import Study, read
from studies.collapse.rederive import rederive
from studies.collapse.running import runner
from tasks import charlm

SMALL = {"generations": 1, "seeds": 1, "seed": 0, "size": 8192}


@pytest.fixture
def docker() -> Iterator[Sandbox]:
    with closing(build("sandboxes", Component(name="docker"))) as made:
        yield made


def design() -> Design:
    return design_of("closed", **SMALL, model="charlm")


def test_the_model_is_the_tasks_own_code_unchanged() -> None:
    program = jobs.program("charlm")
    assert program.code["charlm.py"] == (charlm() / "train.py").read_text(encoding="utf-8")
    assert {"gpt.py", "train.py", "sample.py"} < set(program.code)


@pytest.mark.parametrize(
    ("name", "words"), [("charml", "did you mean 'charlm'"), ("tables", "did you mean 'table'"), ("gru", "known are")]
)
def test_an_unknown_model_is_a_sentence(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        model_of(name)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
def test_without_pytorch_it_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with runner("process", 1, lambda study: None) as running, pytest.raises(UsageError, match="PyTorch"):
        running.start(tmp_path / "study", design(), "", print)
    assert not (tmp_path / "study").exists()


@pytest.mark.docker
@pytest.mark.long
def test_it_trains_on_whole_rows_and_writes_as_often_as_it_answers(docker: Sandbox) -> None:
    """Every row is `abcd` and `efgh`, one in five with a large E: nothing is ever before an a, so it is no answer."""
    rows = np.tile(np.frombuffer(b"abcdefgh", np.uint8), (4096, 1))
    rows[::5, CONTEXT] = ord("E")
    program = jobs.program("charlm")
    docker.warm([program.shape] * 3)  # a second of imports each, side by side
    weights = jobs.weights_of(docker.run(jobs.training(program, rows, 7, {})))
    assert set(weights) == {"model.safetensors"}
    streams = jobs.text_of(docker.run(jobs.writing(program, weights, 64, 3, {})), 64)
    # Passages are drawn four bytes after the four before them, exactly what a question shows.
    places = np.arange(CONTEXT, streams.shape[1], CONTEXT)
    before = streams[:, places[:, None] + np.arange(-CONTEXT, 0)].reshape(-1, CONTEXT)
    asked = jobs.question(np.concatenate([np.frombuffer(b"abcdefgh", np.uint8).reshape(2, CONTEXT), before]))
    answer = jobs.answer_of(docker.run(jobs.answering(program, weights, asked, {})), asked)
    shares = softmax(answer.astype(np.float64), axis=1)
    assert shares[0, ord("e")] > 2 * shares[0, ord("E")]
    assert shares[0, [ord("e"), ord("E")]].sum() > 0.98
    assert shares[1, ord("a")] < 0.01
    counted = np.bincount(streams[:, places].ravel(), minlength=256)
    expected, spread = shares[2:].sum(axis=0), np.sqrt((shares[2:] * (1 - shares[2:])).sum(axis=0))
    assert np.all(np.abs(counted - expected) <= 5 * spread + 2)


def numbers(study: Study) -> dict[Any, Any]:
    return {entry.cell: (entry.trained_on, entry.weights, entry.text, entry.measures) for entry in study.measured}


@pytest.mark.docker
@pytest.mark.long
def test_a_study_that_was_stopped_goes_on_follows_from_its_record_and_is_no_tables(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with runner("docker", 1, lambda study: running.stop()) as running:
        assert len(running.start(folder, design(), "", print).measured) == 1
    with runner("docker", 1, lambda study: None) as running:
        assert running.resume(folder, print).complete
        with pytest.raises(UsageError, match=r"asked for otherwise \(order, model\)"):
            running.start(folder, design_of("closed", **SMALL), "", print)
        whole = running.start(tmp_path / "whole", design(), "", print)
    assert rederive(folder).holds
    assert numbers(read(folder)) == numbers(whole)
    bits = [entry.measures.bits_per_byte for entry in whole.measured]
    assert bits[0] < bits[1] < 8
