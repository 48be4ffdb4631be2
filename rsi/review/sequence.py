"""Whether an event may stand where it stands: the order in which the loop writes, and the seeds it must have drawn.

Looks at the state before the event and at the event's body, at nothing else; what the body claims about measurements
is for `rsi.review.rederive`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsi import ablations, audits, confirmation, milestones
from rsi import events as e
from rsi.execution import ExitKind
from rsi.records import ExperimentStatus, Keep, Record, Scored, TryAgain
from rsi.schedule import Start, StartAudit, Starting, StartPair, StartWithout, draws_null, may_open, plan_holds, started
from rsi.state import ExperimentState, RunState, TrialState
from rsi.trial import stage_execution


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
    alone = body.removes or (state.run.configuration.proposal_only and body.experiment == 1)
    if state.experiments and not may_open(state) and not alone:
        return "the experiments before it are not closed"
    if body.removes and state.open_numbers():
        return "something else was under way"
    if body.experiment != len(state.experiments):
        return f"experiment {body.experiment} is out of order"
    if body.parent != state.incumbent:
        return f"its parent is experiment {body.parent}, but the incumbent was {state.incumbent}"
    if (body.edit is None) != (body.experiment == 0):
        return "the baseline has no edit, every other experiment has one"
    return _own(state, body)


def _own(state: RunState, body: e.ExperimentProposed) -> str:
    """Why it cannot be the loop's own experiment that it says it is, or no one's but the proposer's."""
    if body.null and not draws_null(state, body.experiment):
        return "no null edit was drawn"
    due = state.planned.experiment if isinstance(state.planned, TryAgain) else next(iter(state.to_reapply), None)
    if body.removes != state.to_remove:
        return (
            f"experiments {state.to_remove} were to be taken out" if state.to_remove else "nothing was to be taken out"
        )
    if body.again != due and not body.removes:
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
    return _ROLES[body.role](state, body)


def _confirming(state: RunState, body: e.TrialStarted) -> str:
    if state.open_experiment() is not None or not confirmation.wanted(state):
        return "no confirmation was due"
    if (body.experiment, body.slot) not in confirmation.owed(state):
        return f"no confirmation of experiment {body.experiment} was due in slot {body.slot}"
    return _as_due(state, body, Start(body.experiment, body.slot, body.role))


def _pairing(state: RunState, body: e.TrialStarted) -> str:
    current = state.open_milestone()
    if current is None or current.begun.milestone != body.milestone or state.open_numbers():
        return f"milestone {body.milestone} was not under way"
    if (body.experiment, body.slot, body.role) not in set(milestones.due(state, current)):
        return f"no trial of experiment {body.experiment} was due in slot {body.slot}"
    return _as_due(state, body, StartPair(current.begun.milestone, body.experiment, body.slot, body.role))


def _auditing(state: RunState, body: e.TrialStarted) -> str:
    if body.experiment not in set(audits.due(state)):
        return f"no audit of experiment {body.experiment} was due"
    return _as_due(state, body, StartAudit(body.experiment))


def _ablating(state: RunState, body: e.TrialStarted) -> str:
    current = state.open_ablation()
    if current is None or current.begun.ablation != body.ablation or state.open_numbers():
        return f"ablation {body.ablation} was not under way"
    if (body.without, body.slot) not in {(ask.edits, ask.slot) for ask in ablations.trials_due(state, current)}:
        return f"no trial without {body.without} was due in slot {body.slot}"
    return _as_due(state, body, StartWithout(current.begun.ablation, body.without, body.slot))


def _planned(state: RunState, body: e.PolicyPlanned) -> str:
    if not may_open(state) or state.planned is not None:
        return "no experiment could begin"
    return "" if plan_holds(state, body.plan) else f"the plan to {body.plan.kind} cannot be carried out"


def _begun(state: RunState, _body: e.MilestoneBegun) -> str:
    if state.open_numbers() or state.open_milestone() is not None:
        return "something else was under way"
    return "" if milestones.planned(state) or milestones.due_at_the_end(state) else "no milestone was due"


def _ablation_begun(state: RunState, body: e.AblationBegun) -> str:
    if state.open_numbers() or state.open_milestone() is not None or state.open_ablation() is not None:
        return "something else was under way"
    return "" if ablations.wanted(state) == body else "no such ablation was due"


def _cut(state: RunState, body: e.AblationCut) -> str:
    current = state.open_ablation()
    if current is None or current.begun.ablation != body.ablation:
        return f"ablation {body.ablation} was not under way"
    return "" if body.edits in ablations.cuts_due(state, current) else "nobody asked for the code without these edits"


def _ablation_closed(state: RunState, body: e.AblationClosed) -> str:
    current = state.open_ablation()
    if current is None or current.begun.ablation != body.ablation:
        return f"ablation {body.ablation} was not under way"
    return "" if all(state.trials[trial].over for trial in current.trials) else "a trial of it is still under way"


def _of_milestone(state: RunState, body: e.MilestoneTested | e.MilestoneClosed) -> str:
    current = state.open_milestone()
    if current is None or current.begun.milestone != body.milestone:
        return f"milestone {body.milestone} was not under way"
    return "" if all(state.trials[trial].over for trial in current.trials) else "a trial of it is still under way"


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
    return _as_due(state, body, Start(body.experiment, body.slot, body.role))


def _as_due(state: RunState, body: e.TrialStarted, step: Starting) -> str:
    due = started(state, step)
    if body.trial != due.trial:
        return f"the trial is called {body.trial!r} instead of {due.trial!r}"
    if body.seed != due.seed:
        return f"its seed {body.seed} is not the one that the run's secret gives"
    if body.split != due.split:
        return f"a trial to {body.role} is not measured on {body.split}"
    return "" if body == due else "it belongs to another part of the run"


def _answered(state: RunState, body: e.TrialAnswered) -> str:
    completed = body.execution.kind is ExitKind.COMPLETED
    if not completed and (body.answer or body.scores or body.malformed):
        return "an execution that did not complete answers nothing"
    if body.scores and body.answer is None:
        return "it has scores without a sealed answer"
    return _challenged(state, body, "predict")


def _controlled(state: RunState, body: e.TrialControlled) -> str:
    if body.left and body.execution.kind is not ExitKind.COMPLETED:
        return "an execution that did not complete leaves nothing"
    return _challenged(state, body, "train")


def _challenged(state: RunState, body: e.TrialAnswered | e.TrialControlled, purpose: str) -> str:
    trial = state.trials.get(body.trial)
    if trial is None:
        return f"no trial {body.trial!r} is known"
    if body.execution.purpose != purpose:
        return f"its execution was to {body.execution.purpose}, not to {purpose}"
    if body.challenge in {answered.challenge for answered in trial.answered}:
        return f"the challenge {body.challenge!r} was answered before"
    return _questioned(state, trial, body.purpose)


def _inspected(state: RunState, body: e.TrialInspected) -> str:
    trial = state.trials.get(body.trial)
    if trial is None:
        return f"no trial {body.trial!r} is known"
    if body.verifier in {inspected.verifier for inspected in trial.inspected}:
        return f"{body.verifier} had read it before"
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
    wins = isinstance(entry.decision, Keep) or bool(entry.proposed.removes)
    if not screened or trial.checked is not None or not wins or entry.closed is not None:
        return f"trial {trial.started.trial} was not awaiting the checks before a keep"
    return ""


def _failed(state: RunState, body: e.TrialFailed) -> str:
    trial = state.trials.get(body.trial)
    if trial is None or trial.failed is not None or trial.checked is not None:
        return f"no trial {body.trial!r} is under way"
    execution = stage_execution(trial, body.stage)
    if execution is None or execution.kind is not body.kind or body.kind is ExitKind.COMPLETED:
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


def _advised(state: RunState, _body: e.AdviceFrozen) -> str:
    return "" if state.advice is None and not state.experiments else "advice is frozen once, before anything else"


def _frozen(state: RunState, _body: e.ProgramFrozen) -> str:
    return "" if state.program is None and not state.experiments else "a program is frozen once, before anything else"


def _learned(state: RunState, body: e.ProgramLearned) -> str:
    learned = state.program_learned
    if state.program is None or state.program.artifact or (learned is not None and not learned.problem):
        return "no program was to learn"
    if state.experiments:
        return "a program learns before anything is proposed"
    if body.artifact and (body.problem or body.execution.kind is not ExitKind.COMPLETED):
        return "an execution that is of no use leaves nothing"
    return "" if body.execution.purpose == "train" else f"its execution was to {body.execution.purpose}, not to train"


def _ranked(state: RunState, body: e.ProgramAnswered) -> str:
    if state.program is None:
        return "no program was frozen that could be asked"
    if body.experiment != len(state.experiments):
        return f"experiment {body.experiment} was not to be proposed"
    if body.execution.purpose != "predict":
        return f"its execution was to {body.execution.purpose}, not to predict"
    if body.answer is not None and body.execution.kind is not ExitKind.COMPLETED:
        return "an execution that did not complete answers nothing"
    if state.program_answered(body.experiment, body.question):
        return "the same question was answered before"
    return ""


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
    if state.run.configuration.proposal_only:
        return ""
    if state.open_experiment() is not None:
        return "an experiment is still open"
    if state.open_ablation() is not None or state.to_remove:
        return "an ablation is still open"
    if state.open_milestone() is not None or milestones.due_at_the_end(state):
        return "what the run ends with is not yet certified"
    return ""


_ROLES: dict[e.Role, Callable[[RunState, e.TrialStarted], str]] = {
    "measure": _measuring,
    "confirm": _confirming,
    "certify": _pairing,
    "estimate": _pairing,
    "ablate": _ablating,
    "audit": _auditing,
}
_RULES: dict[type[Record], Callable[[RunState, Any], str]] = {
    e.DataPrepared: _prepared,
    e.ExperimentProposed: _proposed,
    e.ExperimentCommitted: _committed,
    e.AdviceFrozen: _advised,
    e.ProgramFrozen: _frozen,
    e.ProgramLearned: _learned,
    e.ProgramAnswered: _ranked,
    e.TrialStarted: _started,
    e.TrialTrained: _trained,
    e.TrialInspected: _inspected,
    e.TrialControlled: _controlled,
    e.TrialAnswered: _answered,
    e.TrialJudged: _judged,
    e.TrialFailed: _failed,
    e.PolicyDecided: _decided,
    e.PolicyPlanned: _planned,
    e.ExperimentClosed: _closed,
    e.AblationBegun: _ablation_begun,
    e.AblationCut: _cut,
    e.AblationClosed: _ablation_closed,
    e.MilestoneBegun: _begun,
    e.MilestoneTested: _of_milestone,
    e.MilestoneClosed: _of_milestone,
    e.ConfirmationFinished: _confirmed,
    e.RunFinished: _finished,
    e.RunResumed: _resumed,
}
