"""What a proposer's program answered for an experiment, and the executions in which it did."""

from __future__ import annotations

from typing import Any

from rsi import events as e
from rsi.review.executions import Kept
from rsi.review.wording import count, duration
from rsi.runs import ReadRun

PROGRAM = "program"
"""Stands for the name of a trial, to which its executions do not belong."""


def ranked_words(run: ReadRun, experiment: int) -> str:
    """Which program was asked and what came of it, in a line of hostile text; empty where none was."""
    answers = run.state.program_answers.get(experiment, ())
    if not answers:
        return ""
    last, origin = answers[-1], run.state.program.origin if run.state.program else "a program"
    came = last.problem or f"ranked {count(last.options, 'move')} in {duration(last.execution.usage.wall_seconds)}"
    return f"{origin}: {came}"


def ranked_json(run: ReadRun, experiment: int) -> list[dict[str, Any]]:
    """Every answer as plain values, without its execution."""
    answers = run.state.program_answers.get(experiment, ())
    return [answer.model_dump(mode="json", include={"question", "options", "answer", "problem"}) for answer in answers]


def program_executions(run: ReadRun, experiment: int) -> list[Kept]:
    """Those in which the program was asked; beside the baseline, the one in which it learned."""
    learned = run.state.program_learned
    bodies: list[e.OfProgram] = [learned] if learned is not None and experiment == 0 else []
    return [
        Kept(
            trial=PROGRAM,
            challenge=None if body is learned else "ranking",
            execution=body.execution,
            stdout=body.stdout,
            stderr=body.stderr,
            course=body.course,
            attempts=body.attempts,
        )
        for body in (*bodies, *run.state.program_answers.get(experiment, ()))
    ]
