"""The orchestrator: asks the folded record what comes next, does it, and records it, until the budget is spent.

There is no other state than the record's, so resuming after a crash is opening the ledger and going on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from rsi import audits, briefing, confirmation, milestones, retention, schedule
from rsi.calls import BudgetSpent, Interrupted
from rsi.candidates import Candidates
from rsi.derive import compare, history
from rsi.edits import Refusal
from rsi.errors import EnvironmentFault, IntegrityError, RsiError
from rsi.events import (
    AblationCut,
    ExperimentClosed,
    MilestoneClosed,
    MilestoneTested,
    PolicyDecided,
    PolicyPlanned,
    ProposalReviewed,
    RunFinished,
    RunPaused,
)
from rsi.execution import ExitKind, Job, Outcome, Watch
from rsi.patience import Patience
from rsi.programs.front import AskedProgram
from rsi.proposing import BASELINE, record_again, record_null, record_proposal, record_removal
from rsi.protocols import Approve, AsksModels, Exhausted, Policy, Proposer, Sandbox
from rsi.recorder import Recorder
from rsi.records import (
    Brief,
    CodeFiles,
    Discard,
    ExperimentStatus,
    Keep,
    Rejected,
    VerifierError,
)
from rsi.schedule import Step, budget_left, draws_null, next_step, plan_holds
from rsi.side_by_side import Lanes
from rsi.state import RETRIED, ExperimentState
from rsi.task import Task
from rsi.trial import Steps, TrialRunner

CRASHES = frozenset({ExitKind.CRASHED, ExitKind.OUT_OF_MEMORY, ExitKind.DISK_FULL})
"""Failures of the code itself; reaching any other limit rejects the experiment."""


def declined_words(comment: str) -> str:
    """The reason of an experiment that a person did not want trained."""
    return "a person said no" + (f": {comment}" if comment else "")


def kept_by_rule(experiment: ExperimentState) -> str:
    """Why an experiment that is scored is kept without asking the policy; empty for all that the policy decides on."""
    if experiment.proposed.experiment == 0:
        return "the baseline"
    return "taken out of the incumbent, as the ablation found" if experiment.proposed.removes else ""


class Pause(Exception):
    """The run stops here and can be resumed; carries the sentence for the user and the exit code."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class Loop:
    """One session over one run. Everything it does is in the ledger before anything relies on it."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        candidates: Candidates,
        task: Task,
        trials: TrialRunner,
        proposer: Proposer,
        policy: Policy,
        sandbox: Sandbox,
        executor: Executor,
        watch: Callable[[str], Watch] | None = None,
        approve: Approve | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.recorder = recorder
        self.state = recorder.state
        self.candidates = candidates
        self.task = task
        self.trials = trials
        self.proposer = proposer
        self.policy = policy
        self.sandbox = sandbox
        self.watch = watch
        self.approve = approve
        self.lanes = Lanes(self._execute, executor, self.state.run.configuration.parallel)
        self.program: AskedProgram | None = None
        """That the proposer asks, where it asks one."""
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._patience = Patience(sandbox.describe, self._stop.wait, say or (lambda _sentence: None))
        self._ended = ""
        self._told = briefing.Told()

    @property
    def stopping(self) -> bool:
        """Whether the user wants the run to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the trial under way, record that, and pause; from a signal handler or another thread."""
        self._stop.set()
        self.sandbox.interrupt()

    def run(self) -> int:
        """Go on until the budget is spent (0) or something stops the run (the exit code of what did)."""
        self._began = time.monotonic()
        try:
            self.candidates.mend_references()
            self._check_models()
            self._check_program()
            self._go()
        except Pause as pause:
            return self._paused(str(pause), pause.exit_code)
        except RsiError as fault:
            return self._paused(str(fault), fault.exit_code)
        except Interrupted as stopped:
            return self._paused(str(stopped), 130)
        self._finish(self._ended or "the budget is spent")
        return 0

    def _go(self) -> None:
        while True:
            if self._stop.is_set():
                raise Pause("interrupted by the user", 130)
            self._heed_the_gap()
            if self.trials.spent:
                self._ended = f"the budget for calls is spent: {self.trials.spent}"
            step = next_step(self.state, self.lanes.holds, free=self.lanes.free, ended=bool(self._ended))
            if step is not None:
                self._do(step)
            elif self.lanes.busy:
                self._heed_failures(self.lanes.turn())
            else:
                return

    def _do(self, step: Step) -> None:
        if isinstance(step, schedule.Training):
            self._train(step)
        elif isinstance(step, schedule.Claiming):
            self._claim(step)
        else:
            self._experiment(step)

    def _experiment(self, step: schedule.Experimenting) -> None:
        match step:
            case schedule.ProposeBaseline():
                self.recorder.record(BASELINE)
            case schedule.Plan():
                self._plan()
            case schedule.CarryOver(experiment):
                record_again(self.recorder, experiment, self.candidates.carried_over(experiment))
            case schedule.Remove(edits):
                record_removal(self.recorder, edits, self.candidates.removal(edits))
            case schedule.Commit(experiment):
                self._commit(self.state.experiments[experiment])
            case schedule.Review(experiment):
                self._review(self.state.experiments[experiment])
            case schedule.Decide(experiment):
                self._decide(self.state.experiments[experiment])

    def _train(self, step: schedule.Training) -> None:
        match step:
            case schedule.Start() | schedule.StartPair() | schedule.StartWithout() | schedule.StartAudit():
                self._begin(self._start(step), self.trials.screen)
            case schedule.Screen(trial):
                self._begin(trial, self.trials.screen)
            case schedule.Check(trial):
                self._begin(trial, self.trials.check)

    def _claim(self, step: schedule.Claiming) -> None:
        match step:
            case schedule.BeginMilestone():
                self.recorder.record(milestones.begin(self.state))
            case schedule.Milestone(body):
                self._record_milestone(body)
            case schedule.BeginAblation(body) | schedule.CloseAblation(body):
                self.recorder.record(body)
            case schedule.Cut(ablation, edits):
                self._cut(ablation, edits)
            case schedule.Conclude():
                self._conclude()

    # --- proposing ----------------------------------------------------------------------------------------------

    def _check_models(self) -> None:
        """A key that is refused or a model that is not there is told before anything is trained."""
        if self.state.finished is not None or not budget_left(self.state):
            return
        for asking in (self.proposer, *self.trials.verifier.asking()):
            if not isinstance(asking, AsksModels):
                continue
            try:
                asking.ready()
            except BudgetSpent as spent:
                self._ended = f"the budget for calls is spent: {spent}"
            except (RsiError, Interrupted):
                raise
            except Exception as error:
                who = "proposer" if isinstance(asking, Proposer) else "verifier"
                raise Pause(f"the {who} {asking.name} raised {type(error).__name__}: {error}", 1) from error

    def _check_program(self) -> None:
        """A program that cannot learn is told before anything is trained."""
        if self.program is not None and self.state.finished is None and budget_left(self.state):
            self.program.ready()

    def execute_beside(self, job: Job) -> Outcome:
        """Run a job that belongs to no trial, while trials go on; a lost one again, as often as patience allows."""
        while True:
            if self._stop.is_set():
                raise Interrupted("interrupted by the user")
            outcome = self.sandbox.run(job)
            if outcome.execution.kind is not ExitKind.LOST:
                return outcome
            if wrong := self._patience.heed_loss(outcome.execution.detail.rstrip("."), self.lanes.names):
                raise EnvironmentFault(f"{wrong[0].upper()}{wrong[1:]}.")

    def _plan(self) -> None:
        """Ask the policy what comes next; anything but a fresh proposal is on record before it begins."""
        number = len(self.state.experiments)
        if draws_null(self.state, number):
            edit = self.candidates.null_edit(number)
            if edit is not None:
                record_null(self.recorder, edit)
                return
        plan = self.policy.plan(history(self.state))
        if plan_holds(self.state, plan):
            self.recorder.record(PolicyPlanned(plan=plan))
        else:
            self._propose()

    def _propose(self) -> None:
        brief = self.brief()
        try:
            proposal = self.proposer.propose(brief)
        except Exhausted as end:
            self._ended = f"the proposer has nothing left to propose: {end}"
            return
        except BudgetSpent as spent:
            self._ended = f"the budget for calls is spent: {spent}"
            return
        except (RsiError, Interrupted):
            raise
        except Exception as error:
            raise Pause(f"the proposer {self.proposer.name} raised {type(error).__name__}: {error}", 1) from error
        record_proposal(self.recorder, proposal)

    def brief(self) -> Brief:
        """What the proposer is given for the next experiment: numbers rounded, nothing of holdout or audits."""
        code = self.candidates.code(self.state.incumbent)
        return briefing.brief(self.state, self.task, self.recorder.blobs.get, code, self._told)

    def _commit(self, experiment: ExperimentState) -> None:
        refused = experiment.proposed.problem or self.candidates.commit(experiment)
        if refused:
            self._close(experiment, ExperimentStatus.REFUSED, refused)

    def _review(self, experiment: ExperimentState) -> None:
        """Have a person look at the diff; their word is an event, and a no closes the experiment."""
        if experiment.reviewed is not None:
            self._close(experiment, ExperimentStatus.REFUSED, declined_words(experiment.reviewed.comment))
            return
        assert experiment.committed is not None
        if self.approve is None:
            raise Pause("this run asks a person before each training; resume it in a terminal", 3)
        diff = experiment.committed.diff
        text = self.recorder.blobs.get(diff).decode() if diff else ""
        approved, comment = self.approve(experiment.proposed, text)
        comment = self.recorder.redactor.text(comment)[:2000]
        number = experiment.proposed.experiment
        self.recorder.record(ProposalReviewed(experiment=number, approved=approved, comment=comment))

    # --- measuring and deciding ---------------------------------------------------------------------------------

    def _decide(self, experiment: ExperimentState) -> None:
        """Take the next decision on an experiment of which no trial is due, or close it."""
        if self._close_without_score(experiment):
            return
        number = experiment.proposed.experiment
        if number == 0:
            self._require_measured()
        ruled = kept_by_rule(experiment)
        if ruled:
            self._close(experiment, ExperimentStatus.KEPT, ruled)
            return
        comparison = compare(self.state, number)
        last = experiment.decisions[-1] if experiment.decisions else None
        if last is None or last.comparison != comparison:
            decision = self.policy.decide(comparison, history(self.state))
            self.recorder.record(PolicyDecided(experiment=number, comparison=comparison, decision=decision))
        elif isinstance(last.decision, Keep):
            kept = experiment.proposed.parent == self.state.incumbent
            status = ExperimentStatus.KEPT if kept else ExperimentStatus.REAPPLIED
            self._close(experiment, status, last.decision.reason)
        elif isinstance(last.decision, Discard):
            self._close(experiment, ExperimentStatus.DISCARDED, last.decision.reason)
        else:
            self._close(experiment, ExperimentStatus.UNDECIDED, "the trials that the policy asked for gave no score")

    def _require_measured(self) -> None:
        """Neither an objective nor a guard that nobody measures decides anything."""
        measured = self.state.observations(0)[0].measurements
        metric = self.state.run.objective.metric
        if metric not in measured:
            raise Pause(
                f"the verifier {self.trials.verifier.name} measures {', '.join(measured)}, not the task's objective "
                f"{metric}; mend objective.metric in task.toml and start a new run",
                2,
            )
        for guard in self.state.run.objective.guards:
            if guard.metric not in measured:
                raise Pause(
                    f"the verifier {self.trials.verifier.name} measures {', '.join(measured)}, not the guard's "
                    f"{guard.metric}; mend [[objective.guards]] in task.toml and start a new run",
                    2,
                )

    def _start(self, step: schedule.Starting) -> str:
        """Write down that a trial begins, and with which seed; returns its name."""
        body = schedule.started(self.state, step)
        self.recorder.record(body)
        return body.trial

    def _record_milestone(self, body: MilestoneTested | MilestoneClosed) -> None:
        self.recorder.record(body)
        if isinstance(body, MilestoneClosed):
            self.trials.forget(self.state.milestones[body.milestone - 1].trials)
            retention.enforce(self.recorder, self.state.run.configuration.retention)

    def _cut(self, number: int, edits: tuple[int, ...]) -> None:
        """Record whether the base can be made without some edits, and how it differs then."""
        base = self.state.ablations[number - 1].begun.base
        left = self.candidates.without(base, edits)
        if isinstance(left, Refusal):
            cut = AblationCut(ablation=number, edits=edits, applies=False, reason=left.reason)
        else:
            diff = self.recorder.keep_text(self.candidates.checker.diff(self.candidates.code(base), left))
            cut = AblationCut(ablation=number, edits=edits, applies=True, diff=diff)
        self.recorder.record(cut)

    def _code(self, trial: str) -> CodeFiles:
        started = self.state.trials[trial].started
        if not started.without:
            return self.candidates.code(started.experiment)
        left = self.candidates.without(started.experiment, started.without)
        if isinstance(left, Refusal):
            raise IntegrityError(f"Trial {trial} cannot be made again: {left.reason}")
        return left

    def _begin(self, trial: str, steps: Callable[[str, CodeFiles, CodeFiles | None], Steps]) -> None:
        code, experiment = self._code(trial), self.state.trials[trial].started.experiment
        parent = self.candidates.code(self.state.experiments[experiment].proposed.parent) if experiment else None
        self.sandbox.warm(self.trials.shapes() * self.state.run.configuration.parallel)
        if not self.lanes.begin(trial, steps(trial, code, parent)):
            self._heed_failures([trial])

    def _heed_failures(self, ended: Sequence[str]) -> None:
        """Pause for a failure that says nothing about the candidate, unless trying again may help."""
        trials = [self.state.trials[trial] for trial in ended]
        if any(trial.failed is not None and trial.failed.kind is ExitKind.INTERRUPTED for trial in trials):
            raise Pause("interrupted by the user", 130)
        if wrong := self._patience.heed(trials, self.lanes.names):
            raise Pause(wrong, 3)

    def _heed_the_gap(self) -> None:
        """Halt where dev is too far ahead of the holdout; once told, resuming is the user's word to go on."""
        halt = audits.halt(self.state)
        if halt is not None and halt not in self.state.paused_for:
            raise Pause(halt, 1)

    def _execute(self, name: str, job: Job) -> Outcome:
        return self.sandbox.run(job, self.watch(name) if self.watch and job.purpose == "train" else None)

    def _close_without_score(self, experiment: ExperimentState) -> bool:
        for name in experiment.trials:
            trial = self.state.trials[name]
            if trial.failed is not None and trial.failed.kind not in RETRIED:
                crashed = trial.failed.kind in CRASHES
                status = ExperimentStatus.CRASHED if crashed else ExperimentStatus.REJECTED
                self._close(experiment, status, trial.failed.reason)
                return True
            verdict = trial.verdict.verdict if trial.verdict else None
            if isinstance(verdict, Rejected):
                self._close(experiment, ExperimentStatus.REJECTED, verdict.reason)
                return True
            if isinstance(verdict, VerifierError):
                self._close(experiment, ExperimentStatus.UNDECIDED, verdict.message)
                return True
        return False

    def _close(self, experiment: ExperimentState, status: ExperimentStatus, reason: str) -> None:
        number = experiment.proposed.experiment
        if number == 0 and status is not ExperimentStatus.KEPT:
            raise Pause(f"the baseline could not be measured: {reason}", 1)
        gain = self.state.gain(number)
        commit = self.candidates.keep(number) if status is ExperimentStatus.KEPT else None
        self.recorder.record(
            ExperimentClosed(experiment=number, status=status, reason=reason, gain=gain, commit=commit)
        )
        if commit is not None:
            self.candidates.workspace.keep(commit)
        self.trials.forget(experiment.trials)
        full = retention.enforce(self.recorder, self.state.run.configuration.retention)
        if full:
            raise Pause(full, 3)

    # --- confirming and ending ----------------------------------------------------------------------------------

    def _conclude(self) -> None:
        self.recorder.record(confirmation.conclude(self.state))
        retention.enforce(self.recorder, self.state.run.configuration.retention)

    def _wind_down(self) -> None:
        """End the trials under way and record how they ended; they are tried again when the run goes on."""
        if not self.lanes.busy:
            return
        self.sandbox.interrupt()
        while self.lanes.busy:
            with contextlib.suppress(RsiError, Interrupted):  # what cannot be recorded has ended all the same
                self.lanes.wind_down()

    def _paused(self, reason: str, exit_code: int) -> int:
        self._wind_down()
        self.recorder.record(RunPaused(reason=reason, session_seconds=time.monotonic() - self._began))
        return exit_code

    def _finish(self, reason: str) -> None:
        self.recorder.record(RunFinished(reason=reason, session_seconds=time.monotonic() - self._began))
