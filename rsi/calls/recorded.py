"""Answers that a run's record already holds: what a resumed run never pays for twice, and all that a replay reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsi.calls.request import Answer, Request
from rsi.errors import IntegrityError
from rsi.spending import BudgetSpent
from rsi.state import RunState

GetBlob = Callable[[str], bytes]


class ReplayDiffers(IntegrityError):
    """The proposer asks what the record holds no answer to."""


def look_up(
    state: RunState, get_blob: GetBlob, experiment: int, call: int, requests: Sequence[Request]
) -> tuple[Answer, Request] | None:
    """The answer to the `call`-th question of an experiment, if one of these requests is what was asked."""
    by_digest = {request.digest(): request for request in requests}
    for attempt in reversed(state.attempts(experiment, call)):
        if attempt.settled is not None and attempt.reserved.request_digest in by_digest:
            answer = Answer.model_validate_json(get_blob(attempt.settled.answer))
            return answer, by_digest[attempt.reserved.request_digest]
    return None


class RecordedCalls:
    """Answers from the record alone: no key, no network, no money."""

    def __init__(self, state: RunState, get_blob: GetBlob) -> None:
        self.state = state
        self.get_blob = get_blob

    def begin(self, experiment: int) -> RecordedConversation:
        """The questions of one experiment, from the first."""
        return RecordedConversation(self, experiment)


class RecordedConversation:
    """The questions that a proposer asks for one experiment, in order."""

    def __init__(self, calls: RecordedCalls, experiment: int) -> None:
        self._calls = calls
        self._experiment = experiment
        self._asked = 0

    def complete(self, purpose: str, request: Request, alternatives: Sequence[str] = ()) -> tuple[Answer, str]:
        """The recorded answer and the model that gave it; ReplayDiffers where this was not asked."""
        self._asked += 1
        requests = [request, *(request.to(model) for model in alternatives)]
        found = look_up(self._calls.state, self._calls.get_blob, self._experiment, self._asked, requests)
        declined = self._calls.state.declined.get((self._experiment, self._asked))
        if found is None and declined is not None:
            raise BudgetSpent(declined.reason)
        if found is None:
            attempts = self._calls.state.attempts(self._experiment, self._asked)
            told = (
                f"the {purpose} prompt that derives now is not the one that was recorded (event {attempts[-1].seq})"
                if attempts
                else f"no {purpose} call was recorded there"
            )
            raise ReplayDiffers(f"Call {self._asked} of experiment {self._experiment} differs: {told}.")
        return found[0], found[1].model
