"""Real ranking programs, asked in real places: what a generation does besides what an ordinary run does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from evolving import plan, said

import evals.inner_loops
import tasks
from rsi.configuration import Budget, Component
from rsi.generations import plan as plans
from rsi.generations.beginning import begin
from rsi.generations.running import run_generations
from rsi.proposers.ranking import PAST
from rsi.review.replay import replay
from rsi.review.verify import verify
from rsi.session import Session

LOOPS = f"{evals.inner_loops.__file__}:InnerLoops"
SMALL = {
    "rounds = 6": "rounds = 1",
    "compute = 12.0": "compute = 6.0",
    "noise = 0.12": "noise = 0.5",
    'source = "made:inner-episodes"': 'source = "file:episodes.npy"',
    'name = "inner-loops"': f'name = "{LOOPS}"',
}


def small_task(folder: Path) -> Path:
    """The task `proposer` with one round and few inner loops."""
    folder.mkdir()
    for path in tasks.proposer().iterdir():
        if path.is_file():
            (folder / path.name).write_text(path.read_text())
    spec = (folder / "task.toml").read_text()
    for old, new in SMALL.items():
        assert old in spec
        spec = spec.replace(old, new)
    (folder / "task.toml").write_text(spec)
    lines = (folder / "prepare.py").read_text().splitlines(keepends=True)
    # Dev and holdout hold equally many, and dev has no digits.
    prepare, families = re.subn(r"\), \d+\),", "), 1),", "".join(x for x in lines if '(("digits",' not in x))
    assert families == 6
    (folder / "prepare.py").write_text(prepare)
    row = [1, 0, 1, 0.5, 0, 0, 1, 2, 1]
    np.save(folder / "episodes.npy", np.array([[row, [0.0] * len(PAST)]] * 4, dtype=np.float32))
    return folder


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("state", "cache", "runs"):
        monkeypatch.setenv(f"RSI_{name.upper()}", str(tmp_path / name))


def go(session: Session) -> int:
    return session.go()


def evolves(tmp_path: Path, sandbox: str, **more: object) -> None:
    changes = {
        "budget": Budget(experiments=2),
        "proposer": Component(name=plans.EVOLVED),
        "sandbox": Component(name=sandbox),
        "patience": 5,
        **more,
    }
    evolution = begin(plan(small_task(tmp_path / "small"), **changes), tmp_path / "evolution")[0]
    assert run_generations(evolution, go, said) == 0
    history = evolution.history()
    assert not history.damaged
    first, second = history.generations
    frozen = first.run.state.program
    assert frozen is not None
    assert frozen.code == history.first.program.sha256, "the program's version is what the record says was frozen"
    assert first.outcome.proposed_by.startswith("proposer@0")
    assert len(first.run.state.program_answers) >= 2
    learned = np.load(evolution.place(2) / "data" / "c-999-generation-1.npy")
    on_dev = [t for t in first.run.state.trials.values() if t.started.split == "dev" and t.observation() is not None]
    assert len(learned) == 3 * len(on_dev), "three inner loops a trial"
    assert second.before == first.after
    for generation in history.generations:
        assert verify(generation.run.folder, trust_paths=True).ok
        assert replay(generation.run.folder, trust_paths=True).ok


@pytest.mark.long
def test_generation_one_is_proposed_for_by_what_ships_and_generation_two_learns_from_its_loops(tmp_path: Path) -> None:
    evolves(tmp_path, "process", unsafe_no_isolation=True)


@pytest.mark.docker
@pytest.mark.long
def test_the_same_in_containers(tmp_path: Path) -> None:
    evolves(tmp_path, "docker")
