"""The proposer `llm` keeps every proposer's contract, its answers given."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from rsi.calls import Answer, Request
from rsi.errors import UsageError
from rsi.proposers.llm.proposer import Llm
from rsi.protocols import AsksModels
from rsi.testing.proposer_conformance import brief_of, check_proposer

CODE = {"train.py": "VALUE = 1\nprint(VALUE)\n"}


class Scripted:
    """Answers that depend on the question alone: experiment n sets VALUE to 100 + n."""

    def begin(self, experiment: int) -> Scripted:
        return self

    def complete(self, purpose: str, request: Request, alternatives: Sequence[str] = ()) -> tuple[Answer, str]:
        found = re.search(r"Propose experiment (\d+)\.", request.messages[-1].text)
        assert found is not None
        block = f"<<<<<<< SEARCH\nVALUE = 1\n=======\nVALUE = {100 + int(found[1])}\n>>>>>>> REPLACE\n"
        text = f"Kind: value\nWhy: another value.\n\ntrain.py\n{block}"
        return Answer(text=text, finish="stop", input_tokens=10, output_tokens=5), request.model


def made() -> Llm:
    proposer = Llm(model="a-model")
    proposer.attach(Scripted())
    return proposer


def test_it_conforms() -> None:
    check_proposer(made, CODE)
    assert isinstance(made(), AsksModels)


def test_it_asks_nothing_unless_answers_are_attached() -> None:
    with pytest.raises(UsageError, match="nothing is attached"):
        Llm(model="a-model").propose(brief_of(CODE))
