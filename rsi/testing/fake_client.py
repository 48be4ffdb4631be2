"""A deterministic `Client` for tests: scripted answers and faults, no network, every request kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsi.calls import Answer, CallFault, Request
from rsi.spending import Price

Reply = Answer | CallFault | str


class FakeClient:
    """Answers from a script, a list or a function of the request; a fault in it is raised.

    Args:
        script: replies in order, the last one repeated; a text is an answer of as many tokens as it has words.
        price: of every model; None where no price shall be known.
        timeout: Seconds that a call may take.
    """

    def __init__(
        self, script: Sequence[Reply] | Callable[[Request], Reply], price: Price | None = None, timeout: float = 60.0
    ) -> None:
        self.script = script
        self.rates = price
        self.timeout = timeout
        self.requests: list[Request] = []

    def price(self, model: str) -> Price | None:  # noqa: ARG002 - one price for all
        """The one that was given."""
        return self.rates

    def complete(self, request: Request) -> Answer:
        """The next reply of the script."""
        self.requests.append(request)
        reply = self._reply(request)
        if isinstance(reply, CallFault):
            raise reply
        return reply if isinstance(reply, Answer) else self._said(reply, request)

    def _reply(self, request: Request) -> Reply:
        if callable(self.script):
            return self.script(request)
        return self.script[min(len(self.requests), len(self.script)) - 1]

    def _said(self, text: str, request: Request) -> Answer:
        used = sum(len(message.text.split()) for message in request.messages), len(text.split())
        cost = self.rates.worst(*used) if self.rates is not None else None
        return Answer(
            text=text, finish="stop", input_tokens=used[0], output_tokens=used[1], cost_usd=cost, model=request.model
        )
