"""Answers of a program that a record holds: what a resumed run does not ask twice, and all that a replay reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rsi.errors import IntegrityError
from rsi.events import ProgramAnswered
from rsi.programs.question import Answer, Question, useless
from rsi.state import RETRIED, RunState

GetBlob = Callable[[str], bytes]


class AnswerDiffers(IntegrityError):
    """The proposer asks its program what the record holds no answer to."""


def look_up(state: RunState, get_blob: GetBlob, experiment: int, question: Question) -> Answer | None:
    """The answer to that question, if the record holds one; IntegrityError where it cannot be one."""
    for body in reversed(state.program_answers.get(experiment, ())):
        if body.question == question.digest() and body.execution.kind not in RETRIED:
            return read(state, get_blob, body, question)
    return None


def read(state: RunState, get_blob: GetBlob, body: ProgramAnswered, question: Question) -> Answer:
    """A recorded answer; IntegrityError where what is said of it does not hold of what was kept."""
    in_a_row = failures_before(state, body.experiment) + 1
    if body.answer is None:
        if not body.problem:
            raise IntegrityError(
                f"The program's answer for experiment {body.experiment} is missing, and no reason why."
            )
        return Answer(preferences=None, problem=body.problem, in_a_row=in_a_row)
    raw = get_blob(body.answer)
    if len(raw) != 4 * len(question.available):
        raise IntegrityError(f"The program's answer for experiment {body.experiment} is not one for its options.")
    preferences = np.frombuffer(raw, dtype="<f4")
    problem = useless(preferences, question.available)
    if problem != body.problem:
        said, derived = body.problem or "it is of use", problem or "it is of use"
        raise IntegrityError(
            f"Of the program's answer for experiment {body.experiment} it is recorded that {said}, and derived that "
            f"{derived}."
        )
    if problem:
        return Answer(preferences=None, problem=problem, in_a_row=in_a_row)
    return Answer(preferences=preferences)


def failures_before(state: RunState, experiment: int) -> int:
    """Answers of no use for the experiments that were asked for last before that one, one after another."""
    count = 0
    for number in sorted((n for n in state.program_answers if n < experiment), reverse=True):
        answers = [body for body in state.program_answers[number] if body.execution.kind not in RETRIED]
        if answers and not answers[-1].problem:
            break
        count += bool(answers)  # what was cut off is no answer
    return count


class RecordedProgram:
    """Answers from the record alone: no sandbox, no clock."""

    def __init__(self, state: RunState, get_blob: GetBlob) -> None:
        self.state = state
        self.get_blob = get_blob

    def answer(self, experiment: int, question: Question) -> Answer:
        """The recorded answer; AnswerDiffers where this was not asked."""
        found = look_up(self.state, self.get_blob, experiment, question)
        if found is None:
            told = (
                "the question that derives now is not the one that was recorded"
                if self.state.program_answers.get(experiment)
                else "its program was never asked there"
            )
            raise AnswerDiffers(f"The proposal of experiment {experiment} differs: {told}.")
        return found
