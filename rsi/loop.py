"""The orchestrator: asks the folded record what comes next, does it, and records it, until the budget is spent.

There is no other state than the record's, so resuming after a crash is opening the ledger and going on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

from rsi import briefing, confirmation, retention
from rsi.calls import BudgetSpent, Interrupted
from rsi.candidates import Candidates
from rsi.derive import compare
from rsi.errors import RsiError
from rsi.events import (
    ExperimentClosed,
    PolicyDecided,
    ProposalReviewed,
    RunFinished,
    RunPaused,
    TrialStarted,
)
from rsi.evidence import Secret
from rsi.execution import ExitKind, Job, Outcome, Watch
from rsi.patience import Patience
from rsi.proposing import BASELINE, record_proposal
from rsi.protocols import Approve, AsksModels, Exhausted, Policy, Proposer, Sandbox
from rsi.recorder import Recorder
from rsi.records import (
    Brief,
    Discard,
    ExperimentStatus,
    Keep,
    Rejected,
    Scored,
    VerifierError,
)
from rsi.side_by_side import drive
from rsi.state import RETRIED, ExperimentState
from rsi.task import Task
from rsi.trial import Steps, TrialRunner

CRASHES = frozenset({ExitKind.CRASHED, ExitKind.OUT_OF_MEMORY, ExitKind.DISK_FULL})
"""Failures of the code itself; reaching any other limit rejects the experiment."""


def declined_words(comment: str) -> str:
    """The reason of an experiment that a person did not want trained."""
    return "a person said no" + (f": {comment}" if comment else "")


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
        self.executor = executor
        self.watch = watch
        self.approve = approve
        self.secret = Secret(key=self.state.run.randomness)
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._patience = Patience(sandbox.describe, self._stop.wait, say or (lambda _sentence: None))
        self._ended = ""

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
            for step in self._steps():
                if self._stop.is_set():
                    raise Pause("interrupted by the user", 130)  # noqa: TRY301 - one place records every pause
                step()
        except Pause as pause:
            return self._paused(str(pause), pause.exit_code)
        except RsiError as fault:
            return self._paused(str(fault), fault.exit_code)
        except Interrupted as stopped:
            return self._paused(str(stopped), 130)
        self._finish(self._ended or "the budget is spent")
        return 0

    def _steps(self) -> Iterator[Callable[[], None]]:
        while True:
            experiment = self.state.open_experiment()
            if experiment is not None:
                yield self._next_of(experiment)
            elif not self.state.experiments:
                yield self._propose_baseline
            elif self._budget_left() and not self._ended:
                yield self._propose
            elif confirmation.wanted(self.state):
                yield self._confirm
            else:
                return

    def _next_of(self, experiment: ExperimentState) -> Callable[[], None]:
        if experiment.committed is None:
            return self._commit
        wanted = self.state.run.configuration.approve and experiment.proposed.experiment > 0
        return self._review if wanted and experiment.reviewed is None else self._advance

    # --- proposing ----------------------------------------------------------------------------------------------

    def _check_models(self) -> None:
        """A key that is refused or a model that is not there is told before anything is trained."""
        if isinstance(self.proposer, AsksModels) and self.state.finished is None and self._budget_left():
            try:
                self.proposer.ready()
            except BudgetSpent as spent:
                self._ended = f"the budget for calls is spent: {spent}"
            except (RsiError, Interrupted):
                raise
            except Exception as error:
                told = f"the proposer {self.proposer.name} raised {type(error).__name__}: {error}"
                raise Pause(told, 1) from error

    def _propose_baseline(self) -> None:
        self.recorder.record(BASELINE)

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
        return briefing.brief(
            self.state, self.task, self.recorder.blobs.get, self.candidates.code(self.state.incumbent)
        )

    def _commit(self) -> None:
        experiment = self.state.open_experiment()
        assert experiment is not None
        refused = experiment.proposed.problem or self.candidates.commit(experiment)
        if refused:
            self._close(experiment, ExperimentStatus.REFUSED, refused)

    def _review(self) -> None:
        """Have a person look at the diff; their word is an event, and a no closes the experiment."""
        experiment = self.state.open_experiment()
        assert experiment is not None
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

    def _advance(self) -> None:
        experiment = self.state.open_experiment()
        assert experiment is not None
        number = experiment.proposed.experiment
        if experiment.reviewed is not None and not experiment.reviewed.approved:
            self._close(experiment, ExperimentStatus.REFUSED, declined_words(experiment.reviewed.comment))
            return
        if self._measure(number) or (number != self.state.incumbent and self._measure(self.state.incumbent)):
            return
        if self._close_without_score(experiment):
            return
        if number == 0:
            self._require_objective()
            self._close(experiment, ExperimentStatus.KEPT, "the baseline")
            return
        comparison = compare(self.state, number)
        last = experiment.decisions[-1] if experiment.decisions else None
        if last is None or last.comparison != comparison:
            decision = self.policy.decide(comparison)
            self.recorder.record(PolicyDecided(experiment=number, comparison=comparison, decision=decision))
        elif isinstance(last.decision, Keep):
            self._check_before_keep(experiment)
        elif isinstance(last.decision, Discard):
            self._close(experiment, ExperimentStatus.DISCARDED, last.decision.reason)
        else:
            self._close(experiment, ExperimentStatus.UNDECIDED, "the trials that the policy asked for gave no score")

    def _require_objective(self) -> None:
        measured = self.state.observations(0)[0].measurements
        metric = self.state.run.objective.metric
        if metric not in measured:
            raise Pause(
                f"the verifier {self.trials.verifier.name} measures {', '.join(measured)}, not the task's objective "
                f"{metric}; mend objective.metric in task.toml and start a new run",
                2,
            )

    def _measure(self, number: int) -> bool:
        """Run the trial that an experiment still owes, if it owes one."""
        experiment = self.state.experiments[number]
        names = experiment.trials
        if names and not self.state.trials[names[-1]].over:
            self._train([names[-1]])
            return True
        failed = any(f is not None and f.kind not in RETRIED for f in (self.state.trials[t].failed for t in names))
        slot = self.state.slots(number)
        if slot >= experiment.wanted or (failed and experiment.closed is None):
            return False
        self._train([self._start_trial(number, slot, "measure")])
        return True

    def _start_trial(self, experiment: int, slot: int, role: str) -> str:
        measure = role == "measure"
        trials = (
            self.state.experiments[experiment].trials if measure else confirmation.trials_of(self.state, experiment)
        )
        trial = f"{experiment}.{'' if measure else 'c'}{len(trials) + 1}"
        # Arms of a confirmation share their seeds; no seed of the search is ever used again there.
        secret = self.secret.derive("seed", experiment, slot) if measure else self.secret.derive("confirm", slot)
        self.recorder.record(
            TrialStarted.model_validate(
                {
                    "trial": trial,
                    "experiment": experiment,
                    "slot": slot,
                    "role": role,
                    "split": "dev" if measure else "holdout",
                    "seed": secret.seed(),
                }
            )
        )
        return trial

    def _train(self, names: list[str]) -> None:
        self.sandbox.warm(self.trials.shapes() * min(len(names), self.state.run.configuration.parallel))
        steps = [
            (name, self.trials.screen(name, self.candidates.code(self.state.trials[name].started.experiment)))
            for name in names
        ]
        self._drive(steps)
        self._heed_failures(names)

    def _heed_failures(self, names: list[str]) -> None:
        """Pause for a failure that says nothing about the candidate, unless trying again may help."""
        trials = [self.state.trials[name] for name in names]
        if any(trial.failed is not None and trial.failed.kind is ExitKind.INTERRUPTED for trial in trials):
            raise Pause("interrupted by the user", 130)
        if wrong := self._patience.heed(trials):
            raise Pause(wrong, 3)

    def _drive(self, steps: list[tuple[str, Steps]]) -> None:
        drive(steps, self._execute, self.executor, self.state.run.configuration.parallel, self._stop.is_set)

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

    def _check_before_keep(self, experiment: ExperimentState) -> None:
        name = next(t for t in experiment.trials if self.state.trials[t].observation() is not None)
        trial = self.state.trials[name]
        if trial.checked is None:
            self._drive([(name, self.trials.check(name, self.candidates.code(experiment.proposed.experiment)))])
            self._heed_failures([name])
            return
        # Any other verdict has closed the experiment already.
        assert isinstance(trial.checked.verdict, Scored)
        assert experiment.decision is not None
        self._close(experiment, ExperimentStatus.KEPT, experiment.decision.reason)

    def _close(self, experiment: ExperimentState, status: ExperimentStatus, reason: str) -> None:
        number = experiment.proposed.experiment
        if number == 0 and status is not ExperimentStatus.KEPT:
            raise Pause(f"the baseline could not be measured: {reason}", 1)
        mean, incumbent = self.state.mean(number), self.state.mean(self.state.incumbent)
        gain = (
            self.state.run.objective.gain(mean, incumbent)
            if number > 0 and mean is not None and incumbent is not None
            else None
        )
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

    def _confirm(self) -> None:
        names = [trial.started.trial for trial in self.state.open_trials()]
        names += [self._start_trial(experiment, slot, "confirm") for experiment, slot in confirmation.owed(self.state)]
        if names:
            self._train(names)
            return
        self.recorder.record(confirmation.conclude(self.state))
        retention.enforce(self.recorder, self.state.run.configuration.retention)

    def _budget_left(self) -> bool:
        budget = self.state.budget
        if budget.experiments is not None and len(self.state.experiments) > budget.experiments:
            return False
        return budget.hours is None or self.state.session_seconds() < budget.hours * 3600

    def _paused(self, reason: str, exit_code: int) -> int:
        self.recorder.record(RunPaused(reason=reason, session_seconds=time.monotonic() - self._began))
        return exit_code

    def _finish(self, reason: str) -> None:
        self.recorder.record(RunFinished(reason=reason, session_seconds=time.monotonic() - self._began))
