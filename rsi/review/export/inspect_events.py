"""One record as the event that inspect_ai has for it: executions, calls, verdicts, decisions, findings.

What inspect_ai has no field for stands in the event's `metadata`, both streams apart and whole among it.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from inspect_ai.event import Event, InfoEvent, ModelEvent, SandboxEvent, ScoreEvent, SpanBeginEvent, SpanEndEvent
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.scorer import Score

from rsi.course import interleaved
from rsi.review.export.records import (
    CallLine,
    DecisionLine,
    ExecutionLine,
    ExperimentLine,
    Exported,
    FindingLine,
    MeasurementLine,
    TrialLine,
    VerdictLine,
    moment,
)
from rsi.sanitize import for_terminal

_ROLES: dict[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}
_STOPS = {"stop": "stop", "length": "max_tokens", "too_long": "max_tokens", "content_filter": "content_filter"}


class Telling:
    """Turns the records of one experiment into events, in the order in which things happened."""

    def __init__(self, run: str, began: datetime) -> None:
        self._run, self._began, self._made = run, began, 0

    def events(self, records: list[Exported]) -> list[Event]:
        """All events of an experiment; each trial is a span."""
        told: list[tuple[datetime, int, Event]] = []
        spans: dict[str, tuple[datetime, datetime]] = {}
        scores: dict[tuple[str, str], list[MeasurementLine]] = {}
        for record in records:
            if isinstance(record, MeasurementLine):
                scores.setdefault((record.trial, record.purpose), []).append(record)
        for record in records:
            measured = scores.get((record.trial, record.purpose), []) if isinstance(record, VerdictLine) else []
            for event in self._of(record, measured):
                told.append((event.timestamp, len(told), event))
                trial = getattr(record, "trial", "")
                if trial and event.span_id:
                    last = getattr(event, "completed", None) or event.timestamp
                    first, end = spans.get(trial, (event.timestamp, last))
                    spans[trial] = min(first, event.timestamp), max(end, last)
        trials = {record.trial: record for record in records if isinstance(record, TrialLine)}
        for name, (first, last) in spans.items():
            begin, end = self._span(name, trials.get(name), first, last)
            told += [(first, -1, begin), (last, len(told) + 1, end)]
        return [event for _, _, event in sorted(told, key=lambda entry: entry[:2])]

    def _of(self, record: Exported, measured: list[MeasurementLine]) -> Iterator[Event]:
        match record:
            case ExecutionLine():
                yield self._execution(record)
            case CallLine():
                yield model_event(record, self._common(record))
            case VerdictLine():
                yield self._info("verdict", record)
                if measured:
                    values = {line.name: line.value for line in measured}
                    metadata = {"measurements": [_plain(line) for line in measured]}
                    score = Score(value=values, explanation=f"on {measured[0].split}", metadata=metadata)
                    yield ScoreEvent(**self._common(record), score=score, intermediate=True, scorer="rsi")
            case DecisionLine():
                yield self._info("decision", record)
            case FindingLine():
                yield self._info("finding", record)

    def _common(self, record: Exported, time: str = "") -> dict[str, Any]:
        """What every event has; its id says which one of the run it is, so that two exports agree."""
        at = moment(time or getattr(record, "time", "")) or self._began
        trial = getattr(record, "trial", "")
        self._made += 1
        return {
            "uuid": _digest(f"{self._run} {self._made}"),
            "span_id": _digest(f"{self._run} trial {trial}") if trial else None,
            "timestamp": at,
            "working_start": max(0.0, (at - self._began).total_seconds()),
            "metadata": {"seq": getattr(record, "seq", None)},
        }

    def _info(self, source: str, record: Exported) -> InfoEvent:
        return InfoEvent(**self._common(record), source=f"rsi.{source}", data=_plain(record))

    def _execution(self, record: ExecutionLine) -> SandboxEvent:
        execution = record.execution
        result = execution.exit_code
        if result is None and execution.signal is not None:
            result = 128 + execution.signal  # as a shell tells it
        rest = record.model_dump(mode="json", include={"stage", "stdout", "stderr", "course", "attempts"})
        common = self._common(record, execution.started)
        return SandboxEvent(
            **{**common, "metadata": {**common["metadata"], **rest, "execution": execution.model_dump(mode="json")}},
            action="exec",
            cmd=shlex.join(["python", *execution.argv]),
            options={"purpose": execution.purpose, "stage": record.stage, "sandbox": execution.sandbox},
            result=result,
            output=_printed(record),
            completed=moment(execution.ended),
        )

    def _span(
        self, name: str, trial: TrialLine | None, first: datetime, last: datetime
    ) -> tuple[SpanBeginEvent, SpanEndEvent]:
        span = _digest(f"{self._run} trial {name}")
        what = f"trial {name}" if trial is None else f"trial {name} to {trial.role} on {trial.split}"
        metadata = None if trial is None else {"trial": _plain(trial)}
        at = (first - self._began).total_seconds(), (last - self._began).total_seconds()
        ids = {"uuid": _digest(f"{span} begin"), "span_id": span}, {"uuid": _digest(f"{span} end"), "span_id": span}
        begin = SpanBeginEvent(
            **ids[0],
            id=span,
            name=what,
            type="trial",
            timestamp=first,
            working_start=max(0.0, at[0]),
            metadata=metadata,
        )
        return begin, SpanEndEvent(**ids[1], id=span, timestamp=last, working_start=max(0.0, at[1]))


def model_event(call: CallLine, common: dict[str, Any]) -> ModelEvent:
    """A call to a language model; one that was declined or failed has an error and no choice."""
    at: datetime = common["timestamp"]
    metadata = call.model_dump(mode="json", exclude={"prompt", "answer", "schema_version", "record", "run"})
    usage = usage_of(call)
    message = ChatMessageAssistant(
        id=_digest(f"{common['uuid']} answer"), content=call.answer or "", source="generate", model=call.model
    )
    stop = _STOPS.get(call.finish, "unknown")
    return ModelEvent(
        **{**common, "metadata": metadata},
        model=call.model or "none",
        role=call.purpose,
        input=messages(call, str(common["uuid"])),
        tools=[],
        tool_choice="none",
        config=GenerateConfig(max_tokens=call.max_output_tokens, reasoning_effort=call.effort or None),
        output=ModelOutput(
            model=call.reported_model or call.model,
            choices=[ChatCompletionChoice(message=message, stop_reason=stop)] if call.answer is not None else [],
            usage=usage,
            time=call.seconds,
        ),
        error=None if call.outcome == "answered" else f"{call.outcome}: {call.why}".rstrip(": "),
        completed=None
        if call.outcome in {"declined", "unsettled"}
        else datetime.fromtimestamp(at.timestamp() + call.seconds, UTC),
    )


def messages(call: CallLine, ids: str) -> list[ChatMessage]:
    """The prompt."""
    return [
        _ROLES.get(role, ChatMessageUser)(id=_digest(f"{ids} {place}"), content=text)
        for place, (role, text) in enumerate(call.prompt)
    ]


def usage_of(call: CallLine) -> ModelUsage:
    """What an answered call used; inspect_ai counts what came from the cache apart from the rest of the input."""
    return ModelUsage(
        input_tokens=max(0, call.input_tokens - call.cached_tokens),
        output_tokens=call.output_tokens,
        total_tokens=call.input_tokens + call.output_tokens,
        input_tokens_cache_read=call.cached_tokens,
        reasoning_tokens=call.reasoning_tokens,
        total_cost=call.cost_usd,
    )


def shown(text: str) -> str:
    """Text that the viewer shows large: what would hide or reorder is told by its number, what would steer is gone.

    As it was it stands in the metadata beside.
    """
    return for_terminal(text, sys.maxsize)


def identity(run: str, line: ExperimentLine) -> str:
    """The same id at every export of the same experiment."""
    return _digest(f"{run} experiment {line.experiment}")


def _printed(record: ExecutionLine) -> str:
    """Both streams in the order in which they came, as far as that is on record."""
    streams = [content.data() if content is not None else b"" for content in (record.stdout, record.stderr)]
    if None in streams:
        lacking = [c.text() for c in (record.stdout, record.stderr) if c is not None and c.content is None]
        return "\n".join(lacking)
    stdout, stderr = (data or b"" for data in streams)
    order = record.course.order if record.course is not None else None
    return shown(b"".join(piece for _, piece in interleaved(order, stdout, stderr)).decode("utf-8", "replace"))


def _plain(record: Exported) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude={"schema_version", "record", "run"})


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode("utf-8", "backslashreplace")).hexdigest()[:22]
