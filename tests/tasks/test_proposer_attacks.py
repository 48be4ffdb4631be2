"""Ranking programs that cheat or misbehave, through the whole loop: what they try, and that it buys nothing."""

import difflib
import shutil
from pathlib import Path

import numpy as np
import pytest

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.execution import ExitKind
from rsi.generations.gathering import inner_episodes
from rsi.prediction import encode_array
from rsi.records import Scored
from rsi.review.verify import verify
from rsi.runs import read
from rsi.session import start
from rsi.task import load_task

TASK = load_task("proposer")
NEVER_KEEPS = Component(name="threshold", options={"k": 1e6})
END = 'if __name__ == "__main__":\n'
LEAVES = """
import os
PLACES = [Path(p) for p in ("/tmp", "/dev/shm", "/var/tmp", str(HERE), os.environ.get("RSI_IN", "."))]
def marked():
    return [p for p in PLACES if (p / "left.bin").exists()]
def predict(artifact, inputs, honest=predict):
    PLACES.append(Path(artifact))
    if marked():
        raise SystemExit("found what an earlier process left")
    for place in PLACES:
        try:
            (place / "left.bin").write_bytes(inputs["history"].tobytes())
        except OSError:
            pass
    return honest(artifact, inputs)
"""
SEARCHES = """
import os
def predict(artifact, inputs, honest=predict):
    names = " ".join(sorted(p.name for p in Path(os.environ["RSI_IN"]).rglob("*")) + sorted(os.environ))
    if any(word in names.lower() for word in ("slots", "target", "secret", "episodes", "ledger", "rsi_seed")):
        raise SystemExit("found what must not be here")
    return honest(artifact, inputs)
"""
PROGRAMS = {
    "raises": "def predict(artifact, inputs):\n    raise ValueError('no')\n",
    "spins": "def predict(artifact, inputs):\n    while True:\n        pass\n",
    "wrong-shape": "def predict(artifact, inputs):\n    return np.zeros((1, 1), np.float32)\n",
    "text": "def predict(artifact, inputs):\n    return np.array(['best'])\n",
    "floods": "def predict(artifact, inputs):\n    print('x' * 50_000_000)\n",
    "never": "def predict(artifact, inputs):\n    return np.full(inputs['options'].shape[:2], np.nan, np.float32)\n",
    "infinite": "def predict(artifact, inputs):\n    return np.full(inputs['options'].shape[:2], np.inf, np.float32)\n",
    "padding": "def predict(artifact, inputs):\n    return np.float32(1e38) * (inputs['options'][..., 6] == 0)\n",
}


def patches(folder, programs):
    folder.mkdir()
    before = TASK.code["proposer.py"]
    assert before.count(END) == 1
    for number, (name, text) in enumerate(programs.items()):
        after = before.replace(END, f"{text}\n\n{END}")
        diff = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/proposer.py", "b/proposer.py")
        (folder / f"{number:02d}-{name}.patch").write_text("".join(diff))
    return folder


def small(folder: Path) -> Path:
    """The task with six simulated loops of two rounds."""
    shutil.copytree(TASK.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "task.toml").read_text()
    smaller = {"rounds = 6": "rounds = 2", "compute = 12.0": "compute = 6.0", "cpu_seconds = 4": "cpu_seconds = 1"}
    for old, new in smaller.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "task.toml").write_text(text)
    text = (folder / "prepare.py").read_text()
    start_, end = text.index("DEV = ("), text.index("\n\n\ndef main")
    (folder / "prepare.py").write_text(
        f'{text[:start_]}DEV = ((("surface", 0, 0, 0, 0.0, 1.0, 0.5), 6),)\n'
        f'HOLDOUT = ((("surface", 0, 0, 0, 0.0, 1.2, 0.5), 6),){text[end:]}'
    )
    past = folder.parent / "episodes.npy"
    past.write_bytes(encode_array(np.zeros((1, 4, 9), np.float32)))
    return past


def run(tmp_path, monkeypatch, programs, sandbox, policy=NEVER_KEEPS):
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    past = small(tmp_path / "task")
    verifier = TASK.spec.verifier
    configuration = RunConfiguration(
        task=str(tmp_path / "task"),
        data=str(past),
        proposer=Component(name="replay", options={"source": str(patches(tmp_path / "patches", programs))}),
        policy=policy,
        shared_seeds=True,
        sandbox=Component(name=sandbox),
        verifier=Component(name=verifier.name, options={**verifier.options, "rounds": 2, "compute": 6.0}),
        budget=Budget(experiments=len(programs)),
        certify=False,
        parallel=1,
        seed=3,
    )
    with start(configuration, lambda _: None, root=tmp_path / "runs") as session:
        session.go()
        where = session.run.folder
    record = read(where)
    assert verify(where).ok
    trials = [record.state.trials[record.state.experiments[number].trials[0]] for number in range(len(programs) + 1)]
    return record, dict(zip(("baseline", *programs), trials, strict=True))


def score(trial):
    verdict = trial.verdict.verdict
    assert isinstance(verdict, Scored), verdict
    return verdict.value("gain_per_compute")


def test_what_misbehaves_ends_as_a_crash_and_what_is_odd_is_just_a_preference(tmp_path, monkeypatch):
    record, trials = run(tmp_path, monkeypatch, PROGRAMS, "process")
    ends = {name: trial.failed.kind for name, trial in trials.items() if trial.failed is not None}
    assert ends == {
        "raises": ExitKind.CRASHED,
        "spins": ExitKind.CPU_EXCEEDED,
        "wrong-shape": ExitKind.CRASHED,
        "text": ExitKind.CRASHED,
        "floods": ExitKind.OUTPUT_EXCEEDED,
    }
    assert score(trials["never"]) == 0
    assert 0 <= score(trials["infinite"]) <= 100 / 6
    assert 0 <= score(trials["padding"]) <= 100 / 6
    # What is unavailable cannot be had, however much it is preferred.
    assert all(np.isfinite(one.value) for one in trials["padding"].verdict.verdict.measurements)
    # The loops of the trials that were scored; those of the one that never moved teach nothing.
    assert len(inner_episodes(record.state, record.blobs)) == 6 * 3


@pytest.mark.docker
def test_nothing_is_left_for_a_later_round_and_nothing_lies_there_to_be_found(tmp_path, monkeypatch):
    _, trials = run(tmp_path, monkeypatch, {"leaves": LEAVES, "searches": SEARCHES}, "docker")
    for name in ("leaves", "searches"):
        assert trials[name].failed is None, trials[name].failed
        assert score(trials[name]) >= 0


def test_both_arms_of_a_pair_meet_the_same_instances_and_what_they_met_can_be_learned_from(tmp_path, monkeypatch):
    fixed = Component(name="fixed", options={"seeds": 3})
    record, _ = run(tmp_path, monkeypatch, {"again": "SAME_AS_BEFORE = True\n"}, "process", fixed)
    asked = [(one.started.seed, one.answered[0].challenge_digest) for one in record.state.trials.values()]
    seeds, questions = [{pair[part] for pair in asked} for part in (0, 1)]
    assert (len(asked), len(seeds)) == (6, 4)  # the first trial of each arm has a seed of its own
    assert len(questions) == len(set(asked)) == len(seeds)

    # What can be learned from it: what was measured on dev, and nothing of the holdout.
    assert inner_episodes(record.state, record.blobs).shape == (6 * 6, 4, 9)
    for left, (name, trial) in enumerate(reversed(list(record.state.trials.items()))):
        started = trial.started.model_copy(update={"split": "holdout"})
        assert len(inner_episodes(record.state, record.blobs)) == 6 * (6 - left)
        record.state.trials[name] = trial.model_copy(update={"started": started})
    assert len(inner_episodes(record.state, record.blobs)) == 0
