"""The state of a run: a fold over its events. The loop asks it what comes next, readers show it."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from rsi import events as e
from rsi.chain import Event, Placed
from rsi.claims.ablation import Asks
from rsi.claims.blame import TakeBack
from rsi.configuration import Budget
from rsi.errors import IntegrityError
from rsi.execution import Execution, ExitKind, SandboxDescription
from rsi.history import Past
from rsi.records import (
    Allowance,
    Arm,
    Decision,
    ExperimentStatus,
    Finding,
    Measure,
    Observation,
    Plan,
    Record,
    Scored,
    VerifierError,
)
from rsi.spending import Spending, total

RETRIED = frozenset({ExitKind.LOST, ExitKind.INTERRUPTED})
"""Failures that say nothing about the candidate: the same slot is tried again."""

_Entry = TypeVar("_Entry")

MOST_GAINS = 200
"""Of earlier experiments that a verifier weighs a trial's gain against."""


class TrialState(Record):
    """One trial, as far as it has come."""

    started: e.TrialStarted
    trained: e.TrialTrained | None = None
    inspected: tuple[e.TrialInspected, ...] = ()
    controlled: tuple[e.TrialControlled, ...] = ()
    answered: tuple[e.TrialAnswered, ...] = ()
    screened: e.TrialJudged | None = None
    checked: e.TrialJudged | None = None
    """The verdict before a keep, where one was needed."""
    failed: e.TrialFailed | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more happens to this trial, but for a check before a keep."""
        return self.screened is not None or self.failed is not None

    @property
    def verdict(self) -> e.TrialJudged | None:
        """The strictest verdict so far."""
        return self.checked or self.screened

    @property
    def droppable(self) -> set[str]:
        """Digests of its answers and weights, whether they are still there or not."""
        weights = self.trained.artifact.values() if self.trained else ()
        return {*weights, *(answered.answer for answered in self.answered if answered.answer)}

    def findings(self) -> tuple[Finding, ...]:
        """What its executions attempted, in the order in which they ran."""
        trained = self.trained.findings if self.trained is not None else ()
        asked: tuple[e.Executed, ...] = (*self.controlled, *self.answered)
        return trained + tuple(finding for body in asked for finding in body.findings)

    def settled(self) -> tuple[e.TrialControlled, ...]:
        """Controls that no answer follows: they left nothing, or nothing is asked of them."""
        return tuple(body for body in self.controlled if not (body.left and body.asked))

    def runs(self) -> tuple[e.Executed, ...]:
        """What was executed for it, in order: its training, then each control before the answer for which it stood."""
        own = (self.trained,) if self.trained is not None and self.started.weights_of is None else ()
        asked: list[e.Executed] = [*own]
        for answer in self.answered:
            asked += [*(body for body in self.controlled if body.challenge == answer.challenge), answer]
        return (*asked, *(body for body in self.controlled if body not in asked))

    def observation(self) -> Observation | None:
        """What a policy may see of it, None where there is no score."""
        if self.failed is not None or self.verdict is None or not isinstance(self.verdict.verdict, Scored):
            return None
        measurements = {m.name: m.value for m in self.verdict.verdict.measurements}
        return Observation(trial=self.started.trial, seed=self.started.seed, measurements=measurements)


class CallState(Record):
    """One attempt at a call to a language model, as far as it has come."""

    seq: int
    """Of the event that reserved it."""
    reserved: e.CallReserved
    settled: e.CallSettled | None = None
    failed: e.CallFailed | None = None

    @property
    def spent(self) -> Spending:
        """What counts as spent: the worst case, until the truth is known."""
        if self.settled is not None:
            return Spending(
                calls=1,
                tokens=self.settled.input_tokens + self.settled.output_tokens,
                input_tokens=self.settled.input_tokens,
                output_tokens=self.settled.output_tokens,
                cached_tokens=self.settled.cached_tokens,
                cost_usd=self.settled.cost_usd or 0.0,
                unpriced_calls=int(self.settled.cost_usd is None),
            )
        if self.failed is not None and not self.failed.charged:
            return Spending(calls=1)
        return self.reserved.worst


class ExperimentState(Record):
    """One experiment, as far as it has come."""

    proposed: e.ExperimentProposed
    committed: e.ExperimentCommitted | None = None
    reviewed: e.ProposalReviewed | None = None
    trials: tuple[str, ...] = ()
    """Of the role `measure`, in the order of their start."""
    decisions: tuple[e.PolicyDecided, ...] = ()
    closed: e.ExperimentClosed | None = None
    wanted: int = 1
    """How many trials it should have by now, those that were lost or interrupted not counted."""

    @property
    def status(self) -> ExperimentStatus:
        """What became of it."""
        return self.closed.status if self.closed else ExperimentStatus.OPEN

    @property
    def decision(self) -> Decision | None:
        """The last decision of the policy."""
        return self.decisions[-1].decision if self.decisions else None


class MilestoneState(Record):
    """One milestone, as far as it has come."""

    begun: e.MilestoneBegun
    trials: tuple[str, ...] = ()
    """Of both roles, in the order of their start."""
    tested: e.MilestoneTested | None = None
    closed: e.MilestoneClosed | None = None
    spent: int = 0
    """Trials of the whole run by the time it closed."""


class AblationState(Record):
    """One ablation, as far as it has come."""

    begun: e.AblationBegun
    cuts: tuple[e.AblationCut, ...] = ()
    trials: tuple[str, ...] = ()
    closed: e.AblationClosed | None = None


class RunState:
    """Folds events one by one; its parts are frozen records that are replaced, never changed.

    Args:
        whole: Whether it folds all events. In an excerpt, for readers, numbers of experiments may be missing.
    """

    def __init__(self, *, whole: bool = True) -> None:  # noqa: PLR0915 - a field a line
        self._whole = whole
        self.started: e.RunStarted | None = None
        self.sandbox: SandboxDescription | None = None
        """What trials run in now."""
        self.other_images: tuple[tuple[int, str], ...] = ()
        """Where the user changed the image: the event and the new digest."""
        self.data: e.DataPrepared | None = None
        self.experiments: dict[int, ExperimentState] = {}
        self._open: dict[int, None] = {}
        self.closed: list[int] = []
        """Experiments in the order of their closing."""
        self._gains: list[tuple[int, float]] = []
        """Of every closed experiment that has one, by number."""
        self.past: list[Past] = []
        """What `rsi.derive.history` has told of them so far."""
        self.to_reapply: list[int] = []
        """Winners over a parent that was no longer the incumbent, and not yet carried over, in order."""
        self.own = 0
        """Experiments that no proposer asked for: what is carried over, taken out or null; the baseline not counted."""
        self.trials: dict[str, TrialState] = {}
        self._open_trials: dict[str, None] = {}
        self.trainings = 0
        """Trials that trained or are about to: what a budget of trials counts. An audit trains nothing."""
        self.audits: dict[int, str] = {}
        """Experiment → its latest trial of the role `audit`."""
        self.confirming: list[str] = []
        """Trials of the role `confirm`."""
        self.milestones: list[MilestoneState] = []
        self.ablations: list[AblationState] = []
        self.attribute: int | None = None
        """Trials that the user grants to find out which of the kept edits matter."""
        self.to_remove: tuple[int, ...] = ()
        """Kept edits that an ablation found the incumbent to be better without, until they are taken out."""
        self.taken_back: set[int] = set()
        self.asked: tuple[tuple[int, int], Asks | e.AblationClosed] | None = None
        """What `rsi.ablations.step` last found, by ablation and number of answers."""
        self.certified = 0
        """The last experiment whose code was certified; the baseline needs no certificate."""
        self.planned: Plan | None = None
        """What the policy wants next instead of a fresh proposal, until it has begun."""
        self.calls: dict[str, CallState] = {}
        """Attempts by their reservation, in order."""
        self.declined: dict[tuple[int, int, str], e.CallDeclined] = {}
        """By experiment, call and trial: what the budget had no room for."""
        self.advice: e.AdviceFrozen | None = None
        """What the proposer is told besides, where it was given something."""
        self.program: e.ProgramFrozen | None = None
        """That the proposer asks, where it asks one."""
        self.program_learned: e.ProgramLearned | None = None
        self.program_answers: dict[int, list[e.ProgramAnswered]] = {}
        """Experiment → what the program answered for its proposal, in order; those that were cut off among them."""
        self._program_asked: set[tuple[int, str]] = set()
        """Experiment and question of those that were not."""
        self.program_blobs: set[str] = set()
        """What it is made of and what it answered, which a trial may have left as well: never dropped."""
        self._attempts: dict[tuple[int, int, str], list[str]] = {}
        self._unsettled: set[str] = set()
        self._spent = Spending()
        """Of all that is settled or failed, so that asking for the total stays cheap in a long run."""
        self._tried: set[str] = set()
        self._observed: dict[int, tuple[Observation, ...]] = {}
        """What `observations` found, until a trial of the experiment changes."""
        self.touched: list[int] = []
        """Experiments of which something became known, in that order, repeated: what was made of the state before can
        be brought up to date from where it stopped reading."""
        self.holding: dict[str, set[str]] = {}
        """Trials with answers or weights that have not been dropped, in the order in which they came, and those."""
        self.incumbent = 0
        self.budget = Budget()
        self.allowance = Allowance()
        """What was left when the last experiment closed: what a proposer is told, the same after any crash."""
        self.confirmation: e.ConfirmationFinished | None = None
        self.paused: e.RunPaused | None = None
        self.paused_for: set[str] = set()
        """The reasons of every pause by now: one that was told and resumed from is not told again."""
        self.finished: e.RunFinished | None = None
        self.dropped: set[str] = set()
        self.head = ""
        self.events = 0
        self.first_time = ""
        self.last_time = ""
        self.earlier_seconds = 0.0
        """Wall time of the sessions that have ended."""
        self._session_start = ""

    def apply(self, event: Event) -> RunState:
        """Fold one event; IntegrityError for a body that cannot be, or one that contradicts the state."""
        return self.fold(self.validated(event), event)

    @staticmethod
    def validated(event: Event) -> Record:
        """The body of an event as its kind's record; IntegrityError for one that cannot be, or of an unknown kind."""
        body_type = e.BODIES.get(event.kind)
        if body_type is None:
            raise IntegrityError(
                f"Event {event.seq} is of the unknown kind {event.kind[:60]!r}: this rsi is too old for it; update rsi."
            )
        try:
            return body_type.model_validate(event.body)
        except ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(str(part) for part in detail["loc"])
            raise IntegrityError(f"Event {event.seq} ({event.kind}): {field}: {detail['msg']}.") from None

    def fold(self, body: Record, event: Placed) -> RunState:
        """Fold what an event says; IntegrityError where that contradicts the state."""
        try:
            self._fold(body, event)
        except (LookupError, AttributeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
            what = "a number" if isinstance(error, IndexError) else error
            raise IntegrityError(
                f"Event {event.seq} ({event.kind}) refers to {what}, which no earlier event introduced."
            ) from None
        self.head, self.events, self.last_time = event.hash, event.seq + 1, event.time
        return self

    def _fold(self, body: Record, event: Placed) -> None:  # noqa: PLR0912, PLR0915 - one branch an event kind
        match body:
            case e.RunStarted():
                self.started, self.sandbox = body, body.sandbox
                self.budget = body.configuration.budget
                self.allowance = self._left(0)
                self.first_time = self._session_start = event.time
            case e.DataPrepared():
                self.data = body
            case e.ExperimentProposed():
                if self._whole and body.experiment != len(self.experiments):
                    raise IntegrityError(f"Event {event.seq}: experiment {body.experiment} is out of order.")
                self.experiments[body.experiment] = ExperimentState(proposed=body)
                self._open[body.experiment] = None
                if body.removes:
                    self.to_remove = ()
                self.own += body.again is not None or bool(body.removes) or body.null
                if body.again in self.to_reapply:
                    self.to_reapply.remove(body.again)
                elif body.again is not None:
                    self.planned = None
            case e.ExperimentCommitted():
                self._experiment(body.experiment, committed=body)
                self._tried.add(body.tree_digest)
            case e.ProposalReviewed():
                self._experiment(body.experiment, reviewed=body)
            case e.CallReserved():
                self.calls[body.reservation] = CallState(seq=event.seq, reserved=body)
                self._attempts.setdefault((body.experiment, body.call, body.trial), []).append(body.reservation)
                self._unsettled.add(body.reservation)
            case e.CallSettled():
                self._call(body.reservation, settled=body)
            case e.CallFailed():
                self._call(body.reservation, failed=body)
            case e.CallDeclined():
                self.declined[body.experiment, body.call, body.trial] = body
            case e.AdviceFrozen():
                self.advice = body
            case e.ProgramFrozen():
                self.program = body
                self.program_blobs.update({body.code, *body.artifact.values(), *filter(None, [body.episodes])})
            case e.ProgramLearned():
                self.program_learned = body
                self.program_blobs.update(body.artifact.values())
            case e.ProgramAnswered():
                self.program_blobs.update(filter(None, [body.answer]))
                self.program_answers.setdefault(body.experiment, []).append(body)
                if body.execution.kind not in RETRIED:
                    self._program_asked.add((body.experiment, body.question))
            case e.TrialStarted():
                if body.weights_of is not None:
                    _ = self.trials[body.weights_of]  # what readers look up is there, whatever the trial is for
                self.trials[body.trial] = TrialState(started=body)
                self._open_trials[body.trial] = None
                self.trainings += body.weights_of is None
                if body.role == "confirm":
                    self.confirming.append(body.trial)
                elif body.weights_of is not None:
                    self.audits[body.experiment] = body.trial
                    self._trial(body.trial, trained=self.trials[body.weights_of].trained)
                elif body.milestone is not None:
                    entry = numbered(self.milestones, body.milestone)
                    self._milestone(body.milestone, trials=(*entry.trials, body.trial))
                elif body.ablation is not None:
                    trials = numbered(self.ablations, body.ablation).trials
                    self._ablation(body.ablation, trials=(*trials, body.trial))
                else:
                    experiment = self.experiments[body.experiment]
                    self._experiment(body.experiment, trials=(*experiment.trials, body.trial))
            case e.TrialTrained():
                self._trial(body.trial, trained=body)
                if body.artifact:
                    self._hold(body.trial, body.artifact.values())
            case e.TrialInspected():
                self._trial(body.trial, inspected=(*self.trials[body.trial].inspected, body))
            case e.TrialControlled():
                self._trial(body.trial, controlled=(*self.trials[body.trial].controlled, body))
            case e.TrialAnswered():
                self._trial(body.trial, answered=(*self.trials[body.trial].answered, body))
                if body.answer:
                    self._hold(body.trial, (body.answer,))
            case e.TrialJudged():
                self._trial(body.trial, **{"screened" if body.purpose == "screen" else "checked": body})
            case e.TrialFailed():
                self._trial(body.trial, failed=body)
            case e.PolicyDecided():
                self._decided(body)
            case e.PolicyPlanned():
                self.planned = body.plan
            case e.MilestoneBegun():
                if body.milestone != len(self.milestones) + 1:
                    raise IntegrityError(f"Event {event.seq}: milestone {body.milestone} is out of order.")
                self.milestones.append(MilestoneState(begun=body))
                self.planned = None
            case e.MilestoneTested():
                self._milestone(body.milestone, tested=body)
                if body.passed:
                    self.certified = numbered(self.milestones, body.milestone).begun.candidate
            case e.MilestoneClosed():
                self._milestone(body.milestone, closed=body, spent=self.trainings)
            case e.AblationBegun():
                if body.ablation != len(self.ablations) + 1:
                    raise IntegrityError(f"Event {event.seq}: ablation {body.ablation} is out of order.")
                self.ablations.append(AblationState(begun=body))
            case e.AblationCut():
                self._ablation(body.ablation, cuts=(*numbered(self.ablations, body.ablation).cuts, body))
            case e.AblationClosed():
                self._ablation(body.ablation, closed=body)
                result = body.result
                self.to_remove = result.edits if isinstance(result, TakeBack) else result.take_out
            case e.ExperimentClosed():
                if body.gain is not None:
                    bisect.insort(self._gains, (body.experiment, body.gain))
                self._experiment(body.experiment, closed=body)
                del self._open[body.experiment]
                self.closed.append(body.experiment)
                if body.status is ExperimentStatus.REAPPLIED:
                    self.to_reapply.append(body.experiment)
                if body.status is ExperimentStatus.KEPT:
                    self.incumbent = body.experiment
                    removed = self.experiments[body.experiment].proposed.removes
                    self.taken_back.update(removed)
                    self.past = self.past if not removed else []
                self.allowance = self._left(self.proposals)
            case e.ConfirmationFinished():
                self.confirmation = body
            case e.BlobsDropped():
                self.dropped.update(body.digests)
                for left in self.holding.values():
                    left.difference_update(body.digests)
                for trial in [name for name, left in self.holding.items() if not left]:
                    del self.holding[trial]
            case e.RunPaused() | e.RunFinished():
                self.earlier_seconds += body.session_seconds
                self._session_start = ""
                if isinstance(body, e.RunPaused):
                    self.paused = body
                    self.paused_for.add(body.reason)
                else:
                    self.finished = body
            case e.RunResumed():
                if self._session_start:  # the session before was killed: it lasted until its last event
                    self.earlier_seconds += seconds_between(self._session_start, self.last_time)
                self.paused = self.finished = None
                self.sandbox = body.sandbox
                if body.other_image:
                    self.other_images = (*self.other_images, (event.seq, body.sandbox.image_digest))
                if body.budget is not None:
                    self.budget, self.confirmation = body.budget, None
                self._session_start = event.time
                self.attribute = body.attribute

    def _decided(self, body: e.PolicyDecided) -> None:
        experiment = self.experiments[body.experiment]
        self._experiment(body.experiment, decisions=(*experiment.decisions, body))
        if isinstance(body.decision, Measure):
            number = body.experiment if body.decision.arm == "candidate" else experiment.proposed.parent
            wanted = self.slots(number) + body.decision.trials
            self._experiment(number, wanted=wanted)

    def _experiment(self, number: int, **update: object) -> None:
        self.touched.append(number)
        self.experiments[number] = self.experiments[number].model_copy(update=update)

    def _milestone(self, number: int, **update: object) -> None:
        self.milestones[number - 1] = numbered(self.milestones, number).model_copy(update=update)

    def _ablation(self, number: int, **update: object) -> None:
        self.ablations[number - 1] = numbered(self.ablations, number).model_copy(update=update)

    def _call(self, reservation: str, **update: object) -> None:
        self._unsettled.remove(reservation)
        self.calls[reservation] = self.calls[reservation].model_copy(update=update)
        self._spent = self._spent.plus(self.calls[reservation].spent)

    def _trial(self, trial: str, **update: object) -> None:
        changed = self.trials[trial] = self.trials[trial].model_copy(update=update)
        if changed.over:
            self._open_trials.pop(trial, None)
        self._observed.pop(changed.started.experiment, None)
        self.touched.append(changed.started.experiment)

    def _hold(self, trial: str, new: Iterable[str]) -> None:
        held = self.holding.get(trial)
        if held is None:
            self.holding[trial] = self.trials[trial].droppable - self.dropped
        else:  # a hostile record may answer a hundred thousand times
            held.update(digest for digest in new if digest not in self.dropped)

    def _left(self, proposals: int) -> Allowance:
        limits, spent = self.budget, self.spending()
        return Allowance(
            experiments=None if limits.experiments is None else max(0, limits.experiments - proposals),
            cost_usd=None if limits.cost_usd is None else max(0.0, limits.cost_usd - spent.cost_usd),
            tokens=None if limits.tokens is None else max(0, limits.tokens - spent.tokens),
            calls=None if limits.calls is None else max(0, limits.calls - spent.calls),
        )

    # --- what readers ask ---------------------------------------------------------------------------------------

    @property
    def run(self) -> e.RunStarted:
        """The first event's body; IntegrityError for a ledger that does not begin with it."""
        if self.started is None:
            raise IntegrityError("The ledger holds no run.started event, so it is no run of this program.")
        return self.started

    def observations(self, experiment: int) -> tuple[Observation, ...]:
        """Every scored trial of an experiment, in order; the same object until one is added."""
        known = self._observed.get(experiment)
        if known is None:
            seen = (self.trials[trial].observation() for trial in self.experiments[experiment].trials)
            known = self._observed[experiment] = tuple(o for o in seen if o is not None)
        return known

    def mean(self, experiment: int) -> float | None:
        """The objective's mean over an experiment's scored trials; None without any."""
        if experiment not in self.experiments:
            return None
        metric = self.run.objective.metric
        values = [o.measurements[metric] for o in self.observations(experiment) if metric in o.measurements]
        return sum(values) / len(values) if values else None

    def gain(self, experiment: int) -> float | None:
        """How much better than its parent an experiment measures; None for the baseline, or without a score."""
        if experiment == 0:
            return None
        mean, parent = self.mean(experiment), self.mean(self.experiments[experiment].proposed.parent)
        return None if mean is None or parent is None else self.run.objective.gain(mean, parent)

    def gains(self, before: int) -> tuple[float, ...]:
        """What closed experiments with a smaller number gained, the latest two hundred that have a gain, in order."""
        end = bisect.bisect_left(self._gains, (before,))
        return tuple([gain for _, gain in self._gains[max(0, end - MOST_GAINS) : end]])

    def arm(self, experiment: int) -> Arm:
        """An experiment as one side of a comparison."""
        committed = self.experiments[experiment].committed
        assert committed is not None
        return Arm(experiment=experiment, commit=committed.commit, observations=self.observations(experiment))

    def attempts(self, experiment: int, call: int, trial: str = "") -> list[CallState]:
        """Every attempt at one question of an experiment, or of one of its trials, in order."""
        return [self.calls[reservation] for reservation in self._attempts.get((experiment, call, trial), ())]

    def spending(self) -> Spending:
        """What all calls have cost; reservations that were never settled count in full."""
        return total((self._spent, *(self.calls[reservation].spent for reservation in sorted(self._unsettled))))

    def commit_of(self, experiment: int) -> str:
        """The commit that stands for an experiment: the one on the branch of improvements, where it was kept."""
        entry = self.experiments[experiment]
        assert entry.committed is not None
        return (entry.closed.commit if entry.closed else None) or entry.committed.commit

    @property
    def proposals(self) -> int:
        """How many proposers made; the baseline and what the loop tries by itself are not among them."""
        return max(0, len(self.experiments) - 1 - self.own)

    def open_milestone(self) -> MilestoneState | None:
        """The milestone under way, if there is one."""
        last = self.milestones[-1] if self.milestones else None
        return last if last is not None and last.closed is None else None

    def open_ablation(self) -> AblationState | None:
        """The ablation under way, if there is one."""
        last = self.ablations[-1] if self.ablations else None
        return last if last is not None and last.closed is None else None

    def open_numbers(self) -> Collection[int]:
        """The numbers of the experiments under way, the eldest first."""
        return self._open.keys()

    def open_experiments(self) -> tuple[ExperimentState, ...]:
        """The experiments under way, the eldest first."""
        return tuple(self.experiments[number] for number in self._open)

    def open_experiment(self) -> ExperimentState | None:
        """The eldest experiment under way, which is the next to be decided."""
        return next((self.experiments[number] for number in self._open), None)

    def position(self, trial: str) -> int:
        """How many trials had begun by the time that one did."""
        return next(place for place, name in enumerate(self.trials, start=1) if name == trial)

    def slots(self, experiment: int) -> int:
        """How many of an experiment's trials count: all but those that say nothing about it."""
        return len(self._taken(experiment))

    def next_slot(self, experiment: int) -> int:
        """The first slot that no trial of an experiment fills or is about to."""
        taken = self._taken(experiment)
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def _taken(self, experiment: int) -> set[int]:
        trials = (self.trials[trial] for trial in self.experiments[experiment].trials)
        return {t.started.slot for t in trials if t.failed is None or t.failed.kind not in RETRIED}

    def open_trials(self) -> tuple[TrialState, ...]:
        """Trials that have begun and neither failed nor been judged."""
        return tuple(self.trials[trial] for trial in self._open_trials)

    def count(self, *statuses: ExperimentStatus) -> int:
        """How many experiments ended so; the baseline is not counted."""
        return sum(1 for number, x in self.experiments.items() if number > 0 and x.status in statuses)

    def tried(self) -> frozenset[str]:
        """Tree digests of every code that was committed."""
        return frozenset(self._tried)

    def was_tried(self, digest: str) -> bool:
        """Whether code of that tree digest was committed."""
        return digest in self._tried

    def program_answered(self, experiment: int, question: str) -> bool:
        """Whether the program has answered that, of use or not."""
        return (experiment, question) in self._program_asked

    def executions(self) -> Iterable[tuple[str, Execution]]:
        """Every execution of the run, with the trial it belongs to; what belongs to none (data, program) under `""`."""
        if self.data is not None and self.data.execution is not None:
            yield "", self.data.execution
        if self.program_learned is not None:
            yield "", self.program_learned.execution
        for answers in self.program_answers.values():
            yield from (("", body.execution) for body in answers)
        for name, trial in self.trials.items():
            yield from ((name, body.execution) for body in trial.runs())

    def session_seconds(self) -> float:
        """Wall time of all sessions, as the events' times tell it."""
        running = seconds_between(self._session_start, self.last_time) if self._session_start else 0.0
        return self.earlier_seconds + running

    def undecided(self, experiment: ExperimentState) -> bool:
        """Whether a verifier failed on it."""
        judged = [self.trials[trial].verdict for trial in experiment.trials]
        return any(j is not None and isinstance(j.verdict, VerifierError) for j in judged)


def numbered(entries: Sequence[_Entry], number: int) -> _Entry:
    """The entry of that number, from 1; IndexError where there is none, so that 0 does not name the last."""
    if not 1 <= number <= len(entries):
        raise IndexError(number)
    return entries[number - 1]


def fold(events: Iterable[Event]) -> RunState:
    """The state after those events."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def seconds_between(start: str, end: str) -> float:
    """Seconds from one ISO 8601 time to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
