"""The way to a paid answer: look into the record, reserve the worst case, send, record, and only then hand it over.

Every step is in the ledger before the next relies on it. A crash after a reservation leaves it standing, and it counts
as spent; a crash after an answer was recorded costs nothing, because the record is asked first.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence

from rsi.calls.faults import CallFault, TimedOut, Unreadable
from rsi.calls.recorded import Place, look_up
from rsi.calls.request import Answer, Client, Request
from rsi.calls.settling import final, told, wait_of
from rsi.errors import EnvironmentFault
from rsi.events import CallDeclined, CallFailed, CallReserved, CallSettled
from rsi.recorder import Recorder
from rsi.spending import BudgetSpent, require_room, worst_case

LONGEST_WAIT = 120.0
"""Seconds; a provider that asks for more is left for the next model."""
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 3.0
"""In which the client may say itself, and more precisely, that its time is over."""


class Interrupted(Exception):
    """The user stopped the run while a call was under way; its reservation stands."""


class Calls:
    """The one way in which a run asks a language model anything; used from the loop's thread."""

    def __init__(
        self,
        recorder: Recorder,
        client: Client,
        *,
        retries: int = 4,
        retry_seconds: float = 2.0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the parts.

        Args:
            recorder: Of the run that pays.
            client: What sends.
            retries: How often one model is asked again after a fault that may pass.
            retry_seconds: The first wait; each further one is twice as long, all are jittered.
            stopped: Whether the user wants the run to end.
        """
        self.recorder = recorder
        self.client = client
        self.retries = retries
        self.retry_seconds = retry_seconds
        self.stopped = stopped

    def begin(self, experiment: int, trial: str = "") -> Conversation:
        """The questions of one experiment, or those about one of its trials, from the first."""
        return Conversation(self, experiment, trial)

    # --- one question -------------------------------------------------------------------------------------------

    def answer(self, place: Place, purpose: str, requests: Sequence[Request]) -> tuple[Answer, str]:
        """The answer to a question, from the record if it is there, else from the first model that gives one.

        BudgetSpent before anything is sent that could pass a limit; EnvironmentFault where no model answers.
        """
        redacted = [Request.model_validate(self.recorder.redactor.value(r.model_dump(mode="json"))) for r in requests]
        found = look_up(self.recorder.state, self.recorder.blobs.get, place, redacted)
        if found is not None:
            return found[0], found[1].model
        reasons: list[str] = []
        for request in redacted:
            try:
                return self._persist(place, purpose, request), request.model
            except CallFault as fault:
                reasons.append(f"{request.model}: {told(fault, self.recorder.redactor)}")
        raise EnvironmentFault(f"No model answers ({'; '.join(reasons)}); mend that, then `rsi resume` the run.")

    def _persist(self, place: Place, purpose: str, request: Request) -> Answer:
        """Ask one model, again where that may help; the last CallFault where it does not."""
        for attempt in range(self.retries + 1):
            try:
                return self._attempt(place, purpose, request)
            except CallFault as fault:
                wait = self._wait(attempt, fault)
                if wait is None:
                    raise
                self._sleep(wait)
        raise AssertionError("the last attempt raises")

    def _wait(self, attempt: int, fault: CallFault) -> float | None:
        """Seconds until the next attempt, None where there shall be none."""
        if not fault.retryable or attempt >= self.retries:
            return None
        backoff = self.retry_seconds * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
        wanted = max(backoff, wait_of(fault) or 0.0)
        return wanted if wanted <= LONGEST_WAIT else None

    def _attempt(self, place: Place, purpose: str, request: Request) -> Answer:
        self._heed_stop()  # before anything is reserved for a call that nobody would wait for
        experiment, call, trial = place
        state = self.recorder.state
        price = self.client.price(request.model)
        worst = worst_case((m.text for m in request.messages), request.max_output_tokens, price)
        try:
            require_room(state.budget, state.spending(), worst)
        except BudgetSpent as spent:
            declined = CallDeclined(experiment=experiment, trial=trial, call=call, purpose=purpose, reason=str(spent))
            if state.declined.get(place) != declined:
                self.recorder.record(declined)
            raise
        attempt = len(state.attempts(*place)) + 1
        reservation = f"{trial or experiment}.{call}.{attempt}"
        self.recorder.record(
            CallReserved(
                reservation=reservation,
                experiment=experiment,
                trial=trial,
                call=call,
                attempt=attempt,
                purpose=purpose,
                model=request.model,
                request=self.recorder.keep_text(request.model_dump_json(indent=1)),
                request_digest=request.digest(),
                worst=worst,
                price=price,
            )
        )
        began = time.monotonic()
        try:
            answer = final(self._send(request), request, worst, self.recorder.redactor)
        except Interrupted:
            raise
        except CallFault as fault:
            self._fail(reservation, fault, time.monotonic() - began)
            raise
        except Exception as error:  # whatever a hostile answer breaks in a client: it may have been paid
            sentence = f"what {request.model} answered broke the client ({type(error).__name__})"
            unreadable = Unreadable(sentence, charged=True)
            self._fail(reservation, unreadable, time.monotonic() - began)
            raise unreadable from error
        self._settle(reservation, answer, time.monotonic() - began)
        return answer

    def _fail(self, reservation: str, fault: CallFault, seconds: float) -> None:
        self.recorder.record(
            CallFailed(
                reservation=reservation,
                kind=fault.kind,
                reason=told(fault, self.recorder.redactor),
                charged=fault.charged,
                retry_after=wait_of(fault),
                seconds=seconds,
            )
        )

    def _settle(self, reservation: str, answer: Answer, seconds: float) -> None:
        self.recorder.record(
            CallSettled(
                reservation=reservation,
                answer=self.recorder.keep_text(answer.model_dump_json(indent=1)),
                finish=answer.finish,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
                cached_tokens=answer.cached_tokens,
                reasoning_tokens=answer.reasoning_tokens,
                cost_usd=answer.cost_usd,
                reported_model=answer.model,
                seconds=seconds,
            )
        )

    # --- waiting without being deaf -----------------------------------------------------------------------------

    def _send(self, request: Request) -> Answer:
        """Ask in a thread of its own, so that neither Ctrl-C nor the limit need wait for a slow model."""
        deadline = time.monotonic() + self.client.timeout + _GRACE_SECONDS
        answers: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self.client.complete(request))
            except BaseException as error:
                answers.put(error)

        threading.Thread(target=ask, name="call", daemon=True).start()
        while True:
            try:
                answer = answers.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._heed_stop()
                if time.monotonic() > deadline:
                    raise TimedOut(f"{request.model} gave no whole answer in time", charged=True) from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._heed_stop()
            time.sleep(min(left, _POLL_SECONDS))

    def _heed_stop(self) -> None:
        if self.stopped():
            raise Interrupted("interrupted by the user")


class Conversation:
    """The questions of one experiment, or those about one of its trials, in order."""

    def __init__(self, calls: Calls, experiment: int, trial: str) -> None:
        self._calls = calls
        self._experiment = experiment
        self._trial = trial
        self._asked = 0

    def complete(self, purpose: str, request: Request, alternatives: Sequence[str] = ()) -> tuple[Answer, str]:
        """The answer and the model that gave it; `alternatives` are asked in order where the request's own fails.

        BudgetSpent, EnvironmentFault and Interrupted end the asking; the run can be resumed, and asks this again.
        """
        self._asked += 1
        requests = [request, *(request.to(model) for model in alternatives if model != request.model)]
        return self._calls.answer((self._experiment, self._asked, self._trial), purpose, requests)


__all__ = ["BudgetSpent", "Calls", "Conversation", "Interrupted"]
