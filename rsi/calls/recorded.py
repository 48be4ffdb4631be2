"""Answers that a run's record already holds: what a resumed run never pays for twice, and all that a replay reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsi.calls.request import Answer, Request
from rsi.errors import IntegrityError
from rsi.spending import BudgetSpent
from rsi.state import RunState

GetBlob = Callable[[str], bytes]
Place = tuple[int, int, str]
"""Experiment; which of its questions, from 1; and the trial that it is about, or nothing."""


class ReplayDiffers(IntegrityError):
    """The proposer asks what the record holds no answer to."""


def look_up(
    state: RunState, get_blob: GetBlob, place: Place, requests: Sequence[Request]
) -> tuple[Answer, Request] | None:
    """The answer to the question in that place, if one of these requests is what was asked."""
    by_digest = {request.digest(): request for request in requests}
    for attempt in reversed(state.attempts(*place)):
        if attempt.settled is not None and attempt.reserved.request_digest in by_digest:
            answer = Answer.model_validate_json(get_blob(attempt.settled.answer))
            return answer, by_digest[attempt.reserved.request_digest]
    return None


class RecordedCalls:
    """Answers from the record alone: no key, no network, no money."""

    def __init__(self, state: RunState, get_blob: GetBlob) -> None:
        self.state = state
        self.get_blob = get_blob

    def begin(self, experiment: int, trial: str = "") -> RecordedConversation:
        """The questions of one experiment, or those about one of its trials, from the first."""
        return RecordedConversation(self, experiment, trial)


class RecordedConversation:
    """The questions of one experiment, or those about one of its trials, in order."""

    def __init__(self, calls: RecordedCalls, experiment: int, trial: str) -> None:
        self._calls = calls
        self._experiment = experiment
        self._trial = trial
        self._asked = 0

    def complete(self, purpose: str, request: Request, alternatives: Sequence[str] = ()) -> tuple[Answer, str]:
        """The recorded answer and the model that gave it; ReplayDiffers where this was not asked."""
        self._asked += 1
        requests = [request, *(request.to(model) for model in alternatives)]
        place = (self._experiment, self._asked, self._trial)
        found = look_up(self._calls.state, self._calls.get_blob, place, requests)
        declined = self._calls.state.declined.get(place)
        if found is None and declined is not None:
            raise BudgetSpent(declined.reason)
        if found is None:
            attempts = self._calls.state.attempts(*place)
            told = (
                f"the {purpose} prompt that derives now is not the one that was recorded (event {attempts[-1].seq})"
                if attempts
                else f"no {purpose} call was recorded there"
            )
            whose = f"trial {self._trial}" if self._trial else f"experiment {self._experiment}"
            raise ReplayDiffers(f"Call {self._asked} of {whose} differs: {told}.")
        return found[0], found[1].model
