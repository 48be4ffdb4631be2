"""Where a program is found: what a run certified, or a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ranked_runs import UNIFORM, VERIFIER, answers, configuration, program, run, shaped

from rsi.blobs import Blobs
from rsi.configuration import Budget
from rsi.errors import UsageError
from rsi.proposers.evolved_source import program_of
from rsi.redaction import Redactor
from rsi.runs import ReadRun
from rsi.testing.altering import load, store
from rsi.testing.fake_sandbox import write_fake_task
from rsi.workspace import Workspace


def shaping(folder: Path, script: str, *, certify: bool) -> ReadRun:
    """A run that improves a program, as the task `proposer` does: the fake sandbox's number stands beside it."""
    task = write_fake_task(folder / "task", value=40, verifier=VERIFIER)
    (task / "train.py").unlink()
    (task / script).write_text(f"VALUE = 40\n{UNIFORM}")
    text = (task / "task.toml").read_text()
    text = text.replace('editable = ["train.py"]', f'editable = ["{script}"]\nprotected = ["tensors.py"]')
    (task / "task.toml").write_text(text.replace("[train]", f'[train]\nscript = "{script}"'))
    (task / "tensors.py").write_text("HELPS = 1\n")
    return shaped(folder, certify=certify)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    folder = tmp_path_factory.mktemp("certified")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(folder / "state"))
        return shaping(folder, "proposer.py", certify=True)


def test_of_a_run_the_last_certified_code_is_taken_with_what_it_learned(certified: ReadRun) -> None:
    best = certified.state.certified
    assert best > 0
    found = program_of(certified.folder)
    code = Workspace.open(certified.folder).read(certified.state.commit_of(best))
    assert found.code == {**code, "tensors.py": "HELPS = 1\n"}
    assert found.module == "proposer"
    assert list(found.artifact) == ["model.safetensors"]
    assert found.origin == f"experiment {best} of {certified.state.run.run}"


def test_another_experiment_is_taken_where_it_is_named(certified: ReadRun) -> None:
    assert program_of(certified.folder, 0).code["proposer.py"].startswith("VALUE = 40\n")
    with pytest.raises(UsageError, match="no code of experiment 77"):
        program_of(certified.folder, 77)


def test_a_certified_program_proposes_in_another_run_without_learning_anew(certified: ReadRun, tmp_path: Path) -> None:
    config = configuration(tmp_path, certified.folder, budget=Budget(experiments=1))
    code, record = run(tmp_path, config)
    assert code == 0
    assert [body["problem"] for body in answers(record)] == [""]
    assert record.state.program_learned is None
    assert record.state.program is not None
    assert record.state.program.origin == program_of(certified.folder).origin


def test_a_run_that_certified_nothing_gives_no_program(tmp_path: Path) -> None:
    record = shaping(tmp_path, "proposer.py", certify=False)
    with pytest.raises(UsageError, match="certified nothing"):
        program_of(record.folder)
    assert program_of(record.folder, record.state.incumbent).code["tensors.py"] == "HELPS = 1\n"


def test_a_run_of_another_task_gives_no_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a run of fake, which makes no programs that rank"):
        program_of(shaping(tmp_path, "train.py", certify=False).folder)


def test_weights_that_were_altered_are_not_used(certified: ReadRun, tmp_path: Path) -> None:
    folder = tmp_path / certified.folder.name
    shutil.copytree(certified.folder, folder)
    trial = certified.state.trials[certified.state.experiments[certified.state.certified].trials[0]]
    assert trial.trained is not None
    (digest,) = trial.trained.artifact.values()
    (folder / "blobs" / digest[:2] / digest[2:]).write_bytes(b"other weights")
    assert program_of(folder).artifact == {}


def test_weights_that_are_none_are_not_used(certified: ReadRun, tmp_path: Path) -> None:
    folder = tmp_path / certified.folder.name
    shutil.copytree(certified.folder, folder)
    junk = Blobs(folder / "blobs", Redactor.none()).put(b"pickle")
    events = load(folder)
    for event in events:
        if event["kind"] == "trial.trained":
            event["body"]["artifact"] = dict.fromkeys(event["body"]["artifact"], junk)
    store(folder, events)
    assert program_of(folder).artifact == {}


def test_a_folder_of_very_many_files_is_refused(tmp_path: Path) -> None:
    folder = program(tmp_path / "many", UNIFORM)
    for number in range(64):
        (folder / f"part_{number}.py").touch()
    with pytest.raises(UsageError, match="holds 65 files of code and weights; at most 64"):
        program_of(folder)


def test_a_folder_gives_its_code_and_weights(certified: ReadRun, tmp_path: Path) -> None:
    folder = program(tmp_path / "mine", UNIFORM)
    weights = program_of(certified.folder).artifact["model.safetensors"]
    (folder / "a.safetensors").write_bytes(weights)
    (folder / "notes.txt").write_text("not taken")
    found = program_of(folder)
    assert (found.code, found.artifact, found.origin) == (
        {"proposer.py": UNIFORM},
        {"a.safetensors": weights},
        "the folder mine",
    )


def test_a_folder_that_holds_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    link = tmp_path / "link"
    link.mkdir()
    (link / "proposer.py").symlink_to("/etc/hostname")
    bad = program(tmp_path / "bad", UNIFORM)
    (bad / "weights.safetensors").write_bytes(b"pickle")
    large = program(tmp_path / "large", "#" * ((1 << 20) + 1))
    for folder, words in [
        (tmp_path / "nothing", "is not a folder"),
        (tmp_path / "empty", "holds no proposer.py"),
        (link, "is a link"),
        (bad, "not a valid safetensors file"),
        (large, "longer than"),
    ]:
        with pytest.raises(UsageError, match=words):
            program_of(folder)
    with pytest.raises(UsageError, match="has no experiment 3"):
        program_of(bad, 3)
