"""Questions to language models as export records, those of an experiment and those for one not proposed yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from rsi import events as e
from rsi.chain import Event
from rsi.review.export.contents import Contents
from rsi.review.export.records import CallLine
from rsi.state import CallState

Place = dict[str, Any]
"""`run`, `seq` and `time` of a record."""


def call_line(call: CallState, place: Place, contents: Contents) -> CallLine:
    """One attempt to ask a model, with what was asked and answered."""
    reserved, settled, failed = call.reserved, call.settled, call.failed
    what = f"call {reserved.reservation}"
    request, problem = contents.request(reserved.request, f"{what}, its prompt")
    answer, lacking = contents.answer(settled.answer, f"{what}, its answer") if settled else (None, "")
    outcome: Literal["answered", "failed", "unsettled"] = "answered" if settled else "failed" if failed else "unsettled"
    return CallLine(
        **place,
        experiment=reserved.experiment,
        trial=reserved.trial,
        call=reserved.call,
        attempt=reserved.attempt,
        purpose=reserved.purpose,
        model=reserved.model,
        reported_model=settled.reported_model if settled else "",
        outcome=outcome,
        why=f"{failed.kind}: {failed.reason}" if failed else "",
        charged=settled is not None or failed is None or failed.charged,
        prompt=tuple((message.role, message.text) for message in request.messages) if request else (),
        max_output_tokens=request.max_output_tokens if request else None,
        effort=request.effort if request else "",
        answer=answer.text if answer else None,
        finish=settled.finish if settled else "",
        input_tokens=settled.input_tokens if settled else 0,
        output_tokens=settled.output_tokens if settled else 0,
        cached_tokens=settled.cached_tokens if settled else 0,
        reasoning_tokens=settled.reasoning_tokens if settled else 0,
        cost_usd=settled.cost_usd if settled else None,
        seconds=settled.seconds if settled else failed.seconds if failed else 0.0,
        problem="; ".join(part for part in (problem, lacking) if part),
    )


def declined_line(body: e.CallDeclined, place: Place) -> CallLine:
    """A call that was not made, because it could have passed a limit."""
    return CallLine(
        **place,
        experiment=body.experiment,
        trial=body.trial,
        call=body.call,
        attempt=0,
        purpose=body.purpose,
        model="",
        reported_model="",
        outcome="declined",
        why=body.reason,
        charged=False,
        prompt=(),
        max_output_tokens=None,
        effort="",
        answer=None,
        finish="",
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        cost_usd=None,
        seconds=0.0,
        problem="",
    )


def unproposed_calls(events: Iterable[Event], contents: Contents, run: str) -> Iterator[CallLine]:
    """Calls for an experiment that is not proposed yet."""
    calls: dict[str, tuple[Event, CallState]] = {}
    for event in events:
        body = e.BODIES[event.kind].model_validate(event.body)
        match body:
            case e.CallReserved():
                calls[body.reservation] = (event, CallState(seq=event.seq, reserved=body))
            case e.CallSettled() | e.CallFailed() if body.reservation in calls:
                field = "settled" if isinstance(body, e.CallSettled) else "failed"
                first, call = calls[body.reservation]
                calls[body.reservation] = (first, call.model_copy(update={field: body}))
            case e.CallDeclined():
                yield declined_line(body, place_of(run, event))
    for event, call in calls.values():
        yield call_line(call, place_of(run, event), contents)


def place_of(run: str, event: Event) -> Place:
    """Where a record stands that one event says."""
    return {"run": run, "seq": event.seq, "time": event.time}
