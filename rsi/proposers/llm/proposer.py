"""A language model proposes the edits: asked, read, checked, told what is wrong with its answer, asked again.

A pure function of the brief and the answers. The answers come from what is attached: from calls that a run pays for,
or from a run's record alone; so every proposal can be derived again without a key.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from rsi.calls import Answer, BudgetSpent, Client, Message, Request
from rsi.calls.request import Answers, Asking, Effort
from rsi.configuration import Budget
from rsi.edits import Refusal, check
from rsi.errors import EnvironmentFault, UsageError
from rsi.proposers.llm.advice import Advice, advice_of
from rsi.proposers.llm.answer import Outcome, Reading, read
from rsi.proposers.llm.models import Choice, choose
from rsi.proposers.llm.prompt import build, render, to_repair
from rsi.proposers.llm.quoting import clean
from rsi.proposers.llm.settings import Settings
from rsi.records import Brief, Edit, EditFormat, Proposal, Provenance

_CHECK_TOKENS = 16
_REACH_SECONDS = 5.0
_NOT_ECHOED = frozenset({Outcome.TRUNCATED, Outcome.TOO_LONG, Outcome.EMPTY, Outcome.REFUSAL})


class Llm:
    """The proposer `llm`."""

    name = "llm"

    def __init__(
        self,
        model: str = "",
        api_base: str = "",
        *,
        repairs: int = 2,
        effort: Effort = "",
        history: int = 2,
        critique: int = 0,
        edit_format: str = EditFormat.SEARCH_REPLACE,
        prompt_tokens: int = 6000,
        answer_tokens: int = 4096,
        timeout: float = 300.0,
        retries: int = 4,
        retry_seconds: float = 2.0,
        source: str = "",
    ) -> None:
        """Take the settings (`settings.Settings` explains them); models and addresses are separated by commas.

        `source` is a run of the task `prompt`, or a folder, whose instructions are told as advice.
        """
        self._source = source
        self.settings = Settings.of(
            model,
            api_base,
            repairs=repairs,
            effort=effort,
            history=history,
            critique=critique,
            edit_format=edit_format,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            timeout=timeout,
        )
        self.retries = retries
        self.retry_seconds = retry_seconds
        self._calls: Answers | None = None

    # --- what a run asks of a proposer that calls models ----------------------------------------------------------

    def prepare(self, budget: Budget) -> None:
        """Find out without spending what would stop the run: names, keys, prices, addresses."""
        from rsi.proposers.llm.preflight import require_usable  # noqa: PLC0415 - imports litellm

        require_usable(self.settings, budget)
        for base in sorted(set(self.settings.bases.values())):
            _require_reachable(base)

    def client(self) -> Client:
        """What sends the calls."""
        from rsi.proposers.llm.client import LiteLlm  # noqa: PLC0415 - imports litellm

        return LiteLlm(self.settings.bases, self.settings.timeout)

    def attach(self, calls: Answers) -> None:
        """Where the answers come from."""
        self._calls = calls

    def ready(self) -> None:
        """Ask each model for a word, once a run: whoever refuses the key or has no such model says so now."""
        conversation = self._begin(0)
        question = (_user("Answer with the one word: ready"),)
        for model in self.settings.models:
            request = Request(model=model, messages=question, max_output_tokens=_CHECK_TOKENS)
            conversation.complete("check", request)

    def advice(self) -> Advice | None:
        """What the source holds now, where one was named."""
        return advice_of(Path(self._source)) if self._source else None

    # --- proposing ------------------------------------------------------------------------------------------------

    def propose(self, brief: Brief) -> Proposal:
        """One edit, or, as the proposal's `problem`, the name of what the model gave instead."""
        choice = choose(self.settings.models, brief.history, brief.objective, self._priced(brief), brief.seed)
        others = [model for model in self.settings.models if model != choice.model]
        exchange = _Exchange(self, brief, self._begin(brief.experiment), [choice.model, *others])
        messages = build(brief, self.settings)
        draft = exchange.ask("propose", messages)
        for _ in range(self.settings.repairs):
            if draft.reading.outcome is Outcome.EDIT:
                break
            told = render("repair", outcome=draft.reading.outcome, reason=draft.reading.reason)
            messages = (*messages, _assistant(draft), _user(told))
            try:
                draft = exchange.ask("repair", messages)
            except BudgetSpent:
                break
        for _ in range(self.settings.critique):
            revised = self._criticised(exchange, messages, draft)
            if revised is None:
                break
            draft = revised
        return self._proposal(brief, choice, exchange, draft)

    def _criticised(self, exchange: _Exchange, messages: Sequence[Message], draft: _Draft) -> _Draft | None:
        """A better edit by the model's own word; None where it keeps its draft, or has no usable other."""
        if draft.reading.outcome is not Outcome.EDIT:
            return None
        try:
            revised = exchange.ask("critique", (*messages, _assistant(draft), _user(render("critique"))))
        except BudgetSpent:
            return None
        return revised if revised.reading.outcome is Outcome.EDIT else None

    def _proposal(self, brief: Brief, choice: Choice, exchange: _Exchange, draft: _Draft) -> Proposal:
        reading = draft.reading
        crashed = to_repair(brief, self.settings)
        usable = reading.outcome is Outcome.EDIT
        return Proposal(
            edit=reading.edit or Edit(format=EditFormat.SEARCH_REPLACE, text=f"no edit: {reading.outcome}"),
            rationale=reading.rationale or f"no edit: {reading.outcome}",
            kind=reading.kind,
            detail={
                "outcome": reading.outcome.value,
                "asked": len(exchange.answers),
                "why_model": choice.why[:500],
                "effort": self.settings.effort,
            },
            provenance=Provenance(
                proposer=self.name,
                model=draft.model,
                input_tokens=sum(answer.input_tokens for answer in exchange.answers),
                output_tokens=sum(answer.output_tokens for answer in exchange.answers),
                cost_usd=sum(answer.cost_usd or 0.0 for answer in exchange.answers),
                parent=crashed.experiment if crashed else None,
            ),
            problem="" if usable else f"{reading.outcome}: {reading.reason}",
        )

    def request(self, model: str, messages: Sequence[Message]) -> Request:
        """A question to a model under these settings."""
        return Request(
            model=model,
            messages=tuple(messages),
            max_output_tokens=self.settings.longest_answer,
            effort=self.settings.effort,
        )

    def _priced(self, brief: Brief) -> bool:
        """Whether every model's answers came with a price so far; by the history, so that no table is needed."""
        asked = [entry for entry in brief.history if entry.model in self.settings.models]
        return all(entry.cost_usd > 0 for entry in asked if entry.tokens > 0)

    def _begin(self, experiment: int) -> Asking:
        if self._calls is None:
            raise UsageError("The proposer llm works within a run, or from a run's record; nothing is attached to it.")
        return self._calls.begin(experiment)


class _Draft(NamedTuple):
    """One answer, read and checked."""

    answer: Answer
    model: str
    reading: Reading


class _Exchange:
    """The questions and answers of one proposal."""

    def __init__(self, proposer: Llm, brief: Brief, asking: Asking, models: list[str]) -> None:
        self.proposer = proposer
        self.brief = brief
        self.asking = asking
        self.models = models
        self.answers: list[Answer] = []

    def ask(self, purpose: str, messages: Sequence[Message]) -> _Draft:
        """Ask, read, and check against the code and everything tried."""
        request = self.proposer.request(self.models[0], messages)
        answer, model = self.asking.complete(purpose, request, self.models[1:])
        # Whoever answered once goes on with the conversation.
        self.models = [model, *(other for other in self.models if other != model)]
        self.answers.append(answer)
        reading = read(answer, self.proposer.settings.edit_format, self.brief.code)
        return _Draft(answer, model, self._checked(reading))

    def _checked(self, reading: Reading) -> Reading:
        if reading.edit is None:
            return reading
        checked = check(reading.edit, self.brief.code, tuple(self.brief.code), self.brief.max_bytes)
        if isinstance(checked, Refusal):
            return reading._replace(outcome=Outcome.NOT_APPLICABLE, reason=clean(checked.reason))
        if checked.tree_digest in self.brief.tried:
            reason = "this very code, up to formatting, was tried before; propose something else."
            return reading._replace(outcome=Outcome.DUPLICATE, reason=reason)
        return reading


def _assistant(draft: _Draft) -> Message:
    """The model's own words back to it; a cut-off or empty answer is only named, since its text helps no one."""
    outcome = draft.reading.outcome
    said = draft.answer.text if outcome not in _NOT_ECHOED else ""
    return Message(role="assistant", parts=(clean(said) or f"({outcome})",))


def _user(text: str) -> Message:
    return Message(role="user", parts=(text,))


def _require_reachable(base: str) -> None:
    parts = urlsplit(base)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, _REACH_SECONDS).close()
    except OSError as error:
        raise EnvironmentFault(
            f"Nothing answers at --api-base {base} ({error.strerror or error}); start the server, or mend the address."
        ) from None
