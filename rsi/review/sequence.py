"""Whether an event may stand where it stands: the order in which the loop writes, and the seeds it must have drawn.

Looks at the state before the event and at the event's body, at nothing else; what the body claims about measurements
is for `rsi.review.rederive`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsi import confirmation
from rsi import events as e
from rsi.evidence import Secret
from rsi.execution import ExitKind
from rsi.records import ExperimentStatus, Keep, Record, Scored
from rsi.schedule import may_open
from rsi.state import ExperimentState, RunState, TrialState


def contradiction(state: RunState, body: Record) -> str:
    """Why this event cannot follow, as a clause; empty where it can."""
    if isinstance(body, e.RunStarted):
        return "" if state.started is None else "a run starts once"
    if state.started is None:
        return "the first event must be run.started"
    if (state.paused or state.finished) and not isinstance(body, e.RunResumed):
        return "the run had stopped, so nothing but run.resumed may follow"
    rule = _RULES.get(type(body))
    return rule(state, body) if rule is not None else ""


def _open(state: RunState, number: int) -> ExperimentState | None:
    return state.experiments[number] if number in state.open_numbers() else None


def _eldest(state: RunState, number: int) -> ExperimentState | None:
    current = state.open_experiment()
    return current if current is not None and current.proposed.experiment == number else None


def _proposed(state: RunState, body: e.ExperimentProposed) -> str:
    if (
        state.experiments
        and not may_open(state)
        and not (state.run.configuration.proposal_only and body.experiment == 1)
    ):
        return "the experiments before it are not closed"
    if body.experiment != len(state.experiments):
        return f"experiment {body.experiment} is out of order"
    if body.parent != state.incumbent:
        return f"its parent is experiment {body.parent}, but the incumbent was {state.incumbent}"
    if (body.edit is None) != (body.experiment == 0):
        return "the baseline has no edit, every other experiment has one"
    due = state.to_reapply[0] if state.to_reapply else None
    if body.again != due:
        return (
            "it is no winner that waits to be carried over"
            if due is None
            else f"experiment {due} was to be carried over"
        )
    return ""


def _started(state: RunState, body: e.TrialStarted) -> str:
    if body.trial in state.trials:
        return f"trial {body.trial!r} began before"
    if body.experiment not in state.experiments:
        return f"there is no experiment {body.experiment}"
    if body.split != ("holdout" if body.role == "confirm" else "dev"):
        return f"a trial to {body.role} is not measured on {body.split}"
    return _confirming(state, body) if body.role == "confirm" else _measuring(state, body)


def _confirming(state: RunState, body: e.TrialStarted) -> str:
    if state.open_experiment() is not None or not confirmation.wanted(state):
        return "no confirmation was due"
    if (body.experiment, body.slot) not in confirmation.owed(state):
        return f"no confirmation of experiment {body.experiment} was due in slot {body.slot}"
    name = f"{body.experiment}.c{len(confirmation.trials_of(state, body.experiment)) + 1}"
    return _drawn(body, name, Secret(key=state.run.randomness).derive("confirm", body.slot))


def _measuring(state: RunState, body: e.TrialStarted) -> str:
    entry, current = state.experiments[body.experiment], state.open_experiment()
    measured = {number for number in state.open_numbers() if state.experiments[number].committed is not None}
    if current is not None and current.committed is not None:
        measured.add(current.proposed.parent)
    if body.experiment not in measured:
        return f"experiment {body.experiment} was not being measured"
    if len(state.open_trials()) >= state.run.configuration.parallel:
        return f"{state.run.configuration.parallel} trials are under way already"
    if body.slot != state.next_slot(body.experiment) or body.slot >= entry.wanted:
        return f"slot {body.slot} was not due"
    secret = Secret(key=state.run.randomness).derive("seed", body.experiment, body.slot)
    return _drawn(body, f"{body.experiment}.{len(entry.trials) + 1}", secret)


def _drawn(body: e.TrialStarted, name: str, secret: Secret) -> str:
    if body.trial != name:
        return f"the trial is called {body.trial!r} instead of {name!r}"
    return "" if body.seed == secret.seed() else f"its seed {body.seed} is not the one that the run's secret gives"


def _answered(state: RunState, body: e.TrialAnswered) -> str:
    trial = state.trials.get(body.trial)
    if trial is None:
        return f"no trial {body.trial!r} is known"
    if body.execution.purpose != "predict":
        return "its execution was no prediction"
    if body.challenge in {answered.challenge for answered in trial.answered}:
        return f"the challenge {body.challenge!r} was answered before"
    completed = body.execution.kind is ExitKind.COMPLETED
    if not completed and (body.answer or body.scores or body.malformed):
        return "an execution that did not complete answers nothing"
    if body.scores and body.answer is None:
        return "it has scores without a sealed answer"
    return _questioned(state, trial, body.purpose)


def _questioned(state: RunState, trial: TrialState, purpose: str) -> str:
    """Why a trial cannot be questioned or judged for that purpose now."""
    if trial.trained is None or trial.trained.execution.kind is not ExitKind.COMPLETED:
        return f"trial {trial.started.trial} has no completed training"
    if trial.failed is not None:
        return f"trial {trial.started.trial} had failed"
    if any(answered.execution.kind is not ExitKind.COMPLETED for answered in trial.answered):
        return f"a prediction of trial {trial.started.trial} had not completed"
    if purpose == "screen":
        return "" if trial.screened is None else f"trial {trial.started.trial} was judged before"
    screened = trial.screened is not None and isinstance(trial.screened.verdict, Scored)
    entry = state.experiments[trial.started.experiment]
    if not screened or trial.checked is not None or not isinstance(entry.decision, Keep) or entry.closed is not None:
        return f"trial {trial.started.trial} was not awaiting the checks before a keep"
    return ""


def _failed(state: RunState, body: e.TrialFailed) -> str:
    trial = state.trials.get(body.trial)
    if trial is None or trial.failed is not None or trial.checked is not None:
        return f"no trial {body.trial!r} is under way"
    executions = [trial.trained.execution] if trial.trained else []
    if body.stage == "predict":
        executions = [answered.execution for answered in trial.answered]
    if not executions or executions[-1].kind is not body.kind or body.kind is ExitKind.COMPLETED:
        return f"no execution of trial {body.trial} ended as {body.kind}"
    return ""


def _decided(state: RunState, body: e.PolicyDecided) -> str:
    current = _eldest(state, body.experiment)
    if current is None or current.committed is None:
        return f"experiment {body.experiment} is not the eldest that is open"
    if not state.observations(body.experiment):
        return f"experiment {body.experiment} has no verdict with a score yet"
    if not all(state.trials[trial].over for trial in current.trials):
        return f"a trial of experiment {body.experiment} is still under way"
    return ""


def _resumed(state: RunState, body: e.RunResumed) -> str:
    before, now = state.sandbox or state.run.sandbox, body.sandbox
    if before.name != now.name or (before.image_digest != now.image_digest and not body.other_image):
        return "it goes on in another sandbox or image, whose scores would not compare"
    return ""


def _committed(state: RunState, body: e.ExperimentCommitted) -> str:
    current = _open(state, body.experiment)
    return "" if current and current.committed is None else "no proposal awaits a commit"


def _prepared(state: RunState, _body: e.DataPrepared) -> str:
    return "" if state.data is None and not state.experiments else "data is prepared once, before anything else"


def _trained(state: RunState, body: e.TrialTrained) -> str:
    trial = state.trials.get(body.trial)
    if trial is None or trial.over:
        return f"no trial {body.trial!r} is under way"
    return "" if body.execution.purpose == "train" else "its execution was no training"


def _judged(state: RunState, body: e.TrialJudged) -> str:
    trial = state.trials.get(body.trial)
    return f"no trial {body.trial!r} is known" if trial is None else _questioned(state, trial, body.purpose)


def _closed(state: RunState, body: e.ExperimentClosed) -> str:
    current = _open(state, body.experiment)
    if current is None:
        return f"experiment {body.experiment} is not open"
    # What was never trained closes when it is refused; everything else in the order of the experiments.
    never_trained = body.status is ExperimentStatus.REFUSED and not current.trials
    return "" if never_trained or _eldest(state, body.experiment) else "an elder experiment is still open"


def _confirmed(state: RunState, _body: e.ConfirmationFinished) -> str:
    ready = confirmation.wanted(state) and not confirmation.owed(state)
    over = all(state.trials[trial].over for trial in state.confirming)
    return "" if ready and over else "the trials of the confirmation were not all made"


def _finished(state: RunState, _body: e.RunFinished) -> str:
    done = state.open_experiment() is None or state.run.configuration.proposal_only
    return "" if done else "an experiment is still open"


_RULES: dict[type[Record], Callable[[RunState, Any], str]] = {
    e.DataPrepared: _prepared,
    e.ExperimentProposed: _proposed,
    e.ExperimentCommitted: _committed,
    e.TrialStarted: _started,
    e.TrialTrained: _trained,
    e.TrialAnswered: _answered,
    e.TrialJudged: _judged,
    e.TrialFailed: _failed,
    e.PolicyDecided: _decided,
    e.ExperimentClosed: _closed,
    e.ConfirmationFinished: _confirmed,
    e.RunFinished: _finished,
    e.RunResumed: _resumed,
}
