"""Making, checking and importing tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_commands import rsi

TRAIN = """import random, os
LEARNING_RATE = 0.5
loss = abs(LEARNING_RATE - 0.1)
print("step 0 loss", loss)
print(open("words.txt").read())
print(f"val_loss: {loss:.6f}")
"""


def test_a_new_task_works_as_it_is(tmp_path: Path) -> None:
    assert rsi(tmp_path, "task", "new", "mine").returncode == 0
    checked = rsi(tmp_path, "task", "check", "mine", "--sandbox", "process")
    assert checked.returncode == 0, checked.stderr
    assert "val_nll" in checked.stdout
    assert "works" in checked.stdout
    assert not (tmp_path / "runs").exists()
    done = rsi(tmp_path, "run", "mine", "--sandbox", "process", "--experiments", "4", "--no-certify")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Mine", "../mine", "", "1st"])
def test_a_bad_name_makes_no_task(tmp_path: Path, name: str) -> None:
    assert rsi(tmp_path, "task", "new", name).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('metric = "val_nll"', 'metrik = "val_nll"', ["task.toml:19", "objective", "metric"]),
        ("budget = 20000", "budget = -1", ["task.toml:15", "train.budget"]),
        ('unit = "samples"', 'unit = "apples"', ["task.toml:16", "train.unit"]),
        ("schema = 1", "schema = 9", ["task.toml:1", "schema"]),
        ('editable = ["train.py"]', "editable = []", ["task.toml:6", "code.editable"]),
        ('editable = ["train.py"]', 'editable = ["../up.py"]', ["task.toml:6", "inside the task folder"]),
        ('editable = ["train.py"]', 'editable = ["gone.py"]', ["gone.py"]),
        ('name = "classification"', 'name = "clasification"', ["did you mean 'classification'"]),
        ("[train]", "[train", ["task.toml", "TOML"]),
    ],
)
def test_a_mistake_in_task_toml_is_told_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    rsi(tmp_path, "task", "new", "mine")
    path = tmp_path / "mine" / "task.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    done = rsi(tmp_path, "task", "check", "mine", "--sandbox", "process")
    assert done.returncode == 2, done.stdout
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_checking_a_task_that_crashes_says_where(tmp_path: Path) -> None:
    rsi(tmp_path, "task", "new", "mine")
    train = tmp_path / "mine" / "train.py"
    train.write_text(train.read_text().replace("weights -= ", "weights -= nonsense * "))
    done = rsi(tmp_path, "task", "check", "mine", "--sandbox", "process")
    assert done.returncode == 1
    assert "NameError" in done.stdout
    assert "does not work" in done.stdout


def test_a_verifier_that_does_not_measure_the_objective_is_found_before_anything_is_kept(tmp_path: Path) -> None:
    rsi(tmp_path, "task", "new", "mine")
    path = tmp_path / "mine" / "task.toml"
    path.write_text(path.read_text().replace('metric = "val_nll"', 'metric = "val_bpb"'))
    done = rsi(tmp_path, "task", "check", "mine", "--sandbox", "process")
    assert done.returncode == 1
    assert "val_bpb" in done.stdout


def test_an_imported_repository_runs_and_is_marked_ungrounded_everywhere(tmp_path: Path) -> None:
    repository = tmp_path / "Some Repo"
    (repository / "data").mkdir(parents=True)
    (repository / "train.py").write_text(TRAIN)
    (repository / "words.txt").write_text("hello\n")
    (repository / "data" / "blob.bin").write_bytes(bytes(range(256)))
    done = rsi(tmp_path, "task", "import", str(repository), "--metric", "val_loss", "--into", "imported")
    assert done.returncode == 0, done.stderr
    assert "UNGROUNDED" in done.stdout
    done = rsi(
        tmp_path, "run", "imported", "--sandbox", "process", "--experiments", "3", "--confirm", "2", "--no-certify"
    )
    assert done.returncode == 0, done.stderr
    for output in (done.stdout, rsi(tmp_path, "show", "latest").stdout, rsi(tmp_path, "list").stdout):
        assert "ungrounded" in output.lower()
    assert json.loads(rsi(tmp_path, "show", "latest", "--json").stdout)["grounded"] is False
    assert (repository / "train.py").read_text() == TRAIN


def test_a_folder_that_is_no_such_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = rsi(tmp_path, "task", "import", "empty")
    assert done.returncode == 2
    assert "train.py" in done.stderr
