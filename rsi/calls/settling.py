"""What is recorded of an answer or a fault: well-formed, without secrets, bounded, and never for less than it cost.

Texts are redacted before they are cut, since half a key is still half a key.
"""

from __future__ import annotations

import math
import re

from rsi.calls.faults import CallFault
from rsi.calls.request import BYTES_A_TOKEN, SHORTEST_BOUND, TOO_LONG, Answer, Request
from rsi.redaction import Redactor
from rsi.sanitize import for_terminal
from rsi.spending import Spending

LONGEST_SAID = 300
"""Characters of a provider's own words that are passed on."""
LONGEST_NAME = 200
MOST_TOKENS = 1_000_000_000
"""No answer uses more; a number beyond it is no count."""
LONGEST_WAIT_TOLD = 7 * 86400.0

_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """The text as UTF-8 can write it: lone surrogates become the replacement character."""
    return _SURROGATE.sub("\ufffd", text)


def final(answer: Answer, request: Request, worst: Spending, redactor: Redactor) -> Answer:
    """The answer as it is recorded and used. What it did not credibly report counts as reserved."""
    text = redactor.text(well_formed(answer.text))
    finish = redactor.text(well_formed(answer.finish))[:LONGEST_NAME]
    longest = max(SHORTEST_BOUND, BYTES_A_TOKEN * request.max_output_tokens)
    data = text.encode()
    if len(data) > longest:
        text, finish = data[:longest].decode(errors="ignore"), TOO_LONG
    reported = all(0 < count <= MOST_TOKENS for count in (answer.input_tokens, answer.output_tokens))
    used = (answer.input_tokens, answer.output_tokens) if reported else (worst.input_tokens, worst.output_tokens)
    return Answer(
        text=text,
        finish=finish,
        input_tokens=used[0],
        output_tokens=used[1],
        cached_tokens=min(answer.cached_tokens, used[0]),
        reasoning_tokens=min(answer.reasoning_tokens, used[1]),
        cost_usd=_cost(answer.cost_usd if reported else None, worst),
        model=redactor.text(well_formed(answer.model))[:LONGEST_NAME],
        reported=reported and answer.reported,
    )


def _cost(told: float | None, worst: Spending) -> float | None:
    """Dollars; those that were reserved where none are told, None where none could be reserved."""
    if worst.unpriced_calls:
        return None
    return told if told is not None and math.isfinite(told) else worst.cost_usd


def told(fault: CallFault, redactor: Redactor) -> str:
    """A fault in one harmless line: our sentence, and behind it what the provider said."""
    sentence = _line(str(fault), redactor).rstrip(".")
    said = _line(fault.said, redactor)
    if not said:
        return sentence
    return f"{sentence}: {said if len(said) <= LONGEST_SAID else said[: LONGEST_SAID - 1] + '…'}"


def wait_of(fault: CallFault) -> float | None:
    """Seconds that a provider asks to wait, where that is a number that one can wait for."""
    seconds = fault.retry_after
    return None if seconds is None or not math.isfinite(seconds) else min(max(0.0, seconds), LONGEST_WAIT_TOLD)


def _line(text: str, redactor: Redactor) -> str:
    # Before and after: a key may be whole only once invisible characters are out, or only as long as they are in.
    shown = for_terminal(redactor.text(well_formed(text)), width=max(1, 2 * len(text)))
    return redactor.text(" ".join(shown.split()))
