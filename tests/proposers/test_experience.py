"""Past runs as episodes to learn from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranked_runs import CODE, VERIFIER, said

import rsi.testing.fake_sandbox
from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import UsageError
from rsi.prediction import decode_array
from rsi.proposers import experience
from rsi.proposers.ranking import KINDS, OUTCOMES, PAST, Arms
from rsi.records import ExperimentStatus
from rsi.runs import ReadRun, read
from rsi.session import start
from rsi.statistics import round_to_noise
from rsi.testing.altering import load, store
from rsi.testing.fake_sandbox import write_fake_task


def a_run(folder: Path, **changes: Any) -> ReadRun:
    """Six moves of `mutate`."""
    task = folder / "task"
    write_fake_task(task, value=40, verifier=VERIFIER)
    (task / "train.py").write_text(CODE)
    values: dict[str, Any] = {
        "task": str(task),
        "proposer": Component(name="random"),
        "policy": Component(name="greedy"),
        "sandbox": Component(name=f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"),
        "verifier": Component(name=VERIFIER),
        "budget": Budget(experiments=5),
        "seed": 1,
    }
    with start(RunConfiguration.model_validate(values | changes), said, root=folder / "runs") as session:
        session.go()
        where = session.run.folder
    return read(where)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> ReadRun:
    folder = tmp_path_factory.mktemp("experience")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(folder / "state"))
        return a_run(folder)


def column(episodes: Any, name: str) -> list[float]:
    return episodes[0, :, PAST.index(name)].tolist()


def test_a_run_is_an_episode_in_order_with_its_gains_in_noise(record: ReadRun) -> None:
    found = experience.gather([record.folder])
    moves = [x for n, x in sorted(record.state.experiments.items()) if n and x.proposed.kind != "combined"]
    assert found.runs == (record.state.run.run,)
    assert found.episodes.shape == (1, len(moves), len(PAST))
    assert found.episodes.dtype == np.float32
    assert column(found.episodes, "kind") == [KINDS.index(x.proposed.kind) for x in moves]
    names = {"kept": "kept", "discarded": "discarded", "crashed": "failed"}
    assert column(found.episodes, "outcome") == [OUTCOMES.index(names[x.status.value]) for x in moves]
    noise = record.state.run.objective.noise
    gains = [max(-50.0, min(50.0, round_to_noise(x.closed.gain or 0.0, noise) / noise)) for x in moves if x.closed]
    assert column(found.episodes, "gain") == pytest.approx(gains, rel=1e-5)
    assert {KINDS[int(kind)] for kind in column(found.episodes, "kind")} <= {"constant", "width"}


def test_runs_of_the_task_that_is_judged_are_left_out_by_name_or_digest(record: ReadRun) -> None:
    for name in ("fake", record.state.run.task_digest):
        found = experience.gather([record.folder], without={name})
        assert found.episodes.shape == (0, 0, len(PAST))
        assert "left out" in found.left_out[0]


def test_of_a_long_run_the_last_moves_are_learned_from(record: ReadRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = experience.gather([record.folder]).episodes
    monkeypatch.setattr(experience, "LONGEST", 2)
    assert whole.shape[1] > 2
    assert np.array_equal(experience.gather([record.folder]).episodes, whole[:, -2:])


def test_what_cannot_be_read_is_left_out_and_named(record: ReadRun, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(record.folder, broken)
    ledger = (broken / "ledger.jsonl").read_text().replace('"kept"', '"KEPT"', 1)
    (broken / "ledger.jsonl").write_text(ledger)
    hostile = tmp_path / "hostile"
    shutil.copytree(record.folder, hostile)
    events = load(hostile)
    for event in events:
        if event["kind"] == "experiment.proposed" and event["body"]["experiment"]:
            event["body"]["detail"] = {"name": "x" * 9999, "from": "1e999", "to": True, "direction": "sideways"}
            event["body"]["kind"] = "\u001b[31m"
        if event["kind"] == "experiment.closed" and event["body"]["experiment"]:
            event["body"]["gain"] = 1e300
    store(hostile, events)
    found = experience.gather([broken, tmp_path / "none", hostile, record.folder])
    assert len(found.runs) == 2
    assert len(found.left_out) == 2
    assert np.isfinite(found.episodes).all()
    assert set(found.episodes[0, :, PAST.index("gain")]) == {50.0}


def test_what_is_no_single_move_gives_no_row() -> None:
    detail = {"name": "WIDTH", "from": 8, "to": 16, "direction": "up"}
    arms = Arms()
    kept = experience.row("width", detail, ExperimentStatus.KEPT, 0.04, 0.02, arms)
    assert kept is not None
    assert dict(zip(PAST, kept, strict=True)) == {
        "kind": KINDS.index("width"), "arm": 0, "direction": 1, "step": pytest.approx(np.log(2)),
        "value": pytest.approx(np.log(8)), "choice": 0, "outcome": 1, "gain": 2, "cost": 1,
    }  # fmt: skip
    assert experience.row("width", detail, ExperimentStatus.OPEN, None, 0.02, arms) is None
    assert experience.row("width", detail, ExperimentStatus.UNDECIDED, None, 0.02, arms) is None
    assert experience.row("edit", {"outcome": "edit"}, ExperimentStatus.KEPT, 1.0, 0.02, arms) is None


def test_episodes_are_written_and_read_back_whole(record: ReadRun, tmp_path: Path) -> None:
    episodes = experience.gather([record.folder]).episodes
    experience.write(tmp_path / "episodes.npy", episodes)
    assert np.array_equal(decode_array(experience.read_episodes(tmp_path / "episodes.npy")), episodes)
    assert [path.name for path in tmp_path.iterdir()] == ["episodes.npy"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 2, 3), dtype=np.float32), "of shape"),
        (np.zeros((1, 2, len(PAST))), "float64"),
        (np.full((1, 2, len(PAST)), np.inf, dtype=np.float32), "not finite"),
    ],
)
def test_other_arrays_are_no_episodes(tmp_path: Path, array: Any, words: str) -> None:
    path = tmp_path / "episodes.npy"
    np.save(path, array)
    with pytest.raises(UsageError, match=words):
        experience.read_episodes(path)
    with pytest.raises(UsageError, match=words):
        experience.write(path, array)


def test_a_file_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        experience.read_episodes(tmp_path / "none.npy")
    os.mkfifo(tmp_path / "pipe.npy")
    for endless in (tmp_path / "pipe.npy", Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            experience.read_episodes(endless)
    np.save(tmp_path / "there.npy", np.zeros((1, 1, len(PAST)), dtype=np.float32))
    (tmp_path / "link.npy").symlink_to("there.npy")  # of the user's own making
    assert experience.read_episodes(tmp_path / "link.npy") == (tmp_path / "there.npy").read_bytes()
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="holds no episodes"):
        experience.read_episodes(tmp_path / "pickled.npy")
