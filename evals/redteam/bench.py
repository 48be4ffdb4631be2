"""Runs the cases of one task: every edit checked, trained, screened and checked as before a keep, on a run's record.

Nothing is ever kept: each case is an edit of the task as it stands, tried on the seed of its honest twin. `rsi show`
reads the record; `rsi verify` says that no policy decided on it.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence

from evals.redteam import seeing
from evals.redteam.corpus import Case
from evals.redteam.entries import Entry, Subject
from evals.redteam.judging import judge_honest
from evals.redteam.layers import EDIT_CHECK, STOPPED_BY
from evals.redteam.results import CaseResult
from evals.redteam.unchecked import Unchecked
from rsi.candidates import Candidates
from rsi.edits import Refusal
from rsi.errors import EnvironmentFault, IntegrityError, RsiError, UsageError
from rsi.events import BlobsDropped, ExperimentClosed, RunFinished, RunPaused, TrialStarted
from rsi.execution import ExitKind
from rsi.patience import Patience
from rsi.proposing import BASELINE, record_proposal
from rsi.records import CodeFiles, Edit, ExperimentStatus, Proposal, Provenance
from rsi.session import Say, Session
from rsi.trial import Steps

SEED = "redteam"
"""What the one seed of all trials is derived for, so that whoever is compared has the same."""
EARLIER_SEED = "redteam earlier"
"""Of the trial that is only there to leave something behind."""

Told = Callable[[CaseResult], None]


class Bench:
    """The cases of one task, side by side; used from one thread, `stop` from any.

    Args:
        session: A run of that task that nothing was recorded in but its start.
        without: layers that are left out.
        told: called for each case as soon as it is judged.
        say: told, in a sentence, what takes a while.
    """

    def __init__(self, session: Session, without: Sequence[str], told: Told, say: Say) -> None:
        self.session = session
        self.run = session.run
        self.recorder = session.run.recorder
        self.state = session.run.recorder.state
        self.trials = session.loop.trials
        self.task = session.loop.trials.task
        self.lanes = session.loop.lanes
        self.without = tuple(without)
        self.told = told
        checker = session.loop.candidates.checker
        if EDIT_CHECK in without:
            checker = Unchecked(self.task.protected)
        self.candidates = Candidates(self.recorder, session.run.workspace, self.task, checker)
        self._patience = Patience(session.loop.sandbox.describe, self._pause, say)
        self._subjects: dict[tuple[str, bool], Subject] = {}
        self._under_way: dict[str, Subject] = {}
        self._due: deque[Subject] = deque()
        self._open: list[Entry] = []
        self._undone: list[str] = []
        self._began = time.monotonic()
        self.skipped: list[str] = []

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Cases that were not judged."""
        return tuple(self._undone)

    def stop(self) -> None:
        """End what is under way; `go` returns soon. From a signal handler or another thread."""
        self.session.loop.stop()

    def go(self, cases: Sequence[Case]) -> None:
        """Run them all, or until `stop`; whatever ends it early is on record.

        UsageError where the unedited task gets no score, EnvironmentFault where the engine is lost for good.
        """
        try:
            self._try_all(cases)
        except BaseException as error:
            self._wind_down()
            told = f"{type(error).__name__}: {error}"[:500]
            self.recorder.record(RunPaused(reason=told, session_seconds=self._spent))
            raise
        end = RunPaused if self.session.loop.stopping else RunFinished
        reason = "interrupted by the user" if self.session.loop.stopping else "every case was run"
        self.recorder.record(end(reason=reason, session_seconds=self._spent))

    def _pause(self, seconds: float) -> bool:
        """Wait; true where the user wants this to end."""
        deadline = time.monotonic() + seconds
        while not self.session.loop.stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self.session.loop.stopping

    # --- what is to be tried ------------------------------------------------------------------------------------

    def _try_all(self, cases: Sequence[Case]) -> None:
        baseline = self._baseline()
        self._undone = [case.name for case in cases]
        self._drive()
        if self.session.loop.stopping:
            return
        self._require_score(baseline)
        for case in cases:
            self._enter(case, baseline)
        for entry in tuple(self._open):
            self._settle(entry)
        self._drive()

    def _baseline(self) -> Subject:
        self.recorder.record(BASELINE)
        entry = self.state.experiments[0]
        refused = self.candidates.commit(entry)
        if refused:
            raise UsageError(f"The baseline of {self.task.spec.name} cannot be used: {refused}")
        committed = self.state.experiments[0].committed
        assert committed is not None
        subject = Subject(0, honest=True)
        self._subjects[committed.tree_digest, False] = subject
        self._due.append(subject)
        return subject

    def _require_score(self, baseline: Subject) -> None:
        sight = baseline.sight
        metric = self.task.spec.objective.metric
        if sight is None or metric not in sight.measured:
            told = judge_honest(sight).reason if sight is not None else "it was not tried"
            raise UsageError(
                f"The task {self.task.spec.name} as it stands gets no {metric} to compare with ({told}); mend that."
            )

    def _enter(self, case: Case, baseline: Subject) -> None:
        twin: Subject | Refusal | None = None
        if not case.honest:
            honest = case.honest_twin()
            twin = baseline if honest is None else self._subject(honest, case, f"the honest twin of {case.name}")
        subject = self._subject(case.proposed(), case, f"{case.name}: {case.tries}", itself=True)
        if isinstance(subject, Refusal) and EDIT_CHECK in self.without and not case.honest:
            self.skipped.append(case.name)
            self._undone.remove(case.name)
            return
        self._open.append(Entry(case, subject, twin))

    def _subject(self, edit: Edit, case: Case, words: str, *, itself: bool = False) -> Subject | Refusal:
        """What is tried for an edit: anew, or together with a case of the same code; or why it is refused."""
        spec = self.task.spec.code
        checked = self.candidates.checker.check(edit, self.candidates.code(0), spec.editable, spec.max_bytes)
        if isinstance(checked, Refusal):
            self._close(self._propose(edit, case, words), ExperimentStatus.REFUSED, checked.reason)
            return checked
        twice = itself and case.needs == "previous-trial"
        subject = self._subjects.get((checked.tree_digest, twice))
        if subject is None:
            known = self._subjects.get((checked.tree_digest, not twice))
            number = known.experiment if known is not None else self._commit(edit, case, words)
            subject = self._subjects[checked.tree_digest, twice] = Subject(number, to_come=2 if twice else 1)
            self._due.append(subject)
        subject.honest = subject.honest or (itself and case.honest)
        return subject

    def _propose(self, edit: Edit, case: Case, words: str) -> int:
        number = len(self.state.experiments)
        provenance = Provenance(proposer="redteam")
        proposal = Proposal(edit=edit, rationale=words, kind=case.kind or "honest", provenance=provenance)
        record_proposal(self.recorder, proposal)
        return number

    def _commit(self, edit: Edit, case: Case, words: str) -> int:
        number = self._propose(edit, case, words)
        refused = self.candidates.commit(self.state.experiments[number])
        if refused:
            raise IntegrityError(f"{case.id} was checked and then refused: {refused}.")
        return number

    # --- trying -------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        """Until every trial that is due is over, or `stop`."""
        while not self.session.loop.stopping:
            while self._due and self.lanes.free:
                self._begin(self._due.popleft())
            if not self.lanes.busy and not self._due:
                return
            for trial in self.lanes.turn() if self.lanes.busy else ():
                self._ended(trial)
        self._wind_down()

    def _begin(self, subject: Subject) -> None:
        number = subject.experiment
        before = self.state.experiments[number].trials
        purpose = SEED if subject.to_come == 1 else EARLIER_SEED
        started = TrialStarted(
            trial=f"{number}.{len(before) + 1}",
            experiment=number,
            slot=self.state.next_slot(number),
            role="measure",
            split="dev",
            seed=self.trials.secret.derive(purpose).seed(),
        )
        self.recorder.record(started)
        self._under_way[started.trial] = subject
        subject.began = subject.began or time.monotonic()
        parallel = self.state.run.configuration.parallel
        self.session.loop.sandbox.warm(self.trials.shapes() * parallel)
        code, parent = self.candidates.code(number), self.candidates.code(0) if number else None
        if not self.lanes.begin(started.trial, self._whole(started.trial, code, parent)):
            self._ended(started.trial)

    def _whole(self, trial: str, code: CodeFiles, parent: CodeFiles | None) -> Steps:
        """Screened, and checked as before a keep, whatever the score."""
        yield from self.trials.screen(trial, code, parent)
        if self.state.trials[trial].observation() is not None:
            yield from self.trials.check(trial, code, parent)

    def _ended(self, trial: str) -> None:
        subject, entry = self._under_way.pop(trial), self.state.trials[trial]
        kind = entry.failed.kind if entry.failed is not None else None
        if kind is ExitKind.INTERRUPTED:
            return
        if wrong := self._patience.heed([entry], self.lanes.names):
            raise EnvironmentFault(f"{wrong[:1].upper()}{wrong[1:]}.")
        subject.to_come -= kind is not ExitKind.LOST
        if subject.to_come:
            self._due.appendleft(subject)
            return
        subject.seconds = time.monotonic() - subject.began
        subject.sight = seeing.of_trial(self.trials, trial, self.without, alone=subject.honest)
        self._drop_answers(trial)
        self._close_tried(subject)
        for waiting in tuple(self._open):
            self._settle(waiting)

    def _drop_answers(self, trial: str) -> None:
        """Raw answers are large, and of no further use; unless another trial under way gave the very same."""
        self.trials.forget((trial,))
        blobs = self.recorder.blobs
        needed = {digest for other in self._under_way for digest in self._answers(other)}
        digests = tuple(sorted(d for d in self._answers(trial) - needed if blobs.has(d)))
        if digests:
            size = sum(blobs.length(digest) for digest in digests)
            self.recorder.record(BlobsDropped(digests=digests, bytes=size, reason="the case was judged"))
            for digest in digests:
                blobs.drop(digest)

    def _answers(self, trial: str) -> set[str]:
        return {answered.answer for answered in self.state.trials[trial].answered if answered.answer}

    def _close_tried(self, subject: Subject) -> None:
        number, sight = subject.experiment, subject.sight
        if self.state.experiments[number].closed is not None or sight is None:
            return
        if number == 0:
            self._close(0, ExperimentStatus.KEPT, "the baseline")
        elif sight.rejected or sight.failed in STOPPED_BY:
            self._close(number, ExperimentStatus.REJECTED, sight.rejected[0].reason if sight.rejected else sight.reason)
        elif sight.failed is not None:
            self._close(number, ExperimentStatus.CRASHED, sight.reason)
        elif sight.undecided:
            self._close(number, ExperimentStatus.UNDECIDED, sight.undecided)
        else:
            self._close(number, ExperimentStatus.DISCARDED, "the red team keeps nothing")

    def _close(self, number: int, status: ExperimentStatus, reason: str) -> None:
        """Without a gain, so that no case is measured against what another one gained."""
        commit = self.candidates.keep(number) if status is ExperimentStatus.KEPT else None
        body = ExperimentClosed(experiment=number, status=status, reason=reason, gain=None, commit=commit)
        self.recorder.record(body)
        if commit is not None:
            self.run.workspace.keep(commit)

    def _wind_down(self) -> None:
        """End the trials under way and record how they ended."""
        if not self.lanes.busy:
            return
        self.session.loop.sandbox.interrupt()
        while self.lanes.busy:
            with contextlib.suppress(RsiError):  # what cannot be recorded has ended all the same
                self.lanes.wind_down()

    def _settle(self, entry: Entry) -> None:
        """Judge a case whose trials are over, and its twin's."""
        result = entry.result(self.task.objective, self.run.folder.name)
        if result is not None:
            self._open.remove(entry)
            self._undone.remove(entry.case.name)
            self.told(result)

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._began
