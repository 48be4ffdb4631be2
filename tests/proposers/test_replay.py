from __future__ import annotations

from pathlib import Path

import pytest

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.edits import CheckedEdit, check
from rsi.errors import UsageError
from rsi.proposers.replay import Replay
from rsi.protocols import Exhausted
from rsi.runs import read_proposals
from rsi.session import start
from rsi.testing import fake_proposer, fake_sandbox, fake_verifier
from rsi.testing.fake_sandbox import write_fake_task
from rsi.testing.proposer_conformance import brief_of

CODE = {"train.py": "RATE = 1\nprint(RATE)\n"}


def patch(old: int, new: int) -> str:
    return f"--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-RATE = {old}\n+RATE = {new}\n print(RATE)\n"


def test_patches_come_in_the_order_of_their_names_and_by_the_turn(tmp_path: Path) -> None:
    (tmp_path / "02.diff").write_text(patch(1, 3))
    (tmp_path / "01.patch").write_text("# Double the rate:\n# steps are short.\n" + patch(1, 2))
    (tmp_path / "notes.txt").write_text("no patch")
    proposer = Replay(source=str(tmp_path))
    second = proposer.propose(brief_of(CODE, experiment=2))
    first = proposer.propose(brief_of(CODE, experiment=1))
    assert first.rationale == "Double the rate: steps are short."
    assert second.rationale == "The patch 02.diff"
    checked = check(first.edit, CODE, ("train.py",), 1000)
    assert isinstance(checked, CheckedEdit)
    assert checked.code == {"train.py": "RATE = 2\nprint(RATE)\n"}
    with pytest.raises(Exhausted, match="All 2 patches"):
        proposer.propose(brief_of(CODE, experiment=3))


def test_a_folder_that_holds_nothing_to_replay_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        Replay(source=str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="neither a run"):
        Replay(source=str(tmp_path))
    (tmp_path / "a.patch").write_text("")
    with pytest.raises(UsageError, match="is empty"):
        Replay(source=str(tmp_path)).propose(brief_of(CODE))


def test_a_run_is_replayed_proposal_by_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RSI_CACHE", str(tmp_path / "cache"))
    verifier = f"{fake_verifier.__file__}:FakeVerifier"
    task = write_fake_task(tmp_path / "task", 40, verifier)

    def run(proposer: Component) -> Path:
        configuration = RunConfiguration(
            task=str(task),
            proposer=proposer,
            policy=Component(name="greedy"),
            sandbox=Component(name=f"{fake_sandbox.__file__}:FakeSandbox"),
            verifier=Component(name=verifier),
            budget=Budget(experiments=4),
            seed=1,
        )
        with start(configuration, lambda _: None, root=tmp_path / "runs") as session:
            session.go()
            return session.run.folder

    first = run(Component(name=f"{fake_proposer.__file__}:FakeProposer"))
    second = run(Component(name="replay", options={"source": str(first)}))
    proposals = list(read_proposals(first))
    assert len(proposals) == 4
    assert list(read_proposals(second)) == proposals
    with pytest.raises(Exhausted, match="has been replayed"):
        Replay(source=str(first)).propose(brief_of(CODE, experiment=5))
