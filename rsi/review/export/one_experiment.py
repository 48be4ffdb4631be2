"""Everything of one experiment as export records, and of what runs beside experiments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rsi import events as e
from rsi.chain import Event
from rsi.execution import Execution
from rsi.records import Measure, Record, Rejected, Scored, Verdict, VerifierError
from rsi.review.experiment import trials_of
from rsi.review.export.calls import Place, call_line, declined_line, place_of
from rsi.review.export.contents import Contents
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
)
from rsi.review.reading import Reading
from rsi.review.standing import by_itself
from rsi.state import TrialState


class Gatherer:
    """Reads one experiment."""

    def __init__(self, reading: Reading, contents: Contents, run: str, number: int) -> None:
        self._reading, self._contents, self._run, self._number = reading, contents, run, number
        self._read = reading.excerpt(number)
        self._entry = self._read.state.experiments[number]
        self._line = next(line for line in reading.lines[number : number + 1] if line.experiment == number)
        self._objective = self._read.state.run.objective.metric
        self._placed: dict[tuple[str, ...], tuple[int, str]] = {}
        self._decided: list[tuple[int, str]] = []
        self._reservations: list[str] = []
        self._times: dict[int, str] = {}
        for event in reading.events(number):
            self._place(event)

    def lines(self) -> Iterator[Exported]:
        """The experiment, then its calls, trials with what was executed, judged and measured, decisions, findings."""
        yield self._experiment()
        yield from self._calls()
        for name in trials_of(self._read, self._number):
            yield from self._trial(self._read.state.trials[name])
        yield from self._decisions()
        for found in self._reading.findings_of(self._number):
            yield FindingLine(run=self._run, time=self._times.get(found.seq, ""), finding=found)

    def _place(self, event: Event) -> None:
        if event.kind == "policy.decided":
            self._decided.append((event.seq, event.time))
        elif event.kind == "call.reserved":
            self._reservations.append(str(event.body.get("reservation")))
        names = tuple(str(event.body.get(name)) for name in _NAMES.get(event.kind, ()))
        self._times[event.seq] = event.time
        self._placed.setdefault((event.kind, *names), (event.seq, event.time))

    def _at(self, body: Record) -> Place:
        """Where the event stands that says this."""
        kind = e.KINDS[type(body)]
        names = tuple(str(getattr(body, name)) for name in _NAMES.get(kind, ()))
        seq, time = self._placed.get((kind, *names), (None, ""))
        return {"run": self._run, "seq": seq, "time": time}

    def _experiment(self) -> ExperimentLine:
        entry, line = self._entry, self._line
        proposed, committed, reviewed = entry.proposed, entry.committed, entry.reviewed
        diff = committed.diff if committed else None
        return ExperimentLine(
            **self._at(proposed),
            experiment=self._number,
            parent=proposed.parent,
            status=entry.status,
            why=entry.closed.reason if entry.closed else "",
            closed=self._at(entry.closed)["time"] if entry.closed else "",
            standing=line.standing,
            value=line.value,
            gain=line.gain,
            seconds=line.seconds,
            trials=line.trials,
            findings=line.findings,
            gravest=line.gravest,
            rationale=proposed.rationale,
            kind=proposed.kind,
            detail=proposed.detail,
            by_itself=by_itself(proposed),
            provenance=proposed.provenance,
            problem=proposed.problem,
            approved=reviewed.approved if reviewed else None,
            comment=reviewed.comment if reviewed else "",
            commit=(entry.closed.commit if entry.closed else None) or (committed.commit if committed else None),
            tree_digest=committed.tree_digest if committed else None,
            tree_tokens=committed.tree_tokens if committed else None,
            changed=committed.changed if committed else (),
            diff=self._contents.content(diff, f"experiment {self._number}, its diff"),
        )

    def _calls(self) -> Iterator[CallLine]:
        for reservation in self._reservations:
            call = self._read.state.calls[reservation]
            yield call_line(call, self._at(call.reserved), self._contents)
        for (experiment, *_), body in self._read.state.declined.items():
            if experiment == self._number:
                yield declined_line(body, self._at(body))

    def _trial(self, trial: TrialState) -> Iterator[Exported]:
        started = trial.started
        outcome, why = _outcome(trial)
        yield TrialLine(
            **self._at(started),
            trial=started.trial,
            experiment=started.experiment,
            slot=started.slot,
            role=started.role,
            split=started.split,
            seed=started.seed,
            milestone=started.milestone,
            ablation=started.ablation,
            without=started.without,
            weights_of=started.weights_of,
            outcome=outcome,
            why=why,
            failed_kind=trial.failed.kind if trial.failed else None,
            artifact=trial.trained.artifact if trial.trained else {},
        )
        for body in trial.runs():
            stage = "train" if isinstance(body, e.TrialTrained) else f"{_STAGES[type(body)]} {body.challenge}"
            place = self._at(body)
            yield execution_line(place, started.experiment, started.trial, stage, body, self._contents)
        for judged in (trial.screened, trial.checked):
            if judged is not None:
                yield from self._judged(started, judged)

    def _judged(self, started: e.TrialStarted, judged: e.TrialJudged) -> Iterator[Exported]:
        place, verdict = self._at(judged), judged.verdict
        yield VerdictLine(
            **place,
            experiment=started.experiment,
            trial=started.trial,
            purpose=judged.purpose,
            kind=verdict.kind,
            why=_why(verdict),
            by=verdict.by if isinstance(verdict, Rejected) else "",
        )
        for measurement in verdict.measurements if isinstance(verdict, Scored) else ():
            yield MeasurementLine(
                **place,
                experiment=started.experiment,
                trial=started.trial,
                role=started.role,
                split=started.split,
                purpose=judged.purpose,
                name=measurement.name,
                value=measurement.value,
                standard_error=measurement.standard_error,
                objective=measurement.name == self._objective,
            )

    def _decisions(self) -> Iterator[DecisionLine]:
        places = [*self._decided, *[(None, "")] * len(self._entry.decisions)]
        for decided, (seq, time) in zip(self._entry.decisions, places, strict=False):
            decision = decided.decision
            yield DecisionLine(
                run=self._run,
                seq=seq,
                time=time,
                experiment=self._number,
                decision=decision.kind,
                rule=decision.rule,
                why=decision.reason,
                arm=decision.arm if isinstance(decision, Measure) else "",
                trials=decision.trials if isinstance(decision, Measure) else 0,
                comparison=decided.comparison,
            )


_STAGES: dict[type[Record], str] = {e.TrialControlled: "control", e.TrialAnswered: "predict"}
_NAMES = {
    "call.reserved": ("reservation",),
    "call.declined": ("call",),
    "trial.started": ("trial",),
    "trial.trained": ("trial",),
    "trial.controlled": ("trial", "purpose", "challenge"),
    "trial.answered": ("trial", "purpose", "challenge"),
    "trial.judged": ("trial", "purpose"),
}
"""What tells an event from others of its kind within an experiment; for other kinds the first one counts."""


def _outcome(trial: TrialState) -> tuple[Literal["scored", "rejected", "verifier_error", "failed", "open"], str]:
    if trial.failed is not None:
        return "failed", trial.failed.reason
    if trial.verdict is None:
        return "open", ""
    return trial.verdict.verdict.kind, _why(trial.verdict.verdict)


def _why(verdict: Verdict) -> str:
    match verdict:
        case Rejected():
            return verdict.reason
        case VerifierError():
            return verdict.message
    return ""


def execution_line(
    place: Place,
    experiment: int | None,
    trial: str,
    stage: str,
    body: e.Executed | e.DataPrepared,
    contents: Contents,
) -> ExecutionLine:
    """One execution with its streams and its course; ValueError for a preparation that executed nothing."""
    if body.execution is None:
        raise ValueError("nothing was executed")
    execution: Execution = body.execution
    what = f"trial {trial}, {stage}" if trial else stage
    listed = None if isinstance(body, e.DataPrepared) else body.attempts
    return ExecutionLine(
        **place,
        experiment=experiment,
        trial=trial,
        stage=stage,
        execution=execution,
        stdout=contents.content(body.stdout, f"{what}, standard output"),
        stderr=contents.content(body.stderr, f"{what}, standard error"),
        course=contents.course(body.course, f"{what}, its course"),
        attempts=contents.attempts(listed, f"{what}, its attempts") or execution.attempts,
    )


def preparation_of(
    prepared: tuple[Event, e.DataPrepared] | None, contents: Contents, run: str
) -> Iterator[ExecutionLine]:
    """The execution that prepared the data, where this run made them itself."""
    if prepared is not None and prepared[1].execution is not None:
        event, body = prepared
        yield execution_line(place_of(run, event), None, "", "prepare", body, contents)
