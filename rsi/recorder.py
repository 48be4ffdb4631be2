"""The only way in which anything enters a run's record: append to the ledger, fold, tell whoever watches."""

from __future__ import annotations

import json
from collections.abc import Callable

from rsi.chain import Event
from rsi.events import KINDS
from rsi.execution import Outcome
from rsi.records import Record
from rsi.redaction import Redactor
from rsi.state import RunState
from rsi.storage import BlobStore, EventLog

Listener = Callable[[Event, RunState], None]


class Recorder:
    """A run's ledger and blobs with the state they fold to; used from one thread."""

    def __init__(self, ledger: EventLog, blobs: BlobStore, state: RunState, redactor: Redactor) -> None:
        self.ledger = ledger
        self.blobs = blobs
        self.state = state
        self.redactor = redactor
        self.listeners: list[Listener] = []

    def record(self, body: Record) -> None:
        """Make an event durable, then fold it; an effect that relies on it comes after this returns."""
        event = self.ledger.append(KINDS[type(body)], body.model_dump(mode="json"))
        self.state.apply(event)
        for listener in self.listeners:
            listener(event, self.state)

    def keep_stream(self, data: bytes) -> str:
        """Store what a sandbox printed, secrets redacted; the digest is the redacted text's."""
        return self.blobs.put(self.redactor.data(data))

    def keep_outcome(self, outcome: Outcome) -> dict[str, str]:
        """Store what is kept beside an execution: both streams and its course, secrets redacted; digests by name."""
        kept = {"stdout": self.keep_stream(outcome.stdout), "stderr": self.keep_stream(outcome.stderr)}
        if outcome.course is not None:
            kept["course"] = self.keep_stream(outcome.course.model_dump_json(exclude_none=True).encode())
        return kept

    def keep_attempts(self, outcome: Outcome) -> str | None:
        """Store everything that was attempted, a JSON list, where the execution does not list all of it."""
        if not outcome.attempts:
            return None
        listed = [attempt.model_dump(mode="json") for attempt in outcome.attempts]
        return self.keep_text(json.dumps(listed, separators=(",", ":")))

    def keep_text(self, text: str) -> str:
        """Store text that a proposer or this program wrote, secrets redacted."""
        return self.blobs.put(self.redactor.text(text).encode())
