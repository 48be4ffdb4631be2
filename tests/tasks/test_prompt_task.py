"""The task `prompt`: families in, two held-out parts out, and nothing trained."""

import tomllib

import numpy as np
import pytest
from task_programs import held_out, manifest, prepare, train

from evals.inner.families import FAMILIES, instances
from evals.prompted_loops import PromptedLoops
from rsi.preparation import read_source
from rsi.task import load_task

TASK = load_task("prompt")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompt")
    done = prepare(TASK, read_source(TASK), folder)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def rows(out, split):
    return [tuple(row) for row in held_out(out, split).targets["slots"].tolist()]


def test_dev_and_holdout_look_alike_and_share_no_family_of_the_same_difficulty(prepared):
    dev, holdout = rows(prepared, "dev"), rows(prepared, "holdout")
    assert len(dev) == len(holdout) == manifest(prepared)["loops"] == TASK.spec.verifier.options["loops_a_trial"]
    assert not set(dev) & set(holdout)
    for split in (dev, holdout):
        assert len(instances(np.array(split), b"a key for tests.")) == len(split)


def test_the_families_are_those_of_the_task_proposer(prepared, tmp_path):
    """So what is said of held-out families there holds here; the file names them in the same words."""
    other = load_task("proposer")
    episode = np.zeros((1, 1, 9), np.float32)
    np.save(tmp_path / "episodes.npy", episode)
    done = prepare(other, {"episodes.npy": (tmp_path / "episodes.npy").read_bytes()}, tmp_path)
    assert done.returncode == 0, done.stderr
    for split in ("dev", "holdout"):
        assert set(rows(prepared, split)) == set(rows(tmp_path / "out", split))
    told = tomllib.loads((TASK.folder / "families.toml").read_text())
    assert {entry["slot"][0] for part in told.values() for entry in part} == set(FAMILIES)


def test_what_ships_asks_no_more_loops_than_there_are():
    options = TASK.spec.verifier.options
    assert PromptedLoops(**options, model="gpt-4o").questions(TASK).calls == 32


def test_nothing_is_trained_and_nothing_left(prepared, tmp_path):
    (tmp_path / "left").mkdir()
    done = train(TASK, prepared / "train", tmp_path / "left")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "left").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dev = 1", "holds no families"),
        ("dev = [] \nholdout = []", "must hold as many"),
        ('dev = [{ slot = ["cube"], count = 2 }]\nholdout = []', "holds no families"),
        ('dev = [{ slot = ["surface", 0, 0, 0, 0, 1, 0], count = 2 }]\nholdout = []', "must hold as many"),
        ('dev = [{ slot = ["surface", 0, 0, 0, 0, nan, 0], count = 2 }]\n', "holds no families"),
        ("not toml", "holds no families"),
    ],
)
def test_families_that_are_none_are_told_in_a_sentence(tmp_path, text, words):
    done = prepare(TASK, {"families.toml": text.encode()}, tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "dev").exists()
