"""What a proposer asked language models for an experiment, and what they answered: every attempt, in order."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from rsi.calls.request import Answer, Request
from rsi.errors import RsiError
from rsi.review.wording import count, duration, one_line, safe, say, size
from rsi.runs import ReadRun
from rsi.state import CallState

LONGEST = 64 * 1024 * 1024
"""Bytes of a prompt or an answer that is read."""


def calls_of(run: ReadRun, experiment: int) -> list[CallState]:
    """The attempts at calls for an experiment, in order."""
    return [call for call in run.state.calls.values() if call.reserved.experiment == experiment]


def asked_json(run: ReadRun, experiment: int, *, texts: bool = False) -> list[dict[str, Any]]:
    """Every attempt as plain values, hostile text as it is; with `texts`, messages and answer in full."""
    return [_as_json(run, call, texts) for call in calls_of(run, experiment)]


def _as_json(run: ReadRun, call: CallState, texts: bool) -> dict[str, Any]:
    reserved, settled, failed = call.reserved, call.settled, call.failed
    value: dict[str, Any] = {
        "event": call.seq,
        "trial": reserved.trial,
        "call": reserved.call,
        "attempt": reserved.attempt,
        "purpose": reserved.purpose,
        "model": reserved.model,
        "became": "answered" if settled else "failed" if failed else "never answered",
        "request": reserved.request,
        "answer": settled.answer if settled else None,
        "settled": settled.model_dump(mode="json", exclude={"answer", "reservation"}) if settled else None,
        "failed": failed.model_dump(mode="json", exclude={"reservation"}) if failed else None,
    }
    if texts:
        request, answer = _request(run, call), _answer(run, call)
        value["messages"] = (
            request
            if isinstance(request, str)
            else [{"role": message.role, "text": message.text} for message in request.messages]
        )
        value["answer_text"] = answer.text if isinstance(answer, Answer) else answer
    return value


def show_asked(run: ReadRun, experiment: int, console: Console, *, texts: bool = False, how: str = "--prompt") -> None:
    """Tell each attempt in a line, and with `texts` what was asked and answered, in full."""
    calls = calls_of(run, experiment)
    for call in calls:
        reserved = call.reserved
        head = f"  {_call(reserved.trial, reserved.call)}, attempt {reserved.attempt}, to {reserved.purpose}: "
        head += f"{reserved.model}, "
        say(console, one_line(head + _became(call), 300))
        sizes = f"prompt {_length(run, reserved.request)}"
        if call.settled is not None:
            sizes += f", answer {_length(run, call.settled.answer)}"
        if not texts:
            say(console, f"    {sizes} as recorded", "dim")
            continue
        request, answer = _request(run, call), _answer(run, call)
        if isinstance(request, str):
            say(console, f"    (the prompt is not to be had: {one_line(request, 300)})", "red")
        else:
            for message in request.messages:
                _quote(message.role, message.text, console)
        if isinstance(answer, Answer):
            _quote("answer", answer.text, console)
        elif answer:
            say(console, f"    (the answer is not to be had: {one_line(answer, 300)})", "red")
    for (number, asked, trial), declined in run.state.declined.items():
        if number == experiment:
            say(
                console, one_line(f"  {_call(trial, asked)} to {declined.purpose} was not made: {declined.reason}", 300)
            )
    if calls and not texts:
        say(console, f"    {how} shows prompts and answers in full", "dim")


def _call(trial: str, call: int) -> str:
    return f"call {call} about trial {trial}" if trial else f"call {call}"


def _became(call: CallState) -> str:
    if call.settled is not None:
        done = call.settled
        price = "of unknown price" if done.cost_usd is None else f"${done.cost_usd:.4f}"
        tokens = f"{done.input_tokens:,} tokens in, {done.output_tokens:,} out"
        return f"answered ({done.finish}) in {duration(done.seconds)}: {tokens}, {price}"
    if call.failed is not None:
        return f"failed ({call.failed.kind}): {call.failed.reason}"
    return "never answered; its worst case counts as spent"


def _length(run: ReadRun, digest: str) -> str:
    try:
        return size(run.blobs.length(digest))
    except RsiError:
        return "missing"


def _quote(role: str, text: str, console: Console) -> None:
    say(console, f"    {one_line(role, 20)} ({count(len(text), 'character')})", "bold")
    for part in text.split("\n"):
        line = Text("    | ", style="dim")
        line.append_text(safe(part))
        say(console, line)


def _request(run: ReadRun, call: CallState) -> Request | str:
    """What was asked, or why that cannot be told."""
    try:
        return Request.model_validate_json(_read(run, call.reserved.request))
    except (RsiError, ValidationError, OSError) as error:
        return str(error) if isinstance(error, RsiError) else "the blob holds no request of this program"


def _answer(run: ReadRun, call: CallState) -> Answer | str:
    if call.settled is None:
        return ""
    try:
        return Answer.model_validate_json(_read(run, call.settled.answer))
    except (RsiError, ValidationError, OSError) as error:
        return str(error) if isinstance(error, RsiError) else "the blob holds no answer of this program"


def _read(run: ReadRun, digest: str) -> bytes:
    if run.blobs.length(digest) > LONGEST:
        return b""
    return run.blobs.get(digest)
