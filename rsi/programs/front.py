"""Freezing a proposer's program into a run, letting it learn once, and asking it: each step on record before its use.

A program is candidate code. It runs in the run's own sandbox, sees arrays and nothing else, and what comes back is
never parsed: its length is checked, then it is numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from rsi import artifact
from rsi.calls import Interrupted
from rsi.errors import UsageError
from rsi.events import ProgramAnswered, ProgramFrozen, ProgramLearned
from rsi.execution import ExitKind, Job, Outcome, Shape
from rsi.prediction import MalformedAnswer, job_inputs, read_answer
from rsi.programs.question import Answer, Program, Question, useless
from rsi.programs.recorded import look_up
from rsi.recorder import Recorder
from rsi.records import CodeFiles
from rsi.scrutiny import findings
from rsi.trial import failure_reason

EPISODES = "data/episodes.npy"
LEARNING, RANKING = "the program's learning", "the program"
"""What its executions are called where they fail."""


def freeze(recorder: Recorder, program: Program) -> None:
    """Record a program, whatever becomes of its source."""
    kept = {path: recorder.blobs.put(data) for path, data in sorted(program.artifact.items())}
    recorder.record(
        ProgramFrozen(
            origin=recorder.redactor.text(program.origin),
            code=recorder.blobs.put(json.dumps(program.code, sort_keys=True).encode()),
            module=program.module,
            artifact=kept,
            episodes=recorder.blobs.put(program.episodes) if program.episodes else None,
            limits=program.limits,
            learning=program.learning,
        )
    )


class AskedProgram:
    """The one way in which a run asks its proposer's program anything; used from the loop's thread."""

    def __init__(self, recorder: Recorder, execute: Callable[[Job], Outcome], *, trace: bool = False) -> None:
        """Take the parts.

        Args:
            recorder: Of the run, whose record holds the program.
            execute: Runs a job to an end that says something about it, or was the user's wish.
            trace: Whether a tracer follows it too.
        """
        self.recorder = recorder
        self.execute = execute
        self.trace = trace

    def ready(self) -> None:
        """Let the program learn, where it came with nothing that it has learned; once a run.

        UsageError where it cannot: that is told before anything is trained.
        """
        state = self.recorder.state
        frozen = self._frozen()
        learned = state.program_learned
        if frozen.artifact or (learned is not None and not learned.problem):
            return
        code = self._code()
        inputs = {f"code/{path}": text.encode() for path, text in code.items()}
        if frozen.episodes is not None:
            inputs[EPISODES] = self.recorder.blobs.get(frozen.episodes)
        job = Job(
            purpose="train",
            argv=(f"code/{frozen.module.replace('.', '/')}.py",),
            inputs=inputs,
            environment={"RSI_SEED": "0", "RSI_BUDGET": "1"},
            shape=Shape(limits=frozen.learning),
            labels={"run": state.run.run, "trial": "program"},
            trace=self.trace,
        )
        outcome = self.execute(job)
        left = outcome.outputs if outcome.execution.kind is ExitKind.COMPLETED else {}
        problem = failure_reason(outcome.execution, LEARNING)
        if left and not problem:  # what needs no weights leaves none
            problem = artifact.problem(left) or ""
        kept = {} if problem else {path: self.recorder.blobs.put(data) for path, data in sorted(left.items())}
        body = ProgramLearned(artifact=kept, problem=problem, **self._recorded(outcome))
        self.recorder.record(body)
        self._heed_stop(outcome)
        if problem:
            raise UsageError(
                f"The program ({frozen.origin}) cannot be used: {problem}; mend it, or give it --episodes to learn "
                "from, and start a new run."
            )

    def answer(self, experiment: int, question: Question) -> Answer:
        """The answer, from the record if it is there, else from a fresh sandbox, and on record before it is given."""
        state, get_blob = self.recorder.state, self.recorder.blobs.get
        found = look_up(state, get_blob, experiment, question)
        if found is not None:
            return found
        frozen = self._frozen()
        weights = frozen.artifact or (state.program_learned.artifact if state.program_learned else {})
        artifact_files = {path: get_blob(digest) for path, digest in weights.items()}
        job = Job(
            purpose="predict",
            argv=("-m", "guest.predict"),
            inputs=job_inputs(self._code(), {}, artifact_files, question.challenge, module=frozen.module),
            shape=Shape(limits=frozen.limits),
            labels={"run": state.run.run, "trial": f"proposal-{experiment}"},
            trace=self.trace,
        )
        outcome = self.execute(job)
        raw, problem = _judged(outcome, question)
        self.recorder.record(
            ProgramAnswered(
                experiment=experiment,
                question=question.digest(),
                options=len(question.available),
                answer=self.recorder.blobs.put(raw) if raw is not None else None,
                problem=problem,
                **self._recorded(outcome),
            )
        )
        self._heed_stop(outcome)
        found = look_up(state, get_blob, experiment, question)
        assert found is not None
        return found

    def _frozen(self) -> ProgramFrozen:
        frozen = self.recorder.state.program
        assert frozen is not None, "a session freezes the program before it asks"
        return frozen

    def _code(self) -> CodeFiles:
        return dict(json.loads(self.recorder.blobs.get(self._frozen().code)))

    def _recorded(self, outcome: Outcome) -> dict[str, Any]:
        return {
            "execution": outcome.execution,
            **self.recorder.keep_outcome(outcome),
            "findings": findings(outcome.execution),
            "attempts": self.recorder.keep_attempts(outcome),
        }

    @staticmethod
    def _heed_stop(outcome: Outcome) -> None:
        if outcome.execution.kind is ExitKind.INTERRUPTED:
            raise Interrupted("interrupted by the user")


def _judged(outcome: Outcome, question: Question) -> tuple[bytes | None, str]:
    """The raw answer where there is one, and why it is of no use where it is of none."""
    reason = failure_reason(outcome.execution, RANKING)
    if reason:
        return None, reason
    try:
        answer = read_answer(outcome.outputs, question.challenge).astype("<f4", copy=False)
    except MalformedAnswer as wrong:
        return None, str(wrong).rstrip(".")
    preferences = np.ascontiguousarray(answer).reshape(-1)
    return preferences.tobytes(), useless(preferences, question.available)
