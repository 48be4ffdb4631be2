"""From a proposal to a commit: check the edit, write the candidate to `code.git`, move the branch of what was kept."""

from __future__ import annotations

from rsi.edits import CheckedEdit, Refusal
from rsi.edits.checker import Checker, Confined
from rsi.edits.transplant import as_edit
from rsi.errors import UsageError
from rsi.events import ExperimentCommitted
from rsi.recorder import Recorder
from rsi.records import CodeFiles, Edit
from rsi.removal import without
from rsi.seeds import drawn
from rsi.state import ExperimentState, RunState
from rsi.storage import CodeStore
from rsi.task import Task


class Candidates:
    """A run's code: every candidate a commit, the kept ones a branch."""

    def __init__(self, recorder: Recorder, workspace: CodeStore, task: Task, checker: Checker | None = None) -> None:
        self.recorder = recorder
        self.workspace = workspace
        self.task = task
        self.checker: Checker = checker or Confined()

    def code(self, experiment: int) -> CodeFiles:
        """An experiment's editable files."""
        return self.workspace.read(self.recorder.state.commit_of(experiment))

    def commit(self, experiment: ExperimentState) -> str:
        """Apply and commit a proposal, then record that; the reason where it is refused, else an empty string."""
        proposed = experiment.proposed
        checked = self._check(experiment)
        if isinstance(checked, Refusal):
            return checked.reason
        own = bool(proposed.removes) or proposed.null  # the loop's own experiments may repeat what was tried
        if self.recorder.state.was_tried(checked.tree_digest) and not own:
            return "the same code, up to formatting, was tried before"
        parents, diff = [], None
        if proposed.experiment > 0:
            parents = [self.recorder.state.commit_of(proposed.parent)]
            diff = self.recorder.keep_text(self.checker.diff(self.code(proposed.parent), checked.code))
        message = commit_message(self.recorder.state, proposed.experiment)
        commit = self.workspace.commit(checked.code, message, parents, self.recorder.state.last_time)
        self.workspace.mark(proposed.experiment, commit)
        self.recorder.record(
            ExperimentCommitted(
                experiment=proposed.experiment,
                commit=commit,
                tree_digest=checked.tree_digest,
                tree_tokens=checked.tree_tokens,
                changed=checked.changed,
                diff=diff,
            )
        )
        return ""

    def carried_over(self, experiment: int) -> Edit | Refusal:
        """What an experiment changed in its parent, as an edit of the present incumbent."""
        state = self.recorder.state
        parent = state.experiments[experiment].proposed.parent
        return self.checker.transplant(self.code(parent), self.code(experiment), self.code(state.incumbent))

    def null_edit(self, number: int) -> Edit | None:
        """An edit of the incumbent that does nothing but move its random stream, for the experiment of that number."""
        state = self.recorder.state
        return self.checker.null_edit(self.code(state.incumbent), drawn(state, "null edit", number))

    def without(self, base: int, edits: tuple[int, ...]) -> CodeFiles | Refusal:
        """An experiment's code without some of the kept edits that it builds on."""
        state = self.recorder.state
        changes = [(self.code(state.experiments[edit].proposed.parent), self.code(edit)) for edit in edits]
        return without(self.code(base), changes, self.checker.transplant, self.checker.inspect)

    def removal(self, edits: tuple[int, ...]) -> Edit | Refusal:
        """The same as an edit of the incumbent."""
        code = self.code(self.recorder.state.incumbent)
        left = self.without(self.recorder.state.incumbent, edits)
        return left if isinstance(left, Refusal) else as_edit(left, code)

    def keep(self, experiment: int) -> str:
        """The commit for the branch of improvements: the candidate's tree, the ledger's head in its message.

        The branch itself is moved once the record says so.
        """
        state = self.recorder.state
        entry = state.experiments[experiment]
        assert entry.committed is not None
        if experiment == 0:
            return entry.committed.commit
        message = commit_message(state, experiment)
        code = self.workspace.read(entry.committed.commit)
        return self.workspace.commit(code, message, [state.commit_of(state.incumbent)], state.last_time)

    def mend_references(self) -> None:
        """A crash between an event and the move of a reference leaves the reference behind; the record decides."""
        state = self.recorder.state
        for number, experiment in state.experiments.items():
            if experiment.committed is not None:
                self.workspace.mark(number, experiment.committed.commit)
        best = state.experiments.get(state.incumbent)
        if best is not None and best.closed is not None and best.closed.commit is not None:
            self.workspace.keep(best.closed.commit)

    def _check(self, experiment: ExperimentState) -> CheckedEdit | Refusal:
        if experiment.proposed.edit is None:
            checked = self.checker.inspect(self.task.code)
            if isinstance(checked, Refusal):
                raise UsageError(f"The baseline of {self.task.spec.name} cannot be used: {checked.reason}")
            return checked
        edit = Edit.model_validate_json(self.recorder.blobs.get(experiment.proposed.edit))
        code = self.task.spec.code
        return self.checker.check(edit, self.code(experiment.proposed.parent), code.editable, code.max_bytes)


def commit_message(state: RunState, experiment: int) -> str:
    """The words of a commit: rationale, number, and the ledger's head at that moment."""
    summary = " ".join(state.experiments[experiment].proposed.rationale.split())[:200] or "no rationale"
    return f"{summary}\n\nRsi-Experiment: {experiment}\nRsi-Ledger-Head: {state.head}\n"
