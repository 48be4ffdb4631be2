"""Derive again what the record claims: commits from edits, verdicts from evidence, decisions from measurements.

Everything is derived from the state before an event, exactly as the loop did, and compared with the event's body.
Nothing of the run folder is executed: implementations are looked up by registered name, and one that the run names by
a file's path is loaded only where the reader says that this file is trusted.
"""

from __future__ import annotations

import platform
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from rsi import ablations, confirmation, milestones, plugins
from rsi import events as e
from rsi.calls import RecordedCalls
from rsi.candidates import commit_message
from rsi.claims.null_edit import null_edit
from rsi.configuration import Component, RunConfiguration
from rsi.derive import (
    compare,
    derive_verdict,
    execution_findings,
    gather,
    history,
    reference_trial,
    secret_to_read_with,
)
from rsi.edits import CheckedEdit, Refusal, check, inspect_code, render_diff, transplant
from rsi.edits.transplant import as_edit
from rsi.errors import IntegrityError, RsiError
from rsi.evidence import Material, Secret
from rsi.ledger import Event
from rsi.prediction import decode_array
from rsi.proposing import again, null, removal
from rsi.protocols import AsksModels
from rsi.records import (
    CodeFiles,
    Edit,
    ExperimentStatus,
    Record,
    Verdict,
    VerifierError,
)
from rsi.removal import without
from rsi.review import rederive_calls as calls
from rsi.review import rederive_program as program
from rsi.review.once_read import OnceRead
from rsi.review.outcomes import due, gain_of
from rsi.review.sameness import close, same_interval, same_verdict, verdict_words
from rsi.review.storage import Wrong
from rsi.schedule import draws_null, plan_holds
from rsi.scrutiny import findings
from rsi.seeds import drawn
from rsi.state import ExperimentState, RunState
from rsi.task import Task
from rsi.trial import STAGES, failure_reason, stage_execution
from rsi.verification import fault, inspect, inspectors, measuring, verifier_of
from rsi.workspace import Workspace, name_of

Claim = tuple[str, str]
"""(kind of problem, sentence)."""
MOST_AWAITED = 256
"""Events whose derivation may still be going on elsewhere."""


class Rederivation:
    """One pass over a run; holds its blobs, its code, and the names of the commits that were made again."""

    def __init__(self, blobs: OnceRead, workspace: Workspace, *, verdicts: bool, trust_paths: bool) -> None:
        self.blobs = blobs
        self._made_again: set[str] = set()
        self._elsewhere = ThreadPoolExecutor(1, thread_name_prefix="confined")
        """Waits for the confined child, which has a processor of its own, while the next events are derived here."""
        self._awaited: deque[tuple[int, Future[list[Claim]]]] = deque()
        self.verdicts = verdicts
        self.trust_paths = trust_paths
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        self.commits: dict[str, int] = {}
        """Commit → the event that records it."""
        self._code = lru_cache(maxsize=64)(workspace.read)
        self._task: Task | None = None
        self._policy: Any = None
        self._verifier: Any = None
        self._same_parser = True

    def problems(self, state: RunState, event: Event, body: Record) -> Iterator[Wrong]:
        """What does not follow from the state before the event. Failing to derive is a problem too."""
        rule = _RULES.get(type(body))
        if rule is None:
            return
        try:
            yield from (Wrong(event.seq, kind, sentence) for kind, sentence in rule(self, state, body))
        except RsiError as error:
            yield Wrong(event.seq, "underivable", str(error))
        except Exception as error:  # hostile records make any of our code fail; that they do is the finding
            yield Wrong(event.seq, "underivable", f"deriving it again raised {type(error).__name__}: {error}")

    def settled_by_now(self, most: int = MOST_AWAITED) -> Iterator[Wrong]:
        """What came of the events whose derivation was still going on, but for the latest `most` of them."""
        while len(self._awaited) > most:
            seq, claims = self._awaited.popleft()
            try:
                yield from (Wrong(seq, kind, sentence) for kind, sentence in claims.result())
            except RsiError as error:
                yield Wrong(seq, "underivable", str(error))
            except Exception as error:  # as in `problems`
                yield Wrong(seq, "underivable", f"deriving it again raised {type(error).__name__}: {error}")

    def close(self) -> None:
        """Let the thread end that waits for the confined child."""
        self._elsewhere.shutdown(wait=True, cancel_futures=True)

    # --- the beginning ------------------------------------------------------------------------------------------

    def started(self, _state: RunState, body: e.RunStarted) -> Iterator[Claim]:
        """The frozen task, and the implementations that everything is derived with."""
        versions = body.versions.get("python", "").split(".")[:2]
        self._same_parser = versions == platform.python_version().split(".")[:2]
        self._task = Task.model_validate_json(self.blobs.get(body.task))
        if self._task.digest() != body.task_digest:
            yield "task", "its task_digest is not that of the frozen task"
        if self._task.objective != body.objective:
            yield "task", "its objective is not that of the frozen task"
        self._policy, refused = self._built("policies", body.configuration.policy)
        if refused:
            yield "underivable", refused
        if not self.verdicts:
            return
        self._verifier, refused = self._built_verifier(body.configuration)
        if refused:
            yield "underivable", refused
        elif bool(self._verifier.grounded) != body.grounded:
            yield "task", f"it says grounded = {body.grounded}, the verifier says {self._verifier.grounded}"

    def _built_verifier(self, configuration: RunConfiguration) -> tuple[Any, str]:
        """With those beside it; what cannot be loaded leaves every verdict underivable."""
        built = [self._built("verifiers", part) for part in (configuration.verifier, *configuration.verifiers)]
        refused = next((words for _, words in built if words), "")
        parts = iter(part for part, _ in built)
        return (None, refused) if refused else (verifier_of(configuration, lambda *_: next(parts)), "")

    def _built(self, group: plugins.Group, component: Component) -> tuple[Any, str]:
        if ".py:" in component.name and not self.trust_paths:
            return None, (
                f"the run names {component.name!r}, a program outside this distribution, which is not loaded unasked, "
                "and without it nothing that it decided can be derived again; if you trust that file, say so with "
                "--trust-plugins"
            )
        return plugins.load(group, component.name)(**component.options), ""

    def proposed(self, state: RunState, body: e.ExperimentProposed) -> Iterator[Claim]:
        """What is carried over to another incumbent is the earlier experiment's own change."""
        if body.removes:
            yield from self._removal(state, body)
            return
        if draws_null(state, body.experiment) and body.experiment > 0 and body.again is None:
            yield from self._null(state, body)
        if body.again is None:
            yield from self._fresh(state, body)
            return
        if not self.verdicts:
            return
        first = state.experiments[body.again].proposed
        if not _told(body, again(state, body.again)):
            yield "commit", f"it is not told as experiment {body.again} was, whose edit it carries over"
        parent, after = state.commit_of(first.parent), state.commit_of(body.again)
        edit = transplant(*(self._code(commit) for commit in (parent, after, state.commit_of(state.incumbent))))
        yield from self._made(body, edit, f"the change that experiment {body.again} made")

    def _removal(self, state: RunState, body: e.ExperimentProposed) -> Iterator[Claim]:
        """What is taken out is what the ablation found, by the edits that were kept."""
        if not _told(body, removal(state, body.removes)):
            yield "commit", "it is not told as what an ablation takes out"
        if not self.verdicts:
            return
        code = self._code(state.commit_of(state.incumbent))
        left = self._without(state, state.incumbent, body.removes)
        edit = left if isinstance(left, Refusal) else as_edit(left, code)
        yield from self._made(body, edit, f"the code without the edits of {body.removes}")

    def _made(self, body: e.ExperimentProposed, edit: Edit | Refusal, what: str) -> Iterator[Claim]:
        """The recorded edit is the one that was to be made, or the record says why none could be."""
        if isinstance(edit, Refusal):
            if body.problem != edit.reason:
                yield "commit", f"{what} cannot be had: {edit.reason}"
        elif body.edit is None or Edit.model_validate_json(self.blobs.get(body.edit)) != edit:
            yield "commit", f"its edit is not {what}"

    def _null(self, state: RunState, body: e.ExperimentProposed) -> Iterator[Claim]:
        if not self.verdicts:
            return
        edit = null_edit(self._code(state.commit_of(state.incumbent)), drawn(state, "null edit", body.experiment))
        if (edit is not None) != body.null:
            yield "decision", "a null edit was drawn, and this is none" if edit else "no null edit could be made here"
        elif edit is not None:
            if not _told(body, null(state, "")):
                yield "commit", "it is not told as a null edit"
            yield from self._made(body, edit, "the null edit that the run's secret gives")

    def _without(self, state: RunState, base: int, edits: tuple[int, ...]) -> CodeFiles | Refusal:
        def code(number: int) -> CodeFiles:
            return self._code(state.commit_of(number))

        changes = [(code(state.experiments[edit].proposed.parent), code(edit)) for edit in edits]
        return without(code(base), changes, transplant, inspect_code)

    def cut(self, state: RunState, body: e.AblationCut) -> Iterator[Claim]:
        """Whether the code can be made without some edits follows from the commits."""
        if not self.verdicts:
            return
        left = self._without(state, state.ablations[body.ablation - 1].begun.base, body.edits)
        if isinstance(left, Refusal) == body.applies:
            yield "ablation", f"the code can{'not' if body.applies else ''} be made without {body.edits}"

    def ablated(self, state: RunState, body: e.AblationClosed) -> Iterator[Claim]:
        """What an ablation found follows from its answers."""
        current = state.open_ablation()
        self.counts["ablations"] += 1
        if current is None or ablations.step(state, current) != body:
            yield "ablation", "what it found does not follow from its trials"

    def _fresh(self, state: RunState, body: e.ExperimentProposed) -> Iterator[Claim]:
        """A fresh proposal comes where the policy plans nothing else."""
        if self._policy is None or body.experiment == 0 or state.run.configuration.proposal_only or body.null:
            return
        plan = self._policy.plan(history(state))
        if plan_holds(state, plan):
            yield "decision", f"the policy plans to {plan.kind}, not to have something proposed"

    # --- code ---------------------------------------------------------------------------------------------------

    def committed(self, state: RunState, body: e.ExperimentCommitted) -> Iterator[Claim]:
        """The edit applied again, the commit made again, the diff drawn again."""
        self.commits[body.commit] = state.events
        code = self._code(body.commit)
        self.counts["commits"] += 1
        if not self.verdicts:
            return
        entry = state.experiments[body.experiment]
        own = bool(entry.proposed.removes) or entry.proposed.null
        if state.was_tried(body.tree_digest) and self._same_parser and not own:
            yield "commit", "the same code was tried before"
        parents = [] if body.experiment == 0 else [state.commit_of(entry.proposed.parent)]
        yield from self._same_commit(state, body.experiment, body.commit, parents, code)
        check_again = self._checked(state, entry)
        before = self._code(parents[0]) if parents else None
        diff = self.blobs.get(body.diff).decode() if body.diff else ""

        def derived() -> list[Claim]:
            claims = [*self._as_the_edit_gives(body, check_again(), code)]
            return claims if before is None else [*claims, *self._same_diff(diff, before, code)]

        self._awaited.append((state.events, self._elsewhere.submit(derived)))

    def _as_the_edit_gives(
        self, body: e.ExperimentCommitted, checked: CheckedEdit | Refusal, code: CodeFiles
    ) -> Iterator[Claim]:
        if isinstance(checked, Refusal):
            yield "commit", f"its edit is refused: {checked.reason}"
            return
        if checked.code != code:
            yield "commit", f"commit {body.commit[:12]} does not hold the code that the edit gives"
        if body.changed != checked.changed:
            yield "commit", "it names other files as changed than the edit changes"
        if (checked.tree_digest, checked.tree_tokens) != (body.tree_digest, body.tree_tokens):
            # Syntax trees differ between versions of the interpreter, so only the same one can tell.
            if self._same_parser:
                yield "commit", "its tree digest is not that of the code"
            else:
                self.notes["Tree digests were made by another version of Python and not compared."] = None

    def _checked(self, state: RunState, entry: ExperimentState) -> Callable[[], CheckedEdit | Refusal]:
        """What applies the edit again, or looks at the baseline, in the confined child."""
        if self._task is None:
            raise IntegrityError("the frozen task could not be read, so its code cannot be compared")
        if entry.proposed.edit is None:
            return partial(inspect_code, self._task.code)
        edit = Edit.model_validate_json(self.blobs.get(entry.proposed.edit))
        before = self._code(state.commit_of(entry.proposed.parent))
        return partial(check, edit, before, self._task.spec.code.editable, self._task.spec.code.max_bytes)

    def _same_commit(
        self, state: RunState, number: int, commit: str, parents: list[str], code: CodeFiles
    ) -> Iterator[Claim]:
        """A commit is a pure function of code, words, parents and time, the ledger's head among the words."""
        if not self._made_again.issuperset(parents):
            return  # its parent could not be made again, which was said there
        again = name_of(code, commit_message(state, number), parents, state.last_time)
        self._made_again.add(again)
        if again != commit:
            yield "commit", f"commit {commit[:12]} does not follow from the record: its message, time or parent differ"

    def _same_diff(self, recorded: str, old: CodeFiles, new: CodeFiles) -> Iterator[Claim]:
        if recorded != render_diff(old, new) and "[redacted " not in recorded:
            yield "diff", "the recorded diff is not the difference of the two commits"

    # --- calls to language models -------------------------------------------------------------------------------

    def reserved(self, state: RunState, body: e.CallReserved) -> Iterator[Claim]:
        """The prompt is the one that was reserved for, and no limit could be passed by it."""
        return calls.reserved(state, body, self.blobs.get)

    def settled(self, state: RunState, body: e.CallSettled) -> Iterator[Claim]:
        """What is counted is what the answer says that it used."""
        return calls.settled(state, body, self.blobs.get)

    # --- the proposer's program -----------------------------------------------------------------------------------

    def learned(self, state: RunState, body: e.ProgramLearned) -> Iterator[Claim]:
        """What it learned came out of the sandbox."""
        yield from self.scrutinised(state, body)
        yield from program.learned(body, self.blobs.get)

    def ranked(self, state: RunState, body: e.ProgramAnswered) -> Iterator[Claim]:
        """Its answer came out of the sandbox, and is one."""
        yield from self.scrutinised(state, body)
        yield from program.answered(body, self.blobs.get)

    # --- trials -------------------------------------------------------------------------------------------------

    def trained(self, state: RunState, body: e.TrialTrained) -> Iterator[Claim]:
        """What the artifact is made of came out of the sandbox, and the findings are those of its execution."""
        yield from self.scrutinised(state, body)
        recorded = {file.path: file.sha256 for file in body.execution.files}
        for path, digest in body.artifact.items():
            if recorded.get(path, digest) != digest:
                yield "artifact", f"the artifact {path!r} is not the file that came out of the sandbox"

    def scrutinised(self, state: RunState, body: e.Executed | e.OfProgram) -> Iterator[Claim]:
        """What was attempted, as it is recorded, amounts to these findings."""
        if any("[redacted " in attempt.target + attempt.detail for attempt in body.execution.attempts):
            self.notes["Findings about attempts that named a secret are taken as recorded."] = None
            return
        if isinstance(body, e.ProgramLearned | e.ProgramAnswered):
            derived = findings(body.execution)
        else:
            derived = execution_findings(state, body.trial, body.execution, self.blobs.get)
        self.counts["findings"] += len(derived)
        if derived != body.findings:
            lacking = "; ".join(f.message for f in derived if f not in body.findings)[:200]
            yield (
                "finding",
                f"its findings are not those of what was attempted{f': it lacks {lacking}' if lacking else ''}",
            )

    def inspected(self, state: RunState, body: e.TrialInspected) -> Iterator[Claim]:
        """What is read in code alone is read again; what needs data or weights is taken as recorded."""
        parts = inspectors(self._verifier, "keep") if self._verifier is not None else ()
        inspector = next((part for part in parts if part.name == body.verifier), None)
        if inspector is None:
            if self._verifier is not None:
                yield "inspection", f"no verifier {body.verifier!r} that reads takes part in the run"
            return
        asks = isinstance(inspector, AsksModels)
        if not asks and not (inspector.of_code_alone and self._same_parser):
            self.notes["What verifiers read in data or weights is taken as recorded."] = None
            return
        entry = state.experiments[state.trials[body.trial].started.experiment]
        if state.trials[body.trial].started.without or entry.committed is None:
            return
        number, trained = entry.proposed.experiment, state.trials[body.trial].trained
        assert self._task is not None
        assert trained is not None
        if isinstance(inspector, AsksModels):
            inspector.attach(RecordedCalls(state, self.blobs.get))
        material = Material(
            experiment=number,
            trial=body.trial,
            code=self._code(state.commit_of(number)),
            parent=self._code(state.commit_of(entry.proposed.parent)) if number else None,
            protected={path: self._task.protected[path] for path in self._task.spec.code.protected},
            diff=self.blobs.get(entry.committed.diff).decode() if entry.committed.diff else "",
            artifact={},
            training=trained.execution,
            training_stdout=self.blobs.get(trained.stdout) if asks else b"",
            training_data={},
            held_out=None,
            split=state.trials[body.trial].started.split,
            secret=secret_to_read_with(
                Secret(key=state.run.randomness),
                state.trials[body.trial].started,
                measuring(self._verifier),
                inspector,
            ),
            recorded={name: decode_array(self.blobs.get(digest)) for name, digest in body.kept.items()},
        )
        self.counts["inspections"] += 1
        found = inspect(inspector, material)
        if found.inspection != body.inspection or set(found.kept) != set(body.kept):
            where = "answers" if asks else "code"
            yield "inspection", f"{body.verifier} finds something else in the {where} than is recorded"

    def failed(self, state: RunState, body: e.TrialFailed) -> Iterator[Claim]:
        """Our words on a failure are a function of its execution."""
        trial = state.trials[body.trial]
        execution = stage_execution(trial, body.stage)
        assert execution is not None
        if body.reason != failure_reason(execution, STAGES[body.stage]):
            yield "verdict", f"the reason that it gives is not that of the execution, which ended as {execution.kind}"

    def judged(self, state: RunState, body: e.TrialJudged) -> Iterator[Claim]:
        """The verdict follows from the recorded scores."""
        if body.reference != reference_trial(state, body.trial):
            yield "verdict", f"it was weighed against trial {body.reference}, not the first scored one of its parent"
        if self._verifier is None:
            return
        try:
            evidence = gather(state, body.trial, body.purpose, self.blobs.get)
            derived: Verdict = derive_verdict(state.trials[body.trial], self._verifier, evidence)
        except RsiError:
            raise
        except Exception as error:
            derived = fault(self._verifier, error)
        self.counts["verdicts"] += 1
        if same_verdict(body.verdict, derived):
            return
        if isinstance(body.verdict, VerifierError):
            # Raised while asking or scoring, for which held-out data is needed; it never counts as a score.
            self.notes["Errors of a verifier are taken as recorded: they need held-out data to be derived."] = None
            return
        yield "verdict", f"the evidence gives {verdict_words(derived)}, it says {verdict_words(body.verdict)}"

    # --- decisions ----------------------------------------------------------------------------------------------

    def decided(self, state: RunState, body: e.PolicyDecided) -> Iterator[Claim]:
        """The policy sees what the verdicts gave, and decides so."""
        comparison = compare(state, body.experiment)
        recorded = body.comparison
        # What a run of an earlier version did not record yet is not held against it.
        if any(getattr(comparison, field) != getattr(recorded, field) for field in recorded.model_fields_set):
            yield "decision", "its comparison does not hold the measurements that the verdicts gave"
        if self._policy is None:
            return
        derived = self._policy.decide(comparison, history(state))
        self.counts["decisions"] += 1
        if derived != body.decision:
            yield "decision", f"the policy says {derived.kind} ({derived.reason}), it says {body.decision.kind}"

    def closed(self, state: RunState, body: e.ExperimentClosed) -> Iterator[Claim]:
        """What became of an experiment follows from its verdicts and decisions."""
        entry = state.experiments[body.experiment]
        status, reason = self._refusal(state, entry) if entry.committed is None else due(state, entry)
        if body.status is not status:
            yield "closing", f"experiment {body.experiment} came out as {status}, it says {body.status}"
        elif reason is not None and body.reason != reason:
            yield "closing", f"the reason should be {reason!r}"
        gain = gain_of(state, body.experiment)
        if (gain is None) != (body.gain is None) or (gain is not None and not close(gain, body.gain)):
            yield "closing", f"the gain should be {gain}, it says {body.gain}"
        if (body.commit is None) == (body.status is ExperimentStatus.KEPT):
            yield "commit", "a kept experiment has a commit on the branch, no other has"
        if body.commit is not None and entry.committed is not None:
            yield from self._kept_commit(state, entry, entry.committed.commit, body.commit)

    def _kept_commit(self, state: RunState, entry: ExperimentState, candidate: str, commit: str) -> Iterator[Claim]:
        self.commits.setdefault(commit, state.events)
        self.counts["commits"] += commit != candidate
        number = entry.proposed.experiment
        if number == 0:
            if commit != candidate:
                yield "commit", "the baseline's commit on the branch is another than its own"
            return
        code = self._code(commit)
        if code != self._code(candidate):
            yield "commit", f"commit {commit[:12]} on the branch does not hold the candidate's code"
        elif self.verdicts:
            yield from self._same_commit(state, number, commit, [state.commit_of(state.incumbent)], code)

    def _refusal(self, state: RunState, entry: ExperimentState) -> tuple[ExperimentStatus, str | None]:
        if entry.proposed.problem:
            return ExperimentStatus.REFUSED, entry.proposed.problem
        if not self.verdicts:
            return ExperimentStatus.REFUSED, None
        checked = self._checked(state, entry)()
        self.counts["refusals"] += 1
        if isinstance(checked, CheckedEdit) and not state.was_tried(checked.tree_digest) and self._same_parser:
            return ExperimentStatus.OPEN, None
        return ExperimentStatus.REFUSED, None

    def planned(self, state: RunState, body: e.PolicyPlanned) -> Iterator[Claim]:
        """The policy plans so."""
        if self._policy is None:
            return
        self.counts["decisions"] += 1
        derived = self._policy.plan(history(state))
        if derived != body.plan:
            yield "decision", f"the policy plans to {derived.kind} ({derived.reason}), it says {body.plan.kind}"

    def begun(self, state: RunState, body: e.MilestoneBegun) -> Iterator[Claim]:
        """A milestone compares the incumbent with the last certified code, as the run's budget and noise ask."""
        derived = milestones.begin(state)
        if derived != body:
            yield "milestone", "its candidate, reference or plan does not follow from the record"

    def tested(self, state: RunState, body: e.MilestoneTested) -> Iterator[Claim]:
        """The test's word follows from its pairs."""
        current = state.open_milestone()
        derived = milestones.tested(state, current) if current else None
        self.counts["milestones"] += 1
        if derived is None or derived != body:
            said = "another pair is wanted" if derived is None else "passed" if derived.passed else "failed"
            yield "milestone", f"its pairs give: {said}; it says {'passed' if body.passed else 'failed'}"

    def estimated(self, state: RunState, body: e.MilestoneClosed) -> Iterator[Claim]:
        """The estimate follows from the pairs that were run after the test."""
        current = state.open_milestone()
        derived = milestones.closed(state, current) if current else None
        if derived is None or not same_interval(body.improvement, derived.improvement):
            yield "milestone", "its interval does not follow from its pairs"

    def confirmed(self, state: RunState, body: e.ConfirmationFinished) -> Iterator[Claim]:
        """The statement follows from the confirmation's trials."""
        due = confirmation.conclude(state)
        self.counts["confirmations"] += 1
        without = {"improvement": None}
        if body.model_copy(update=without) != due.model_copy(update=without):
            yield "confirmation", "its values are not those that the confirmation's trials measured"
        elif not same_interval(body.improvement, due.improvement):
            yield "confirmation", "its interval does not follow from its values"


def _told(body: e.ExperimentProposed, words: e.ExperimentProposed) -> bool:
    """Whether an experiment is told in these words, whatever came of making its edit."""
    return body == words.model_copy(update={"edit": body.edit, "problem": body.problem})


_RULES: dict[type[Record], Callable[[Rederivation, RunState, Any], Iterator[Claim]]] = {
    e.RunStarted: Rederivation.started,
    e.ExperimentProposed: Rederivation.proposed,
    e.ExperimentCommitted: Rederivation.committed,
    e.CallReserved: Rederivation.reserved,
    e.CallSettled: Rederivation.settled,
    e.ProgramLearned: Rederivation.learned,
    e.ProgramAnswered: Rederivation.ranked,
    e.TrialTrained: Rederivation.trained,
    e.TrialInspected: Rederivation.inspected,
    e.TrialControlled: Rederivation.scrutinised,
    e.TrialAnswered: Rederivation.scrutinised,
    e.TrialFailed: Rederivation.failed,
    e.TrialJudged: Rederivation.judged,
    e.PolicyDecided: Rederivation.decided,
    e.ExperimentClosed: Rederivation.closed,
    e.PolicyPlanned: Rederivation.planned,
    e.AblationCut: Rederivation.cut,
    e.AblationClosed: Rederivation.ablated,
    e.MilestoneBegun: Rederivation.begun,
    e.MilestoneTested: Rederivation.tested,
    e.MilestoneClosed: Rederivation.estimated,
    e.ConfirmationFinished: Rederivation.confirmed,
}
