from __future__ import annotations

from pathlib import Path

import pytest

from rsi.edits import CheckedEdit, check
from rsi.errors import UsageError
from rsi.proposers.replay import Replay
from rsi.protocols import Exhausted
from rsi.testing.proposer_conformance import brief_of

CODE = {"train.py": "RATE = 1\nprint(RATE)\n"}


def patch(old: int, new: int) -> str:
    return f"--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-RATE = {old}\n+RATE = {new}\n print(RATE)\n"


def test_patches_come_in_the_order_of_their_names_and_by_the_number_of_the_experiment(tmp_path: Path) -> None:
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
