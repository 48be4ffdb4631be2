"""What verifiers share that ask a language model, beside what they ask it."""

from __future__ import annotations

from rsi.calls import Client
from rsi.calls.request import Answers
from rsi.configuration import Budget
from rsi.errors import UsageError
from rsi.proposers.llm.proposer import Llm


class ByModel:
    """Asks through the run's own calls; how a model is named, checked, reached and asked is the proposer `llm`'s.

    Args:
        models: The proposer `llm` with the models that are asked; it proposes nothing here.
    """

    name: str

    def __init__(self, models: Llm) -> None:
        self._models = models
        self.retries = models.retries
        self.retry_seconds = models.retry_seconds
        self._calls: Answers | None = None

    def prepare(self, budget: Budget) -> None:
        """Names, keys, prices and addresses, without spending."""
        self._models.prepare(budget)

    def client(self) -> Client:
        """What sends the calls."""
        return self._models.client()

    def attach(self, calls: Answers) -> None:
        """Where the answers come from."""
        self._calls = calls
        self._models.attach(calls)

    def ready(self) -> None:
        """Ask each model for a word, once a run."""
        self._models.ready()

    def answers(self) -> Answers:
        """Where the answers come from; UsageError outside a run and its record."""
        if self._calls is None:
            raise UsageError(
                f"The verifier {self.name} works within a run, or from a run's record; nothing is attached to it."
            )
        return self._calls
