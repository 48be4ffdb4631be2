"""What proposers are told, kept up as a run goes on, is what would be told from the record afresh."""

from __future__ import annotations

from pathlib import Path

import pytest
from composing import HERE, configuration, said

from rsi.briefing import Told
from rsi.configuration import Component
from rsi.ledger import Event
from rsi.session import start
from rsi.state import RunState
from rsi.storage import BlobStore

RESTLESS = f"{HERE / 'scripted.py'}:Restless"


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_history_kept_up_equals_one_made_afresh(tmp_path: Path, parallel: int) -> None:
    kept_up = Told()
    compared: list[int] = []
    blobs: list[BlobStore] = []

    def look(event: Event, state: RunState) -> None:
        told = kept_up.history(state, blobs[0].get)
        assert told == Told().history(state, blobs[0].get), event.kind
        assert [entry.experiment for entry in told] == sorted(entry.experiment for entry in told)
        compared.append(len(told))

    config = configuration(
        tmp_path, "30 50:crash 20 (( 25 12 35 10", parallel=parallel, policy=Component(name=RESTLESS)
    )
    with start(config, said, root=tmp_path / "runs") as session:
        blobs.append(session.run.recorder.blobs)
        assert session.go([look]) == 0
    assert compared[-1] >= 8
